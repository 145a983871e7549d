"""What people ask about alerts, and say: the other half of `Alerting`."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from perfmon.alerts.attendance import Attendance
from perfmon.alerts.details import DetailsOf
from perfmon.alerts.episodes.episode import rank
from perfmon.alerts.episodes.silence import silenced_by
from perfmon.alerts.episodes.step import Changes, Standing
from perfmon.alerts.live_samples import Sampling
from perfmon.alerts.live_targets import Aims
from perfmon.alerts.relevance import relevant
from perfmon.alerts.resolution import Closing
from perfmon.alerts.ruleset import Ruleset
from perfmon.alerts.saved_state import Remembered
from perfmon.alerts.silences import Silencing
from perfmon.delivery.heartbeat import Heartbeat
from perfmon.delivery.outbox import Outbox
from perfmon.delivery.sink_alerts import SINK_RULE
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.ranges import Moment
from perfmon.recording.intake import Intake
from perfmon.records import AlertLevel, PerformanceAlert, Scope, Silence, from_micros
from perfmon.records.validation import text
from perfmon.storage.holders import shown_holder
from perfmon.storage.lease import Lease
from perfmon.storage.storage import Storage

_PATIENCE = 0.1  # seconds that health waits for an evaluation


class AlertAnswers(ABC):
    """Answers from what is decided here, or from what whoever decides has saved."""

    evaluated_at: int | None
    error: str | None
    _storage: Storage
    _intake: Intake
    _outbox: Outbox
    _now: Callable[[], int]
    _rules: Ruleset
    _lock: threading.RLock
    _thread: threading.Thread | None
    _known: Remembered
    _attendance: Attendance
    _closing: Closing
    _heartbeat: Heartbeat | None
    _last_firing: list[PerformanceAlert]
    _lease: Lease
    _next_look: float
    _seen: int
    _sampling: Sampling
    _details: DetailsOf
    _silencing: Silencing
    _standings: tuple[Standing, ...]

    @abstractmethod
    def look_now(self) -> None:
        """Evaluate in the caller's thread, where something was recorded since the last time."""

    @abstractmethod
    def evaluate(self) -> None:
        """Look at everything once, and save what comes of it."""

    @abstractmethod
    def _watching(self, rules: Ruleset) -> tuple[Aims, Sampling]: ...

    @abstractmethod
    def _may_decide(self) -> bool: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _tell(self, changes: Changes) -> None: ...

    @property
    def is_on(self) -> bool:
        return self._rules.is_on

    def accepts(self, sink: str, alert: PerformanceAlert) -> bool:
        """Whether a sink wants to be told of an alert of this level."""
        least = {terms.name: terms.min_level for terms in self._rules.sinks}
        return rank(alert.level) >= rank(least.get(sink, AlertLevel.INFO))

    @property
    def firing(self) -> list[PerformanceAlert]:
        """What fires now: as it is here, where this monitor decides; else as it was saved.

        What the outbox says of sinks in trouble is in storage only.
        """
        with self._lock:
            mine: list[PerformanceAlert] | None = None
            if self._known.machine is not None:
                alerts = self._known.machine.alerts(self._now())
                mine = [alert for alert in alerts if alert.state == "firing"]
        try:
            return self._saved_as_firing() if mine is None else mine + self._sinks_in_trouble()
        except StorageError:
            return self._last_firing if mine is None else mine

    def firing_about(self, scope: Scope) -> list[PerformanceAlert]:
        """What fires now about the runs of a scope; where nothing runs behind, evaluated first."""
        if self._thread is None:
            with suppress(StorageError):
                self.look_now()
        if not self._lock.acquire(timeout=_PATIENCE):  # an evaluation goes on
            return self.about(scope, self._last_firing)
        try:
            return self.about(scope, self.firing)
        finally:
            self._lock.release()

    def about(self, scope: Scope, alerts: list[PerformanceAlert]) -> list[PerformanceAlert]:
        """Those of these alerts that are about the runs of a scope."""
        now, window = self._now(), self._intake.window
        with self._intake.lock:
            keys = [] if scope.is_everything else window.keys.since(now - window.retention)
        _, sampling = self._watching(self._rules)
        return relevant(
            alerts, scope, self._rules.watched, keys, lambda found: sampling.verdicts(found, now)
        )

    def _saved_as_firing(self) -> list[PerformanceAlert]:
        return [found.alert for found in self._storage.find_alerts(state="firing", limit=None)]

    def _sinks_in_trouble(self) -> list[PerformanceAlert]:
        states = self._storage.read_sinks().values()
        ids = {state.alert_id for state in states if state.alert_id is not None}
        found = [self._storage.find_alerts(alert_id=one, state="firing") for one in sorted(ids)]
        return [one.alert for alerts in found for one in alerts if one.alert.rule == SINK_RULE]

    def standing(self) -> list[PerformanceAlert]:
        """What is pending or fires, with its marks; where another process decides, as it saved."""
        now = self._now()
        with self._lock:
            machine = self._known.machine
            found = None if machine is None else machine.alerts(now, self._sampling, self._details)
        try:
            if found is None:
                found = self._known.as_saved().alerts(now)
            silences = self._silencing.in_force(now)
        except StorageError:  # figures or at least marks are as they were last
            return self._last_firing if found is None else found
        return [attrs.evolve(one, silenced_by=silenced_by(one, silences)) for one in found]

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert:
        """Somebody takes care of an episode: no more reminders until it gets worse.

        Raises:
            InvalidRun: there is no such episode, or no name.
        """
        name = text("by", by)
        if not self._storage.acknowledge_alert(alert_id, name, self._now()):
            raise InvalidRun("alert_id", alert_id, "the id of an alert")
        with self._lock:
            if self._known.machine is not None:
                self._known.machine.acknowledge(alert_id, name)
        (found,) = self._storage.find_alerts(alert_id=alert_id)
        return found.alert

    def resolve(self, alert_id: str, by: str, comment: str | None) -> PerformanceAlert:
        """A person closes what fires; it fires again when it was over once, or gets worse.

        Raises:
            InvalidRun: no alert of this id fires, or there is no name.
            StorageError: it could not be saved.
        """
        with self._lock:
            is_mine = self._known.machine is not None
            try:
                changes = self._closing.close(alert_id, by, comment)
            except BaseException:
                self._forget()
                raise
            self._tell(changes)
            self._standings = tuple(
                one for one in self._standings if one.alert.alert_id != alert_id
            )
            self._seen, self._next_look = -1, -1e9
            if not is_mine:
                self._forget()
            elif self._thread is None and self._rules.is_on and self._may_decide():
                self.evaluate()
        (found,) = self._storage.find_alerts(alert_id=alert_id)
        return found.alert

    def silence(
        self, matchers: Mapping[str, str], until: Moment, by: str, comment: str, starts: Moment
    ) -> Silence:
        """As `Silencing.silence`; heeded from the next look on."""
        silence = self._silencing.silence(matchers, until, by, comment, starts)
        self._seen = -1
        return silence

    def silences(self) -> list[Silence]:
        """Those that are not over."""
        return self._silencing.silences()

    def unsilence(self, silence_id: str) -> None:
        """As `Silencing.unsilence`; heeded from the next look on."""
        self._silencing.unsilence(silence_id)
        self._seen = -1

    def decided_by(self) -> str | None:
        """Whose turn it is to decide about alerts, in words; None where it is nobody's."""
        try:
            holder = self._lease.holder() if self.is_on else None
        except StorageError:
            return None
        return None if holder is None else shown_holder(holder)

    def stats(self) -> dict[str, Any]:
        """How the evaluation goes, and the outbox."""
        at = self.evaluated_at
        return {
            "evaluated_at": None if at is None else from_micros(at),
            "waiting": self._sampling.waiting,
            "firing": len(self.firing) if self.is_on else 0,
            "error": self.error,
            "decided_by": self.decided_by(),
            "absences_left_out": self._attendance.left_out,
            "heartbeat": None if self._heartbeat is None else self._heartbeat.stats(),
            "outbox": self._outbox.stats(),
        }
