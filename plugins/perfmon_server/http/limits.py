"""Shared by the routes: the monitor, threads for slow calls, and limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from perfmon_server.http.errors import Refusal
from perfmon_server.http.workers import Workers
from perfmon_server.settings import ServerConfig

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

_DROP_SECONDS = 60.0


class Desk:
    """Holds the monitor while the server runs, and keeps what is under way within bounds.

    Reading and recording have threads of their own, so that neither waits for the other.
    """

    def __init__(self, monitor: PerformanceMonitor, config: ServerConfig) -> None:
        self.monitor = monitor
        self.seconds = config.answer_seconds
        self.readers = Workers("perfmon-read", 4, 256)
        self.writers = Workers("perfmon-record", 8, config.max_in_flight)
        self.probes = Workers("perfmon-probe", 1, 8)
        self._most = config.max_in_flight
        self._under_way = 0
        self._dropped = 0
        self._dropped_at = -_DROP_SECONDS

    def close(self) -> None:
        for workers in (self.readers, self.writers, self.probes):
            workers.close()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """One more request with a body, or `Refusal` 429 when there are enough."""
        if self._under_way >= self._most:
            message = f"{self._most} requests are already in progress; try again in a moment"
            raise Refusal(429, "too_many_requests", message)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def body(self, request: web.Request) -> bytes:
        """The request's body; a sender that is too slow gives its place to others."""
        try:
            async with asyncio.timeout(self.seconds):
                return await request.read()
        except TimeoutError:
            message = f"the body did not arrive within {self.seconds:g} s"
            raise Refusal(408, "too_slow", message, headers={"Connection": "close"}) from None

    def dropped_lately(self, dropped: int) -> bool:
        """Whether the monitor's count of dropped runs rose within the last minute."""
        if dropped > self._dropped:
            self._dropped, self._dropped_at = dropped, time.monotonic()
        return time.monotonic() - self._dropped_at < _DROP_SECONDS
