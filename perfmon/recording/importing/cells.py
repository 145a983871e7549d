"""Converts a cell of text to a field's value, or raises an error that says what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from perfmon.errors import InvalidRun
from perfmon.records.stamps import DATE_WITHOUT_DASHES, SURELY_SECONDS, not_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = {
    "true": True, "1": True, "yes": True, "t": True, "y": True,
    "false": False, "0": False, "no": False, "f": False, "n": False,
}  # fmt: skip


def moment(value: str) -> float:
    """Epoch seconds of ISO 8601 text (naive is UTC; digits beyond microseconds are cut) or number.

    Raises:
        ValueError: the text is neither, or a number that is a year or a day rather than seconds.
    """
    # Only a dash after the year makes it ISO text; 20231116 is refused by who asks the clock.
    if value[4:5] != "-":
        seconds = number(value)
        if seconds <= SURELY_SECONDS and not_seconds(seconds) not in (None, DATE_WITHOUT_DASHES):
            raise ValueError(value)
        return seconds
    when = datetime.fromisoformat(value)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def number(value: str) -> float:
    if value.isdigit() or (value[:1] == "-" and value[1:].isdigit()):
        return int(value)
    if "_" in value:
        raise ValueError(value)  # 1_000 is Python's notation, not a file's
    return float(value)


def flag(value: str) -> bool:
    try:
        return _FLAGS[value.strip().lower()]
    except KeyError:
        raise ValueError(value) from None


def structure(value: str) -> dict[str, Any]:
    found = msgspec.json.decode(value)
    if isinstance(found, dict):
        return found
    raise ValueError(value)


def outcome(value: str) -> Any:
    """A JSON value where the cell is one, else its text; blank is none."""
    if value.isspace():
        raise ValueError(value)
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError):
        return value


_AMOUNTS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cached_tokens", "cost",
    "memory_mb", "cpu_ms", "quality_score", "confidence", "api_calls", "retries", "accuracy_score",
)  # fmt: skip
CONVERTERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_AMOUNTS, number),
    "timed_out": flag,
    "timestamp": moment,
    "started_at": moment,
    "outcome_timestamp": moment,
    "metadata": structure,
    "predicted_outcome": outcome,
    "actual_outcome": outcome,
}
"""How a field's cell is read; a field that is not here is text."""

_ALLOWED: dict[Callable[[str], Any], str] = {
    number: "a number",
    flag: "true or false",
    moment: "a time in ISO 8601 or epoch seconds",
    structure: "a JSON object",
}


def converted(field: str, cell: str) -> Any:
    """The field's value in a cell; None where the cell is blank.

    Raises:
        InvalidRun: the cell has no such value.
    """
    if not cell.strip():
        return None
    convert = CONVERTERS.get(field)
    if convert is None:
        return cell
    try:
        return convert(cell)
    except (ValueError, OverflowError, msgspec.DecodeError):
        raise InvalidRun(field, cell, _allowed(convert, cell)) from None


def _allowed(convert: Callable[[str], Any], cell: str) -> str:
    words = _ALLOWED.get(convert, "readable")
    if convert is not moment:
        return words
    try:
        other = not_seconds(number(cell))
    except (ValueError, OverflowError):
        other = None
    return f"{words}, and not {other}" if other else words
