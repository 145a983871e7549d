"""Statements that bypass SQLAlchemy's rows: storage returns plain tuples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

Row = tuple[Any, ...]
AT_ONCE = 500  # places in a list of VALUES


def fetched(connection: sa.Connection, statement: str, values: Row = ()) -> list[Row]:
    """All rows of the answer, as the driver gives them."""
    cursor = connection.exec_driver_sql(statement, values).cursor
    return [] if cursor is None else list(cursor.fetchall())


def in_parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Parts of a length that a list of VALUES may have."""
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def places(rows: Sequence[Row], mark: str) -> str:
    """The list of VALUES for these rows: `(?, ?), (?, ?)`."""
    one = f"({', '.join([mark] * len(rows[0]))})"
    return ", ".join([one] * len(rows))


def flat(rows: Sequence[Row]) -> Row:
    return tuple(value for row in rows for value in row)
