"""Resolving an alert by hand: an absence that will not end, or a problem nobody will fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from perfmon.alerts.episodes.step import Change, Changes
from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.saved_state import SavedState
from perfmon.errors import InvalidRun, StorageError
from perfmon.records import from_micros
from perfmon.records.validation import text
from perfmon.storage.alerts import AlertStorage

_LONGEST_COMMENT = 1_000
_TRIES = 3  # to save, if the deciding monitor saved meanwhile


class Closing:
    """Resolves alerts in the saved state, whichever monitor decides.

    Args:
        storage: has the alerts.
        known: the machine and its groups; sinks hear of the end from whoever decides next.
        end_runs: says that runs with these labels which began before a time (microseconds) are
            not under way any more.
    """

    def __init__(
        self,
        storage: AlertStorage,
        known: SavedState,
        end_runs: Callable[[Mapping[str, str], int], None],
        now: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._known = known
        self._end_runs = end_runs
        self._now = now

    def close(self, alert_id: str, by: str, comment: str | None) -> Changes:
        """What came of it.

        Raises:
            InvalidRun: no alert with this ID is firing, or there is no name.
            StorageError: it could not be saved.
        """
        name = text("by", by)
        said = text("comment", comment, _LONGEST_COMMENT) if comment else ""
        for _ in range(_TRIES):
            machine, now = self._known.read(), self._now()
            self._land(alert_id, now)
            changes = machine.resolve(alert_id, now, name, said)
            if changes is None:
                return self._unknown(alert_id, now, name, said)
            over = [one.alert for one in changes.standings if one.alert.state == "resolved"]
            self._known.groups.note_over(over)
            if self._known.save(over, ()):
                return changes
            self._known.forget()
        raise StorageError("another process is evaluating alerts right now; try again")

    def _unknown(self, alert_id: str, now: int, name: str, said: str) -> Changes:
        """One that storage has and whoever decides does not, such as after their state was lost."""
        found = self._storage.find_alerts(alert_id=alert_id, state="firing")
        if not found:
            raise InvalidRun("alert_id", alert_id, "the ID of a firing alert")
        alert, at = found[0].alert, from_micros(now)
        details = {**alert.details, "resolved_by": name, "comment": said}
        over = attrs.evolve(
            alert, state="resolved", timestamp=at, resolved_at=at, details=details,
            message=f"{alert.message}; resolved by {name}",
        )  # fmt: skip
        self._storage.save_alerts([over])
        return Changes((Change("resolved", over, f"resolved by {name}"),), ())

    def _land(self, alert_id: str, now: int) -> None:
        """The runs that an alert is about are not under way any more."""
        machine = self._known.read()
        for concern in machine.memory.in_concern():
            for one in concern.members if concern.is_of(alert_id) else ():
                if one.kind is Kind.UNFINISHED:
                    self._end_runs(one.labels, now - round(one.threshold * 1e6))
