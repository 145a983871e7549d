"""Requests that are not HTTP: a log line and an answer, both without what was sent.

aiohttp quotes what it cannot read, where a key may stand, and names itself and Python's version.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from perfmon_server.http.errors import Refusal


class Runner(web.AppRunner):
    """Runs an app whose connections answer so."""

    __slots__ = ()

    @property
    def server(self) -> web.Server | None:
        """What makes the protocol of each connection."""
        made = super().server
        return None if made is None else cast("web.Server", partial(_protocol, made))


class _Protocol(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)  # which logs it
        if isinstance(exc, HttpProcessingError):
            refusal = Refusal(status, "bad_request", "the request could not be read as HTTP")
            response = refusal.response()
            response.force_close()
        response.headers["Server"] = "perfmon"
        return response


def _protocol(server: web.Server) -> Any:
    made: Any = server()
    made.__class__ = _Protocol  # the server names no class to make
    return made
