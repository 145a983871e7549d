"""The queue of recorded rows: bounded, and copied to the journal.

A row is a tuple of plain values, which the garbage collector stops tracking at its first look,
and waits here for a fraction of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.journal import Journal, JournalFull
from perfmon.recording.journal_rows import (
    MEASUREMENT,
    RUN,
    SPILLED_MEASUREMENT,
    SPILLED_RUN,
    Row,
    encode,
    rows_of_kind,
)
from perfmon.recording.segments import framed

_log = logging.getLogger("perfmon")

MAX_PENDING = 200_000
_AT_ONCE = 8_000
_PATIENCE = 0.1  # seconds a caller waits for room before its run is dropped and counted
# Seconds after a drop in which nobody waits, unless room is made: the host is not to crawl.
_IMPATIENCE = 1.0

# A larger row takes its turn under the lock: those that meet a full file at once share the reserve.
_SMALL = 2_048

_framed, _encode = framed, encode


class Drained(NamedTuple):
    """What was pending: rows, bulks, and a journal position before which all is given away."""

    runs: list[Row]
    measurements: list[Row]
    bulks: list[Bulk]
    position: tuple[int, int] | None


class RecordQueue:
    """Takes from any thread, gives to one.

    With a journal a row is recorded when it is there, and not before: where the journal has no
    room, its caller waits a moment, and then the row is dropped and counted.

    Attributes:
        wake: set when something is pending.
        dropped: rows refused for want of room, or after the end.
        drained: rows given away so far.

    Args:
        journal: what outlives the process; None where memory is enough.
        max_pending: how many rows of a kind may wait in memory.
        synced: whether rows that are held have to survive the loss of power, too.
    """

    def __init__(
        self, journal: Journal | None, max_pending: int = MAX_PENDING, *, synced: bool = False
    ) -> None:
        self.journal = journal
        self._synced = synced
        self.dropped = 0
        self.drained = 0
        self.wake = threading.Event()
        self.room = threading.Condition()
        self.lock = threading.Lock()
        self._draining = threading.Lock()
        self._max_pending = max_pending
        self._runs: deque[Row] = deque()
        self._measurements: deque[Row] = deque()
        self._bulks: list[Bulk] = []
        self._bulk_rows = 0
        self._spilled_from: tuple[int, int] | None = None
        self._spilled = 0
        # A journal position, and how many runs and measurements are still to be given away that
        # may stand before it.
        self._ahead: tuple[tuple[int, int], int, int] | None = None
        self._closed = False
        self._patient_from = 0.0
        self._said = ""  # of a journal that was taken away
        # Whether rows take their turn under the lock: it is closed, spilled, or the journal full.
        self._slow = False
        self._review()

    def __len__(self) -> int:
        """Rows pending, in memory or spilled to the journal."""
        return len(self._runs) + len(self._measurements) + self._bulk_rows + self._spilled

    @property
    def entered(self) -> int:
        """Rows that came in so far, and were not dropped here."""
        with self.lock:
            return self.drained + len(self)

    def has_rows(self) -> bool:
        """Whether rows are pending that their caller thinks recorded: all but the bulks'."""
        return bool(self._runs or self._measurements or self._spilled)

    def append_run(self, row: Row) -> None:
        """Record a run. Returns at once, or waits a moment for room and else drops it."""
        if self._slow or len(self._runs) >= self._max_pending:
            self._append(RUN, row, self._deadline())
        elif self.journal is None:
            self._runs.append(row)
        else:
            payload = _encode(row)
            if len(payload) > _SMALL:
                self._append(RUN, row, self._deadline())
            else:
                # First the queue: what is stored and still gets journaled is only known twice,
                # but what was forgotten with its file and is stored later would be lost by a kill.
                self._runs.append(row)
                try:
                    self.journal.write(_framed(RUN, payload))
                except ValueError:  # the file is full
                    self._go_on(row, payload)
        if not self.wake.is_set():
            self.wake.set()

    def _go_on(self, row: Row, payload: bytes) -> None:
        """Write a run that is in the queue already into the next file, or into the reserve."""
        assert self.journal is not None
        with self.lock:
            try:
                self.journal.append(RUN, payload, begun=True)
            except (JournalFull, OSError):
                # Closed, or more callers at once than the reserve is for.
                with suppress(ValueError):
                    self._runs.remove(row)
                    self.dropped += 1
            self._review()

    def append_measurement(self, row: Row) -> None:
        """The same for a measurement."""
        if self._slow or self.journal is not None or len(self._measurements) >= self._max_pending:
            self._append(MEASUREMENT, row, self._deadline())
        else:
            self._measurements.append(row)
        if not self.wake.is_set():
            self.wake.set()

    def _review(self) -> None:
        """See whether rows have to take their turn."""
        full = self.journal is not None and not self.journal.has_room
        self._slow = self._closed or bool(self._spilled) or full

    def append_many(self, runs: Iterable[Row], measurements: Iterable[Row]) -> int:
        """The same for many, with one moment's patience for all; returns how many were dropped."""
        deadline = self._deadline()
        dropped = sum(not self._append(RUN, row, deadline) for row in runs)
        dropped += sum(not self._append(MEASUREMENT, row, deadline) for row in measurements)
        self.wake.set()
        return dropped

    def append_bulk(self, bulk: Bulk) -> None:
        """Record rows whose caller waits; not journaled, since it learns of their commit."""
        with self.lock:
            if self._closed or self._bulk_rows >= self._max_pending:
                self.dropped += bulk.refuse()
                return
            self._bulks.append(bulk)
            self._bulk_rows += bulk.waiting
        self.wake.set()

    def refuse_bulks(self) -> None:
        """Nobody can take them in: their callers learn that nothing of them was recorded."""
        with self.lock:
            bulks, self._bulks, self._bulk_rows = self._bulks, [], 0
            self.dropped += sum(bulk.refuse() for bulk in bulks)

    def hold(self, runs: Sequence[Row], measurements: Sequence[Row]) -> bool:
        """Make rows that wait in memory as durable as configured; or nothing of them, and False."""
        if self.journal is None:
            return True
        payloads = [(RUN, _encode(row)) for row in runs]
        payloads += [(MEASUREMENT, _encode(row)) for row in measurements]
        try:
            with self.lock:
                if not self.journal.has_room_for(sum(len(_framed(*one)) for one in payloads)):
                    return False
                for kind, payload in payloads:
                    self.journal.append(kind, payload)
                self._review()
            if self._synced:
                self.journal.sync()
        except (JournalFull, OSError):
            return False
        return True

    def forget(self, position: tuple[int, int]) -> None:
        """All that was given away before this position of the journal is stored."""
        if self.journal is not None and self.journal.forget(position):
            self._make_room()

    def _make_room(self) -> None:
        """It is worth waiting again, and for those who do the wait is over."""
        with self.lock:
            self._review()
            self._patient_from = 0.0
        with self.room:
            self.room.notify_all()

    def _append(self, kind: int, row: Row, deadline: float) -> bool:
        payload = None if self.journal is None else _encode(row)
        if self._try_append(kind, row, payload):
            return True
        with self.room:
            while not self._closed and (left := deadline - time.monotonic()) > 0:
                self.wake.set()
                self.room.wait(left)
                if self._try_append(kind, row, payload):
                    return True
        with self.lock:
            self.dropped += 1
            self._patient_from = time.monotonic() + _IMPATIENCE
        return False

    def _deadline(self) -> float:
        """Until when a caller may be held up; whoever comes just after a drop is not at all."""
        now = time.monotonic()
        return now + _PATIENCE if now >= self._patient_from else now

    def _try_append(self, kind: int, row: Row, payload: bytes | None) -> bool:
        queue = self._runs if kind == RUN else self._measurements
        with self.lock:
            if self._closed:
                return False
            if self._spilled or len(queue) >= self._max_pending:
                return payload is not None and self._spill(kind, payload)
            if payload is not None and not self._journal(kind, payload):
                return False
            queue.append(row)
            return True

    def _journal(self, kind: int, payload: bytes) -> bool:
        """Whether the journal has it now."""
        assert self.journal is not None
        try:
            self.journal.append(kind, payload)
        except (JournalFull, OSError):
            return False
        finally:
            self._review()
        return True

    def _spill(self, kind: int, payload: bytes) -> bool:
        """Leave a row on disk only, to be read back when memory has room."""
        assert self.journal is not None
        position = self._spilled_from if self._spilled else self.journal.position()
        if not self._journal(SPILLED_RUN if kind == RUN else SPILLED_MEASUREMENT, payload):
            return False
        self._spilled_from = position
        self._spilled += 1
        self._slow = True
        return True

    def drain(self, *, with_bulks: bool = True) -> Drained:
        """Everything that is pending in memory, or else the next part of what was spilled."""
        with self._draining:
            with self.lock:
                drained = self._taken(with_bulks=with_bulks)
                self.drained += len(drained.runs) + len(drained.measurements)
                self.drained += sum(bulk.waiting for bulk in drained.bulks)
                self._review()
                if drained.runs or drained.measurements:
                    self._patient_from = 0.0  # somebody makes room: it is worth waiting again
                end = None
                if self.journal is not None and self._spilled and not any(drained[:3]):
                    end = self.journal.position()
            if self.journal is not None and end is not None:
                drained = self._read_spilled(self.journal, end)
        with self.room:
            self.room.notify_all()
        return drained

    def _taken(self, *, with_bulks: bool) -> Drained:
        runs, measurements = _taken(self._runs), _taken(self._measurements)
        bulks: list[Bulk] = []
        if with_bulks:
            bulks, self._bulks, self._bulk_rows = self._bulks, [], 0
        passed = self._passed(len(runs), len(measurements))
        return Drained(runs, measurements, bulks, passed)

    def _passed(self, runs: int, measurements: int) -> tuple[int, int] | None:
        """A position in the journal of which all rows before it are given away by now, if any.

        Under load the queues are never empty: a position is noted with the rows that are still
        ahead of it. Who records appends to a queue first, so that no more of them can come.
        """
        if self.journal is None:
            return None
        if self._ahead is not None:
            position, runs_ahead, measurements_ahead = self._ahead
            self._ahead = position, runs_ahead - runs, measurements_ahead - measurements
        is_all = not self._runs and not self._measurements
        if not self._spilled and (is_all or self._ahead is None):
            self._ahead = self.journal.position(), len(self._runs), len(self._measurements)
        if self._ahead is None or max(self._ahead[1:]) > 0:
            return None
        passed, self._ahead = self._ahead[0], None
        return passed

    def _read_spilled(self, journal: Journal, end: tuple[int, int]) -> Drained:
        """Without the lock, for which everybody who records is waiting meanwhile.

        What came after `end` may belong to rows in memory.
        """
        assert self._spilled_from is not None
        records, after = journal.read(self._spilled_from, _AT_ONCE)
        runs = rows_of_kind(records, SPILLED_RUN)
        measurements = rows_of_kind(records, SPILLED_MEASUREMENT)
        with self.lock:
            self._spilled -= len(runs) + len(measurements)
            self._spilled_from = after
            self._review()
            self.drained += len(runs) + len(measurements)
        return Drained(runs, measurements, [], min(after, end))

    def look_after_journal(self) -> None:
        """Where somebody took its files away, make them again with what they held."""
        journal = self.journal
        if journal is None or not journal.is_gone:
            self._said = ""
            return
        with self.lock:
            try:
                # Read back from where they are; the copies are for the next start.
                journal.begin_anew({SPILLED_RUN: RUN, SPILLED_MEASUREMENT: MEASUREMENT})
                said = "it was created again"
            except (JournalFull, OSError) as problem:
                said = f"it cannot be created again: {problem}"
            self._review()
        if said != self._said:
            self._said = said
            _log.warning("the journal was removed from %s; %s", journal.folder, said)

    def begin(self, journal: Journal | None) -> None:
        """Have a journal from now on, with what is here in it."""
        with self.lock:
            self.journal = journal
            self._review()
        if not self.hold(list(self._runs), list(self._measurements)):
            _log.warning(
                "the journal has no room for earlier records: they are kept in memory only"
            )

    def take_over(self, before: RecordQueue) -> None:
        """Go on with the accounts of the recorder before, and with what it still holds."""
        self.dropped += before.dropped
        self.drained += before.drained
        while len(before):
            drained = before.drain()
            self.append_many(drained.runs, drained.measurements)
            for bulk in drained.bulks:
                self.append_bulk(bulk)

    def take_back(self, rows: tuple[list[Row], list[Row]]) -> None:
        """Rows that were given away and not stored come back, unless the journal brings them."""
        self.drained -= len(rows[0]) + len(rows[1])
        if self.journal is None:
            self.append_many(*rows)

    def shut(self) -> None:
        """Take nothing more: what is recorded from now on is dropped and counted."""
        with self.lock:
            self._closed = self._slow = True
        with self.room:
            self.room.notify_all()

    def close(self, *, keep: bool) -> None:
        """Shut, and release the journal; `keep` leaves its files for the next start."""
        self.shut()
        with self._draining, self.lock:
            if self.journal is not None:
                self.journal.close(keep=keep)


def _taken(queue: deque[Row]) -> list[Row]:
    # One by one: a caller without the lock may be about to append to this very deque.
    # And not all at once: callers with a journal wait for the lock meanwhile.
    take = queue.popleft
    return [take() for _ in range(min(len(queue), _AT_ONCE))]
