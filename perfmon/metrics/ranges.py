"""The time range of a query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from perfmon.errors import InvalidRun

Moment = datetime | float | str | None


class Asked(NamedTuple):
    """A range of time, `[since, until)` in microseconds, and whether it ends now."""

    since: int
    until: int
    rolling: bool

    @property
    def before(self) -> Asked:
        """The range of the same length just before it."""
        return Asked(2 * self.since - self.until, self.since, False)

    @property
    def width(self) -> int:
        return self.until - self.since


def minutes_of(value: Any, field: str = "time_window_minutes") -> float:
    """A length in minutes, or `InvalidRun`."""
    allowed = "a number of minutes above 0, at most 5256000 (ten years)"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRun(field, value, allowed)
    if not 0 < value <= 5_256_000:
        raise InvalidRun(field, value, allowed)
    return float(value)
