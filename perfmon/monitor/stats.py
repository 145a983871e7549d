"""The monitor's internal counters: the result of everything recorded."""

from __future__ import annotations

import contextlib
from typing import Any

from perfmon.errors import StorageError
from perfmon.monitor.instances import Instance
from perfmon.monitor.page import Page
from perfmon.storage.conflicts import conflicts_since, plain
from perfmon.window.cells import HOUR


class StatsPage(Page):
    """A monitor's own accounts."""

    _instance: Instance

    def get_stats(self) -> dict[str, Any]:
        """The monitor's internal counters, including everything recorded so far.

        `events_buffered` is the number of runs in the window. Both for runs and for measurements,
        recorded = stored + duplicate + conflict + rejected + dropped + pending.
        """
        self._catch_up()
        parts = self._parts
        alerts, counts = parts.alerts.stats(), parts.counts
        account, described = parts.intake.account(), self._described()
        return {
            "events_buffered": account.in_window,
            "agents_tracked": len({key[:2] for key in self.vocabulary.agents()}),
            "accuracy_measurements": counts.matched.measurements,
            "active_alerts": alerts["firing"],
            "monitoring_active": self._writer is not None and self._writer.is_alive,
            "recorded": account.recorded,
            "stored": counts.stored,
            "duplicate": counts.duplicate,
            "conflict": counts.conflict,
            "superseded_predictions": counts.matched.superseded,
            "rejected": counts.rejected,
            "dropped": account.dropped,
            "pending": account.pending,
            "cut": counts.cut,
            "recovered": counts.recovered,
            "damaged": counts.damaged,
            "in_flight": len(self.in_flight.runs),
            "in_flight_dropped": self.in_flight.dropped,
            "conflicts": self.recent_conflicts(),
            "runs_in_memory": account.in_window,
            "folded_keys": self.vocabulary.folded,
            "instance": self._instance,
            "storage": described,
            "storage_error": parts.intake.storage_error or described.get("error"),
            "alerts": alerts,
            "plugins": self.bus.accounts(),
        }

    @property
    def dropped(self) -> int:
        """How many runs and measurements were lost since it was made, for want of room."""
        return self._parts.queue.dropped + self._parts.counts.dropped

    def check(self) -> None:
        """Raise `StorageError` where storage does not answer just now; for a readiness probe."""
        self._parts.storage.check()

    def recent_conflicts(self) -> list[dict[str, Any]]:
        """Those of the last 24 hours by agent, of every process on this storage."""
        try:
            since = self.now_us() - 24 * HOUR
            return [plain(one) for one in conflicts_since(self._parts.storage, since)]
        except StorageError:
            return []

    def _catch_up(self) -> None:
        """See what was recorded before, as every question does; alerts where nobody else looks."""
        if self._closed:
            return
        parts = self._parts
        parts.intake.catch_up()
        if self._writer is None:
            with contextlib.suppress(StorageError):  # what is known without it is told
                parts.evaluator.look_now()
            if parts.intake.unstored.has_measurements:
                parts.accuracy.settle()

    def _described(self) -> dict[str, Any]:
        try:
            return self._parts.storage.describe()
        except StorageError as problem:
            return {"error": str(problem)}
