"""Where callers leave what they record: rows in a queue, copied to the journal, bounded.

A row is a tuple of plain values, which the garbage collector stops tracking at its first look,
and waits here for a fraction of a second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import attrs
import msgspec

from perfmon.journal import Journal, JournalFull

RUN, MEASUREMENT = 1, 2
MAX_PENDING = 100_000
_PATIENCE = 0.1  # seconds a caller waits for room before its run is dropped and counted

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple).decode
Row = tuple[Any, ...]


@attrs.define(eq=False)
class Bulk:
    """Rows recorded together by somebody who waits for their commit."""

    runs: Sequence[Row]
    measurements: Sequence[Row]
    waiting: int = attrs.field(init=False)
    accepted: int = 0
    duplicates: int = 0
    stored: bool = True
    done: threading.Event = attrs.field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.waiting = len(self.runs) + len(self.measurements)
        if not self.waiting:
            self.done.set()

    def settle(self, accepted: int, duplicates: int) -> None:
        """Some of its rows were stored."""
        self.accepted += accepted
        self.duplicates += duplicates
        self.waiting -= accepted + duplicates
        if self.waiting <= 0:
            self.done.set()

    def give_up(self) -> None:
        """Storage is away; what is left of it waits in the journal or in memory."""
        self.stored = False
        self.accepted += self.waiting
        self.waiting = 0
        self.done.set()


class Drained(NamedTuple):
    """All that was pending: rows, bulks, and the journal's position after them."""

    runs: list[Row]
    measurements: list[Row]
    bulks: list[Bulk]
    position: tuple[int, int] | None


class Recorder:
    """Takes from any thread, gives to one.

    Attributes:
        wake: called when something is pending and nobody was told yet.
        dropped: rows refused for want of room.
    """

    def __init__(self, journal: Journal | None, max_pending: int = MAX_PENDING) -> None:
        self.journal = journal
        self.dropped = 0
        self.wake = threading.Event()
        self.room = threading.Condition()
        self._max_pending = max_pending
        self.lock = threading.Lock()
        self._runs: deque[Row] = deque()
        self._measurements: deque[Row] = deque()
        self._bulks: list[Bulk] = []
        self._bulk_rows = 0
        self._spilled_from: tuple[int, int] | None = None
        self._spilled = 0

    def __len__(self) -> int:
        """Rows pending, in memory or spilled to the journal."""
        return len(self._runs) + len(self._measurements) + self._bulk_rows + self._spilled

    def has_rows(self) -> bool:
        """Whether rows are pending that their caller thinks recorded: all but the bulks'."""
        return bool(self._runs or self._measurements or self._spilled)

    def append_run(self, row: Row) -> None:
        """Record a run. Returns at once, or waits a moment for room and else drops it."""
        if self.journal is None and len(self._runs) < self._max_pending:
            self._runs.append(row)
        else:
            self._append(RUN, row)
        if not self.wake.is_set():
            self.wake.set()

    def append_measurement(self, row: Row) -> None:
        """The same for a measurement."""
        self._append(MEASUREMENT, row)
        if not self.wake.is_set():
            self.wake.set()

    def append_bulk(self, bulk: Bulk) -> None:
        """Record rows whose caller waits; not journaled, since it learns of their commit."""
        with self.lock:
            self._bulks.append(bulk)
            self._bulk_rows += bulk.waiting
        self.wake.set()

    def journal_rows(self, runs: Sequence[Row], measurements: Sequence[Row]) -> None:
        """Make rows that wait in memory survive the process, as far as the journal has room."""
        if self.journal is None:
            return
        with self.lock:
            try:
                for row in runs:
                    self.journal.append(RUN, _encode(row))
                for row in measurements:
                    self.journal.append(MEASUREMENT, _encode(row))
            except (JournalFull, OSError):
                return

    def _append(self, kind: int, row: Row) -> None:
        payload = None if self.journal is None else _encode(row)
        if self._try_append(kind, row, payload):
            return
        deadline = time.monotonic() + _PATIENCE
        with self.room:
            while (left := deadline - time.monotonic()) > 0:
                self.wake.set()
                self.room.wait(left)
                if self._try_append(kind, row, payload):
                    return
        with self.lock:
            self.dropped += 1

    def _try_append(self, kind: int, row: Row, payload: bytes | None) -> bool:
        queue = self._runs if kind == RUN else self._measurements
        with self.lock:
            in_memory = self._spilled_from is None and len(queue) < self._max_pending
            if self.journal is not None and payload is not None:
                if not in_memory and self._spilled_from is None:
                    self._spilled_from = self.journal.position()
                try:
                    self.journal.append(kind, payload)
                except (JournalFull, OSError):
                    return False
                self._spilled += not in_memory
            elif not in_memory:
                return False
            if in_memory:
                queue.append(row)
            return True

    def drain(self, *, with_bulks: bool = True) -> Drained:
        """Everything that is pending in memory, or the next part of what was spilled."""
        with self.lock:
            runs, measurements = _taken(self._runs), _taken(self._measurements)
            bulks: list[Bulk] = []
            if with_bulks:
                bulks, self._bulks, self._bulk_rows = self._bulks, [], 0
            drained = Drained(runs, measurements, bulks, None)
            if runs or measurements or bulks:
                if self.journal is not None and self._spilled_from is None:
                    drained = drained._replace(position=self.journal.position())
            elif self._spilled_from is not None and self.journal is not None:
                drained = self._read_spilled(self.journal, self._spilled_from)
        with self.room:
            self.room.notify_all()
        return drained

    def _read_spilled(self, journal: Journal, position: tuple[int, int]) -> Drained:
        records, after = journal.read(position, 20_000)
        self._spilled -= len(records)
        self._spilled_from = None if after == journal.position() else after
        if self._spilled_from is None:
            self._spilled = 0
        return Drained(
            decoded([record.payload for record in records if record.kind == RUN]),
            decoded([record.payload for record in records if record.kind == MEASUREMENT]),
            [],
            after,
        )


def _taken(queue: deque[Row]) -> list[Row]:
    # One by one: a caller without the lock may be about to append to this very deque.
    take = queue.popleft
    return [take() for _ in range(len(queue))]


def decoded(payloads: list[bytes]) -> list[Row]:
    """The rows of many payloads, in one call of the decoder."""
    count = len(payloads).to_bytes(4, "big")
    rows: list[Row] = _decode_rows(b"\xdd" + count + b"".join(payloads))
    return rows


_decode_rows = msgspec.msgpack.Decoder(list[tuple]).decode  # type: ignore[type-arg]


def decoded_safely(payloads: list[bytes], length: int) -> tuple[list[Row], int]:
    """Rows recovered from a journal one by one, and how many could not be read."""
    rows: list[Row] = []
    for payload in payloads:
        try:
            row = _decode(payload)
        except msgspec.DecodeError:
            continue
        if len(row) == length:
            rows.append(row)
    return rows, len(payloads) - len(rows)
