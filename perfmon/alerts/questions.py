"""Queries and commands about alerts, by users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from perfmon.alerts.evaluator import Evaluator
from perfmon.alerts.firing import Firing
from perfmon.alerts.relevance import relevant
from perfmon.alerts.resolution import Closing
from perfmon.alerts.saved_state import SavedState
from perfmon.alerts.silences import Silences
from perfmon.alerts.sources import Sources
from perfmon.delivery.outbox import Outbox
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.ranges import Moment
from perfmon.records import PerformanceAlert, Scope, Silence
from perfmon.records.validation import text
from perfmon.storage.storage import Storage

_PATIENCE = 0.1  # seconds that health waits for an evaluation


class AlertQuestions:
    """Answers from the state here, or from the state saved by the deciding monitor."""

    def __init__(
        self,
        evaluator: Evaluator,
        storage: Storage,
        sources: Sources,
        state: SavedState,
        firing: Firing,
        outbox: Outbox,
        now: Callable[[], int],
    ) -> None:
        self._evaluator = evaluator
        self._storage = storage
        self._window = sources.window
        self._state = state
        self._firing = firing
        self._outbox = outbox
        self._now = now
        self._silences = Silences(storage, now)
        self._closing = Closing(storage, state, sources.end_runs, now)

    @property
    def firing(self) -> list[PerformanceAlert]:
        """What fires now."""
        return self._firing.now()

    def firing_about(self, scope: Scope) -> list[PerformanceAlert]:
        """What fires now about the runs of a scope; where nothing runs behind, evaluated first."""
        if not self._evaluator.is_behind:
            with suppress(StorageError):
                self._evaluator.look_now()
        if not self._state.lock.acquire(timeout=_PATIENCE):  # an evaluation goes on
            return self.about(scope, self._firing.last)
        try:
            return self.about(scope, self.firing)
        finally:
            self._state.lock.release()

    def about(self, scope: Scope, alerts: list[PerformanceAlert]) -> list[PerformanceAlert]:
        """Those of these alerts that are about the runs of a scope."""
        now, window = self._now(), self._window
        keys = [] if scope.is_everything else window.keys_since(now - window.retention)
        fresh, watched = self._evaluator.fresh_verdicts(), self._state.rules.watched
        return relevant(alerts, scope, watched, keys, lambda found: fresh.verdicts(found, now))

    def standing(self) -> list[PerformanceAlert]:
        """What is pending or fires, with its marks; where another process decides, as it saved."""
        return self._firing.and_pending(self._evaluator.verdicts, self._evaluator.details)

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert:
        """Somebody takes care of an episode: no more reminders until it gets worse.

        Raises:
            InvalidRun: there is no such alert, or no name.
        """
        name = text("by", by)
        if not self._storage.acknowledge_alert(alert_id, name, self._now()):
            raise InvalidRun("alert_id", alert_id, "the ID of an alert")
        with self._state.lock:
            if self._state.machine is not None:
                self._state.machine.acknowledge(alert_id, name)
        (found,) = self._storage.find_alerts(alert_id=alert_id)
        return found.alert

    def resolve(self, alert_id: str, by: str, comment: str | None) -> PerformanceAlert:
        """A person closes what fires; it fires again when it was over once, or gets worse.

        Raises:
            InvalidRun: no alert with this ID is firing, or there is no name.
            StorageError: it could not be saved.
        """
        evaluator = self._evaluator
        with self._state.lock:
            is_mine = self._state.machine is not None
            try:
                changes = self._closing.close(alert_id, by, comment)
            except BaseException:
                evaluator.forget()
                raise
            evaluator.tell(changes)
            evaluator.note_closed(alert_id)
            if not is_mine:
                evaluator.forget()
            elif not evaluator.is_behind and evaluator.is_on and evaluator.may_decide():
                evaluator.evaluate()
        (found,) = self._storage.find_alerts(alert_id=alert_id)
        return found.alert

    def silence(
        self, matchers: Mapping[str, str], until: Moment, by: str, comment: str, starts: Moment
    ) -> Silence:
        """As `Silences.silence`; heeded from the next look on."""
        silence = self._silences.silence(matchers, until, by, comment, starts)
        self._evaluator.look_again()
        return silence

    def silences(self) -> list[Silence]:
        """Those that are not over."""
        return self._silences.silences()

    def unsilence(self, silence_id: str) -> None:
        """As `Silences.unsilence`; heeded from the next look on."""
        self._silences.unsilence(silence_id)
        self._evaluator.look_again()

    def stats(self) -> dict[str, Any]:
        """How the evaluation goes, and the outbox."""
        return {**self._evaluator.stats(), "outbox": self._outbox.stats()}
