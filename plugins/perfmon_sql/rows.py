"""Runs and measurements as rows: how they are put in, and how they are read back in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

import attrs
import sqlalchemy as sa

from perfmon import MEASUREMENT_FIELDS, RUN_FIELDS, Scope
from perfmon_sql import schema
from perfmon_sql.keys import KEY_COLUMNS, scope_filter

Row = tuple[Any, ...]
CHUNK = 10_000  # rows read at once
_SQLITE_ROWS = 500  # in a statement: it may have 32,766 parameters
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


RUNS = RowTable(schema.runs, RUN_FIELDS, 2)
MEASUREMENTS = RowTable(schema.measurements, MEASUREMENT_FIELDS, 1)


def insert(connection: sa.Connection, target: RowTable, rows: Sequence[Row]) -> list[bool]:
    """Put in what is not there, and tell for each row whether it was new."""
    if connection.dialect.name == "sqlite":
        return _insert_sqlite(connection, target, rows)
    new: list[bool] = []
    for start in range(0, len(rows), _POSTGRES_ROWS):
        part = rows[start : start + _POSTGRES_ROWS]
        arrays = _arrays(target, part)
        found = connection.exec_driver_sql(_postgres_insert(target), arrays).cursor
        new += _first_occurrences(target, part, found.fetchall())  # type: ignore[union-attr]
    return new


def _insert_sqlite(
    connection: sa.Connection, target: RowTable, rows: Sequence[Row]
) -> list[bool]:
    # Ids are given in order, and nobody else writes during the transaction.
    found = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {target.name}")
    last = found.scalar_one()
    new: list[bool] = []
    for start in range(0, len(rows), _SQLITE_ROWS):
        part = rows[start : start + _SQLITE_ROWS]
        statement = _sqlite_insert(target, len(part))
        count = connection.exec_driver_sql(statement, tuple(chain.from_iterable(part))).rowcount
        if count == len(part):
            new += [True] * count
        else:
            unique = ", ".join(target.columns[: target.unique])
            statement = f"SELECT {unique} FROM {target.name} WHERE id > ?"
            inserted = connection.exec_driver_sql(statement, (last,)).cursor
            new += _first_occurrences(target, part, inserted.fetchall())  # type: ignore[union-attr]
        last += count
    return new


def _first_occurrences(target: RowTable, rows: Sequence[Row], inserted: list[Row]) -> list[bool]:
    """Which rows were put in, where a row may be there again later."""
    if len(inserted) == len(rows):
        return [True] * len(rows)
    left = set(inserted)
    new = []
    for row in rows:
        key = row[: target.unique]
        new.append(key in left)
        left.discard(key)
    return new


@cache
def _sqlite_insert(target: RowTable, rows: int) -> str:
    one = f"({', '.join('?' * len(target.columns))})"
    return (
        f"INSERT INTO {target.name} ({', '.join(target.columns)}) "
        f"VALUES {', '.join([one] * rows)} ON CONFLICT DO NOTHING"
    )


@cache
def _postgres_insert(target: RowTable) -> str:
    dialect = sa.dialects.postgresql.dialect()
    types = [target.table.c[name].type.compile(dialect) for name in target.columns]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    return (
        f"INSERT INTO {target.name} ({', '.join(target.columns)}) "
        f"SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING "
        f"RETURNING {', '.join(target.columns[: target.unique])}"
    )


def _arrays(target: RowTable, rows: Sequence[Row]) -> tuple[str, ...]:
    """Columns as PostgreSQL's array literals: psycopg is ten times slower in making them."""
    return tuple(
        _texts(values) if isinstance(target.table.c[name].type, sa.Text) else _numbers(values)
        for name, values in zip(target.columns, zip(*rows, strict=True), strict=True)
    )


def _numbers(values: tuple[Any, ...]) -> str:
    return f"{{{str(list(values))[1:-1].replace('None', 'NULL')}}}"


def _texts(values: tuple[str | None, ...]) -> str:
    quoted = (
        "NULL" if value is None else '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
        for value in values
    )
    return f"{{{','.join(quoted)}}}"


def select(target: RowTable, scope: Scope, mark: str) -> tuple[str, tuple[Any, ...]]:
    """The rows after a place (at, id) and before a time, oldest first, each with its id.

    The CROSS JOINs keep SQLite from beginning with the names: it has no statistics to know
    that rows in the order of time are what is asked for.
    """
    wanted, values = scope_filter(scope, mark)
    rest = ", ".join(f"r.{name}" for name in target.columns[3:])
    return (
        f"SELECT r.{target.columns[0]}, {KEY_COLUMNS}, {rest}, r.id FROM {target.name} r "
        "CROSS JOIN cell_keys k CROSS JOIN agents a WHERE k.id = r.key_id AND a.id = r.agent_id "
        f"AND (r.at, r.id) > ({mark}, {mark}) AND r.at < {mark}{wanted} "
        f"ORDER BY r.at, r.id LIMIT {mark}",
        values,
    )


def select_start(target: RowTable, scope: Scope, mark: str) -> tuple[str, tuple[Any, ...]]:
    """The place of the row from which on a given number of rows is left."""
    wanted, values = scope_filter(scope, mark)
    return (
        f"SELECT r.at, r.id FROM {target.name} r CROSS JOIN cell_keys k CROSS JOIN agents a "
        f"WHERE k.id = r.key_id AND a.id = r.agent_id AND r.at >= {mark} AND r.at < {mark}{wanted} "
        f"ORDER BY r.at DESC, r.id DESC LIMIT 1 OFFSET {mark}",
        values,
    )
