"""Validated rows on their way to the queue, shared by the pages that record."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from perfmon.errors import InvalidRun, StorageError
from perfmon.monitor.page import Page
from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.journal_rows import Row
from perfmon.records import Conflict, Receipt, Rejection

_TAKE_IN_AT = 10_000
_RETRY = 1.0  # seconds between tries of an unavailable storage
_log = logging.getLogger("perfmon")


class RowPage(Page):
    """Leaves rows where they are stored from, and counts what is refused."""

    def __init__(self) -> None:
        super().__init__()
        self._counts_lock = threading.Lock()

    def _take_in_if_many(self) -> None:
        """Nothing runs in the background: store now and then, and never trouble the caller."""
        try:
            intake = self._parts.intake
            if intake.pending >= _TAKE_IN_AT and time.monotonic() - intake.failed_at > _RETRY:
                intake.store_now()
        except StorageError:
            pass  # kept, and said by get_stats()
        except Exception:
            _log.exception("pending data could not be stored; it is kept")

    def _record_rows(
        self,
        runs: list[Row],
        measurements: list[Row],
        rejected: list[Rejection],
        *,
        wait: bool,
        cut: int,
    ) -> Receipt:
        self.in_flight.end(runs)
        self._count_rejected(len(rejected))
        self._count_cut(cut)
        if not wait:
            dropped = self._parts.queue.append_many(runs, measurements)
            if self._writer is None:
                self._take_in_if_many()
            return Receipt(
                rejected=tuple(rejected),
                dropped=dropped,
                pending=len(runs) + len(measurements) - dropped,
                cut=cut,
                stored=False,
            )
        bulk = Bulk(runs, measurements)
        self._await(bulk)
        if bulk.stored and self.config.monitor.durability == "power":
            self._parts.storage.sync()
        return Receipt(
            accepted=bulk.accepted,
            duplicates=bulk.duplicates,
            conflicts=tuple(
                Conflict(index=place, run_id=runs[place][0], fields=fields)
                for place, fields in sorted(bulk.conflicts)
            ),
            rejected=tuple(rejected),
            dropped=bulk.dropped,
            cut=cut,
            stored=bulk.stored,
        )

    def _await(self, bulk: Bulk) -> None:
        if bulk.done.is_set():
            return
        self._parts.queue.append_bulk(bulk)
        writer = self._writer
        if writer is not None:
            writer.hurry()
            bulk.done.wait(1.0)
        while not bulk.done.is_set():
            if writer is None or not writer.is_alive:
                with contextlib.suppress(StorageError):
                    self._parts.intake.store_now()
            # Another caller may have taken it in, and be storing it.
            bulk.done.wait(0.01 if writer is None else 1.0)

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """What is refused is counted, too."""
        try:
            yield
        except InvalidRun:
            self._count_rejected(1)
            raise

    def _count_rejected(self, rows: int) -> None:
        if rows:
            with self._counts_lock:
                self._parts.counts.rejected += rows

    def _count_cut(self, rows: int) -> None:
        """Count rows in which something was too large."""
        if rows:
            with self._counts_lock:
                self._parts.counts.cut += rows
