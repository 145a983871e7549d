"""Alerts of a monitor: list, acknowledge, resolve and silence them."""

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
    """The monitor's methods about alerts."""

    def get_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        *,
        state: str | None = None,
        since: Moment = None,
    ) -> list[PerformanceAlert]:
        """Firing and resolved alerts, the latest to start first.

        Everything recorded before is evaluated first. `state` is `firing`, `resolved` or `pending`
        (beyond its limit, but not for long enough yet; listed only when asked for); `since` leaves
        out alerts resolved before then.

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
        """As `get_alerts`, with the deliveries of each and the total count.

        `until` leaves out alerts that started then or later; the others filter by scope.

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
        """One alert with its deliveries.

        Raises:
            InvalidRun: there is no such alert.
        """
        return self._parts.listing.one(alert_id)

    def get_deliveries(self, alert_id: str) -> list[Delivery]:
        """The deliveries of an alert's notifications, in the order they were created."""
        return self._parts.listing.deliveries(alert_id)

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert:
        """Acknowledge an alert: no more reminders, unless it gets worse.

        Raises:
            InvalidRun: there is no such alert, or no name.
        """
        return self._parts.alerts.acknowledge(alert_id, by)

    def resolve(self, alert_id: str, by: str, comment: str | None = None) -> PerformanceAlert:
        """Resolve a firing alert by hand, such as one about an agent that was retired.

        Sinks that were notified of it are notified that it is resolved. It fires again after it
        has recovered once (an absent agent has run again), or at a higher level. Runs reported as
        never ending no longer count as in flight.

        Raises:
            InvalidRun: no alert with this ID is firing, or there is no name.
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
        """Mute notifications for matching alerts until a time; they are still listed.

        Matchers are globs by `agent`, `agent_type`, `model`, `tenant`, `rule`, `metric`, `level`,
        `key` or `alert_id`; all of them must match.

        Raises:
            InvalidRun: no matchers, an unknown one, an end in the past, or no author.
        """
        return self._parts.alerts.silence(matchers, until, by, comment, starts_at)

    def unsilence(self, silence_id: str) -> None:
        """End a silence early.

        Raises:
            InvalidRun: there is none with this ID, or it has ended.
        """
        self._parts.alerts.unsilence(silence_id)

    def alerts_decided_by(self) -> str | None:
        """Which of the monitors on this storage decides about alerts; None where none does."""
        return self._parts.evaluator.decided_by()

    def get_silences(self) -> list[Silence]:
        """Active and scheduled silences, the latest start first."""
        return self._parts.alerts.silences()
