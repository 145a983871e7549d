"""What a monitor says of alerts, and is told: acknowledgements and silences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmon.alerts.listing import FoundAlerts
from perfmon.metrics.ranges import Moment
from perfmon.monitor.page import Page
from perfmon.records import AlertLevel, PerformanceAlert, Silence
from perfmon.records.validation import stamp
from perfmon.storage.alerts import Delivery, FoundAlert


class AlertPage(Page):
    """What a monitor can be asked and told about alerts."""

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
        wanted: dict[str, Any] = {
            "level": level,
            "min_level": min_level,
            "agent_name": agent_name,
            "tenant": tenant,
            "model": model,
            "agent_type": agent_type,
            "since": None if since is None else stamp("since", since, None),
            "until": None if until is None else stamp("until", until, None),
        }
        return self._parts.listing.find(state, wanted, limit)

    def get_alert(self, alert_id: str) -> FoundAlert:
        """One episode, with what became of its messages.

        Raises:
            InvalidRun: there is no such episode.
        """
        return self._parts.listing.one(alert_id)

    def get_deliveries(self, alert_id: str) -> list[Delivery]:
        """What became of the messages about an episode, in the order they were decided."""
        return self._parts.listing.deliveries(alert_id)

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert:
        """Say who takes care of an episode: no reminders any more, unless it gets worse.

        Raises:
            InvalidRun: there is no such episode, or no name.
        """
        return self._parts.alerts.acknowledge(alert_id, by)

    def resolve(self, alert_id: str, by: str, comment: str | None = None) -> PerformanceAlert:
        """Close an alert that fires: an absence that will not end, or what nobody will mend.

        Sinks that were told of it are told that it is over. It fires again when it was over once
        (whoever was absent was there), or is more urgent than it was. Runs that an alert says
        never end are not under way any more.

        Raises:
            InvalidRun: no alert of this id fires, or there is no name.
            StorageError: it could not be saved.
        """
        return self._parts.alerts.resolve(alert_id, by, comment)

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
        return self._parts.alerts.silence(matchers, until, by, comment, starts_at)

    def unsilence(self, silence_id: str) -> None:
        """End a silence before its time.

        Raises:
            InvalidRun: there is none of this id, or it is over.
        """
        self._parts.alerts.unsilence(silence_id)

    def alerts_decided_by(self) -> str | None:
        """Which of the monitors on this storage decides about alerts; None where none does."""
        return self._parts.evaluator.decided_by()

    def get_silences(self) -> list[Silence]:
        """Silences that are not over, the latest beginning first."""
        return self._parts.alerts.silences()
