"""Rows as records of the journal, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from perfmon.recording.segments import Record

RUN, MEASUREMENT = 1, 2
# Rows of which memory has no copy, to be read back.
SPILLED_RUN, SPILLED_MEASUREMENT = 3, 4
RUN_KINDS = (RUN, SPILLED_RUN)
MEASUREMENT_KINDS = (MEASUREMENT, SPILLED_MEASUREMENT)
Row = tuple[Any, ...]

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple).decode
_decode_rows = msgspec.msgpack.Decoder(list[tuple]).decode  # type: ignore[type-arg]


def rows_of_kind(records: list[Record], kind: int) -> list[Row]:
    """The rows of these records, in one call of the decoder."""
    payloads = [record.payload for record in records if record.kind == kind]
    count = len(payloads).to_bytes(4, "big")
    rows: list[Row] = _decode_rows(b"\xdd" + count + b"".join(payloads))
    return rows


def recovered(
    records: Iterable[Record | None],
    kinds: tuple[int, ...],
    length: int,
    modern: Callable[[Row], Row] = lambda row: row,
) -> tuple[list[Row], int]:
    """The rows of these kinds in what a process left, and how many could not be read.

    `modern` makes a row of today's length from one of an older version.
    """
    rows: list[Row] = []
    damaged = 0
    for record in records:
        if record is None or record.kind not in kinds:
            continue
        try:
            row = modern(_decode(record.payload))
        except msgspec.DecodeError:
            row = ()
        if len(row) == length:
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged
