"""A route: how it is found, what it takes, what it answers. The server and its document read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import msgspec
from aiohttp import web

from perfmon_server.http.errors import Refusal, encoded
from perfmon_server.http.params import Param, read_query

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor
    from perfmon_server.http.limits import Desk

Result = TypeVar("Result")
PREFIX = "/api/performance"
JSON = "application/json"
BOM = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True)
class Body:
    """What a route takes.

    Attributes:
        shape: the type of its JSON.
        contents: the content types, JSON first.
        example: one that works.
        required: whether it must be there.
    """

    shape: Any
    required: bool = True
    contents: tuple[str, ...] = (JSON,)
    example: Any = None


@attrs.frozen(kw_only=True)
class Route:
    """One path and method.

    Attributes:
        answer: finds the answer to a `Question`: a value for JSON, a `Reply`, or a response.
        shape: the type of the answer's JSON; None where it has other contents.
        contents: other content types of the answer, each with what it is.
        refuses: the statuses of refusals beyond those every route may give.
        also: further statuses that answer in their own shape.
        is_open: whether it needs no key.
    """

    method: str
    path: str
    summary: str
    answer: Callable[[Question], Awaitable[Any]]
    shape: Any = None
    contents: dict[str, str] = attrs.Factory(dict)
    params: tuple[Param, ...] = ()
    names: dict[str, str] = attrs.Factory(dict)
    body: Body | None = None
    refuses: tuple[int, ...] = ()
    also: dict[int, Any] = attrs.Factory(dict)
    is_open: bool = False

    async def respond(self, request: web.Request) -> web.StreamResponse:
        desk: Desk = request.app[DESK]
        question = Question(request, desk, read_query(self.params, request.query))
        if self.body is None:
            return _response(await self.answer(question))
        with desk.admitted():
            return _response(await self.answer(question))


@attrs.frozen(kw_only=True)
class Reply:
    """A JSON answer with another status than 200."""

    status: int
    value: Any


def _response(answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    reply = answer if isinstance(answer, Reply) else Reply(status=200, value=answer)
    return web.Response(body=encoded(reply.value), status=reply.status, content_type=JSON)


@attrs.frozen
class Question:
    """A request whose parameters have been read.

    Attributes:
        query: the parameters that were given, by name, as Python values.
    """

    request: web.Request
    desk: Desk
    query: dict[str, Any]

    @property
    def monitor(self) -> PerformanceMonitor:
        return self.desk.monitor

    def name(self, of: str) -> str:
        """A part of the path, such as an agent's name; it may contain escaped slashes."""
        name = self.request.match_info[of]
        if len(name) > 256 or "\0" in name or name.isspace():
            raise Refusal(404, "not_found", f"no {of} has this name", field=of)
        return name

    async def read(self, call: Callable[..., Result], *args: Any) -> Result:
        """What a call answers that reads; it may have to ask storage."""
        return await self.desk.readers.run(call, *args, seconds=self.desk.seconds)

    async def write(self, call: Callable[..., Result], *args: Any) -> Result:
        """What a call answers that records and waits for storage."""
        return await self.desk.writers.run(call, *args, seconds=self.desk.seconds)

    async def body(self) -> bytes:
        """The body, decompressed; `Refusal` where it is too large or too slow."""
        return await self.desk.body(self.request)


def now(monitor: PerformanceMonitor) -> datetime:
    """The monitor's own time."""
    return datetime.fromtimestamp(monitor.now_us() / 1e6, UTC)


def decoded(body: bytes) -> Any:
    """JSON as Python values, or `Refusal` 400; NaN and Infinity are no JSON."""
    try:
        return msgspec.json.decode(body.removeprefix(BOM))
    except RecursionError:
        raise Refusal(400, "malformed_json", "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as problem:
        raise Refusal(400, "malformed_json", f"the body is not JSON: {problem}") from None


DESK: web.AppKey[Desk] = web.AppKey("DESK")  # type: ignore[type-arg, unused-ignore]
