"""What a fork leaves behind: in the child the monitor's parts sleep until somebody needs them.

Threads, database connections and the journal belong to the parent. A child that records gets
its own at its first call; one that does not pays nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol


class Forkable(Protocol):
    """What is told of a fork."""

    def before_fork(self) -> None:
        """Let nothing be half done while the process is copied."""
        ...

    def after_fork(self, *, in_child: bool) -> None:
        """Go on in the parent; sleep in the child."""
        ...


_watched: weakref.WeakSet[Any] = weakref.WeakSet()


def watch_forks(forkable: Forkable) -> None:
    """Tell it of every fork of this process, as long as it lives."""
    _watched.add(forkable)


_forking = threading.RLock()


def _before() -> None:
    # One fork at a time: two would take each other's locks for their own.
    _forking.acquire()
    for forkable in list(_watched):
        forkable.before_fork()


def _after(*, in_child: bool) -> None:
    for forkable in list(_watched):
        forkable.after_fork(in_child=in_child)
    _forking.release()


class Sleeping:
    """Stands for a part of its owner, and wakes the owner when it is used."""

    def __init__(self, owner: Any, part: str) -> None:
        self._owner = owner
        self._part = part

    def __getattr__(self, name: str) -> Any:
        self._owner.wake_after_fork()
        return getattr(getattr(self._owner, self._part), name)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(in_child=False),
        after_in_child=lambda: _after(in_child=True),
    )
