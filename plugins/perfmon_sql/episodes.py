"""Alert episodes, the state of the alert machine, and silences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfmon import (
    AlertLevel,
    Delivery,
    FoundAlert,
    PerformanceAlert,
    Silence,
    from_micros,
    to_micros,
)
from perfmon.storage import AlertState
from perfmon_sql.statements import Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

_COLUMNS = (
    "alert_id", "level", "state", "tenant", "agent_name", "started_at", "resolved_at",
    "acknowledged_by", "body", "model", "agent_type",
)  # fmt: skip
_KEPT = (
    "acknowledged_by = CASE WHEN excluded.level = alerts.level "
    "THEN coalesce(excluded.acknowledged_by, alerts.acknowledged_by) "
    "ELSE excluded.acknowledged_by END"
)
_SILENCE = ("silence_id", "matchers", "starts_at", "ends_at", "author", "comment")


def save_state(connection: sa.Connection, state: AlertState, mark: str) -> bool:
    """Save it as the next version; False where its version is no longer the one stored."""
    if state.version:
        saved = connection.exec_driver_sql(
            f"UPDATE alert_state SET version = version + 1, data = {mark} "
            f"WHERE id = 1 AND version = {mark}",
            (state.data, state.version),
        )
    else:
        saved = connection.exec_driver_sql(
            f"INSERT INTO alert_state (id, version, data) VALUES (1, 1, {mark}) "
            "ON CONFLICT DO NOTHING",
            (state.data,),
        )
    return saved.rowcount == 1


def read_state(connection: sa.Connection) -> AlertState:
    found = fetched(connection, "SELECT version, data FROM alert_state WHERE id = 1")
    return AlertState(found[0][0], bytes(found[0][1])) if found else AlertState()


def save_episodes(connection: sa.Connection, alerts: Sequence[PerformanceAlert], mark: str) -> None:
    rows = sorted(_row_of(alert) for alert in alerts)
    if rows:
        replaced = (name for name in _COLUMNS[1:] if name != "acknowledged_by")
        sets = ", ".join(f"{name} = excluded.{name}" for name in replaced)
        connection.exec_driver_sql(
            f"INSERT INTO alerts ({', '.join(_COLUMNS)}) VALUES {places(rows[:1], mark)} "
            f"ON CONFLICT (alert_id) DO UPDATE SET {sets}, {_KEPT}",
            rows,
        )


def _row_of(alert: PerformanceAlert) -> Row:
    ended = alert.resolved_at
    return (
        alert.alert_id,
        str(alert.level),
        alert.state,
        alert.tenant,
        alert.agent_name,
        to_micros(alert.started_at or alert.timestamp),
        None if ended is None else to_micros(ended),
        alert.acknowledged_by,
        alert.to_json(),
        alert.model,
        alert.agent_type,
    )


def acknowledge(connection: sa.Connection, alert_id: str, by: str, at: int, mark: str) -> bool:
    done = connection.exec_driver_sql(
        f"UPDATE alerts SET acknowledged_by = {mark}, acknowledged_at = {mark} "
        f"WHERE alert_id = {mark}",
        (by, at, alert_id),
    )
    return done.rowcount == 1


def find_episodes(
    connection: sa.Connection, mark: str, limit: int | None, **wanted: Any
) -> list[FoundAlert]:
    """Those with the wanted values, the latest beginning first, with their messages."""
    which, values = _which(mark, **wanted)
    rows = fetched(
        connection,
        f"SELECT alert_id, acknowledged_by, body FROM alerts WHERE {which} "
        f"ORDER BY started_at DESC, id DESC{'' if limit is None else f' LIMIT {mark}'}",
        values if limit is None else (*values, limit),
    )
    sent = _deliveries(connection, [row[0] for row in rows], mark)
    return [
        FoundAlert(_alert_of(body, acknowledged_by), tuple(sent.get(alert_id, ())))
        for alert_id, acknowledged_by, body in rows
    ]


def count_episodes(connection: sa.Connection, mark: str, **wanted: Any) -> int:
    """How many there are with the wanted values."""
    which, values = _which(mark, **wanted)
    return int(fetched(connection, f"SELECT count(*) FROM alerts WHERE {which}", values)[0][0])


def _which(mark: str, **wanted: Any) -> tuple[str, Row]:
    conditions = list(_conditions(mark, **wanted))
    which = " AND ".join(condition for condition, _ in conditions) or "1 = 1"
    return which, tuple(value for _, given in conditions for value in given)


def _conditions(
    mark: str,
    *,
    levels: Sequence[str] | None,
    since: int | None,
    until: int | None = None,
    **equal: str | None,
) -> Iterable[tuple[str, Row]]:
    for column, value in equal.items():
        if value is not None:
            yield f"{column} = {mark}", (value,)
    if levels is not None:
        yield f"level IN ({', '.join([mark] * len(levels))})", tuple(levels)
    if since is not None:
        yield f"(resolved_at IS NULL OR resolved_at >= {mark})", (since,)
    if until is not None:
        yield f"started_at < {mark}", (until,)


def levels_of(level: str | None, min_level: str | None) -> list[str] | None:
    """The levels that are meant; None is any. `ValueError` for a word that is none."""
    order = list(AlertLevel)
    if level is None and min_level is None:
        return None
    least = 0 if min_level is None else order.index(AlertLevel(min_level))
    return [str(one) for one in order[least:] if level is None or one == AlertLevel(level)]


def _alert_of(body: str, acknowledged_by: str | None) -> PerformanceAlert:
    values = json.loads(body) | {"acknowledged_by": acknowledged_by}
    return PerformanceAlert.from_plain(values)


def _deliveries(
    connection: sa.Connection, alert_ids: Sequence[str], mark: str
) -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = {}
    for part in in_parts([(alert_id,) for alert_id in alert_ids]):
        rows = fetched(
            connection,
            f"WITH w (alert_id) AS (VALUES {places(part, mark)}) "
            f"SELECT l.alert_id, {', '.join(f'o.{name}' for name in Delivery._fields)} "
            "FROM w CROSS JOIN outbox_alerts l CROSS JOIN outbox o "
            "WHERE l.alert_id = w.alert_id AND o.id = l.outbox_id ORDER BY o.id",
            flat(part),
        )
        for row in rows:
            found.setdefault(row[0], []).append(Delivery(*row[1:]))
    return found


def save_silence(connection: sa.Connection, silence: Silence, mark: str) -> None:
    row = (
        silence.silence_id,
        json.dumps(silence.matchers),
        to_micros(silence.starts_at),
        to_micros(silence.ends_at),
        silence.author,
        silence.comment,
    )
    sets = ", ".join(f"{name} = excluded.{name}" for name in _SILENCE[1:])
    connection.exec_driver_sql(
        f"INSERT INTO silences ({', '.join(_SILENCE)}) VALUES {places([row], mark)} "
        f"ON CONFLICT (silence_id) DO UPDATE SET {sets}",
        row,
    )


def read_silences(connection: sa.Connection, now: int | None, mark: str) -> list[Silence]:
    which = "" if now is None else f" WHERE ends_at > {mark}"
    rows = fetched(
        connection,
        f"SELECT {', '.join(_SILENCE)} FROM silences{which} ORDER BY starts_at DESC, id DESC",
        () if now is None else (now,),
    )
    return [
        Silence(
            silence_id=row[0],
            matchers=json.loads(row[1]),
            starts_at=from_micros(row[2]),
            ends_at=from_micros(row[3]),
            author=row[4],
            comment=row[5],
        )
        for row in rows
    ]


def end_silence(connection: sa.Connection, silence_id: str, at: int, mark: str) -> bool:
    done = connection.exec_driver_sql(
        f"UPDATE silences SET ends_at = {mark} WHERE silence_id = {mark} AND ends_at > {mark}",
        (at, silence_id, at),
    )
    return done.rowcount == 1
