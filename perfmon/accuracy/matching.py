"""Background work on stored rows: scores predictions against outcomes, retries failures.

Derived rows are not recorded themselves: they are made again if they are lost, and never twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np

from perfmon.accuracy.rounds import repeats
from perfmon.accuracy.tasks import Priority, joined, scored_again, tasks_of
from perfmon.errors import StorageError
from perfmon.plugins.bus import Bus
from perfmon.records import AccuracyMeasurement
from perfmon.records.measurements import MEASURED_STATES, MEASUREMENT_FIELDS, Compare, Row, RowState
from perfmon.storage.storage import Storage
from perfmon.window.batch import Batch
from perfmon.window.live import LiveWindow

_log = logging.getLogger("perfmon")
_AT_ONCE = 8_000  # tasks
_TRIES = 10  # where another process compares the same tasks
_ID, _STATE = 0, MEASUREMENT_FIELDS.index("state")
_SCORING = (RowState.SCORING, RowState.JOINED_SCORING)
_TOLD = MEASURED_STATES | {RowState.UNMAPPED, RowState.JOINED_UNMAPPED}


@attrs.define
class MatchCounts:
    """Since the monitor was made: measurements, and predictions superseded in their round."""

    measurements: int = 0
    superseded: int = 0


class Matcher:
    """Brings together what belongs together; its methods but `score_some` are the writer's own.

    Args:
        counts: goes on with them.
        writing: the lock of storage; held by whoever calls `join`.
    """

    def __init__(
        self,
        storage: Storage,
        window: LiveWindow,
        bus: Bus,
        *,
        counts: MatchCounts,
        compare: Compare,
        priority: Priority,
        writing: threading.Lock,
    ) -> None:
        self.unscored = threading.Event()
        """Set when a remote scorer has something to do."""
        self._storage = storage
        self._window = window
        self._bus = bus
        self._counts = counts
        self._compare = compare
        self._priority = priority
        self._writing = writing
        self._tasks: dict[tuple[str, str], None] = {}
        # Storage may have it, and its answer was lost.
        self._in_doubt: Batch | None = None
        self._repeated: set[str] = set()

    @property
    def is_behind(self) -> bool:
        """Whether something is stored that was not compared yet."""
        return bool(self._tasks) or self._in_doubt is not None

    def note(self, stored: Sequence[Row], new: Sequence[Row]) -> None:
        """Measurements were stored, and these of them were new."""
        self._tasks |= dict.fromkeys(tasks_of(stored))
        self._note_unscored(new)
        self._count(new)
        self._tell(new)

    def repeats(self, rows: Sequence[Row]) -> set[str]:
        """The ids of those predictions, about to be stored, that were made before.

        Raises:
            StorageError: storage is unavailable.
        """
        tasks = tasks_of(row for row in rows if row[_STATE] == RowState.WAITING)
        if not tasks:
            return set()
        try:
            return repeats(self._storage.read_tasks(tasks), rows)
        except StorageError:
            raise
        except Exception:
            _log.exception("predictions could not be checked for repeats; all are kept")
            return set()

    def repeated(self) -> set[str]:
        """The ids of outcomes that were found to be repeats since this was asked."""
        found, self._repeated = self._repeated, set()
        return found

    def join(self) -> None:
        """Compare predictions with outcomes that are both stored.

        Raises:
            StorageError: storage does not answer; what was not compared will be the next time.
        """
        self._end_doubt()
        tasks = list(self._tasks)
        for start in range(0, len(tasks), _AT_ONCE):
            part = tasks[start : start + _AT_ONCE]
            self._join(part)
            for task in part:
                del self._tasks[task]

    def _join(self, tasks: list[tuple[str, str]]) -> None:
        try:
            for _ in range(_TRIES):
                made = joined(self._storage.read_tasks(tasks), self._compare, self._priority)
                if not (made.new or made.amended) or self._store(made.new, made.amended):
                    break
        except StorageError:
            raise
        except Exception:
            # One task that cannot be compared holds up no other, nor who waits for a receipt.
            if len(tasks) == 1:
                _log.exception("task %r could not be scored; it will be retried", tasks[0])
            else:
                for task in tasks:
                    self._join([task])

    def join_the_rest(self) -> None:
        """Compare what an earlier process stored and did not compare any more."""
        with self._writing:
            self._tasks |= dict.fromkeys(self._storage.open_tasks())
            self.join()
        if self._storage.read_unscored(1):
            self.unscored.set()

    def score_some(
        self, compare: Compare, limit: int, mapped: Callable[..., Iterable[Row]] = map
    ) -> int:
        """Let remote scorers answer for the oldest that wait; returns how many they were."""
        if self._in_doubt is not None:
            with self._writing:
                self._end_doubt()
        rows = self._storage.read_unscored(limit)
        answers = mapped(lambda row: scored_again(row, compare), rows)
        pairs = [
            (row, answer)
            for row, answer in zip(rows, answers, strict=True)
            if answer[_STATE] not in _SCORING
        ]
        if pairs:
            with self._writing:
                self._end_doubt()
                self._store([], pairs)
        return len(rows)

    def _store(self, new: list[Row], amended: list[tuple[Row, Row]]) -> bool:
        """Whether nobody else had stored or amended any of it since it was read."""
        return self._stored(Batch([], new, self._window.vocabulary, amended))

    def _end_doubt(self) -> None:
        """Ask again for the answer that was lost: what is stored by now is not made anew."""
        if self._in_doubt is None:
            return
        try:
            self._stored(self._in_doubt)
        except StorageError:
            raise
        except Exception:
            _log.exception("scores could not be stored; they will be computed again")

    def _stored(self, batch: Batch) -> bool:
        self._in_doubt = None
        try:
            stored = self._storage.store(batch)
        except StorageError:
            self._in_doubt = batch
            raise
        new, amended = batch.measurements, batch.amended
        before, after = batch.amendments
        which = np.flatnonzero(stored.amended)
        prepared = self._window.prepare(batch, (stored.runs, stored.measurements))
        self._window.amend(prepared, before.take(which), after.take(which))
        fresh = [row for row, is_new in zip(new, stored.measurements, strict=True) if is_new]
        fresh += [
            row
            for (old, row), done in zip(amended, stored.amended, strict=True)
            if done and old[_STATE] in _SCORING
        ]
        done = stored.amended.tolist()
        self._note_amended([pair for pair, was in zip(amended, done, strict=True) if was])
        self._note_unscored(fresh)
        self._count(fresh)
        self._tell(fresh)
        return bool(stored.measurements.all() and stored.amended.all())

    def _note_amended(self, pairs: Sequence[tuple[Row, Row]]) -> None:
        self._note_unscored([after for _, after in pairs])
        for before, after in pairs:
            if before[_STATE] == RowState.TOLD and after[_STATE] == RowState.REPEATED:
                self._repeated.add(before[_ID])
            self._counts.superseded += after[_STATE] == RowState.REPLACED
            self._counts.superseded -= before[_STATE] == RowState.REPLACED

    def _note_unscored(self, rows: Sequence[Row]) -> None:
        if any(row[_STATE] in _SCORING for row in rows):
            self.unscored.set()

    def _count(self, rows: Sequence[Row]) -> None:
        self._counts.measurements += sum(row[_STATE] in MEASURED_STATES for row in rows)

    def _tell(self, rows: Sequence[Row]) -> None:
        """Of what waits for an outcome or a scorer nobody hears yet."""
        told = [row for row in rows if row[_STATE] in _TOLD]
        if told and self._bus.implementations("accuracy_recorded"):
            measurements = [AccuracyMeasurement.from_row(row) for row in told]
            self._bus.publish("accuracy_recorded", measurements=measurements)
