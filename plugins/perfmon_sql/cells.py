"""Hourly cells in storage: every writer has its own, and readers merge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfmon.storage import CellKey, Cells, PackedCell, Scope
from perfmon_sql.keys import KeyNumbers, keys_in, scope_filter
from perfmon_sql.statements import Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    import sqlalchemy as sa


class OpenCells:
    """The cells of one writer, and what it stored last, which need not be read back.

    `keep` is for after the transaction, `forget` for one that failed.
    """

    def __init__(self, writer: int, numbers: KeyNumbers, mark: str) -> None:
        self._writer = writer
        self._numbers = numbers
        self._mark = mark
        self._held: Cells | None = None
        self._next: Cells | None = None

    def keep(self) -> None:
        self._held = self._next

    def forget(self) -> None:
        self._held = self._next = None

    def add(self, connection: sa.Connection, fresh: Cells) -> None:
        """Merge cells into those that this writer has stored."""
        keys = [fresh.vocabulary.keys.values[key] for key in fresh.keys.tolist()]
        numbers = [number for _, number in self._numbers.of(connection, keys)]
        number_of = dict(zip(keys, numbers, strict=True))
        earlier, rest = self._known(fresh)
        missing = [
            (start, number_of[keys[row]], keys[row])
            for row, start in enumerate(fresh.slices.tolist())
            if row in rest
        ]
        if missing:
            earlier.append(self._read(connection, missing, fresh))
        merged = Cells.joined([*earlier, fresh], fresh.vocabulary).merged()
        self._next = merged
        connection.exec_driver_sql(
            "INSERT INTO cells (slice_start, key_id, writer, stats, sketch, errors, outcomes) "
            f"VALUES ({', '.join([self._mark] * 7)}) "
            "ON CONFLICT (slice_start, key_id, writer) DO UPDATE SET stats = excluded.stats, "
            "sketch = excluded.sketch, errors = excluded.errors, outcomes = excluded.outcomes",
            [
                (slice_start, number_of[key], self._writer, *rest)
                for slice_start, key, *rest in merged.packed()
            ],
        )

    def _known(self, fresh: Cells) -> tuple[list[Cells], set[int]]:
        """What is held of these cells, and the rows of which nothing is."""
        every = set(range(len(fresh)))
        held = self._held
        if held is None or held.vocabulary is not fresh.vocabulary:
            return [], every
        places = {
            place: row
            for row, place in enumerate(zip(held.slices.tolist(), held.keys.tolist(), strict=True))
        }
        wanted = zip(fresh.slices.tolist(), fresh.keys.tolist(), strict=True)
        found = {row: places[place] for row, place in enumerate(wanted) if place in places}
        return [held.take(np.array(list(found.values()), np.int64))], every - found.keys()

    def _read(
        self, connection: sa.Connection, missing: list[tuple[int, int, CellKey]], fresh: Cells
    ) -> Cells:
        key_of = {number: key for _, number, key in missing}
        places = [(start, number) for start, number, _ in missing]
        stored = _stored(connection, places, self._writer, self._mark)
        packed = (PackedCell(row[0], key_of[row[1]], *row[2:]) for row in stored)
        return Cells.unpacked(packed, fresh.vocabulary)


def _stored(
    connection: sa.Connection, touched: list[tuple[int, int]], writer: int, mark: str
) -> list[Row]:
    found: list[Row] = []
    for part in in_parts(touched):
        found += fetched(
            connection,
            f"WITH w (slice_start, key_id) AS (VALUES {places(part, mark)}) "
            "SELECT c.slice_start, c.key_id, c.stats, c.sketch, c.errors, c.outcomes "
            "FROM w CROSS JOIN cells c WHERE c.slice_start = w.slice_start "
            f"AND c.key_id = w.key_id AND c.writer = {mark}",
            (*flat(part), writer),
        )
    return found


def read_packed(
    connection: sa.Connection, since: int, until: int, scope: Scope, mark: str
) -> list[PackedCell]:
    """The cells whose slice starts in [since, until), those of several writers side by side."""
    wanted, values = scope_filter(scope, mark)
    if wanted:
        wanted = (
            " AND key_id IN (SELECT k.id FROM cell_keys k, agents a "
            f"WHERE a.id = k.agent_id{wanted})"
        )
    rows = fetched(
        connection,
        "SELECT slice_start, key_id, stats, sketch, errors, outcomes FROM cells "
        f"WHERE slice_start >= {mark} AND slice_start < {mark}{wanted}",
        (since, until, *values),
    )
    keys = keys_in(connection, scope, mark)
    return [PackedCell(row[0], keys[row[1]], *row[2:]) for row in rows]
