"""Dates and times as text in ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_OF_DAY = timedelta(days=1) - _MICROSECOND


def is_day(text: str) -> bool:
    """Whether a text that says a time says no more than the day."""
    return len(text) == len("2024-01-01")


def may_be_date(value: object) -> bool:
    """Whether a closer look is worth its time."""
    return isinstance(value, str) and value[4:5] == "-"


def moment(text: str) -> datetime | None:
    """The time that a text of the form YYYY-MM-DD says, with or without a time of day."""
    if text[4:5] != "-" or text[7:8] != "-" or text[10:11] not in ("", "T", "t", " "):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def micros(time: datetime) -> int:
    """Microseconds since the epoch; without an offset it is UTC's."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def seconds_apart(predicted: str, actual: str) -> float | None:
    """How far two dates or times are from one another; None where one of them is neither.

    A date alone is as far from a time as the nearest end of its day, on the clock that the time
    was read from.
    """
    left, right = moment(predicted), moment(actual)
    if left is None or right is None:
        return None
    if is_day(predicted) and not is_day(actual):
        return _seconds_outside(left, right)
    if is_day(actual) and not is_day(predicted):
        return _seconds_outside(right, left)
    return abs(micros(left) - micros(right)) / 1e6


def _seconds_outside(day: datetime, time: datetime) -> float:
    after = time.replace(tzinfo=None) - day
    return max(-after, after - _LAST_OF_DAY, timedelta()).total_seconds()
