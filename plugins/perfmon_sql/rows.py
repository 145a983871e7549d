"""Runs and measurements as rows: inserted, and read back in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from perfmon.storage import MEASUREMENT_FIELDS, RUN_ROW, Scope
from perfmon_sql import schema
from perfmon_sql.keys import KEY_COLUMNS, scope_filter
from perfmon_sql.statements import Row, fetched

CHUNK = 10_000  # rows read at once
# Rows in a statement, which may have 32,766 parameters: few texts, each of them parsed once.
_SQLITE_ROWS = (1_000, 200, 40, 8, 1)
_POSTGRES_ROWS = 5_000


@attrs.frozen
class RowTable:
    """A table of rows: its columns in the order in which they are put in.

    Attributes:
        table: as in the schema.
        fields: the order of rows outside.
        unique: how many of the first columns make a row unique.
    """

    table: sa.Table
    fields: tuple[str, ...]
    unique: int

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The id, the numbers of the five key fields, the time, and the rest as in a row."""
        return (self.fields[0], "agent_id", "key_id", "at", *self.fields[7:])


RUNS = RowTable(schema.runs, RUN_ROW, 2)
MEASUREMENTS = RowTable(schema.measurements, MEASUREMENT_FIELDS, 1)


Columns = Sequence[list[Any]]
Span = tuple[int, int]
"""The first and the last of row ids that follow one another."""


def insert(
    connection: sa.Connection, target: RowTable, columns: Columns
) -> tuple[list[bool], list[Span]]:
    """Put in what is not there; tell for each row whether it was new, and the ids of those.

    The rows come turned on their side, a list for each of `target.columns`.
    """
    if connection.dialect.name == "sqlite":
        return _insert_sqlite(connection, target, columns)
    new: list[bool] = []
    ids: list[int] = []
    for start in range(0, len(columns[0]), _POSTGRES_ROWS):
        part = _part(columns, start, _POSTGRES_ROWS)
        inserted = fetched(connection, _postgres_insert(target), _arrays(target, part))
        new += _first_occurrences(target, part, [row[:-1] for row in inserted])
        ids += [row[-1] for row in inserted]
    return new, _spans(sorted(ids))


def _spans(ids: list[int]) -> list[Span]:
    """Others who insert at the same time take ids in between."""
    ends = [place for place, one in enumerate(ids) if ids[place + 1 : place + 2] != [one + 1]]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [(ids[start], ids[end]) for start, end in zip(starts, ends, strict=True)] if ids else []


def _part(columns: Columns, start: int, size: int) -> Columns:
    return [column[start : start + size] for column in columns]


def _insert_sqlite(
    connection: sa.Connection, target: RowTable, columns: Columns
) -> tuple[list[bool], list[Span]]:
    # Ids are given in order, and nobody else writes during the transaction.
    last = fetched(connection, f"SELECT coalesce(max(id), 0) FROM {target.name}")[0][0]
    before = last
    unique = ", ".join(target.columns[: target.unique])
    # A parameter costs more than a literal: columns that all rows leave out stand in the text.
    fixed = tuple(_literal(column) for column in columns)
    free = [column for column, literal in zip(columns, fixed, strict=True) if literal is None]
    new: list[bool] = []
    while len(new) < len(columns[0]):
        left = len(columns[0]) - len(new)
        size = next(size for size in _SQLITE_ROWS if size <= left)
        values = _row_by_row(_part(free, len(new), size))
        count = connection.exec_driver_sql(_sqlite_insert(target, size, fixed), values).rowcount
        if count == size:
            new += [True] * size
        else:
            inserted = fetched(
                connection, f"SELECT {unique} FROM {target.name} WHERE id > ?", (last,)
            )
            new += _first_occurrences(target, _part(columns, len(new), size), inserted)
        last += count
    return new, [(before + 1, last)] if last > before else []


def _row_by_row(columns: Columns) -> tuple[Any, ...]:
    """The values of all columns in the order of rows; quicker than a tuple for every row."""
    values = [None] * (len(columns) * len(columns[0]))
    for place, column in enumerate(columns):
        values[place :: len(columns)] = column
    return tuple(values)


def _literal(column: list[Any]) -> str | None:
    """The value of all rows as SQL, where it is one of the usual ones for unknown or none."""
    first = column[0]
    if (first is not None and first not in _USUAL) or column.count(first) < len(column):
        return None
    return _USUAL[first]


_USUAL = {None: "NULL", 0: "0", 1: "1"}


def _first_occurrences(target: RowTable, columns: Columns, inserted: Sequence[Row]) -> list[bool]:
    """Which rows were put in, where a row may be there again later."""
    if len(inserted) == len(columns[0]):
        return [True] * len(inserted)
    left = set(inserted)
    new = []
    for key in zip(*columns[: target.unique], strict=True):
        new.append(key in left)
        left.discard(key)
    return new


@lru_cache(maxsize=256)
def _sqlite_insert(target: RowTable, rows: int, fixed: tuple[str | None, ...]) -> str:
    one = f"({', '.join(literal or '?' for literal in fixed)})"
    return (
        f"INSERT INTO {target.name} ({', '.join(target.columns)}) "
        f"VALUES {', '.join([one] * rows)} ON CONFLICT DO NOTHING"
    )


@cache
def _postgres_insert(target: RowTable) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [target.table.c[name].type.compile(dialect) for name in target.columns]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    return (
        f"INSERT INTO {target.name} ({', '.join(target.columns)}) "
        f"SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING "
        f"RETURNING {', '.join(target.columns[: target.unique])}, id"
    )


def _arrays(target: RowTable, columns: Columns) -> tuple[str, ...]:
    """Columns as PostgreSQL's array literals: psycopg is ten times slower in making them."""
    return tuple(
        _texts(values) if isinstance(target.table.c[name].type, sa.Text) else _numbers(values)
        for name, values in zip(target.columns, columns, strict=True)
    )


def _numbers(values: list[Any]) -> str:
    return f"{{{str(values)[1:-1].replace('None', 'NULL')}}}"


def _texts(values: list[str | None]) -> str:
    quoted = (
        "NULL" if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
        for value in values
    )
    return f"{{{','.join(quoted)}}}"


def select(target: RowTable, scope: Scope, mark: str) -> tuple[str, Row]:
    """The rows after a place (at, id) and before a time, oldest first, each with its id.

    The CROSS JOINs keep SQLite from beginning with the names: it has no statistics to know
    that rows in the order of time are what is asked for.
    """
    wanted, values = scope_filter(scope, mark)
    rest = ", ".join(f"r.{name}" for name in target.columns[3:])
    statement = (
        f"SELECT r.{target.columns[0]}, {KEY_COLUMNS}, {rest}, r.id FROM {target.name} r "
        "CROSS JOIN cell_keys k CROSS JOIN agents a WHERE k.id = r.key_id AND a.id = r.agent_id "
        f"AND (r.at, r.id) > ({mark}, {mark}) AND r.at < {mark}{wanted} "
        f"ORDER BY r.at, r.id LIMIT {mark}"
    )
    return statement, values


def select_between(target: RowTable, mark: str) -> str:
    """The rows of a span of ids that are not older than a time, each with its id."""
    rest = ", ".join(f"r.{name}" for name in target.columns[3:])
    return (
        f"SELECT r.{target.columns[0]}, {KEY_COLUMNS}, {rest}, r.id FROM {target.name} r "
        "CROSS JOIN cell_keys k CROSS JOIN agents a WHERE k.id = r.key_id AND a.id = r.agent_id "
        f"AND r.id >= {mark} AND r.id <= {mark} AND r.at >= {mark} ORDER BY r.id"
    )


def select_start(target: RowTable, scope: Scope, mark: str) -> tuple[str, Row]:
    """The place of the row from which on a given number of rows is left."""
    wanted, values = scope_filter(scope, mark)
    statement = (
        f"SELECT r.at, r.id FROM {target.name} r CROSS JOIN cell_keys k CROSS JOIN agents a "
        f"WHERE k.id = r.key_id AND a.id = r.agent_id AND r.at >= {mark} AND r.at < {mark}{wanted} "
        f"ORDER BY r.at DESC, r.id DESC LIMIT 1 OFFSET {mark}"
    )
    return statement, values
