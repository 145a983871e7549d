"""Hour cells in storage: every writer has its own, and readers merge them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon import Cells, PackedCell, Scope
from perfmon_sql.keys import KeyNumbers, in_parts, keys_in, scope_filter

if TYPE_CHECKING:
    import sqlalchemy as sa


def add_cells(
    connection: sa.Connection, fresh: Cells, writer: int, numbers: KeyNumbers, mark: str
) -> None:
    """Merge cells into those that this writer has stored."""
    packed = list(fresh.packed())
    key_of = {}
    for cell, (_, number) in zip(
        packed, numbers.of(connection, [cell.key for cell in packed]), strict=True
    ):
        key_of[number] = cell.key
    number_of = {key: number for number, key in key_of.items()}
    places = [(cell.slice_start, number_of[cell.key]) for cell in packed]
    stored = _stored(connection, places, writer, mark)
    if stored:
        earlier = Cells.unpacked(
            (PackedCell(row[0], key_of[row[1]], *row[2:]) for row in stored), fresh.vocabulary
        )
        packed = list(Cells.joined([earlier, fresh], fresh.vocabulary).merged().packed())
    connection.exec_driver_sql(
        "INSERT INTO cells (slice_start, key_id, writer, stats, sketch, errors) "
        f"VALUES ({', '.join([mark] * 6)}) ON CONFLICT (slice_start, key_id, writer) DO UPDATE "
        "SET stats = excluded.stats, sketch = excluded.sketch, errors = excluded.errors",
        [(c.slice_start, number_of[c.key], writer, c.stats, c.sketch, c.errors) for c in packed],
    )


def _stored(
    connection: sa.Connection, places: list[tuple[int, int]], writer: int, mark: str
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for part in in_parts(places):
        wanted = ", ".join([f"({mark}, {mark})"] * len(part))
        values = tuple(value for place in part for value in place)
        rows = connection.exec_driver_sql(
            f"WITH w (slice_start, key_id) AS (VALUES {wanted}) "
            "SELECT c.slice_start, c.key_id, c.stats, c.sketch, c.errors "
            "FROM w CROSS JOIN cells c WHERE c.slice_start = w.slice_start "
            f"AND c.key_id = w.key_id AND c.writer = {mark}",
            (*values, writer),
        )
        found += rows.cursor.fetchall()  # type: ignore[union-attr]
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
    found = connection.exec_driver_sql(
        "SELECT slice_start, key_id, stats, sketch, errors FROM cells "
        f"WHERE slice_start >= {mark} AND slice_start < {mark}{wanted}",
        (since, until, *values),
    )
    rows = found.cursor.fetchall()  # type: ignore[union-attr]
    keys = keys_in(connection, scope, mark)
    return [PackedCell(row[0], keys[row[1]], *row[2:]) for row in rows]
