"""Hour cells in storage: every writer has its own, and readers merge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon import Cells, PackedCell, Scope
from perfmon_sql.keys import KeyNumbers, keys_in, scope_filter
from perfmon_sql.statements import Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    import sqlalchemy as sa


def add_cells(
    connection: sa.Connection, fresh: Cells, writer: int, numbers: KeyNumbers, mark: str
) -> None:
    """Merge cells into those that this writer has stored."""
    packed = list(fresh.packed())
    keys = [cell.key for cell in packed]
    given = [number for _, number in numbers.of(connection, keys)]
    key_of, number_of = dict(zip(given, keys, strict=True)), dict(zip(keys, given, strict=True))
    touched = [(cell.slice_start, number_of[cell.key]) for cell in packed]
    stored = _stored(connection, touched, writer, mark)
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
    connection: sa.Connection, touched: list[tuple[int, int]], writer: int, mark: str
) -> list[Row]:
    found: list[Row] = []
    for part in in_parts(touched):
        found += fetched(
            connection,
            f"WITH w (slice_start, key_id) AS (VALUES {places(part, mark)}) "
            "SELECT c.slice_start, c.key_id, c.stats, c.sketch, c.errors "
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
        "SELECT slice_start, key_id, stats, sketch, errors FROM cells "
        f"WHERE slice_start >= {mark} AND slice_start < {mark}{wanted}",
        (since, until, *values),
    )
    keys = keys_in(connection, scope, mark)
    return [PackedCell(row[0], keys[row[1]], *row[2:]) for row in rows]
