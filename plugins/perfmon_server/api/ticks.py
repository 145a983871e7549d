"""The route of the stream, and the contents of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import evolve

from perfmon_server.http.errors import encoded
from perfmon_server.http.route import PREFIX, Question, Route, now
from perfmon_server.http.stream import STREAM

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor


async def stream(question: Question) -> web.StreamResponse:
    return await question.request.app[STREAM].listen(question.request)


def tick(monitor: PerformanceMonitor) -> dict[str, Any]:
    """What each event of the stream holds."""
    # Alerts first: they are evaluated again, and health must not contradict them.
    firing = monitor.get_alerts(state="firing", limit=50)
    return {
        "health": monitor.get_health(),
        "metrics": monitor.get_system_metrics(),
        "alerts": firing,
        "generated_at": now(monitor),
    }


def compared_tick(monitor: PerformanceMonitor) -> tuple[dict[str, Any], bytes]:
    """An event of the stream, and what of it differs where something but the clock has changed."""
    value = tick(monitor)
    metrics = evolve(value["metrics"], window_start=None, window_end=None)
    health = {name: item for name, item in value["health"].items() if name != "timestamp"}
    return value, encoded((metrics, health, value["alerts"]))


ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/stream",
        summary="Server-sent events: a `tick` (component Tick) whenever something changes",
        answer=stream,
        contents={"text/event-stream": "Events until the client disconnects."},
    ),
)
