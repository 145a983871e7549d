"""After a fork, the child's parts of the monitor sleep until they are needed.

Threads, database connections and the journal belong to the parent. A child that records gets
its own at its first call; one that does not pays nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, cast

from perfmon.errors import PerfmonError, StorageError
from perfmon.monitor.parts import Parts
from perfmon.plugins.bus import Bus
from perfmon.recording.counts import Counts
from perfmon.recording.journal_rows import Row
from perfmon.recording.queue import RecordQueue

_log = logging.getLogger("perfmon")


class Sleeping:
    """Stands for parts that are not open; whoever needs one of them wakes them.

    Attributes:
        queue: keeps what is recorded meanwhile.
        counts: of this process.
    """

    def __init__(self, bus: Bus, wake: Callable[[], Parts]) -> None:
        self.queue = RecordQueue(None)
        self.counts = Counts()
        self._bus = bus
        self._wake = wake

    @classmethod
    def parts(cls, bus: Bus, wake: Callable[[], Parts]) -> Parts:
        """To whoever uses them they are parts like any."""
        return cast("Parts", cls(bus, wake))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wake(), name)

    def pause(self) -> bool:
        """Nothing is open that a fork could disturb."""
        return False

    @property
    def unstored_rows(self) -> tuple[list[Row], list[Row]]:
        """All that is here is in the queue."""
        return [], []

    def wake_if_recorded(self) -> None:
        """Something is to be stored."""
        if len(self.queue):
            with contextlib.suppress(PerfmonError):
                self._wake()

    def close(self, timeout: float, stop_writer: Callable[[float], None]) -> None:
        """What was recorded and cannot be stored is in the journal, if there is one."""
        stop_writer(timeout)
        self.queue.shut()
        self._bus.close(min(timeout, 2.0))
        self.queue.close(keep=len(self.queue) > 0)


class Forks:
    """A monitor's life over forks.

    Args:
        current: the monitor's parts; None where it is stopped.
        doze: puts others in their place, and says whether it worked in the background.
        reopen: opens parts anew; where that fails, leaves nothing open and loses nothing recorded.
        start: has it work in the background again.

    Attributes:
        wake_not_before: after a failure it is not tried again at once (monotonic seconds).
    """

    def __init__(
        self,
        bus: Bus,
        *,
        current: Callable[[], Parts | None],
        doze: Callable[[Parts], bool],
        reopen: Callable[[], Parts],
        start: Callable[[], object],
    ) -> None:
        self.wake_not_before = 0.0
        self._bus = bus
        self._current = current
        self._doze = doze
        self._reopen = reopen
        self._start = start
        self._paused: Parts | None = None
        self._asleep: Parts | None = None
        self._awake: Parts | None = None
        self._was_started = False
        self._waking = threading.RLock()
        # Kept, so that no destructor closes what is the parent's.
        self._inherited: list[Parts] = []
        _watched.add(self)

    def before(self) -> None:
        """Wait until no transaction and no reading of the window is under way."""
        parts = self._current()
        if parts is not None and parts.pause():
            self._paused = parts

    def after(self, *, in_child: bool) -> None:
        """The parent goes on. In the child all that is the parent's is left alone."""
        parts, self._paused = self._paused, None
        if parts is None:
            return
        parts.resume()
        if in_child:
            parts.leave_to_parent()
            self._inherited.append(parts)
            self._asleep = Sleeping.parts(self._bus, self.wake)
            self._was_started = self._doze(self._asleep)

    def wake(self) -> Parts:
        """Open what this process needs of its own; not again within a second of a failure."""
        with self._waking:
            if self._asleep is not None:
                if time.monotonic() < self.wake_not_before:
                    raise StorageError("the monitor could not be opened in this process")
                self.wake_not_before = time.monotonic() + 1.0
                self._open(self._asleep.queue)
            assert self._awake is not None
            return self._awake

    def _open(self, queue: RecordQueue) -> None:
        try:
            self._awake = self._reopen()
        except BaseException:
            self._keep_on_disk(queue)
            raise
        self._asleep = None
        if self._was_started:
            self._start()

    def _keep_on_disk(self, queue: RecordQueue) -> None:
        """Rows recorded while nothing can be opened still survive this process."""
        if queue.journal is None:
            try:
                journal = self._inherited[-1].open_journal()
            except StorageError as problem:
                _log.warning("recorded data is in memory only: %s", problem)
            else:
                queue.begin(journal)


_watched: weakref.WeakSet[Forks] = weakref.WeakSet()
_forking = threading.RLock()


def _before() -> None:
    # One fork at a time: two would take each other's locks for their own.
    _forking.acquire()
    for forks in list(_watched):
        forks.before()


def _after(*, in_child: bool) -> None:
    for forks in list(_watched):
        forks.after(in_child=in_child)
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(in_child=False),
        after_in_child=lambda: _after(in_child=True),
    )
