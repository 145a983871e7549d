"""Brings rows that other processes store on a shared storage into the window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from perfmon.config import MonitorTable
from perfmon.errors import StorageError
from perfmon.recording.intake import Intake
from perfmon.recording.loading import load_history, load_lately
from perfmon.storage.storage import News
from perfmon.window.cells import MINUTE

EVERY = 1.0  # seconds between looks
_AT_REST = 4  # times the duration of a read is the minimum pause before the next one
_LATE = 60 * 1_000_000  # microseconds within which what others record is in their storage
_CURRENT = 3.0  # seconds for which a read is current


class Others:
    """Looks for news about once a second, from the moment history is loaded.

    Each row of others is read once, and none of this process's own; only a minute in which
    something was amended, or recorded by both, is read again as a whole.
    """

    def __init__(self, intake: Intake, now: Callable[[], int], settings: MonitorTable) -> None:
        self._intake = intake
        self._window = intake.unstored.window
        self._now = now
        self._settings = settings
        self._lock = threading.Lock()
        self._place: object | None = None
        self._made_at = now()
        self._brought = 0
        self._next_look = self._looked_at = -1e9  # monotonic seconds

    @property
    def is_current(self) -> bool:
        """Whether the window has what storage has, but for the last moment."""
        if not self._intake.storage.shared:
            return True
        return self._place is not None and time.monotonic() - self._looked_at < _CURRENT

    def begin(self) -> None:
        """What is stored from now on is news; called before history is loaded."""
        if self._intake.storage.shared:
            with self._lock:
                if self._place is None:
                    self._place = self._intake.storage.news(None, 0).place
                    self._looked_at = time.monotonic()
                    self._next_look = self._looked_at + EVERY

    def brought(self) -> int:
        """How many rows came since this was asked last."""
        with self._lock:
            count, self._brought = self._brought, 0
        return count

    def catch_up(self, every: float) -> None:
        """Look, for who decides for all; where no history was loaded, from the start of this on."""
        if self._place is None and self._intake.storage.shared:
            self.begin()
            now = self._now()
            since = max(self._made_at - _LATE, now - self._window.retention)
            load_history(self._intake, since, now + 1, self._settings.max_runs_in_memory)
        self.look(every)

    def look(self, every: float = EVERY, patience: float = -1) -> bool:
        """Bring in what is new, where the last look is `every` seconds ago.

        Returns whether storage was asked, which it is not where somebody else looks or writes for
        longer than `patience` seconds (-1: as long as it takes).

        Raises:
            StorageError: it does not answer.
        """
        if self._place is None or time.monotonic() < self._next_look - (EVERY - every):
            return False
        if not self._lock.acquire(timeout=patience):
            return False
        try:
            return self._look(patience)
        finally:
            self._lock.release()

    def check(self) -> None:
        """See what others stored, and whether storage is available."""
        try:
            if not self.look():
                self._intake.storage.check()
        except StorageError as problem:
            self._intake.note_storage(problem)
        else:
            self._intake.note_storage(None)

    def _look(self, patience: float) -> bool:
        began = time.monotonic()
        # Else a measurement that is read could be amended before it is in the window.
        if not self._intake.writing.acquire(timeout=patience):
            return False
        try:
            since = self._now() - self._window.retention
            news = self._intake.storage.news(self._place, since)
            self._brought += self._intake.take_others(news.runs, news.measurements)
            doubted = self._intake.unstored.doubted_minutes()
        finally:
            self._intake.writing.release()
        self._bring_up_to_date(news, doubted)
        self._place = news.place
        self._looked_at = time.monotonic()
        rest = 0.0 if news.has_more else max(EVERY, _AT_REST * (self._looked_at - began))
        self._next_look = began + rest
        return True

    def _bring_up_to_date(self, news: News, doubted: set[int]) -> None:
        now, limit = self._now(), self._settings.max_runs_in_memory
        if not news.is_whole:
            hours = self._settings.retention_hours
            self._brought += load_lately(self._intake, hours, now, self._settings)
            return
        floor = now - self._window.retention
        minutes = {one for one in news.minutes | doubted if one > floor}
        while minutes:
            end = since = min(minutes)
            while end in minutes:  # neighbours are read together
                minutes.remove(end)
                end += MINUTE
            self._brought += load_history(self._intake, since, end, limit).rows
