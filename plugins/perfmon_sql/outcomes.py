"""Predictions and outcomes in the measurements table: found by task, state and score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.storage import MEASUREMENT_FIELDS, MEASUREMENT_STATES, Scope
from perfmon_sql.keys import KEY_COLUMNS, scope_filter
from perfmon_sql.rows import MEASUREMENTS
from perfmon_sql.statements import AT_ONCE, Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from perfmon.storage import FoundBy
    from perfmon_sql.keys import KeyNumbers

_ROW = f"r.measurement_id, {KEY_COLUMNS}, " + ", ".join(
    f"r.{name}" for name in MEASUREMENTS.columns[3:]
)
_NAMED = "measurements r CROSS JOIN cell_keys k CROSS JOIN agents a"
_THEIRS = "k.id = r.key_id AND a.id = r.agent_id"
# What an amended row may have anew, and as what; beside its key.
_AMENDED = {
    "state": "SMALLINT", "accuracy_score": "DOUBLE PRECISION", "scorer": "TEXT",
    "confidence": "DOUBLE PRECISION", "correct": "DOUBLE PRECISION", "note": "TEXT",
    "scoring_cost": "DOUBLE PRECISION", "predicted_outcome": "TEXT", "metadata": "TEXT",
    "round": "INTEGER", "prediction_id": "TEXT",
}  # fmt: skip
_KINDS = {**_AMENDED, "key_id": "INTEGER"}
_ID, _STATE = 0, MEASUREMENT_FIELDS.index("state")
_KEY, _PREDICTION = slice(1, 6), MEASUREMENT_FIELDS.index("prediction_id")
_PLACES = tuple(MEASUREMENT_FIELDS.index(name) for name in _AMENDED)


def amend(
    connection: sa.Connection, pairs: Sequence[tuple[Row, Row]], numbers: KeyNumbers, mark: str
) -> list[bool]:
    """Replace rows that still are in the state in which they were read; tells which were."""
    if not pairs:
        return []
    keys = numbers.of(connection, [after[_KEY] for _, after in pairs])
    values = [
        (before[_ID], before[_STATE], before[_PREDICTION] or "", *_anew(after), key)
        for (before, after), (_, key) in zip(pairs, keys, strict=True)
    ]
    values.sort(key=lambda row: row[0])
    sets = ", ".join(f"{name} = CAST(w.{name} AS {kind})" for name, kind in _KINDS.items())
    done: set[str] = set()
    for part in in_parts(values):
        found = fetched(
            connection,
            f"WITH w (id, was, was_of, {', '.join(_KINDS)}) AS (VALUES {places(part, mark)}) "
            f"UPDATE measurements SET {sets} FROM w WHERE measurements.measurement_id = w.id "
            "AND measurements.state = CAST(w.was AS SMALLINT) "
            "AND coalesce(measurements.prediction_id, '') = w.was_of RETURNING measurement_id",
            flat(part),
        )
        done.update(row[0] for row in found)
    return [before[_ID] in done for before, _ in pairs]


def _anew(row: Row) -> Row:
    return tuple(row[place] for place in _PLACES)


def of_tasks(
    connection: sa.Connection, tasks: Sequence[tuple[str | None, str]], mark: str
) -> list[Row]:
    """Predictions, outcomes and measurements of these tasks, as it was stored."""
    rows: list[Row] = []
    for part in in_parts([(tenant or "", task_id) for tenant, task_id in tasks]):
        rows += fetched(
            connection,
            f"WITH w (tenant, task_id) AS (VALUES {places(part, mark)}) "
            f"SELECT {_ROW}, r.id FROM w CROSS JOIN {_NAMED} WHERE r.task_id = w.task_id "
            f"AND r.state > 3 AND {_THEIRS} AND (w.tenant = '' OR a.tenant = w.tenant)",
            flat(part),
        )
    return [row[:-1] for row in sorted(rows, key=lambda row: row[-1])]


def by_ids(connection: sa.Connection, ids: Sequence[str], mark: str) -> list[Row]:
    """The rows that have one of these ids."""
    rows: list[Row] = []
    for part in in_parts([(one,) for one in ids]):
        rows += fetched(
            connection,
            f"WITH w (id) AS (VALUES {places(part, mark)}) SELECT {_ROW} FROM w "
            f"CROSS JOIN {_NAMED} WHERE r.measurement_id = w.id AND {_THEIRS}",
            flat(part),
        )
    return rows


def open_tasks(connection: sa.Connection) -> list[tuple[str, str]]:
    """Tasks whose outcome was recorded and not scored, or came before their prediction."""
    found = fetched(
        connection,
        f"SELECT a.tenant, r.task_id FROM {_NAMED} WHERE r.state = 6 AND {_THEIRS} "
        "UNION SELECT a.tenant, r.task_id FROM measurements r CROSS JOIN agents a "
        "WHERE r.state = 4 AND coalesce(r.round, 1) = 1 "  # later rounds were checked
        "AND a.id = r.agent_id AND EXISTS (SELECT 1 FROM measurements o, "
        "agents b WHERE o.task_id = r.task_id AND o.state > 3 AND o.state = 14 "
        "AND b.id = o.agent_id AND b.tenant = a.tenant AND b.name IN ('', a.name))",
    )
    return [(tenant, task_id) for tenant, task_id in found]


def unscored(connection: sa.Connection, limit: int, mark: str) -> list[Row]:
    """The oldest rows that wait for a remote scorer."""
    return fetched(
        connection,
        f"SELECT {_ROW} FROM {_NAMED} WHERE r.state IN (2, 10) AND {_THEIRS} "
        f"ORDER BY r.at, r.id LIMIT {mark}",
        (limit,),
    )


def waiting(connection: sa.Connection, scope: Scope, mark: str) -> tuple[int, int | None]:
    """How many predictions wait for their outcome, and since when the oldest does."""
    wanted, values = scope_filter(scope, mark)
    tables, theirs = (_NAMED, f" AND {_THEIRS}{wanted}") if wanted else ("measurements r", "")
    count, oldest = fetched(
        connection, f"SELECT count(*), min(r.at) FROM {tables} WHERE r.state = 4{theirs}", values
    )[0]
    return int(count), oldest


def find(
    connection: sa.Connection, since: int, until: int, scope: Scope, by: FoundBy, mark: str
) -> list[Row]:
    """Measurements (not what waits, nor outcomes alone) of a range, newest or worst first."""
    wanted, values = scope_filter(scope, mark)
    numbers = _states(by)
    if not numbers:  # the worst of what does not count
        return []
    conditions: list[tuple[str, Any]] = [
        (f"r.{column} = {mark}", value)
        for column, value in (("feedback_source", by.source), ("task_id", by.task_id))
        if value is not None
    ]
    states = ", ".join(map(str, numbers))
    order = "r.accuracy_score, r.at DESC, r.id DESC" if by.worst else "r.at DESC, r.id DESC"
    return fetched(
        connection,
        f"SELECT {_ROW} FROM {_NAMED} WHERE {_THEIRS} AND r.at >= {mark} AND r.at < {mark} "
        f"AND r.state IN ({states}){wanted}"
        f"{''.join(f' AND {condition}' for condition, _ in conditions)} "
        f"ORDER BY {order} LIMIT {mark}",
        (since, until, *values, *(value for _, value in conditions), by.limit),
    )


def _states(by: FoundBy) -> list[int]:
    found = [
        number
        for number, word in enumerate(MEASUREMENT_STATES)
        if word not in _NO_MEASUREMENT and by.state in (None, word)
    ]
    return [number for number in found if MEASUREMENT_STATES[number] == "measured" or not by.worst]


_NEWEST = 50_000  # measurements are looked through for disputes: the cost has a bound
# What a prediction or an outcome alone is.
_NO_MEASUREMENT = ("waiting", "answered", "outcome", "repeated", "replaced")


def disputed(
    connection: sa.Connection, since: int, until: int, scope: Scope, limit: int, mark: str
) -> list[list[Row]]:
    """The measurements of tasks that several sources measured in a range, the newest task first."""
    wanted, values = scope_filter(scope, mark)
    tables, theirs = (_NAMED, f" AND {_THEIRS}{wanted}") if wanted else ("measurements r", "")
    tasks = fetched(
        connection,
        "SELECT n.agent_id, n.task_id FROM (SELECT r.agent_id, r.task_id, r.feedback_source, r.at "
        f"FROM {tables} WHERE r.at >= {mark} AND r.at < {mark} AND r.state IN (0, 8, 12){theirs} "
        f"ORDER BY r.at DESC, r.id DESC LIMIT {mark}) n GROUP BY n.agent_id, n.task_id "
        "HAVING min(n.feedback_source) <> max(n.feedback_source) "
        f"ORDER BY max(n.at) DESC, n.agent_id, n.task_id LIMIT {mark}",
        (since, until, *values, _NEWEST, limit),
    )
    if not tasks:
        return []
    found: dict[Row, list[Row]] = {task: [] for task in tasks}
    for start in range(0, len(tasks), AT_ONCE):
        part = tasks[start : start + AT_ONCE]
        rows = fetched(
            connection,
            f"WITH w (agent_id, task_id) AS (VALUES {places(part, mark)}) "
            f"SELECT {_ROW}, r.agent_id FROM {_NAMED} WHERE {_THEIRS} AND r.at >= {mark} "
            f"AND r.at < {mark} AND r.state IN (0, 8, 12) "
            "AND (r.agent_id, r.task_id) IN (SELECT agent_id, task_id FROM w) "
            "ORDER BY r.at, r.id",
            (*flat(part), since, until),
        )
        for row in rows:
            found[row[-1], row[7]].append(row[:-1])
    return list(found.values())
