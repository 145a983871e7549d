"""Moves recorded rows into the window at once, and to storage in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from perfmon.accuracy.matching import Matcher
from perfmon.errors import StorageError
from perfmon.metrics.known_agents import KnownAgents
from perfmon.plugins.bus import Bus
from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.conflicts import Conflicts
from perfmon.recording.counts import Counts
from perfmon.recording.enrichment import completed
from perfmon.recording.pending import PendingBatch, Share
from perfmon.recording.queue import RecordQueue
from perfmon.recording.tracking import record_left
from perfmon.recording.unstored import Unstored
from perfmon.records import AgentRun
from perfmon.records.measurements import Row
from perfmon.storage.storage import Storage, Stored
from perfmon.window.batch import Batch
from perfmon.window.window import Mask

_log = logging.getLogger("perfmon")
BATCH = 8_000
MAX_UNSTORED = 200_000
_AGENT = slice(1, 3)  # tenant and name, of runs and measurements
_TYPE = 3


class RowAccount(NamedTuple):
    """In rows, since the monitor was made; counted where they come in, so that it can be checked.

    Attributes:
        in_window: how many runs the window holds raw.
    """

    recorded: int
    dropped: int
    pending: int
    in_window: int


class Intake:
    """Takes what was recorded into the window, and has what waits for storage until it is there.

    Locks are taken in this order: `writing` by who writes to storage, `taking` by who takes in,
    that of what is unstored, and the window's own.
    """

    def __init__(
        self,
        queue: RecordQueue,
        unstored: Unstored,
        storage: Storage,
        bus: Bus,
        matcher: Matcher,
        agents: KnownAgents,
        *,
        counts: Counts,
        conflicts: Conflicts,
        writing: threading.Lock,
    ) -> None:
        self.queue = queue
        self.unstored = unstored
        self.storage = storage
        self.matcher = matcher
        self.counts = counts
        self.writing = writing
        self.taking = threading.RLock()
        self.storage_error: str | None = None
        self.failed_at = -1e9  # monotonic seconds
        self._bus = bus
        self._agents = agents
        self._conflicts = conflicts
        self._taking_rows = False
        self._committed = threading.Condition()

    @property
    def pending(self) -> int:
        """Rows recorded and not stored yet."""
        return len(self.queue) + self.unstored.rows

    @property
    def is_behind(self) -> bool:
        """Whether something taken in waits for storage, or to be compared with what is there."""
        return bool(self.unstored) or self.matcher.is_behind

    @property
    def has_news(self) -> bool:
        """Whether something was recorded that is not in the window yet."""
        return len(self.queue) > 0

    @property
    def conflict_count(self) -> int:
        """How many runs came under known ids with other content."""
        return self.counts.conflict

    def take_in(self, *, with_bulks: bool = True) -> None:
        """Bring everything recorded so far into the window (read your writes).

        Bulks may be left to the writer: their callers wait, nothing of them is recorded yet.
        """
        record_left()
        in_hand = self.queue.has_rows() or self._taking_rows
        if not in_hand and not (with_bulks and len(self.queue)):
            return
        until = self.queue.entered
        with self.taking:
            # Not for as long as there is something: others go on recording meanwhile.
            while self.queue.drained < until:
                if not self._take_once(with_bulks=with_bulks):
                    break

    def catch_up(self) -> None:
        """Bring in all but the bulks, before a question."""
        self.take_in(with_bulks=False)

    def take_some(self) -> None:
        """Bring in a part, about as much as goes into a transaction."""
        record_left()
        with self.taking:
            self._take_once(with_bulks=True)

    def take_recovered(
        self, runs: Sequence[Row], measurements: Sequence[Row], *, damaged: int
    ) -> None:
        """Bring in what dead processes left; `damaged` of their records could not be read."""
        with self.taking:
            self.counts.recovered += len(runs) + len(measurements)
            self.counts.damaged += damaged
            self._take_journaled(runs, measurements)

    def _take_once(self, *, with_bulks: bool) -> bool:
        """Whether there was something, and room for it."""
        if self.unstored.rows >= MAX_UNSTORED:
            self.queue.refuse_bulks()
            return False
        self._taking_rows = True
        try:
            drained = self.queue.drain(with_bulks=with_bulks)
            if drained.runs or drained.measurements:
                self._take_journaled(drained.runs, drained.measurements, drained.position)
        finally:
            self._taking_rows = False
        self._take_bulks(drained.bulks)
        return bool(drained.runs or drained.measurements or drained.bulks)

    def _take_journaled(
        self,
        runs: Sequence[Row],
        measurements: Sequence[Row],
        position: tuple[int, int] | None = None,
    ) -> None:
        pieces = list(_pieces(runs, measurements))
        for place, (some_runs, some_measurements) in enumerate(pieces, 1):
            # The last piece has the position when it goes in line: from then on the writer may
            # have stored it, and it is out of line again.
            self._take(some_runs, some_measurements, [], position if place == len(pieces) else None)

    def _take_bulks(self, bulks: list[Bulk]) -> None:
        """Several bulks share a batch, so that they share a transaction."""
        runs: list[Row] = []
        measurements: list[Row] = []
        shares: list[Share] = []
        for bulk in bulks:
            for start in range(0, max(len(bulk.runs), len(bulk.measurements)), BATCH):
                piece = slice(start, start + BATCH)
                before = len(runs), len(measurements)
                runs += bulk.runs[piece]
                measurements += bulk.measurements[piece]
                shares.append(
                    Share(
                        bulk,
                        slice(before[0], len(runs)),
                        slice(before[1], len(measurements)),
                        start,
                    )
                )
                if len(runs) + len(measurements) >= BATCH:
                    self._take(runs, measurements, shares, journaled=False)
                    runs, measurements, shares = [], [], []
        if shares:
            self._take(runs, measurements, shares, journaled=False)

    def _take(
        self,
        runs: Sequence[Row],
        measurements: Sequence[Row],
        shares: list[Share],
        position: tuple[int, int] | None = None,
        *,
        journaled: bool = True,
    ) -> None:
        try:
            typed = self._typed(measurements, runs)
            batch = Batch(completed(self._bus, runs), typed, self.unstored.window.vocabulary)
            self.unstored.add(batch, shares, position, journaled=journaled)
        except Exception:
            # They are out of the queue already: nobody else would count them, or answer for them.
            _log.exception("recorded rows could not be processed; they are dropped and counted")
            self.unstored.count_dropped(len(runs) + len(measurements))
            for share in shares:
                share.drop()

    def _typed(self, measurements: Sequence[Row], runs: Sequence[Row]) -> Sequence[Row]:
        """Measurements with the type of their agent's last run, so that they share its scope."""
        if not measurements:
            return measurements
        types = {row[_AGENT]: row[_TYPE] for row in runs}
        for agent in {row[_AGENT] for row in measurements} - types.keys():
            types[agent] = self._agents.last_type(agent)
        return [(*row[:_TYPE], types[row[_AGENT]], *row[_TYPE + 1 :]) for row in measurements]

    def store_now(self, deadline: float | None = None) -> None:
        """Take in and store in the caller's thread; as `store_all`."""
        self.take_in()
        while self.is_behind:
            self.store_all(deadline)
            self.take_in()

    def store_all(self, deadline: float | None = None) -> None:
        """Write what was taken in, until a deadline (monotonic seconds).

        Raises:
            StorageError: storage refused, or somebody else was still writing at the deadline;
                what is not stored is kept.
        """
        left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
        if not self.writing.acquire(timeout=left):
            raise StorageError("storage is slow: another transaction is in progress")
        try:
            while self.unstored:
                self._store(self.unstored.first)
            self.matcher.join()
        finally:
            self.writing.release()

    def _store(self, waiting: PendingBatch) -> None:
        batch = waiting.batch
        try:
            new, lost, rows = waiting.keeping.store(self.storage, self.matcher.repeats)
        except StorageError as problem:
            self._refused(problem)
            raise
        self.storage_error = None
        fresh = np.flatnonzero(new.measurements).tolist()
        # First, so that at every moment the rows wait for storage, or to be compared.
        self.matcher.note(rows, [rows[n] for n in fresh])
        if new.conflicts:
            self._conflicts.note(batch.runs, new.conflicts)
        self.unstored.settle(waiting, new, lost)
        with suppress(StorageError):  # the next round tries again
            self.matcher.join()
        new = self._without_repeated(rows, new)
        for share in waiting.shares:
            share.settle(new, lost)
        if waiting.position is not None:
            self.queue.forget(waiting.position)
        with self._committed:
            self._committed.notify_all()
        self._tell(batch, new.runs)

    def _refused(self, problem: StorageError) -> None:
        """Storage is unavailable: callers who wait are notified, their rows go to the journal.

        Rows for which it has no room are not as durable as they should be: they are dropped.
        """
        self.storage_error = str(problem)
        self.failed_at = time.monotonic()
        for waiting in self.unstored.waited_for():
            batch, shares, waiting.shares = waiting.batch, waiting.shares, []
            waiting.journaled = self.queue.hold(batch.runs, batch.measurements)
            if not waiting.journaled and not waiting.keeping.may_be_stored:
                self.unstored.drop(waiting)
            for share in shares:
                if waiting.journaled:
                    share.bulk.give_up(len(share))
                else:
                    share.drop()

    def pause(self) -> None:
        """Nothing is written, taken in or read until `resume`, for a fork."""
        self.writing.acquire()
        self.taking.acquire()
        self.unstored.pause()

    def resume(self) -> None:
        """The fork is over."""
        self.unstored.resume()
        self.taking.release()
        self.writing.release()

    def account(self) -> RowAccount:
        """What became of all rows, at one moment."""
        with self.taking, self.unstored.lock:
            counts, queue = self.counts, self.queue
            return RowAccount(
                recorded=queue.entered + queue.dropped + counts.rejected + counts.recovered,
                dropped=queue.dropped + counts.dropped,
                pending=self.pending,
                in_window=len(self.unstored.window),
            )

    def take_others(self, runs: Sequence[Row], measurements: Sequence[Row]) -> int:
        """Bring in what others stored; returns how much was not here. `writing` is held."""
        brought = 0
        for some_runs, some_measurements in _pieces(runs, measurements):
            with self.taking:
                batch = Batch(some_runs, some_measurements, self.unstored.window.vocabulary)
                brought += self.unstored.add_stored(batch)
        return brought

    def note_loaded(self, complete_from: int) -> None:
        """The window has all that storage has from then on; so agents are known from storage."""
        self.unstored.window.note_complete(complete_from)
        self._agents.learn()

    def note_storage(self, problem: StorageError | None) -> None:
        """Storage was asked, though nothing is to be stored: it is away, or back."""
        if problem is not None:
            self.storage_error = str(problem)
            self.failed_at = time.monotonic()
        elif not self.unstored:
            self.storage_error = None

    def _without_repeated(self, rows: Sequence[Row], new: Stored) -> Stored:
        """An outcome that says again what its source had said is kept, and counts as a repeat."""
        repeated = self.matcher.repeated()
        if not repeated:
            return new
        again = new.measurements & np.array([row[0] in repeated for row in rows], bool)
        self.unstored.count_repeated(int(again.sum()))
        return new._replace(measurements=new.measurements & ~again)

    def _tell(self, batch: Batch, new_runs: Mask) -> None:
        if self._bus.implementations("runs_recorded") and new_runs.any():
            places = np.flatnonzero(new_runs).tolist()
            self._bus.publish(
                "runs_recorded", runs=[AgentRun.from_row(batch.runs[n]) for n in places]
            )

    def wait_settled(
        self, target: int, deadline: float | None, is_over: Callable[[], bool]
    ) -> bool:
        """Wait until this many rows are settled and scored; False at the deadline or the end."""
        with self._committed:
            while self.counts.settled < target or self.matcher.is_behind:
                left = 0.2 if deadline is None else min(deadline - time.monotonic(), 0.2)
                if left <= 0 or is_over():
                    return False
                self._committed.wait(left)
        return True

    def reconcile(
        self, since: int, until: int, runs: Sequence[Row], measurements: Sequence[Row]
    ) -> int:
        """Bring the window's minutes of `[since, until)` up to what storage has of them.

        A minute of which storage has more, or has the same measurements amended, is replaced as
        a whole, so that doing it again changes nothing; what waits for storage stays. Returns
        how many rows the window did not have. The caller holds `writing`.
        """
        with self.taking:
            return self.unstored.reconcile(since, until, runs, measurements)


def _pieces(
    runs: Sequence[Row], measurements: Sequence[Row]
) -> Iterator[tuple[Sequence[Row], Sequence[Row]]]:
    """Batches of both; measurements come last: by then the runs of their agents are known."""
    run_pieces, measurement_pieces = (
        [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        for rows in (runs, measurements)
    )
    early: list[Sequence[Row]] = [()] * (len(run_pieces) - len(measurement_pieces))
    yield from zip_longest(run_pieces, [*early, *measurement_pieces], fillvalue=())
