"""Rows in the window and not in storage yet, and IDs met before.

A batch goes into the window and in line for storage at once, and out of line as storage's verdict
on it is carried out: nobody finds it in one of them alone who asks both.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from perfmon.recording.counts import Counts
from perfmon.recording.pending import PendingBatch, Share
from perfmon.records.measurements import Row
from perfmon.records.validation import RUN_FIELDS
from perfmon.storage.storage import Stored
from perfmon.window.batch import Batch
from perfmon.window.cells import MINUTE
from perfmon.window.live import LiveWindow, Masks
from perfmon.window.seen import Seen
from perfmon.window.window import Mask

_AT = RUN_FIELDS.index("timestamp")  # of measurements too


class Unstored:
    """Batches in the order in which they are to be stored.

    Args:
        window: where their rows are meanwhile.
        counts: of what becomes of them.
        remember: how many ids of each kind are known again.
        shared: whether others store on the same storage.

    Attributes:
        rows: how many rows they hold.
        lock: of all this; who holds it may ask the window, and nobody else.
    """

    def __init__(self, window: LiveWindow, counts: Counts, *, remember: int, shared: bool) -> None:
        self.window = window
        self.rows = 0
        self.lock = threading.RLock()
        self._counts = counts
        self._shared = shared
        self._batches: deque[PendingBatch] = deque()
        self._seen_runs = Seen(remember)
        self._seen_measurements = Seen(remember)
        self._doubted: set[int] = set()

    def __bool__(self) -> bool:
        """Whether any batch waits."""
        return bool(self._batches)

    @property
    def first(self) -> PendingBatch:
        """The one whose turn it is."""
        return self._batches[0]

    @property
    def has_measurements(self) -> bool:
        """Whether measurements wait for storage, which says what they are."""
        with self.lock:
            return any(waiting.batch.measurements for waiting in self._batches)

    def contents(self) -> tuple[list[Row], list[Row]]:
        """The runs and measurements that wait."""
        with self.lock:
            return (
                [row for waiting in self._batches for row in waiting.batch.runs],
                [row for waiting in self._batches for row in waiting.batch.measurements],
            )

    def waited_for(self) -> list[PendingBatch]:
        """Those whose commit somebody waits for."""
        with self.lock:
            return [waiting for waiting in self._batches if waiting.shares]

    def pause(self) -> None:
        """Nothing comes or goes, and the window is not read, until `resume`, for a fork."""
        self.lock.acquire()
        self.window.pause()

    def resume(self) -> None:
        """The fork is over."""
        self.window.resume()
        self.lock.release()

    def add(
        self,
        batch: Batch,
        shares: list[Share],
        position: tuple[int, int] | None,
        *,
        journaled: bool,
    ) -> None:
        """Bring what is probably new into the window, and all of it in line; one at a time."""
        with self.lock:  # what was no repeat is taken back under it
            suspected = self._suspected(batch)
        prepared = self.window.prepare(batch, _not(suspected))
        with self.lock:
            where = self.window.add(prepared)
            self._batches.append(
                PendingBatch(batch, suspected, where, shares, position, journaled=journaled)
            )
            self.rows += len(batch)

    def add_stored(self, batch: Batch) -> int:
        """Bring in what others stored; returns how many rows were not here."""
        with self.lock:  # what is here already was loaded, or recorded by both
            suspected = self._suspected(batch)
        prepared = self.window.prepare(batch, _not(suspected))
        self.window.add(prepared)
        return len(prepared.runs) + len(prepared.measurements)

    def _suspected(self, batch: Batch) -> Masks:
        """Which rows were probably recorded before; storage decides."""
        return (
            self._seen_runs.mark(batch.run_hashes),
            self._seen_measurements.mark(batch.measurement_hashes),
        )

    def settle(self, waiting: PendingBatch, new: Stored, lost: Stored) -> None:
        """Storage has the first batch, and decides: take back what it had, add what was only
        suspected, and count what became of it.
        """
        batch, suspected = waiting.batch, waiting.suspected
        old = ~new.runs & ~suspected[0], ~new.measurements & ~suspected[1]
        wrongly = new.runs & suspected[0], new.measurements & suspected[1]
        with self.lock:
            self._batches.popleft()
            self.rows -= len(batch)
            self.window.correct(waiting.where, batch, old, wrongly)
            if old[0].any() or old[1].any():
                # The first may be in storage only, and come in when history is loaded.
                self._forget(batch, old)
                if self._shared:
                    times = np.concatenate([batch.times[0][old[0]], batch.times[1][old[1]]])
                    self._doubted.update(np.unique(times // MINUTE * MINUTE).tolist())
            self._count(new, lost)

    def _forget(self, batch: Batch, which: Masks) -> None:
        self._seen_runs.forget(batch.run_hashes[which[0]])
        self._seen_measurements.forget(batch.measurement_hashes[which[1]])

    def drop(self, waiting: PendingBatch) -> None:
        """It was never recorded: neither storage nor the window has any of it."""
        batch, fresh = waiting.batch, _not(waiting.suspected)
        with self.lock:
            self._batches.remove(waiting)
            self.rows -= len(batch)
            self.window.retract(waiting.where, batch, fresh)
            self._forget(batch, fresh)
            self._counts.dropped += len(batch)

    def doubted_minutes(self) -> set[int]:
        """Minutes from which something left that storage had from elsewhere, not told before."""
        with self.lock:
            doubted, self._doubted = self._doubted, set()
        return doubted

    def reconcile(
        self, since: int, until: int, runs: Sequence[Row], measurements: Sequence[Row]
    ) -> int:
        """Bring the window's minutes of `[since, until)` up to what storage has, and what waits.

        Returns how many rows the window did not have.
        """
        with self.lock:
            for waiting in self._batches:
                batch, (old_runs, old_measurements) = waiting.batch, waiting.suspected
                runs = [*runs, *_between(batch.runs, ~old_runs, since, until)]
                measurements = [
                    *measurements,
                    *_between(batch.measurements, ~old_measurements, since, until),
                ]
            batch = Batch(runs, measurements, self.window.vocabulary)
            missing, is_changed = self.window.bring_up_to_date(batch, since, until)
            if is_changed:
                self._suspected(batch)
        return missing

    # Counts

    def _count(self, new: Stored, lost: Stored) -> None:
        added, dropped = _total(new), _total(lost)
        self._counts.stored += added
        self._counts.dropped += dropped
        conflicts = len(new.conflicts)
        self._counts.conflict += conflicts
        rows = len(new.runs) + len(new.measurements)
        self._counts.duplicate += rows - added - dropped - conflicts

    def count_dropped(self, rows: int) -> None:
        """So many rows could not be taken in."""
        with self.lock:
            self._counts.dropped += rows

    def count_repeated(self, rows: int) -> None:
        """So many of those that were stored say again what was said."""
        with self.lock:
            self._counts.stored -= rows
            self._counts.duplicate += rows


def _not(masks: Masks) -> Masks:
    return ~masks[0], ~masks[1]


def _between(rows: Sequence[Row], which: Mask, since: int, until: int) -> list[Row]:
    """Those of these rows with `since <= at < until`."""
    return [row for row, one in zip(rows, which, strict=True) if one and since <= row[_AT] < until]


def _total(masks: Stored) -> int:
    return int(masks.runs.sum()) + int(masks.measurements.sum())
