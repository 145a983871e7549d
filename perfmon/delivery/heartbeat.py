"""The heartbeat: calls a dead man's switch, which raises the alarm when calls stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from perfmon.config import AlertsTable
from perfmon.config.secret import Secret, redacted
from perfmon.delivery.http import get

_log = logging.getLogger("perfmon")
_DEADLINE = 10.0
_AGAIN = 5.0  # seconds after a failure, where the interval is longer


class Heartbeat:
    """Calls a URL on a thread of its own, at most once in an interval.

    Attributes:
        sent, failed: how many calls got through, and did not.
        last_error: why the last one did not; None where it did.
    """

    def __init__(
        self,
        url: Secret,
        interval: float,
        *,
        allow_private: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._interval = interval
        self._allow_private = allow_private
        self._clock = clock
        self._due_at = -1e9
        self._wanted = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.sent = self.failed = 0
        self.last_error: str | None = None
        self._sent_at: datetime | None = None

    @classmethod
    def of(cls, alerts: AlertsTable) -> Heartbeat | None:
        """That of a configuration, where it has one."""
        if alerts.heartbeat_url is None:
            return None
        return cls(
            alerts.heartbeat_url,
            alerts.heartbeat_interval,
            allow_private=alerts.heartbeat_allow_private,
        )

    def beat(self) -> None:
        """An evaluation was completed; returns at once."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + self._interval
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="perfmon-heartbeat", daemon=True)
            self._thread.start()
        self._wanted.set()

    def stop(self) -> None:
        """No more of it; what is under way ends by itself."""
        self._stopping = True
        self._wanted.set()

    def stats(self) -> dict[str, Any]:
        """For `get_stats()`; nothing of the URL."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "last_sent": self._sent_at,
            "last_error": self.last_error,
        }

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.wait()
            self._wanted.clear()
            if not self._stopping:
                self._call()

    def _call(self) -> None:
        try:
            asyncio.run(get(self._url, deadline=_DEADLINE, allow_private=self._allow_private))
        except Exception as problem:  # whatever it is, evaluation goes on
            self.failed += 1
            if self.last_error is None:
                _log.warning("the heartbeat could not be sent: %s", redacted(problem))
            self.last_error = redacted(problem)
            self._due_at = self._clock() + min(self._interval, _AGAIN)
        else:
            self.sent += 1
            self.last_error, self._sent_at = None, datetime.now(UTC)
