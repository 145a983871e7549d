"""Server-sent events: changes, checked once a second for all listeners."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from perfmon_server.http.errors import Refusal, encoded

log = logging.getLogger("perfmon.server")
TICK_SECONDS = 1.0
_BEHIND = 4
_QUIET_SECONDS = 15.0
_SEND_SECONDS = 20.0


class EventStream:
    """Sends each listener a tick when it comes, and whenever something has changed since.

    While nobody listens it costs nothing; while nothing changes a comment now and then shows that
    the connection stands. A listener that reads too slowly misses ticks and holds up nobody; one
    that does not read at all is cut off.

    Args:
        tick: makes the event's value, and what of it tells one from the next.
        most: how many may listen at once.
    """

    def __init__(self, tick: Callable[[], Awaitable[tuple[Any, Any]]], most: int) -> None:
        self._tick = tick
        self._most = most
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._number = 0
        self._last: bytes | None = None
        self._known: Any = None
        self._sent_at = 0.0
        self._closed = False

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Send until the listener leaves or the server stops."""
        if len(self._queues) >= self._most:
            raise Refusal(503, "overloaded", f"the stream already has {self._most} listeners")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "X-Accel-Buffering": "no",  # or nginx would collect the events
            }
        )
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND)
        if self._closed:
            queue.put_nowait(None)
        elif self._last is not None and self._queues:
            queue.put_nowait(self._last)
        self._queues.add(queue)
        try:
            await response.prepare(request)
            self._start()
            await _send(response, queue)
        finally:
            self._queues.discard(queue)
        return response

    async def close(self) -> None:
        """Tell every listener goodbye; without it the server would wait for them."""
        self._closed = True
        for queue in self._queues:
            _put(queue, None)
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking

    def _start(self) -> None:
        if not self._closed and (self._ticking is None or self._ticking.done()):
            self._ticking = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self._last = self._known = None
        while self._queues:
            event = await self._event()
            if event is not None:
                self._sent_at = time.monotonic()
                for queue in self._queues:
                    _put(queue, event)
            await asyncio.sleep(TICK_SECONDS)

    async def _event(self) -> bytes | None:
        """What there is to say now, if anything."""
        kind, value, known = await self._now()
        if known == self._known:
            quiet = time.monotonic() - self._sent_at > _QUIET_SECONDS
            return b": nothing has changed\n\n" if quiet else None
        self._number += 1
        self._known, self._last = known, _framed(kind, self._number, value)
        return self._last

    async def _now(self) -> tuple[str, Any, Any]:
        try:
            value, known = await self._tick()
            return "tick", value, known
        except Refusal as refusal:
            error = refusal.error
        except Exception:
            log.exception("a tick of the stream failed")
            error = {"code": "unavailable", "message": "the monitor is not available now"}
        return "problem", {"error": error}, error


def _framed(event: str, number: int, value: Any) -> bytes:
    # JSON has no line breaks of its own, so that one data line holds it.
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.encode(), number, encoded(value))


def _put(queue: asyncio.Queue[bytes | None], event: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)


async def _send(response: web.StreamResponse, queue: asyncio.Queue[bytes | None]) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        await response.write(b"retry: 2000\n\n")
        while (event := await queue.get()) is not None:
            async with asyncio.timeout(_SEND_SECONDS):
                await response.write(event)


STREAM = web.AppKey("STREAM", EventStream)
