"""Probes for load balancers: whether the process is alive, and ready."""

from __future__ import annotations

from typing import Any

from perfmon import StorageError
from perfmon_server.api import types as shapes
from perfmon_server.http.errors import Refusal
from perfmon_server.http.route import Question, Reply, Route

_PROBE_SECONDS = 2.0


async def alive(question: Question) -> Any:
    del question
    return {"status": "alive"}


async def ready(question: Question) -> Any:
    """Whether storage answers, and nothing was dropped within the last minute."""
    problems = []
    desk = question.desk
    try:
        await desk.probes.run(desk.monitor.check, seconds=_PROBE_SECONDS)
    except (StorageError, Refusal):
        problems.append("storage is unavailable")
    if desk.dropped_lately(desk.monitor.dropped):
        problems.append("runs were dropped within the last minute")
    if problems:
        return Reply(status=503, value={"status": "not_ready", "problems": problems})
    return {"status": "ready", "problems": []}


ROUTES = (
    Route(
        method="GET",
        path="/healthz",
        summary="Whether the process is alive",
        answer=alive,
        shape=shapes.Alive,
        is_open=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Whether storage is available and nothing was dropped recently",
        answer=ready,
        shape=shapes.Ready,
        also={503: shapes.Ready},
        is_open=True,
    ),
)
