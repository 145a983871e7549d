"""Finds alerts by scope, with their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import attrs

from perfmon.alerts.evaluator import Evaluator
from perfmon.alerts.questions import AlertQuestions
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.ranges import Asked
from perfmon.records import AlertLevel, PerformanceAlert, Scope, to_micros
from perfmon.records.validation import count
from perfmon.storage.alerts import Delivery, FoundAlert
from perfmon.storage.storage import Storage

MOST_LISTED = 50
ALERT_STATES = ("pending", "firing", "resolved")


class FoundAlerts(NamedTuple):
    """Episodes with their deliveries, and how many there are beyond the limit too."""

    alerts: list[FoundAlert]
    total: int


class AlertListing:
    """Finds alerts in storage; what fires has its newest figures, as far as they are known here."""

    def __init__(self, evaluator: Evaluator, questions: AlertQuestions, storage: Storage) -> None:
        self._evaluator = evaluator
        self._questions = questions
        self._storage = storage

    def find(self, state: str | None, wanted: Mapping[str, Any], limit: int) -> FoundAlerts:
        """Everything recorded before is evaluated first.

        Args:
            state: one of `ALERT_STATES`; None is firing and resolved ones.
            wanted: as `Storage.find_alerts` takes it.
            limit: the maximum number.

        Raises:
            InvalidRun: an unknown level or state, or a limit that is no whole number from 0 on.
        """
        for name in ("level", "min_level"):
            if wanted[name] is not None and wanted[name] not in tuple(AlertLevel):
                raise InvalidRun(name, wanted[name], "info, warning or critical")
        if state is not None and state not in ALERT_STATES:
            raise InvalidRun("state", state, f"one of {', '.join(ALERT_STATES)}")
        most = count("limit", limit)
        with suppress(StorageError):  # what is known without it is told
            self._evaluator.look_now()
        if state == "pending":
            return self._standing(state, wanted, most)
        try:
            found = self._storage.find_alerts(**wanted, state=state, limit=most)
            total = self._storage.count_alerts(**wanted, state=state)
        except StorageError:
            if state == "resolved":
                raise
            return self._standing("firing", wanted, most)
        return FoundAlerts(self._as_they_are(found), total)

    def latest(self) -> list[PerformanceAlert]:
        """What fires or is over, of every agent, those that began last first."""
        wanted = dict.fromkeys(
            ("level", "min_level", "agent_name", "tenant", "model", "agent_type", "since", "until")
        )
        return [one.alert for one in self.find(None, wanted, MOST_LISTED).alerts]

    def _standing(self, state: str, wanted: Mapping[str, Any], most: int) -> FoundAlerts:
        """What is pending, which is not in storage; or what fires, while storage is unavailable."""
        found = [
            FoundAlert(alert, ())
            for alert in self._questions.standing()
            if alert.state == state and _fits(alert, **wanted)
        ]
        return FoundAlerts(found[:most], len(found))

    def _as_they_are(self, found: list[FoundAlert]) -> list[FoundAlert]:
        """What fires, with its newest figures and marks; storage has those of its last change."""
        if all(one.alert.state == "resolved" for one in found):
            return found
        standing = {alert.alert_id: alert for alert in self._questions.standing()}
        told = []
        for one in found:
            newest = standing.get(one.alert.alert_id, one.alert)
            if one.alert.state == "firing":
                newest = attrs.evolve(newest, acknowledged_by=one.alert.acknowledged_by)
            told.append(one._replace(alert=newest))
        return told

    def firing_in(self, asked: Asked, scope: Scope) -> list[PerformanceAlert]:
        """The alerts firing for a scope at the end of a range."""
        if asked.rolling:
            return self._questions.firing_about(scope)
        found = self._storage.find_alerts(since=asked.until, until=asked.until, limit=None)
        return self._questions.about(scope, [one.alert for one in found])

    def one(self, alert_id: str) -> FoundAlert:
        """One episode; `InvalidRun` where there is none."""
        found = self._storage.find_alerts(alert_id=alert_id)
        if not found:
            raise InvalidRun("alert_id", alert_id, "the ID of an alert")
        return self._as_they_are(found)[0]

    def deliveries(self, alert_id: str) -> list[Delivery]:
        """The deliveries of an alert's notifications, in the order they were created."""
        found = self._storage.find_alerts(alert_id=alert_id)
        return [delivery for one in found for delivery in one.deliveries]


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
