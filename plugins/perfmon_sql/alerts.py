"""The alert part of the storage; see `perfmon.AlertStorage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from perfmon_sql import episodes, outbox
from perfmon_sql import in_flight as under_way

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import sqlalchemy as sa

    from perfmon import AlertLevel, AlertMessage, FoundAlert, PerformanceAlert, Silence
    from perfmon.storage import AlertState, DueMessage, RunInFlight, SinkState
    from perfmon_sql.database import Database

T = TypeVar("T")


class SqlAlerts:
    """Keeps episodes, messages, silences and leases in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mark = database.mark

    def save_alerts(
        self,
        alerts: Sequence[PerformanceAlert],
        state: AlertState | None = None,
        messages: Sequence[AlertMessage] = (),
    ) -> bool:
        def save(connection: sa.Connection) -> bool:
            # First of all, so that of several that save at once only one writes anything.
            if state is not None and not episodes.save_state(connection, state, self._mark):
                return False
            episodes.save_episodes(connection, alerts, self._mark)
            outbox.add_messages(connection, messages, self._mark)
            return True

        return self._database.write(save)

    def read_alert_state(self) -> AlertState:
        with self._database.reading() as connection:
            return episodes.read_state(connection)

    def find_alerts(
        self,
        *,
        level: AlertLevel | str | None = None,
        min_level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        state: str | None = None,
        since: int | None = None,
        until: int | None = None,
        alert_id: str | None = None,
        limit: int | None = 50,
    ) -> list[FoundAlert]:
        levels = episodes.levels_of(level, min_level)
        if levels == []:
            return []
        with self._database.reading() as connection:
            return episodes.find_episodes(
                connection,
                self._mark,
                limit,
                levels=levels,
                since=since,
                until=until,
                state=state,
                agent_name=agent_name,
                tenant=tenant,
                model=model,
                agent_type=agent_type,
                alert_id=alert_id,
            )

    def count_alerts(
        self,
        *,
        level: AlertLevel | str | None = None,
        min_level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        state: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> int:
        levels = episodes.levels_of(level, min_level)
        if levels == []:
            return 0
        with self._database.reading() as connection:
            return episodes.count_episodes(
                connection,
                self._mark,
                levels=levels,
                since=since,
                until=until,
                state=state,
                agent_name=agent_name,
                tenant=tenant,
                model=model,
                agent_type=agent_type,
            )

    def acknowledge_alert(self, alert_id: str, by: str, at: int) -> bool:
        return self._database.write(
            lambda connection: episodes.acknowledge(connection, alert_id, by, at, self._mark)
        )

    def due_messages(self, now: int, limit: int, *, sink: str | None = None) -> list[DueMessage]:
        with self._database.reading() as connection:
            return outbox.due_messages(connection, now, limit, sink, self._mark)

    def note_delivery(
        self,
        message_id: str,
        at: int,
        *,
        delivered: bool = False,
        retry_at: int | None = None,
        error: str | None = None,
    ) -> bool:
        return self._database.write(
            lambda connection: outbox.note_delivery(
                connection,
                message_id,
                at,
                delivered=delivered,
                retry_at=retry_at,
                error=error,
                mark=self._mark,
            )
        )

    def waiting_messages(self) -> dict[str, int]:
        with self._database.reading() as connection:
            return outbox.waiting_messages(connection)

    def read_sinks(self) -> dict[str, SinkState]:
        with self._database.reading() as connection:
            return outbox.read_sinks(connection)

    def save_sink(self, sink: str, state: SinkState) -> None:
        self._database.write(
            lambda connection: outbox.save_sink(connection, sink, state, self._mark)
        )

    def save_silence(self, silence: Silence) -> None:
        self._database.write(
            lambda connection: episodes.save_silence(connection, silence, self._mark)
        )

    def read_silences(self, now: int | None = None) -> list[Silence]:
        with self._database.reading() as connection:
            return episodes.read_silences(connection, now, self._mark)

    def end_silence(self, silence_id: str, at: int) -> bool:
        return self._database.write(
            lambda connection: episodes.end_silence(connection, silence_id, at, self._mark)
        )

    def lease_holder(self, name: str) -> str | None:
        with self._database.reading() as connection:
            return outbox.lease_holder(connection, name, self._database.now(), self._mark)

    def save_in_flight(
        self, began: Sequence[RunInFlight], ended: Sequence[tuple[str, str, str]]
    ) -> None:
        self._database.write(
            lambda connection: under_way.save_in_flight(connection, began, ended, self._mark)
        )

    def read_in_flight(self) -> list[RunInFlight]:
        with self._database.reading() as connection:
            return under_way.read_in_flight(connection)

    def save_notes(self, kind: str, notes: Mapping[str, str], gone: Iterable[str] = ()) -> None:
        self._database.write(
            lambda connection: under_way.save_notes(connection, kind, notes, gone, self._mark)
        )

    def read_notes(self, kind: str) -> dict[str, str]:
        with self._database.reading() as connection:
            return under_way.read_notes(connection, kind, self._mark)

    def take_lease(self, name: str, owner: str, seconds: float) -> bool:
        now = self._database.now()
        return self._database.write(
            lambda connection: outbox.take_lease(connection, name, owner, seconds, now, self._mark)
        )
