"""Counters of each plugin: calls, failures, slow calls, and whether it is enabled."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any

from perfmon.config.secret import redacted

log = logging.getLogger("perfmon")

SLOW_SECONDS = 1.0
_LOG_EVERY = 100

Check = Callable[[Any], Any]


class PluginStats:
    """How a plugin has behaved since the start; every number only grows."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.calls = self.failures = self.dropped = self.slow = 0
        self.seconds = 0.0
        self.in_service = True
        self.last_error: str | None = None
        # The start of each call under way in some caller's thread, by a token of the call.
        self.under_way: dict[object, float] = {}
        self._lock = threading.Lock()

    def called(self, seconds: float) -> None:
        # No lock: scorers come here within record_accuracy, and no other thread gets in
        # between the parts of `+=` on an attribute, as none of them is a call or a jump.
        self.calls += 1
        self.seconds += seconds
        if seconds > SLOW_SECONDS:
            self.slow += 1

    def dropped_some(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    def failed(self, hook: str, problem: BaseException) -> None:
        """Count a failure; the first and then every hundredth is logged, without secrets."""
        told = f"{hook}: {told_error(problem)}"
        with self._lock:
            self.failures += 1
            self.last_error = told
            count = self.failures
        if count % _LOG_EVERY == 1:
            log.warning("plugin %r failed (%d so far) in %s", self.plugin, count, told)

    def retire(self, reason: str) -> bool:
        """Mark the plugin as disabled; False if it was already."""
        with self._lock:
            if not self.in_service:
                return False
            self.in_service = False
            self.last_error = reason
        log.error("plugin %r is disabled: %s", self.plugin, reason)
        return True

    def longest_call(self, now: float) -> float:
        """How many seconds the oldest call under way in a caller's thread has taken."""
        return now - min(self.under_way.copy().values(), default=now)

    def summary(self) -> dict[str, Any]:
        """The numbers, for `get_stats()` and `perfmon plugins`."""
        names = (
            "calls",
            "failures",
            "dropped",
            "slow",
            "in_service",
            "last_error",
            "seconds",
        )
        return {name: getattr(self, name) for name in names}


def told_error(problem: BaseException) -> str:
    """An error as one line with the place it comes from, without secrets."""
    frames = traceback.extract_tb(problem.__traceback__, limit=-1)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(problem).__name__}: {redacted(problem)}{place}"
