"""The background thread that takes rows in, stores them in batches, and does housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from perfmon.errors import StorageError
from perfmon.recording.intake import BATCH, Intake

_log = logging.getLogger("perfmon")
_LINGER = 0.2  # seconds: what comes within them shares a transaction
_IDLE = 1.0
_LONGEST_WAIT = 5.0
_LOG_DROPPED_EVERY = 60.0


class Writer:
    """Stores what was recorded until it is stopped.

    `chores` are called about every second, also when nothing is recorded; they are quick.
    """

    def __init__(self, intake: Intake, chores: Callable[[], None]) -> None:
        self._intake = intake
        self._chores = chores
        self._dropped = intake.queue.dropped + intake.counts.dropped
        self._log_dropped_from = 0.0
        self._urgent = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perfmon-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def hurry(self) -> None:
        """Store now rather than when the linger is over."""
        self._urgent.set()
        self._intake.queue.wake.set()

    def stop(self, timeout: float) -> None:
        """Store what is there, as far as storage answers, and end."""
        self._stopping.set()
        self.hurry()
        self._thread.join(timeout)

    def _run(self) -> None:
        wake = self._intake.queue.wake
        wait, next_chores = 0.0, time.monotonic() + _IDLE
        while not self._stopping.is_set():
            if wait:
                self._urgent.wait(wait)
            elif wake.wait(_IDLE):
                self._linger()
            self._urgent.clear()
            if not len(self._intake.queue):
                # While runs keep coming nobody who records has to wake this thread, which costs
                # several times a recording.
                wake.clear()
            wait = self._round(wait)
            if len(self._intake.queue):
                wake.set()
            self._log_dropped()
            if time.monotonic() >= next_chores:
                self._guarded(self._chores)
                next_chores = time.monotonic() + _IDLE
        self._round(0.0)

    def _linger(self) -> None:
        """Wait for company, but not beyond a full batch."""
        for _ in range(2):
            if len(self._intake.queue) >= BATCH or self._urgent.wait(_LINGER / 2):
                return

    def _round(self, waited: float) -> float:
        """Take in and store; returns how long to wait before the next try."""
        try:
            self._intake.take_some()
            self._intake.store_all()
            self._look_after_journal()
        except (StorageError, OSError) as problem:
            if not waited:
                _log.warning("storage is unavailable, recorded data is pending: %s", problem)
            self._look_after_journal()
            return min(max(waited * 2, 0.1), _LONGEST_WAIT)
        except Exception:
            _log.exception("unexpected error in the writer; it continues")
            return _LONGEST_WAIT
        return 0.0

    def _look_after_journal(self) -> None:
        if self._intake.queue.journal is not None:
            self._intake.queue.look_after_journal()
            self._intake.queue.journal.prepare()

    def _log_dropped(self) -> None:
        """Once a minute at most, since overload comes in thousands."""
        new = self._intake.queue.dropped + self._intake.counts.dropped - self._dropped
        if new > 0 and time.monotonic() >= self._log_dropped_from:
            self._dropped += new
            self._log_dropped_from = time.monotonic() + _LOG_DROPPED_EVERY
            _log.warning(
                "%d runs and measurements were dropped: no room left in %s",
                new,
                "memory" if self._intake.queue.journal is None else "the journal",
            )

    @staticmethod
    def _guarded(chores: Callable[[], None]) -> None:
        try:
            chores()
        except StorageError as problem:
            _log.debug("a background task is waiting for storage: %s", problem)
        except Exception:
            _log.exception("a background task failed; it will be retried")
