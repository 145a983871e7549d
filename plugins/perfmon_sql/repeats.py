"""Runs whose key already exists: which are repeats, and which are conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfmon.storage import ConflictCount, differing
from perfmon_sql.rows import RUNS
from perfmon_sql.statements import Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import sqlalchemy as sa

Conflicts = tuple[tuple[int, tuple[str, ...]], ...]


def conflicts(
    connection: sa.Connection,
    runs: Sequence[Row],
    agents: npt.NDArray[np.int64],
    new: npt.NDArray[np.bool_],
    mark: str,
) -> Conflicts:
    """Those of the runs that are not new and not what is there: their place, and what differs.

    `agents` are the numbers of their agents, and `new` are those that were put in just now.
    """
    found: list[tuple[int, tuple[str, ...]]] = []
    again = np.flatnonzero(~new).tolist()
    for part in in_parts([(runs[place][0], int(agents[place]), place) for place in again]):
        first = _stored(connection, list(dict.fromkeys(one[:2] for one in part)), mark)
        for run_id, agent, place in part:
            fields = differing(first[run_id, agent], runs[place])
            if fields:
                found.append((place, fields))
    return tuple(found)


def _stored(connection: sa.Connection, keys: Sequence[Row], mark: str) -> dict[Row, Row]:
    """The rows of these keys (run_id, agent's number), without names of tenant and agent."""
    rest = ", ".join(f"r.{name}" for name in RUNS.columns[3:])
    rows: list[tuple[Any, ...]] = fetched(
        connection,
        f"WITH w (run_id, agent_id) AS (VALUES {places(keys, mark)}) "
        "SELECT r.run_id, r.agent_id, NULL, nullif(k.agent_type, ''), nullif(k.model, ''), "
        f"nullif(k.task_type, ''), {rest} FROM w CROSS JOIN runs r CROSS JOIN cell_keys k "
        "WHERE r.run_id = w.run_id AND r.agent_id = w.agent_id AND k.id = r.key_id",
        flat(keys),
    )
    return {row[:2]: row for row in rows}


def note(connection: sa.Connection, counts: Sequence[ConflictCount], mark: str) -> None:
    """Add to what is there of these agents' hours; in order, so that two writers never cross."""
    connection.exec_driver_sql(
        "INSERT INTO conflicts (tenant, agent_name, hour, runs, last_at, run_id, fields) "
        f"VALUES ({', '.join([mark] * 7)}) ON CONFLICT (tenant, agent_name, hour) DO UPDATE SET "
        "runs = conflicts.runs + excluded.runs, last_at = excluded.last_at, "
        "run_id = excluded.run_id, fields = excluded.fields",
        [(*count[:6], ",".join(count.fields)) for count in sorted(counts)],
    )


def noted(connection: sa.Connection, since: int, mark: str) -> list[ConflictCount]:
    """Those of hours that begin at a time or later."""
    rows: list[tuple[Any, ...]] = fetched(
        connection,
        "SELECT tenant, agent_name, hour, runs, last_at, run_id, fields FROM conflicts "
        f"WHERE hour >= {mark} ORDER BY hour, tenant, agent_name",
        (since,),
    )
    return [
        ConflictCount(tenant, agent, hour, runs, last_at, run_id, tuple(fields.split(",")))
        for tenant, agent, hour, runs, last_at, run_id, fields in rows
    ]
