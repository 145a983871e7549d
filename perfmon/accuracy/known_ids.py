"""Measurements and outcomes whose ID is already known: repeats, or others to keep.

Callers give ids, and use them again: the row's number every night. The same content within 24
hours is a repeat; anything else is kept, under the id with a mark behind it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2s

from perfmon.accuracy.rounds import DAY_US, same_json
from perfmon.records.measurements import MEASUREMENT_FIELDS, Row, Stamped

_F = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_ID, _AT, _STAMPED, _CONFIDENCE = (
    _F[name] for name in ("measurement_id", "timestamp", "stamped", "confidence")
)
_TEXTS = tuple(
    _F[name]
    for name in ("tenant", "agent_name", "task_id", "model", "task_type", "feedback_source")
)
_JSON = tuple(_F[name] for name in ("predicted_outcome", "actual_outcome", "metadata"))


def names(row: Row) -> list[str]:
    """The ids under which a row, or a repeat of it, may be stored; the last is for a new one."""
    content = (row[place] or "" for place in (*_TEXTS, *_JSON))
    text = "\0".join(("", *content, str(row[_CONFIDENCE])))
    if row[_STAMPED] == Stamped.ASSUMED:
        return [row[_ID], _marked(row[_ID], text, "")]
    day = row[_AT] // DAY_US
    days = (day - 1, day + 1, day)
    return [row[_ID], *(_marked(row[_ID], text, str(one)) for one in days)]


def _marked(name: str, text: str, day: str) -> str:
    return f"{name}~{blake2s((day + text).encode(), digest_size=8).hexdigest()}"


def is_repeat(row: Row, known: Row) -> bool:
    """Whether a row says again what a stored one says, of the same id."""
    near = row[_STAMPED] == Stamped.ASSUMED or abs(row[_AT] - known[_AT]) <= DAY_US
    return (
        near
        and all(row[place] == known[place] for place in _TEXTS)
        # A remote scorer may have known it better meanwhile.
        and row[_CONFIDENCE] in (None, known[_CONFIDENCE])
        and all(same_json(row[place], known[place]) for place in _JSON)
    )


def told_apart(rows: Sequence[Row], known: Iterable[Row]) -> list[Row | None]:
    """Each row under an id of its own, or None where it is a repeat.

    Args:
        rows: those whose id is stored already.
        known: what is stored under any of their `names`.
    """
    there = {row[_ID]: row for row in known}
    found: list[Row | None] = []
    for row in rows:
        ids = names(row)
        if any(is_repeat(row, there[one]) for one in ids if one in there):
            found.append(None)
        else:
            other = (ids[-1], *row[1:])
            found.append(other)
            there[ids[-1]] = other
    return found


def stored_as(row: Row, known: Iterable[Row]) -> str:
    """The id under which a row was stored, or the one that it repeats."""
    there = {one[_ID]: one for one in known}
    ids = [one for one in names(row) if one in there and is_repeat(row, there[one])]
    return ids[0] if ids else str(row[_ID])
