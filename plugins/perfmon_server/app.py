"""The application, assembled in one place: routes, guards, and what lives as long as it does."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import evolve

from perfmon import StorageError
from perfmon_server.api import alerts, outcomes
from perfmon_server.api import analysis as looking
from perfmon_server.api import metrics as reading
from perfmon_server.api import runs as recording
from perfmon_server.api import types as shapes
from perfmon_server.api.metrics import PREFIX, now
from perfmon_server.http.access import host_guard, key_guard
from perfmon_server.http.errors import Refusal, encoded, refusals
from perfmon_server.http.limits import Desk
from perfmon_server.http.openapi import document
from perfmon_server.http.route import DESK, Question, Reply, Route
from perfmon_server.http.stream import Stream
from perfmon_server.http.transfer import transfer
from perfmon_server.pages import overview as page
from perfmon_server.settings import ServerConfig

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

MONITOR: web.AppKey[PerformanceMonitor] = web.AppKey("MONITOR")  # type: ignore[type-arg, unused-ignore]
STREAM = web.AppKey("STREAM", Stream)
_PROBE_SECONDS = 2.0
_HEADERS = {
    # Kept by the caller alone, and asked for again each time: an ETag saves sending it.
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def alive(question: Question) -> Any:
    del question
    return {"status": "alive"}


async def ready(question: Question) -> Any:
    """Whether storage answers, and nothing was dropped within the last minute."""
    problems = []
    desk = question.desk
    try:
        await desk.probes.run(desk.monitor.storage.check, seconds=_PROBE_SECONDS)
    except (StorageError, Refusal):
        problems.append("storage does not answer")
    if desk.dropped_lately(desk.monitor.recorder.dropped + desk.monitor.intake.counts.dropped):
        problems.append("runs were dropped within the last minute")
    if problems:
        return Reply(status=503, value={"status": "not_ready", "problems": problems})
    return {"status": "ready", "problems": []}


async def stream(question: Question) -> web.StreamResponse:
    return await question.request.app[STREAM].listen(question.request)


async def openapi(question: Question) -> Any:
    del question
    return web.Response(body=_DOCUMENT, content_type="application/json")


def tick(monitor: PerformanceMonitor) -> dict[str, Any]:
    """What each event of the stream holds."""
    # Alerts first: what they look at anew, health must not contradict.
    firing = monitor.get_alerts(state="firing", limit=50)
    return {
        "health": monitor.get_health(),
        "metrics": monitor.get_system_metrics(),
        "alerts": firing,
        "generated_at": now(monitor),
    }


def _tick(monitor: PerformanceMonitor) -> tuple[dict[str, Any], bytes]:
    """An event of the stream, and what of it differs where something but the clock has changed."""
    value = tick(monitor)
    metrics = evolve(value["metrics"], window_start=None, window_end=None)
    health = {name: item for name, item in value["health"].items() if name != "timestamp"}
    return value, encoded((metrics, health, value["alerts"]))


ROUTES = (
    *reading.ROUTES,
    *looking.ROUTES,
    *alerts.ROUTES,
    *recording.ROUTES,
    *outcomes.ROUTES,
    Route(
        method="GET",
        path=f"{PREFIX}/stream",
        summary="Server-sent events: a `tick` whenever something changed, as the component Tick",
        answer=stream,
        contents={"text/event-stream": "Events until the client leaves."},
    ),
    *page.ROUTES,
    Route(
        method="GET",
        path="/healthz",
        summary="Whether the process answers",
        answer=alive,
        shape=shapes.Alive,
        is_open=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Whether storage answers and nothing was dropped lately",
        answer=ready,
        shape=shapes.Ready,
        also={503: shapes.Ready},
        is_open=True,
    ),
    Route(
        method="GET",
        path="/api/openapi.json",
        summary="This document",
        answer=openapi,
        shape=dict,
        is_open=True,
    ),
)
_DOCUMENT = encoded(document(ROUTES))


def make_app(monitor: PerformanceMonitor, config: ServerConfig) -> web.Application:
    """The whole server for a monitor, with what plugins add by `add_routes`."""
    open_paths = frozenset(route.path for route in ROUTES if route.is_open)
    app = web.Application(
        client_max_size=round(config.max_body_mb * 1e6),
        middlewares=[transfer, refusals, host_guard(config), key_guard(config, open_paths)],
    )
    app[MONITOR] = monitor
    with warnings.catch_warnings():
        # Plugins cannot import an AppKey from one another, so that theirs is a word.
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        app["monitor"] = monitor
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.respond)
        # What only asks whether the server is there, such as a load balancer, may ask by HEAD.
        if route.method == "GET" and not route.path.startswith(PREFIX):
            app.router.add_route("HEAD", route.path, route.respond)
    monitor.bus.ask_all("add_routes", app=app)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_close_stream)
    app.cleanup_ctx.append(partial(_open, monitor=monitor, config=config))
    return app


async def _open(
    app: web.Application, *, monitor: PerformanceMonitor, config: ServerConfig
) -> AsyncIterator[None]:
    desk = Desk(monitor, config)
    app[DESK] = desk

    async def make_tick() -> tuple[dict[str, Any], Any]:
        return await desk.readers.run(_tick, monitor, seconds=desk.seconds)

    app[STREAM] = Stream(make_tick, config.max_streams)
    yield
    desk.close()


async def _close_stream(app: web.Application) -> None:
    await app[STREAM].close()


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers["Server"] = "perfmon"  # aiohttp has put its own and Python's version there
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
