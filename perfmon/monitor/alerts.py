"""What a monitor says of alerts, and is told: acknowledgements and silences."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import attrs

from perfmon.alerts.evaluator import Alerting
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.ranges import Asked, Moment
from perfmon.monitor.queries import Reading
from perfmon.records import AlertLevel, PerformanceAlert, Scope, Silence, to_micros
from perfmon.records.validation import count, stamp
from perfmon.storage.alerts import Delivery, FoundAlert
from perfmon.storage.storage import Storage

ALERT_STATES = ("pending", "firing", "resolved")


class FoundAlerts(NamedTuple):
    """Episodes with their deliveries, and how many there are beyond the limit too."""

    alerts: list[FoundAlert]
    total: int


class Watching(Reading):
    """What a monitor can be asked and told about alerts."""

    alerting: Alerting
    storage: Storage

    def get_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        *,
        state: str | None = None,
        since: Moment = None,
    ) -> list[PerformanceAlert]:
        """Episodes that fire or are over, those that began last first.

        What was recorded before is evaluated first. `state` is `firing`, `resolved` or `pending`
        (beyond its limit, not for long enough yet, and only listed where it is asked for);
        `since` leaves out what was over by then.

        Raises:
            InvalidRun: an unknown level or state, or a limit that is no whole number from 0 on.
        """
        found = self.find_alerts(level, agent_name, limit, state=state, since=since)
        return [one.alert for one in found.alerts]

    def find_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        *,
        min_level: AlertLevel | str | None = None,
        state: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> FoundAlerts:
        """As `get_alerts`, with the deliveries of each and how many there are in all.

        `until` leaves out what began then or later; the others name what an alert is about.

        Raises:
            InvalidRun: as `get_alerts`.
        """
        for name, one in (("level", level), ("min_level", min_level)):
            if one is not None and one not in tuple(AlertLevel):
                raise InvalidRun(name, one, "info, warning or critical")
        if state is not None and state not in ALERT_STATES:
            raise InvalidRun("state", state, f"one of {', '.join(ALERT_STATES)}")
        wanted: dict[str, Any] = {
            "level": level, "min_level": min_level, "agent_name": agent_name, "tenant": tenant,
            "model": model, "agent_type": agent_type,
            "since": None if since is None else stamp("since", since, None),
            "until": None if until is None else stamp("until", until, None),
        }  # fmt: skip
        most = count("limit", limit)
        with suppress(StorageError):  # what is known without it is told
            self.alerting.look_now()
        if state == "pending":
            return self._standing(state, wanted, most)
        try:
            found = self.storage.find_alerts(**wanted, state=state, limit=most)
            total = self.storage.count_alerts(**wanted, state=state)
        except StorageError:
            if state == "resolved":
                raise
            return self._standing("firing", wanted, most)
        return FoundAlerts(self._as_they_are(found), total)

    def _standing(self, state: str, wanted: Mapping[str, Any], most: int) -> FoundAlerts:
        """What is pending, which is not in storage; or what fires, while storage is away."""
        found = [
            FoundAlert(alert, ())
            for alert in self.alerting.standing()
            if alert.state == state and _fits(alert, **wanted)
        ]  # fmt: skip
        return FoundAlerts(found[:most], len(found))

    def _as_they_are(self, found: list[FoundAlert]) -> list[FoundAlert]:
        """What fires, with its newest figures and marks; storage has those of its last change."""
        if all(one.alert.state == "resolved" for one in found):
            return found
        standing = {alert.alert_id: alert for alert in self.alerting.standing()}
        told = []
        for one in found:
            newest = standing.get(one.alert.alert_id, one.alert)
            if one.alert.state == "firing":
                newest = attrs.evolve(newest, acknowledged_by=one.alert.acknowledged_by)
            told.append(one._replace(alert=newest))
        return told

    def _firing(self, asked: Asked, scope: Scope) -> list[PerformanceAlert]:
        if asked.rolling:
            return self.alerting.firing_about(scope)
        found = self.storage.find_alerts(since=asked.until, until=asked.until, limit=None)
        return self.alerting.about(scope, [one.alert for one in found])

    def get_alert(self, alert_id: str) -> FoundAlert:
        """One episode, with what became of its messages.

        Raises:
            InvalidRun: there is no such episode.
        """
        found = self.storage.find_alerts(alert_id=alert_id)
        if not found:
            raise InvalidRun("alert_id", alert_id, "the id of an alert")
        return self._as_they_are(found)[0]

    def get_deliveries(self, alert_id: str) -> list[Delivery]:
        """What became of the messages about an episode, in the order they were decided."""
        found = self.storage.find_alerts(alert_id=alert_id)
        return [delivery for one in found for delivery in one.deliveries]

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert:
        """Say who takes care of an episode: no reminders any more, unless it gets worse.

        Raises:
            InvalidRun: there is no such episode, or no name.
        """
        return self.alerting.acknowledge(alert_id, by)

    def resolve(self, alert_id: str, by: str, comment: str | None = None) -> PerformanceAlert:
        """Close an alert that fires: an absence that will not end, or what nobody will mend.

        Sinks that were told of it are told that it is over. It fires again when it was over once
        (whoever was absent was there), or is more urgent than it was. Runs that an alert says
        never end are not under way any more.

        Raises:
            InvalidRun: no alert of this id fires, or there is no name.
            StorageError: it could not be saved.
        """
        return self.alerting.resolve(alert_id, by, comment)

    def silence(
        self,
        matchers: Mapping[str, str],
        until: Moment,
        by: str,
        comment: str = "",
        *,
        starts_at: Moment = None,
    ) -> Silence:
        """Send nothing about the alerts that match, until then; they are listed all the same.

        Matchers are globs by `agent`, `agent_type`, `model`, `tenant`, `rule`, `metric`, `level`,
        `key` or `alert_id`; all of them must match.

        Raises:
            InvalidRun: no matchers, an unknown one, an end that is past, or no author.
        """
        return self.alerting.silence(matchers, until, by, comment, starts_at)

    def unsilence(self, silence_id: str) -> None:
        """End a silence before its time.

        Raises:
            InvalidRun: there is none of this id, or it is over.
        """
        self.alerting.unsilence(silence_id)

    def alerts_decided_by(self) -> str | None:
        """Which of the monitors on this storage decides about alerts; None where none does."""
        return self.alerting.decided_by()

    def get_silences(self) -> list[Silence]:
        """Silences that are not over, the latest beginning first."""
        return self.alerting.silences()


def _fits(
    alert: PerformanceAlert,
    *,
    level: str | None,
    min_level: str | None,
    agent_name: str | None,
    tenant: str | None,
    model: str | None,
    agent_type: str | None,
    since: int | None,
    until: int | None,
) -> bool:
    """As storage finds episodes, for what is pending or fires."""
    del since  # what is pending or fires is not over
    order = list(AlertLevel)
    least = 0 if min_level is None else order.index(AlertLevel(min_level))
    return (
        level in (None, alert.level)
        and order.index(alert.level) >= least
        and agent_name in (None, alert.agent_name)
        and tenant in (None, alert.tenant)
        and model in (None, alert.model)
        and agent_type in (None, alert.agent_type)
        and (until is None or to_micros(alert.started_at or alert.timestamp) < until)
    )
