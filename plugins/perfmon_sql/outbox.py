"""Outgoing messages, and the state of sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon import AlertMessage, to_micros
from perfmon.storage import DueMessage, SinkState
from perfmon_sql.statements import Row, fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

_COLUMNS = (
    "message_id", "sink", "message_group", "kind", "state", "waits", "attempts", "created_at",
    "due_at", "body",
)  # fmt: skip


def add_messages(connection: sa.Connection, messages: Sequence[AlertMessage], mark: str) -> None:
    """Put in what is not there, in this order."""
    for message in messages:
        row = _row_of(message)
        new = fetched(
            connection,
            f"INSERT INTO outbox ({', '.join(_COLUMNS)}) VALUES {places([row], mark)} "
            "ON CONFLICT DO NOTHING RETURNING id",
            row,
        )
        if new:
            alert_ids = list(dict.fromkeys(alert.alert_id for alert in message.alerts))
            _line_up(connection, new[0][0], message, alert_ids, mark)


def _line_up(
    connection: sa.Connection, row_id: int, message: AlertMessage, alert_ids: list[str], mark: str
) -> None:
    """Note what it is about, and which messages go before it."""
    first = _last_of_group(connection, row_id, message, mark)
    about = _of_alerts(connection, alert_ids, mark)
    wanted = first | {one for _, one in about}
    waiting = _still_waiting(connection, sorted(wanted), message.sink, mark)
    # Of each alert the last one is enough: those before it go before it in turn.
    last = {alert_id: one for alert_id, one in about if one in waiting}
    before = (first & waiting) | set(last.values())
    if before:
        _wait(connection, row_id, sorted(before), mark)
    if alert_ids:
        connection.exec_driver_sql(
            f"INSERT INTO outbox_alerts (alert_id, outbox_id) VALUES ({mark}, {mark})",
            [(alert_id, row_id) for alert_id in alert_ids],
        )


def _last_of_group(
    connection: sa.Connection, row_id: int, message: AlertMessage, mark: str
) -> set[int]:
    found = fetched(
        connection,
        f"SELECT id FROM outbox WHERE sink = {mark} AND message_group = {mark} AND id < {mark} "
        "AND closed_at IS NULL ORDER BY id DESC LIMIT 1",
        (message.sink, message.group, row_id),
    )
    return {row[0] for row in found}


def _of_alerts(connection: sa.Connection, alert_ids: list[str], mark: str) -> list[tuple[str, int]]:
    """The messages about each of these alerts, for any sink, in their order."""
    rows: list[Row] = []
    for part in in_parts([(alert_id,) for alert_id in alert_ids]):
        rows += fetched(
            connection,
            "SELECT alert_id, outbox_id FROM outbox_alerts "
            f"WHERE alert_id IN ({', '.join([mark] * len(part))})",
            flat(part),
        )
    return sorted(((alert_id, row_id) for alert_id, row_id in rows), key=lambda row: row[1])


def _still_waiting(connection: sa.Connection, ids: list[int], sink: str, mark: str) -> set[int]:
    """Those of them that wait for this sink, and go on doing so until the transaction is over."""
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    found: list[Row] = []
    for part in in_parts([(one,) for one in ids]):
        found += fetched(
            connection,
            f"SELECT id FROM outbox WHERE id IN ({', '.join([mark] * len(part))}) "
            f"AND closed_at IS NULL AND sink = {mark} ORDER BY id{lock}",
            (*flat(part), sink),
        )
    return {row[0] for row in found}


def _wait(connection: sa.Connection, row_id: int, before: list[int], mark: str) -> None:
    connection.exec_driver_sql(
        f"INSERT INTO outbox_order (before_id, after_id) VALUES ({mark}, {mark})",
        [(one, row_id) for one in before],
    )
    connection.exec_driver_sql(
        f"UPDATE outbox SET waits = {mark} WHERE id = {mark}", (len(before), row_id)
    )


def _row_of(message: AlertMessage) -> Row:
    created = to_micros(message.created_at)
    return (
        message.message_id,
        message.sink,
        message.group,
        message.kind,
        "waiting",
        0,
        0,
        created,
        created,
        message.to_json(),
    )


def due_messages(
    connection: sa.Connection, now: int, limit: int, sink: str | None, mark: str
) -> list[DueMessage]:
    of_sink = "" if sink is None else f" AND sink = {mark}"
    rows = fetched(
        connection,
        "SELECT body, attempts, tried_at FROM outbox WHERE closed_at IS NULL AND waits = 0 "
        f"AND (due_at <= {mark} OR attempts = 0){of_sink} ORDER BY due_at, id LIMIT {mark}",
        (now, *(() if sink is None else (sink,)), limit),
    )
    return [DueMessage(AlertMessage.from_json(row[0]), *row[1:]) for row in rows]


def note_delivery(
    connection: sa.Connection,
    message_id: str,
    at: int,
    *,
    delivered: bool,
    retry_at: int | None,
    error: str | None,
    mark: str,
) -> bool:
    waits = retry_at is not None and not delivered
    state = "delivered" if delivered else "waiting" if waits else "given_up"
    noted = fetched(
        connection,
        f"UPDATE outbox SET attempts = attempts + 1, tried_at = coalesce(tried_at, {mark}), "
        f"state = {mark}, due_at = {mark}, closed_at = {mark}, error = {mark} "
        f"WHERE message_id = {mark} AND closed_at IS NULL RETURNING id",
        (at, state, retry_at if waits else at, None if waits else at, error, message_id),
    )
    if noted and not waits:
        connection.exec_driver_sql(
            "UPDATE outbox SET waits = waits - 1 WHERE id IN "
            f"(SELECT after_id FROM outbox_order WHERE before_id = {mark})",
            noted[0],
        )
        connection.exec_driver_sql(f"DELETE FROM outbox_order WHERE before_id = {mark}", noted[0])
    return bool(noted)


def waiting_messages(connection: sa.Connection) -> dict[str, int]:
    rows = fetched(
        connection, "SELECT sink, count(*) FROM outbox WHERE closed_at IS NULL GROUP BY sink"
    )
    return {sink: int(count) for sink, count in rows}


def read_sinks(connection: sa.Connection) -> dict[str, SinkState]:
    rows = fetched(connection, "SELECT sink, held_until, reason, alert_id FROM sinks")
    return {sink: SinkState(*rest) for sink, *rest in rows}


def save_sink(connection: sa.Connection, sink: str, state: SinkState, mark: str) -> None:
    row = (sink, *state)
    connection.exec_driver_sql(
        f"INSERT INTO sinks (sink, held_until, reason, alert_id) VALUES {places([row], mark)} "
        "ON CONFLICT (sink) DO UPDATE SET held_until = excluded.held_until, "
        "reason = excluded.reason, alert_id = excluded.alert_id",
        row,
    )


def lease_holder(connection: sa.Connection, name: str, now: str, mark: str) -> str | None:
    """`now` is SQL for the time in microseconds."""
    found = fetched(
        connection, f"SELECT owner FROM leases WHERE name = {mark} AND ends_at > {now}", (name,)
    )
    return found[0][0] if found else None


def take_lease(
    connection: sa.Connection, name: str, owner: str, seconds: float, now: str, mark: str
) -> bool:
    """`now` is SQL for the time in microseconds."""
    # Time can go backwards: a lease that begins far ahead of now is one of before that.
    taken = connection.exec_driver_sql(
        f"INSERT INTO leases (name, owner, taken_at, ends_at) "
        f"VALUES ({mark}, {mark}, {now}, {now} + {mark}) ON CONFLICT (name) DO UPDATE SET "
        "owner = excluded.owner, taken_at = excluded.taken_at, ends_at = excluded.ends_at "
        "WHERE leases.owner = excluded.owner OR leases.ends_at <= excluded.taken_at "
        "OR leases.taken_at - excluded.taken_at > leases.ends_at - leases.taken_at",
        (name, owner, round(seconds * 1_000_000)),
    )
    return taken.rowcount == 1
