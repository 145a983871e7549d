"""What a fork leaves behind: in the child the monitor's parts sleep until somebody needs them.

Threads, database connections and the journal belong to the parent. A child that records gets
its own at its first call; one that does not pays nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

from perfmon.config.config import Config
from perfmon.errors import StorageError
from perfmon.monitor.opening import open_journal
from perfmon.recording.counts import Counts
from perfmon.recording.intake import Intake
from perfmon.recording.journal_rows import Row
from perfmon.recording.queue import Recorder
from perfmon.recording.writer import Writer
from perfmon.storage.storage import Storage

_log = logging.getLogger("perfmon")

# What belongs to one process, and sleeps in its children.
_PARTS = ("storage", "intake", "queries", "accuracy_queries", "outbox", "alerting")


class Forking(ABC):
    """A monitor's life over forks."""

    recorder: Recorder
    intake: Intake
    storage: Storage
    _writer: Writer | None
    _counts: Counts
    _append_run: Callable[[Row], None]
    _closed: bool
    config: Config

    def __init__(self) -> None:
        super().__init__()
        self._paused: list[Any] = []
        self._inherited: list[Any] = []
        self._was_started = False
        self._owner: str | None = None  # of the journal
        self._waking = threading.RLock()
        self._wake_not_before = 0.0

    @abstractmethod
    def _open(self) -> None:
        """Open storage and journal, and make what stands on them."""

    @abstractmethod
    def start(self) -> Self:
        """Work in the background from now on."""

    def before_fork(self) -> None:
        """Wait until no transaction and no reading of the window is under way."""
        if self._closed or isinstance(self.intake, Sleeping):
            return
        intake = self.intake
        self._paused = [intake.writing, intake.taking, intake.lock, self.recorder.lock]
        for lock in self._paused:
            lock.acquire()
        self.storage.pause()

    def after_fork(self, *, in_child: bool) -> None:
        """The parent goes on. In the child all that is the parent's is left alone."""
        paused, self._paused = self._paused, []
        if not paused:
            return
        self.storage.resume()
        for lock in reversed(paused):
            lock.release()
        if in_child:
            self._sleep()

    def _sleep(self) -> None:
        if self.recorder.journal is not None:
            self.recorder.journal.abandon()
        # Kept, so that no destructor closes what is the parent's.
        self._inherited.append([getattr(self, part) for part in _PARTS])
        self._was_started, self._writer = self._writer is not None, None
        self._counts = Counts()
        self._doze(Recorder(None))

    def _doze(self, recorder: Recorder) -> None:
        """All parts sleep, but for a recorder that keeps what comes until they wake."""
        for part in _PARTS:
            setattr(self, part, Sleeping(self, part))
        self.recorder, self._append_run = recorder, recorder.append_run

    def wake_after_fork(self) -> None:
        """Open what this process needs of its own; not again within a second of a failure."""
        with self._waking:
            if isinstance(self.intake, Sleeping):
                if time.monotonic() < self._wake_not_before:
                    raise StorageError("the monitor cannot be opened in this process")
                self._wake_not_before = time.monotonic() + 1.0
                self._open_or_doze()
                if self._was_started:
                    self.start()

    def _open_or_doze(self) -> None:
        """Open all or, where that fails, leave nothing open and lose nothing recorded."""
        before = self.recorder
        try:
            self._open()
        except BaseException:
            opened, storage = self.recorder, self.storage
            self._doze(before)
            if opened is not before:
                before.take_over(opened)
                opened.close(keep=False)
            if not isinstance(storage, Sleeping):
                storage.close()
            self._journal_alone()
            raise

    def _journal_alone(self) -> None:
        """What is recorded while nothing can be opened outlives this process all the same."""
        if self.recorder.journal is None and self._owner is not None:
            try:
                journal = open_journal(self.config.monitor, self._owner)
            except StorageError as problem:
                _log.warning("what is recorded is in memory only: %s", problem)
            else:
                self.recorder.begin(journal)


class Sleeping:
    """Stands for a part of its owner, and wakes the owner when it is used."""

    def __init__(self, owner: Any, part: str) -> None:
        self._owner = owner
        self._part = part

    def __getattr__(self, name: str) -> Any:
        self._owner.wake_after_fork()
        return getattr(getattr(self._owner, self._part), name)


_watched: weakref.WeakSet[Forking] = weakref.WeakSet()


def watch_forks(monitor: Forking) -> None:
    """Tell it of every fork of this process, as long as it lives."""
    _watched.add(monitor)


_forking = threading.RLock()


def _before() -> None:
    # One fork at a time: two would take each other's locks for their own.
    _forking.acquire()
    for monitor in list(_watched):
        monitor.before_fork()


def _after(*, in_child: bool) -> None:
    for monitor in list(_watched):
        monitor.after_fork(in_child=in_child)
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(in_child=False),
        after_in_child=lambda: _after(in_child=True),
    )
