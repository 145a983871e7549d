"""Runs in flight, and notes by kind and name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon.storage import RunInFlight
from perfmon_sql.statements import fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import sqlalchemy as sa

_KEY = ("tenant", "run_id", "agent_name")
_COLUMNS = (*_KEY, "agent_type", "metadata", "started_at")
_SKEW = 60_000_000  # microseconds by which the clock of a recording process may be behind
# A run of this key that was recorded since then; an id may have been used before.
_RECORDED = (
    "SELECT 1 FROM runs r JOIN agents a ON a.id = r.agent_id "
    "WHERE r.run_id = runs_in_flight.run_id AND a.tenant = runs_in_flight.tenant "
    f"AND a.name = runs_in_flight.agent_name AND r.at >= runs_in_flight.started_at - {_SKEW}"
)


def save_in_flight(
    connection: sa.Connection,
    began: Sequence[RunInFlight],
    ended: Sequence[tuple[str, str, str]],
    mark: str,
) -> None:
    rows = sorted(began)
    if rows:
        sets = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[3:])
        connection.exec_driver_sql(
            f"INSERT INTO runs_in_flight ({', '.join(_COLUMNS)}) "
            f"VALUES {places([tuple(rows[0])], mark)} ON CONFLICT ({', '.join(_KEY)}) "
            f"DO UPDATE SET {sets}",
            [tuple(row) for row in rows],
        )
    if ended:
        same = " AND ".join(f"{name} = {mark}" for name in _KEY)
        connection.exec_driver_sql(f"DELETE FROM runs_in_flight WHERE {same}", sorted(ended))


def read_in_flight(connection: sa.Connection) -> list[RunInFlight]:
    found = fetched(
        connection,
        f"SELECT {', '.join(_COLUMNS)} FROM runs_in_flight WHERE NOT EXISTS ({_RECORDED}) "
        "ORDER BY started_at, tenant, run_id, agent_name",
    )
    return [RunInFlight(*row) for row in found]


def forget_recorded(connection: sa.Connection) -> None:
    """What was recorded by somebody else than who said that it began."""
    connection.exec_driver_sql(f"DELETE FROM runs_in_flight WHERE EXISTS ({_RECORDED})")


def save_notes(
    connection: sa.Connection, kind: str, notes: Mapping[str, str], gone: Iterable[str], mark: str
) -> None:
    rows = [(kind, name, body) for name, body in sorted(notes.items())]
    for part in in_parts(rows):
        connection.exec_driver_sql(
            f"INSERT INTO notes (kind, name, body) VALUES {places(part, mark)} "
            "ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            flat(part),
        )
    names = [(kind, name) for name in sorted(gone)]
    if names:
        connection.exec_driver_sql(
            f"DELETE FROM notes WHERE kind = {mark} AND name = {mark}", names
        )


def read_notes(connection: sa.Connection, kind: str, mark: str) -> dict[str, str]:
    rows = fetched(connection, f"SELECT name, body FROM notes WHERE kind = {mark}", (kind,))
    return dict(rows)
