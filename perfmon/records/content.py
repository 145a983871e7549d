"""The content of a run: what its caller recorded, without what was added later.

A run that comes again under a known id with the same content is a repeat; with other content it is
a conflict, and the first is kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from perfmon.records.equality import same_value
from perfmon.records.stamps import AssumedTime
from perfmon.records.validation import (
    MAX_ERROR,
    MAX_NAME,
    RUN_FIELDS,
    checked_run,
    stamp,
    whole_metadata,
)

Row = tuple[Any, ...]

RUN_ROW = (*RUN_FIELDS, "added")
"""The order of a run's row, from the journal to storage: its fields, and what was added to them."""

# What `added` is made of. 0 is a run all of whose fields are its caller's, None one that was stored
# before this was noted.
OWN_STAMP = 1  # the time is that of perfmon's clock
PRICED = 2  # a plugin named the cost
CLASSIFIED = 4  # a plugin named the error class
METADATA_LEFT_OUT = 8  # too large
TEXT_CUT = 32  # the end of a text was left off
ASSUMED_STAMP = 16  # the time is one that an import assumed
SUMMED = 64  # a checksum of what was cut is noted
_WHOSE = OWN_STAMP | ASSUMED_STAMP
_AHEAD = 8  # from this bit on: how far ahead of the clock the given time was, in microseconds
_AHEAD_BITS = (1 << 29) - 1  # five minutes at most
# From this bit on: checksums of what was cut, and of the error class that a plugin's took the place
# of. Both at once are combined by "exclusive or": they are compared, and never taken apart.
_ERROR = 37
_ERROR_BITS = (1 << 26) - 1
_DAY = 86_400_000_000

_PLACE = {name: place for place, name in enumerate(RUN_ROW)}
_AT, _COST, _ERROR_TYPE, _METADATA, _ADDED = (
    _PLACE[name] for name in ("timestamp", "cost", "error_type", "metadata", "added")
)
_ODD = frozenset(("run_id", "tenant", "agent_name", "timestamp", "cost", "error_type", "metadata"))
_PLAIN = tuple((name, _PLACE[name]) for name in RUN_FIELDS if name not in _ODD)
_TEXTS = ("agent_type", "model", "task_type", "error_type", "feedback_source")
_CUT = ("agent_type", "model", "task_type", "error_type")  # those of a run
CUT = METADATA_LEFT_OUT | TEXT_CUT
_KEY = 3  # what comes before it is the same in a repeat anyway
# What an old row has where its caller gave nothing.
_ONCE_FILLED_IN = {"api_calls": 1, "retries": 0}


def when(value: datetime | float | str | None, now_us: int | None) -> tuple[int, int]:
    """When a run ended, in microseconds, and what of that was added.

    Raises:
        InvalidRun: it is no time, or too far ahead of the clock.
    """
    if value is None:
        return now_us or 0, OWN_STAMP
    at = stamp("timestamp", value, now_us)
    added = ASSUMED_STAMP if type(value) is AssumedTime else 0
    if at == now_us:  # it may have been ahead
        added |= stamp("timestamp", value, None) - at << _AHEAD
    return at, added


def recorded_run(fields: Mapping[str, Any], now_us: int | None) -> Row:
    """The row of a run, in the order of `RUN_ROW`, or `InvalidRun` for its first bad field."""
    row = checked_run(fields, now_us)
    added = when(fields.get("timestamp"), now_us)[1]
    if found := cut(fields, row, _PLACE):
        added |= found | SUMMED | _checksum_of_cut(fields, found) << _ERROR
    return (*row, added)


def cut(fields: Mapping[str, Any], row: Row, place: Mapping[str, int]) -> int:
    """What of these fields was too large for their row: `METADATA_LEFT_OUT`, `TEXT_CUT` or both."""
    metadata, found = fields.get("metadata"), 0
    if metadata is not None and row[place["metadata"]] is None:
        found = METADATA_LEFT_OUT
    for name in _TEXTS:
        given = fields.get(name)
        if given is None:
            if name != "task_type" or metadata is None or not isinstance(metadata, Mapping):
                continue
            given = metadata.get(name)
        if isinstance(given, str) and row[place[name]] != given and given.strip():
            return found | TEXT_CUT
    return found


def _checksum_of_cut(fields: Mapping[str, Any], found: int) -> int:
    """Of texts and metadata that were too large, which are compared by nothing else."""
    parts = [str(fields[name]).encode(errors="replace") for name in _CUT if fields.get(name)]
    if found & METADATA_LEFT_OUT:
        parts.append(whole_metadata("metadata", fields["metadata"]))
    return zlib.crc32(b"\0".join(parts)) & _ERROR_BITS


def modern_run(row: Row) -> Row:
    """A row as an older version left it in its journal, with what was not noted then."""
    return (*row, None) if len(row) == len(RUN_FIELDS) else row


def with_answer(row: Row, place: int, answer: Any) -> Row:
    """A row with what a plugin said of it."""
    added = row[_ADDED] or 0
    if place == _COST:
        added |= PRICED
    else:
        added = (added | CLASSIFIED) ^ _checksum(row[_ERROR_TYPE]) << _ERROR
    return (*row[:place], answer, *row[place + 1 : _ADDED], added)


def differing(first: Row, again: Row) -> tuple[str, ...]:
    """The fields in which a run that comes again under a known id differs; none in a repeat.

    Args:
        first: what is stored, in the order of `RUN_ROW`; tenant and agent are not compared.
        again: what came, in the same order.
    """
    if first[_KEY:] == again[_KEY:]:
        return ()
    is_old = first[_ADDED] is None
    names = [
        name
        for name, place in _PLAIN
        if first[place] != again[place]
        and not (is_old and again[place] is None and first[place] == _ONCE_FILLED_IN.get(name))
    ]
    for name, is_same in (
        ("timestamp", _same_time),
        ("cost", _same_cost),
        ("error_type", _same_error),
        ("metadata", _same_metadata),
    ):
        if not is_same(first, again):
            names.append(name)
    if not names and not _same_cut(first, again):
        names.append(_cut_field(again))
    return tuple(sorted(names, key=_PLACE.__getitem__))


def _same_time(first: Row, again: Row) -> bool:
    """The same time was given; or none, and the repeat is not more than a day later."""
    one, other = first[_ADDED], again[_ADDED]
    # Whose time it was in an older version's row or journal is not known: as in the other.
    other = (OWN_STAMP if one is None else one & _WHOSE) if other is None else other
    one = other & _WHOSE if one is None else one
    if (one | other) & ASSUMED_STAMP:
        return True
    if one & other & OWN_STAMP:
        return bool(abs(again[_AT] - first[_AT]) <= _DAY)
    if (one | other) & OWN_STAMP:
        return False
    ahead = [added >> _AHEAD & _AHEAD_BITS for added in (one, other)]
    return bool(first[_AT] + ahead[0] == again[_AT] + ahead[1])


def _same_cost(first: Row, again: Row) -> bool:
    one, other = (None if (row[_ADDED] or 0) & PRICED else row[_COST] for row in (first, again))
    # Of an old row nobody knows whether a plugin priced it.
    return one == other or (first[_ADDED] is None and other is None)


def _same_error(first: Row, again: Row) -> bool:
    one, other = first[_ADDED] or 0, again[_ADDED] or 0
    if not (one | other) & CLASSIFIED:
        told: bool = first[_ERROR_TYPE] == again[_ERROR_TYPE]
        return told or (first[_ADDED] is None and again[_ERROR_TYPE] is None)
    # Nor what its caller said of the error; that of a text that was cut is in the same checksum.
    if first[_ADDED] is None or (one ^ other) & SUMMED:
        return True
    sums = [
        _sum(added) ^ (0 if added & CLASSIFIED else _checksum(row[_ERROR_TYPE]))
        for row, added in ((first, one), (again, other))
    ]
    return sums[0] == sums[1]


def _sum(added: int) -> int:
    return added >> _ERROR & _ERROR_BITS


def _same_cut(first: Row, again: Row) -> bool:
    """Whether what was left of neither was the same in both."""
    one, other = first[_ADDED], again[_ADDED]
    if one is None or other is None:
        return True
    if (one ^ other) & SUMMED:  # an older version noted none
        return bool((one if other & SUMMED else other) & CUT)
    return bool((one | other) & CLASSIFIED or _sum(one) == _sum(other))


def _cut_field(row: Row) -> str:
    """The field of which something was left off."""
    if row[_ADDED] & METADATA_LEFT_OUT:
        return "metadata"
    full = {name: MAX_ERROR if name == "error_type" else MAX_NAME for name in _CUT}
    sizes = {name: len((row[_PLACE[name]] or "").encode()) for name in full}
    return max(full, key=lambda name: sizes[name] - full[name])


def _same_metadata(first: Row, again: Row) -> bool:
    one, other = first[_METADATA], again[_METADATA]
    if ((first[_ADDED] or 0) ^ (again[_ADDED] or 0)) & METADATA_LEFT_OUT:
        return False
    if one == other or one is None or other is None:
        return bool(one == other)
    try:
        return same_value(*map(msgspec.json.decode, (one, other)))
    except (msgspec.DecodeError, RecursionError):  # what could be written need not be readable
        return False


def _checksum(error_type: str | None) -> int:
    """Not 0 for any error class."""
    return 0 if error_type is None else zlib.crc32(error_type.encode()) & _ERROR_BITS or 1
