"""Error responses: one shape, never a traceback."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from perfmon import InvalidRun, PerfmonError, StorageError

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("perfmon.server")
RETRY_AFTER = "1"
_CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_media_type",
}


class RequestLog(logging.LoggerAdapter[logging.Logger]):
    """The log of what comes before any route: a request that is no HTTP is a line.

    The line has neither traceback nor content, in which a key may stand.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        problem = kwargs.get("exc_info")
        if isinstance(problem, HttpProcessingError):
            kind = type(problem).__name__
            self.logger.warning("a request was not valid HTTP (%s); it was rejected", kind)
        else:
            super().log(level, msg, *args, **kwargs)


class Refusal(Exception):
    """A request cannot be answered.

    Args:
        status: the HTTP status.
        code: one word for programs.
        message: one sentence for people.
        field: the parameter or field at fault, where there is one.
        headers: further headers; 429 and 503 have a Retry-After without being told.
        **more: further members of the body, beside `error`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message}
        if field is not None:
            self.error["field"] = field
        self.headers = dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("Retry-After", RETRY_AFTER)
        self.more = more

    def response(self) -> web.Response:
        return web.Response(
            body=encoded({"error": self.error, **self.more}),
            status=self.status,
            headers=self.headers,
            content_type="application/json",
        )


def encoded(value: Any) -> bytes:
    """JSON: NaN is null, times are ISO 8601 with Z, text that is no Unicode loses its odd parts."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(_sane(value), enc_hook=_plain)


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    if isinstance(value, numbers.Number) and hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def _sane(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sane(key): _sane(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sane(item) for item in value]
    return value


@web.middleware
async def refusals(request: web.Request, handler: Answering) -> web.StreamResponse:
    """The outermost middleware: whatever goes wrong becomes an answer in the one shape."""
    try:
        return await handler(request)
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        return _of_http(problem, request).response()
    except Exception as problem:
        return _refusal(problem, request).response()


def _refusal(problem: Exception, request: web.Request) -> Refusal:
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, InvalidRun):
        code, status = ("invalid_run", 422) if request.method == "POST" else ("bad_parameter", 400)
        return Refusal(status, code, str(problem), field=problem.field)
    if isinstance(problem, web.RequestPayloadError):
        return Refusal(400, "malformed_body", "the body does not match its headers")
    if isinstance(problem, StorageError):
        return Refusal(503, "storage_unavailable", "storage is unavailable; try again later")
    if isinstance(problem, PerfmonError):
        return Refusal(503, "unavailable", "the monitor is not available now; try again later")
    log.error("%s %s failed", request.method, request.path, exc_info=problem)
    return Refusal(500, "internal", "internal error; see perfmon's log")


def _of_http(problem: web.HTTPException, request: web.Request) -> Refusal:
    messages = {
        404: f"not found: {request.path} (endpoints: /api/openapi.json)",
        405: f"{request.path} does not support {request.method}",
        413: "the body is larger than [plugins.server] max_body_mb allows",
    }
    kept = {name: problem.headers[name] for name in ("Allow",) if name in problem.headers}
    code = _CODES.get(problem.status, "refused")
    message = messages.get(problem.status, problem.reason)
    return Refusal(problem.status, code, message, headers=kept)
