"""The application, assembled in one place: routes, guards, and background tasks."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from perfmon_server.api import alerts, analysis, metrics, outcomes, probes, runs, ticks
from perfmon_server.http.access import host_guard, key_guard
from perfmon_server.http.errors import encoded, refusals
from perfmon_server.http.limits import Desk
from perfmon_server.http.openapi import document
from perfmon_server.http.route import DESK, PREFIX, Question, Route
from perfmon_server.http.stream import STREAM, EventStream
from perfmon_server.http.transfer import transfer
from perfmon_server.pages import overview
from perfmon_server.settings import ServerConfig

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

MONITOR: web.AppKey[PerformanceMonitor] = web.AppKey("MONITOR")  # type: ignore[type-arg, unused-ignore]
_HEADERS = {
    # Kept by the caller alone, and asked for again each time: an ETag saves sending it.
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def openapi(question: Question) -> Any:
    del question
    return web.Response(body=_DOCUMENT, content_type="application/json")


ROUTES = (
    *metrics.ROUTES,
    *analysis.ROUTES,
    *alerts.ROUTES,
    *runs.ROUTES,
    *outcomes.ROUTES,
    *ticks.ROUTES,
    *overview.ROUTES,
    *probes.ROUTES,
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
    monitor.hook.add_routes(app=app)
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
        return await desk.readers.run(ticks.compared_tick, monitor, seconds=desk.seconds)

    app[STREAM] = EventStream(make_tick, config.max_streams)
    yield
    desk.close()


async def _close_stream(app: web.Application) -> None:
    await app[STREAM].close()


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers["Server"] = "perfmon"  # aiohttp has put its own and Python's version there
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
