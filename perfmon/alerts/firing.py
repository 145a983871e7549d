"""Firing and pending alerts: live where they are evaluated, otherwise as last saved."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from perfmon.alerts.details import DetailsOf
from perfmon.alerts.episodes.silence import silenced_by
from perfmon.alerts.live_verdicts import LiveVerdicts
from perfmon.alerts.saved_state import SavedState
from perfmon.alerts.silences import Silences
from perfmon.delivery.sink_alerts import SINK_RULE
from perfmon.errors import StorageError
from perfmon.records import PerformanceAlert
from perfmon.storage.storage import Storage


class Firing:
    """Answers from the machine or from storage, whichever knows.

    Attributes:
        last: what fired at the last evaluation here.
    """

    def __init__(self, storage: Storage, state: SavedState, now: Callable[[], int]) -> None:
        self.last: list[PerformanceAlert] = []
        self._storage = storage
        self._state = state
        self._silences = Silences(storage, now)
        self._now = now

    def now(self) -> list[PerformanceAlert]:
        """What fires now.

        What the outbox says of sinks in trouble is in storage only.
        """
        with self._state.lock:
            mine: list[PerformanceAlert] | None = None
            if self._state.machine is not None:
                alerts = self._state.machine.alerts(self._now())
                mine = [alert for alert in alerts if alert.state == "firing"]
        try:
            return self._saved() if mine is None else mine + self._sinks_in_trouble()
        except StorageError:
            return self.last if mine is None else mine

    def _saved(self) -> list[PerformanceAlert]:
        return [found.alert for found in self._storage.find_alerts(state="firing", limit=None)]

    def _sinks_in_trouble(self) -> list[PerformanceAlert]:
        states = self._storage.read_sinks().values()
        ids = {state.alert_id for state in states if state.alert_id is not None}
        found = [self._storage.find_alerts(alert_id=one, state="firing") for one in sorted(ids)]
        return [one.alert for alerts in found for one in alerts if one.alert.rule == SINK_RULE]

    def and_pending(self, latest: LiveVerdicts, describe: DetailsOf) -> list[PerformanceAlert]:
        """What is pending or fires, with its newest figures and its marks."""
        now = self._now()
        with self._state.lock:
            machine = self._state.machine
            found = None if machine is None else machine.alerts(now, latest, describe)
        try:
            if found is None:
                found = self._state.as_saved().alerts(now)
            silences = self._silences.in_force(now)
        except StorageError:  # figures or at least marks are as they were last
            return self.last if found is None else found
        return [attrs.evolve(one, silenced_by=silenced_by(one, silences)) for one in found]
