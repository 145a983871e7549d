"""From what callers left to the window at once, and to storage in the writer's own time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.bus import Bus
from perfmon.checks import MEASUREMENT_FIELDS, RUN_FIELDS
from perfmon.errors import StorageError
from perfmon.journal import orphans
from perfmon.recorder import MEASUREMENT, RUN, Bulk, Recorder, Row, decoded_safely
from perfmon.records import STATUSES, AccuracyMeasurement, AgentRun
from perfmon.roles import Storage
from perfmon.window.batch import Batch
from perfmon.window.seen import Seen
from perfmon.window.window import Receipted, Window

_log = logging.getLogger("perfmon")
BATCH = 8_000
MAX_UNSTORED = 200_000
_PLUGIN_DEADLINE = 2.0
_ERROR = RUN_FIELDS.index("error_type")
_COST = RUN_FIELDS.index("cost")
_STATUS = RUN_FIELDS.index("status")
_SUCCESS = STATUSES.index("success")
Mask = npt.NDArray[np.bool_]


class _Share(NamedTuple):
    """Which rows of a batch belong to a bulk."""

    bulk: Bulk
    runs: slice
    measurements: slice


@attrs.define(eq=False)
class _Waiting:
    """A batch on its way to storage."""

    batch: Batch
    suspected: tuple[Mask, Mask]
    where: Receipted
    shares: list[_Share]
    position: tuple[int, int] | None = None
    journaled: bool = True


@attrs.define
class Counts:
    """The monitor's accounts: rows, since it was made."""

    taken: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    measurements: int = 0
    recovered: int = 0
    damaged: int = 0


class Intake:
    """Owns the window; one lock guards it, another is held by whoever writes to storage."""

    def __init__(
        self,
        recorder: Recorder,
        window: Window,
        storage: Storage,
        bus: Bus,
        now: Callable[[], int],
        remember: int,
    ) -> None:
        self.recorder = recorder
        self.window = window
        self.storage = storage
        self.counts = Counts()
        self.lock = threading.RLock()  # guards the window and what waits for storage
        self.taking = threading.RLock()  # held by the one who takes in
        self._taking_rows = False
        self.storage_error: str | None = None
        self._bus = bus
        self._now = now
        self._seen_runs = Seen(remember)
        self._seen_measurements = Seen(remember)
        self._unstored: deque[_Waiting] = deque()
        self._unstored_rows = 0
        self.writing = threading.Lock()
        self._committed = threading.Condition()

    @property
    def pending(self) -> int:
        """Rows recorded and not stored yet."""
        return len(self.recorder) + self._unstored_rows

    @property
    def unstored(self) -> bool:
        """Whether something taken in waits for storage."""
        return bool(self._unstored)

    def take_in(self, *, with_bulks: bool = True) -> None:
        """Bring everything recorded so far into the window (read your writes).

        Bulks may be left to the writer: their callers wait, nothing of them is recorded yet.
        """
        if not len(self.recorder) and not self._taking_rows:
            return
        if not with_bulks and not self.recorder.has_rows() and not self._taking_rows:
            return
        with self.taking:
            while len(self.recorder) and self._unstored_rows < MAX_UNSTORED:
                self._taking_rows = True
                try:
                    drained = self.recorder.drain(with_bulks=with_bulks)
                    if drained.runs or drained.measurements:
                        self._take_journaled(drained.runs, drained.measurements, drained.position)
                    elif not drained.bulks:
                        return
                finally:
                    self._taking_rows = False
                self._take_bulks(drained.bulks)

    def _take_journaled(
        self, runs: list[Row], measurements: list[Row], position: tuple[int, int] | None
    ) -> None:
        for start in range(0, max(len(runs), len(measurements)), BATCH):
            piece = slice(start, start + BATCH)
            self._take(runs[piece], measurements[piece], [])
        if self._unstored and position is not None:
            self._unstored[-1].position = position

    def _take_bulks(self, bulks: list[Bulk]) -> None:
        """Several bulks share a batch, so that they share a transaction."""
        runs: list[Row] = []
        measurements: list[Row] = []
        shares: list[_Share] = []
        for bulk in bulks:
            for start in range(0, max(len(bulk.runs), len(bulk.measurements)), BATCH):
                piece = slice(start, start + BATCH)
                before = len(runs), len(measurements)
                runs += bulk.runs[piece]
                measurements += bulk.measurements[piece]
                shares.append(
                    _Share(bulk, slice(before[0], len(runs)), slice(before[1], len(measurements)))
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
        shares: list[_Share],
        *,
        journaled: bool = True,
    ) -> None:
        batch = Batch(self._completed(runs), measurements, self.window.vocabulary)
        suspected = self._suspected(batch)
        prepared = self.window.prepare(batch, ~suspected[0], ~suspected[1], self._now())
        with self.lock:
            where = self.window.add(prepared, self._now())
            self._unstored.append(_Waiting(batch, suspected, where, shares, journaled=journaled))
            self._unstored_rows += len(batch)
            self.counts.taken += len(batch)

    def _suspected(self, batch: Batch) -> tuple[Mask, Mask]:
        """Which rows were probably recorded before; storage decides."""
        return (
            self._seen_runs.mark(batch.run_hashes),
            self._seen_measurements.mark(batch.measurement_hashes),
        )

    def _completed(self, runs: Sequence[Row]) -> Sequence[Row]:
        """Let plugins name error classes and prices, where somebody does."""
        rows = runs
        for hook, place in (("classify_error", _ERROR), ("price_run", _COST)):
            if not self._bus.implementations(hook):
                continue
            asked = [
                n
                for n, row in enumerate(rows)
                if (row[_COST] is None if place == _COST else row[_STATUS] != _SUCCESS)
            ]
            items = [AgentRun.from_row(rows[n]) for n in asked]
            answers = self._bus.ask_guarded(hook, _PLUGIN_DEADLINE, items)
            rows = _filled(list(rows), place, asked, answers)
        return rows

    def store_all(self) -> None:
        """Write what was taken in; raises `StorageError` and keeps the rest where it fails."""
        with self.writing:
            while self._unstored:
                self._store(self._unstored[0])

    def _store(self, waiting: _Waiting) -> None:
        batch = waiting.batch
        try:
            new_runs, new_measurements = self.storage.store(batch)
        except StorageError as problem:
            self.storage_error = str(problem)
            with self.lock:
                for held in self._unstored:
                    self._keep(held)
            raise
        self.storage_error = None
        with self.lock:
            self._unstored.popleft()
            self._unstored_rows -= len(batch)
            self._correct(waiting, new_runs, new_measurements)
            added = int(new_runs.sum()) + int(new_measurements.sum())
            self.counts.stored += added
            self.counts.measurements += int(new_measurements.sum())
            self.counts.duplicate += len(batch) - added
        for share in waiting.shares:
            new = int(new_runs[share.runs].sum() + new_measurements[share.measurements].sum())
            total = len(new_runs[share.runs]) + len(new_measurements[share.measurements])
            share.bulk.settle(new, total - new)
        if self.recorder.journal is not None and waiting.position is not None:
            self.recorder.journal.forget(waiting.position)
        self._tell(batch, new_runs, new_measurements)
        with self._committed:
            self._committed.notify_all()

    def _correct(self, waiting: _Waiting, new_runs: Mask, new_measurements: Mask) -> None:
        """Storage decides: take back what it had, add what was only suspected."""
        runs_suspected, measurements_suspected = waiting.suspected
        old = (~new_runs & ~runs_suspected, ~new_measurements & ~measurements_suspected)
        if old[0].any() or old[1].any():
            self.window.retract(waiting.where, np.flatnonzero(old[0]), np.flatnonzero(old[1]))
            # The first may be in storage only, and come in when history is loaded.
            self._seen_runs.forget(waiting.batch.run_hashes[old[0]])
            self._seen_measurements.forget(waiting.batch.measurement_hashes[old[1]])
        wrongly = (new_runs & runs_suspected, new_measurements & measurements_suspected)
        if wrongly[0].any() or wrongly[1].any():
            self.window.add(self.window.prepare(waiting.batch, *wrongly, self._now()), self._now())

    def _keep(self, waiting: _Waiting) -> None:
        """Storage is away: who waits for a commit is told, and their rows go to the journal."""
        if not waiting.journaled:
            self.recorder.journal_rows(waiting.batch.runs, waiting.batch.measurements)
            waiting.journaled = True
        for share in waiting.shares:
            share.bulk.give_up()
        waiting.shares = []

    def _tell(self, batch: Batch, new_runs: Mask, new_measurements: Mask) -> None:
        if self._bus.implementations("runs_recorded") and new_runs.any():
            runs = [AgentRun.from_row(batch.runs[n]) for n in np.flatnonzero(new_runs).tolist()]
            self._bus.publish("runs_recorded", runs=runs)
        if self._bus.implementations("accuracy_recorded") and new_measurements.any():
            measurements = [
                AccuracyMeasurement.from_row(batch.measurements[n])
                for n in np.flatnonzero(new_measurements).tolist()
            ]
            self._bus.publish("accuracy_recorded", measurements=measurements)

    def wait_stored(self, deadline: float | None) -> bool:
        """Wait until what is now taken in is stored; False at the deadline (monotonic seconds)."""
        with self.lock:
            last = self._unstored[-1] if self._unstored else None
        with self._committed:
            while last is not None and last in self._unstored:
                left = 0.5 if deadline is None else min(deadline - time.monotonic(), 0.5)
                if left <= 0:
                    return False
                self._committed.wait(left)
        return True

    def load(self, runs: Sequence[Row], measurements: Sequence[Row]) -> int:
        """Bring history into the window; returns how many rows were not there yet."""
        with self.taking:
            batch = Batch(runs, measurements, self.window.vocabulary)
            known = self._suspected(batch)
            unknown = ~known[0], ~known[1]
            prepared = self.window.prepare(batch, *unknown, self._now())
            with self.lock:
                self.window.add(prepared, self._now())
            return int(unknown[0].sum() + unknown[1].sum())

    def recover(self) -> None:
        """Store what dead processes left in the journal's folder; storage knows the repeats."""
        if self.recorder.journal is None:
            return
        for orphan in orphans(self.recorder.journal.folder):
            records = list(orphan.records())
            whole = [record for record in records if record is not None]
            runs, bad_runs = decoded_safely(
                [record.payload for record in whole if record.kind == RUN], len(RUN_FIELDS)
            )
            measurements, bad = decoded_safely(
                [record.payload for record in whole if record.kind == MEASUREMENT],
                len(MEASUREMENT_FIELDS),
            )
            with self.taking:
                self.counts.recovered += len(runs) + len(measurements)
                self.counts.damaged += len(records) - len(whole) + bad_runs + bad
                for start in range(0, max(len(runs), len(measurements)), BATCH):
                    piece = slice(start, start + BATCH)
                    self._take(runs[piece], measurements[piece], [])
            self.store_all()
            orphan.remove()


def _filled(rows: list[Row], place: int, asked: list[int], answers: Sequence[Any]) -> list[Row]:
    for n, answer in zip(asked, answers, strict=True):
        if answer is not None:
            row = rows[n]
            rows[n] = (*row[:place], answer, *row[place + 1 :])
    return rows
