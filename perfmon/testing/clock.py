"""A clock for tests and replays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = 1_767_225_600.0  # 2026-01-01


class ManualClock:
    """A clock that moves only when told to. Call it for epoch seconds."""

    def __init__(self, start: datetime | float = START) -> None:
        self.set(start)

    def __call__(self) -> float:
        return self._seconds

    def advance(self, duration: timedelta | float) -> None:
        """Move on by a duration (seconds, where it is a number)."""
        self._seconds += duration.total_seconds() if isinstance(duration, timedelta) else duration

    def set(self, moment: datetime | float) -> None:
        """Move to a moment: an aware datetime or epoch seconds."""
        self._seconds = moment.timestamp() if isinstance(moment, datetime) else float(moment)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds, UTC)
