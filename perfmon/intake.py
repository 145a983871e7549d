"""From what callers left to the window at once, and to storage in the writer's own time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import zip_longest
from pathlib import Path

import numpy as np

from perfmon.bulks import Bulk
from perfmon.bus import Bus
from perfmon.checks import RUN_FIELDS
from perfmon.completing import completed
from perfmon.conflicts import Conflicts
from perfmon.content import RUN_ROW, modern_run
from perfmon.counts import Counts
from perfmon.errors import StorageError
from perfmon.joining import Priority
from perfmon.journal import orphans
from perfmon.journaled import MEASUREMENT_KINDS, RUN_KINDS, recovered
from perfmon.matching import Matcher
from perfmon.measurements import MEASUREMENT_FIELDS, Compare, Row, padded
from perfmon.recorder import Recorder
from perfmon.records import AgentRun
from perfmon.roles import KnownAgent, Storage, Stored, Watcher
from perfmon.segments import Record
from perfmon.tracking import record_left
from perfmon.waiting import Share, Waiting
from perfmon.window.batch import Batch
from perfmon.window.seen import Seen
from perfmon.window.window import Mask, Window

_log = logging.getLogger("perfmon")
BATCH = 8_000
MAX_UNSTORED = 200_000
_AGENT = slice(1, 3)  # tenant and name, of runs and measurements
_TYPE = 3
_AT = RUN_FIELDS.index("timestamp")  # of measurements too


class Intake:
    """Owns the window, and what waits for storage.

    Three locks, taken in this order: `writing` by who writes to storage, `taking` by who takes
    in, `lock` by who touches the window.
    """

    def __init__(
        self,
        recorder: Recorder,
        window: Window,
        storage: Storage,
        bus: Bus,
        now: Callable[[], int],
        *,
        remember: int,
        counts: Counts,
        compare: Compare,
        priority: Priority,
    ) -> None:
        self.recorder = recorder
        self.window = window
        self.storage = storage
        self.counts = counts
        self.conflicts = Conflicts(storage, now)
        self.writing = threading.Lock()
        self.taking = threading.RLock()
        self.lock = threading.RLock()
        self.storage_error: str | None = None
        self.stored_agents: dict[tuple[str, str], KnownAgent] = {}
        self.failed_at = -1e9  # monotonic seconds
        self._bus = bus
        self._now = now
        self._seen_runs = Seen(remember)
        self._seen_measurements = Seen(remember)
        self._taking_rows = False
        self._unstored: deque[Waiting] = deque()
        self._unstored_rows = 0
        self._committed = threading.Condition()
        self._doubted: set[int] = set()
        self.others: Watcher = _Nobody()
        self.matcher = Matcher(
            storage,
            window,
            bus,
            now,
            counts=counts,
            compare=compare,
            priority=priority,
            lock=self.lock,
            writing=self.writing,
        )

    @property
    def pending(self) -> int:
        """Rows recorded and not stored yet."""
        return len(self.recorder) + self._unstored_rows

    @property
    def unstored(self) -> bool:
        """Whether something taken in waits for storage, or to be compared with what is there."""
        return bool(self._unstored) or self.matcher.is_behind

    @property
    def has_open_measurements(self) -> bool:
        """Whether measurements wait for storage, which says what they are."""
        with self.lock:
            return any(waiting.batch.measurements for waiting in self._unstored)

    def unstored_rows(self) -> tuple[list[Row], list[Row]]:
        """The runs and measurements that wait for storage."""
        with self.lock:
            return (
                [row for waiting in self._unstored for row in waiting.batch.runs],
                [row for waiting in self._unstored for row in waiting.batch.measurements],
            )

    def take_in(self, *, with_bulks: bool = True) -> None:
        """Bring everything recorded so far into the window (read your writes).

        Bulks may be left to the writer: their callers wait, nothing of them is recorded yet.
        """
        record_left()
        in_hand = self.recorder.has_rows() or self._taking_rows
        if not in_hand and not (with_bulks and len(self.recorder)):
            return
        until = self.recorder.entered
        with self.taking:
            # Not for as long as there is something: others go on recording meanwhile.
            while self.recorder.drained < until:
                if not self._take_once(with_bulks=with_bulks):
                    break

    def take_some(self) -> None:
        """Bring in a part, about as much as goes into a transaction."""
        record_left()
        with self.taking:
            self._take_once(with_bulks=True)

    def _take_once(self, *, with_bulks: bool) -> bool:
        """Whether there was something, and room for it."""
        if self._unstored_rows >= MAX_UNSTORED:
            self.recorder.refuse_bulks()
            return False
        self._taking_rows = True
        try:
            drained = self.recorder.drain(with_bulks=with_bulks)
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
            batch = Batch(completed(self._bus, runs), typed, self.window.vocabulary)
            with self.lock:  # the writer takes back what was no repeat, under it
                suspected = self._suspected(batch)
            prepared = self.window.prepare(batch, ~suspected[0], ~suspected[1], self._now())
            with self.lock:
                where = self.window.add(prepared, self._now())
                self._unstored.append(
                    Waiting(batch, suspected, where, shares, position, journaled=journaled)
                )
                self._unstored_rows += len(batch)
        except Exception:
            # They are out of the queue already: nobody else would count them, or answer for them.
            _log.exception("recorded rows cannot be taken in; they are dropped and counted")
            with self.lock:
                self.counts.dropped += len(runs) + len(measurements)
            for share in shares:
                share.drop()

    def _suspected(self, batch: Batch) -> tuple[Mask, Mask]:
        """Which rows were probably recorded before; storage decides."""
        return (
            self._seen_runs.mark(batch.run_hashes),
            self._seen_measurements.mark(batch.measurement_hashes),
        )

    def learn_agents(self) -> None:
        """Read from storage which agents there are; those recorded here are known anyway."""
        known = self.storage.known_agents()
        self.stored_agents = {(agent.tenant, agent.agent_name): agent for agent in known}

    def _typed(self, measurements: Sequence[Row], runs: Sequence[Row]) -> Sequence[Row]:
        """Measurements with the type of their agent's last run, so that they share its scope."""
        if not measurements:
            return measurements
        types = {row[_AGENT]: row[_TYPE] for row in runs}
        for agent in {row[_AGENT] for row in measurements} - types.keys():
            types[agent] = self._last_type(agent)
        return [(*row[:_TYPE], types[row[_AGENT]], *row[_TYPE + 1 :]) for row in measurements]

    def _last_type(self, agent: tuple[str, str]) -> str | None:
        with self.lock:
            at, agent_type = self.window.keys.last_type(agent)
        stored = self.stored_agents.get(agent)
        return agent_type if stored is None or (stored.last_run or 0) < at else stored.agent_type

    def store_all(self, deadline: float | None = None) -> None:
        """Write what was taken in, until a deadline (monotonic seconds).

        Raises:
            StorageError: storage refused, or somebody else was still writing at the deadline;
                what is not stored is kept.
        """
        left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
        if not self.writing.acquire(timeout=left):
            raise StorageError("storage is slow: another transaction is under way")
        try:
            while self._unstored:
                self._store(self._unstored[0])
            self.matcher.join()
        finally:
            self.writing.release()

    def _store(self, waiting: Waiting) -> None:
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
            self.conflicts.note(batch.runs, new.conflicts)
        with self.lock:
            self._unstored.popleft()
            self._unstored_rows -= len(batch)
            self._correct(waiting, new)
            self._count(new, lost)
        with suppress(StorageError):  # the next round tries again
            self.matcher.join()
        new = self._without_repeated(rows, new)
        for share in waiting.shares:
            share.settle(new, lost)
        if waiting.position is not None:
            self.recorder.forget(waiting.position)
        with self._committed:
            self._committed.notify_all()
        self._tell(batch, new.runs)

    def _refused(self, problem: StorageError) -> None:
        """Storage is away: who waits for a commit is told, and their rows go to the journal.

        Rows for which it has no room are not as durable as they should be: they are dropped.
        """
        self.storage_error = str(problem)
        self.failed_at = time.monotonic()
        with self.lock:
            waited_for = [waiting for waiting in self._unstored if waiting.shares]
        for waiting in waited_for:
            batch, shares, waiting.shares = waiting.batch, waiting.shares, []
            waiting.journaled = self.recorder.hold(batch.runs, batch.measurements)
            if not waiting.journaled and not waiting.keeping.may_be_stored:
                self._drop(waiting)
            for share in shares:
                if waiting.journaled:
                    share.bulk.give_up(len(share))
                else:
                    share.drop()

    def _drop(self, waiting: Waiting) -> None:
        """It was never recorded: neither storage nor the window has any of it."""
        batch, fresh = waiting.batch, (~waiting.suspected[0], ~waiting.suspected[1])
        with self.lock:
            self._unstored.remove(waiting)
            self._unstored_rows -= len(batch)
            self.window.retract(waiting.where, batch, *fresh)
            self._seen_runs.forget(batch.run_hashes[fresh[0]])
            self._seen_measurements.forget(batch.measurement_hashes[fresh[1]])
            self.counts.dropped += len(batch)

    def take_others(self, runs: Sequence[Row], measurements: Sequence[Row]) -> int:
        """Bring in what others stored; returns how much was not here. `writing` is held."""
        brought = 0
        for some_runs, some_measurements in _pieces(runs, measurements):
            with self.taking:
                batch = Batch(some_runs, some_measurements, self.window.vocabulary)
                with self.lock:  # what is here already was loaded, or recorded by both
                    suspected = self._suspected(batch)
                prepared = self.window.prepare(batch, ~suspected[0], ~suspected[1], self._now())
                with self.lock:
                    self.window.add(prepared, self._now())
            brought += len(prepared.runs) + len(prepared.measurements)
        return brought

    def doubted_minutes(self) -> set[int]:
        """Minutes from which something left that storage had from elsewhere, not told before."""
        with self.lock:
            doubted, self._doubted = self._doubted, set()
        return doubted

    def look_at_storage(self) -> None:
        """See what others stored there; and that it is away, though nothing is to be stored."""
        try:
            if not self.others.look():
                self.storage.check()
        except StorageError as problem:
            self.storage_error = str(problem)
            self.failed_at = time.monotonic()
        else:
            if not self._unstored:
                self.storage_error = None

    def _without_repeated(self, rows: Sequence[Row], new: Stored) -> Stored:
        """An outcome that says again what its source had said is kept, and counts as a repeat."""
        repeated = self.matcher.repeated()
        if not repeated:
            return new
        again = new.measurements & np.array([row[0] in repeated for row in rows], bool)
        with self.lock:
            self.counts.stored -= int(again.sum())
            self.counts.duplicate += int(again.sum())
        return new._replace(measurements=new.measurements & ~again)

    def _correct(self, waiting: Waiting, new: Stored) -> None:
        """Storage decides: take back what it had, add what was only suspected."""
        batch, suspected = waiting.batch, waiting.suspected
        old = ~new.runs & ~suspected[0], ~new.measurements & ~suspected[1]
        if old[0].any() or old[1].any():
            self.window.retract(waiting.where, batch, *old)
            # The first may be in storage only, and come in when history is loaded.
            self._seen_runs.forget(batch.run_hashes[old[0]])
            self._seen_measurements.forget(batch.measurement_hashes[old[1]])
            if self.storage.shared:
                times = np.concatenate([batch.times[0][old[0]], batch.times[1][old[1]]])
                self._doubted.update(np.unique(times // _MINUTE * _MINUTE).tolist())
        wrongly = new.runs & suspected[0], new.measurements & suspected[1]
        if wrongly[0].any() or wrongly[1].any():
            self.window.add(self.window.prepare(batch, *wrongly, self._now()), self._now())

    def _count(self, new: Stored, lost: Stored) -> None:
        added, dropped = _total(new), _total(lost)
        self.counts.stored += added
        self.counts.dropped += dropped
        conflicts = len(new.conflicts)
        self.counts.conflict += conflicts
        rows = len(new.runs) + len(new.measurements)
        self.counts.duplicate += rows - added - dropped - conflicts

    def _tell(self, batch: Batch, new_runs: Mask) -> None:
        if self._bus.implementations("runs_recorded") and new_runs.any():
            places = np.flatnonzero(new_runs).tolist()
            self._bus.publish(
                "runs_recorded", runs=[AgentRun.from_row(batch.runs[n]) for n in places]
            )

    def wait_settled(
        self, target: int, deadline: float | None, is_over: Callable[[], bool]
    ) -> bool:
        """Wait until so many rows are settled and compared; False at the deadline or the end."""
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
        with self.taking, self.lock:
            for waiting in self._unstored:
                batch, (old_runs, old_measurements) = waiting.batch, waiting.suspected
                runs = [*runs, *_between(batch.runs, ~old_runs, since, until)]
                measurements = [
                    *measurements,
                    *_between(batch.measurements, ~old_measurements, since, until),
                ]
            batch = Batch(runs, measurements, self.window.vocabulary)
            missing, minutes = self.window.missing(batch, since, until)
            if minutes:
                self._suspected(batch)
                for minute in minutes:
                    self.window.drop(minute)
                inside = [np.isin(at // _MINUTE * _MINUTE, minutes) for at in batch.times]
                prepared = self.window.prepare(batch, inside[0], inside[1], self._now())
                self.window.add(prepared, self._now())
        return missing

    def recover(self, folder: Path | None, owner: str) -> None:
        """Store what dead processes left in the journals' folder; storage knows the repeats."""
        if folder is None:
            return
        for orphan in orphans(folder, owner):
            with closing(orphan.lock):
                self._recover(list(orphan.records()))
                for path in orphan.remove():
                    _log.warning("a journal was damaged; its whole records are stored: %s", path)

    def _recover(self, records: list[Record | None]) -> None:
        runs, bad_runs = recovered(records, RUN_KINDS, len(RUN_ROW), modern_run)
        measurements, bad = recovered(records, MEASUREMENT_KINDS, len(MEASUREMENT_FIELDS), padded)
        with self.taking:
            self.counts.recovered += len(runs) + len(measurements)
            self.counts.damaged += records.count(None) + bad_runs + bad
            self._take_journaled(runs, measurements)
        self.store_all()


_MINUTE = 60_000_000


class _Nobody:
    """Who watches a storage that nobody shares, or from before anything is opened."""

    is_current = False

    def begin(self) -> None:
        """There is no news."""

    def brought(self) -> int:
        return 0

    def catch_up(self, every: float) -> None:
        """There is no news."""

    def look(self, every: float = 0.0, patience: float = 0.0) -> bool:
        del every, patience
        return False


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


def _between(rows: Sequence[Row], which: Mask, since: int, until: int) -> list[Row]:
    """Those of these rows with `since <= at < until`."""
    return [row for row, one in zip(rows, which, strict=True) if one and since <= row[_AT] < until]


def _total(masks: Stored) -> int:
    return int(masks.runs.sum()) + int(masks.measurements.sum())
