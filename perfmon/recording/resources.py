"""A run's own CPU time and memory, as far as they can be measured.

The process is not the run. Memory is the process's growth while no other run was open. CPU time is
that of the run's own thread or coroutine, and of the threads and tasks that were handed to
`counted`. What cannot be known is None, and never the process's.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar, Token
from time import perf_counter, process_time, thread_time
from typing import Any, NamedTuple, Self

GROWTH = "growth"
"""Source of memory: how much the process grew while no other run was open."""
THREAD, STEPS, COUNTED = "thread", "steps", "counted"
"""Sources of CPU time: the run's own thread, its coroutine's steps, either with `counted` ones."""
# Other threads have worked, if they took more CPU time than this, or this part of the run's time.
_NOISE_SECONDS, _NOISE_PART = 0.010, 0.1
_CORES = os.cpu_count() or 1

_current: ContextVar[Meter | None] = ContextVar("perfmon_run", default=None)
_open: set[Meter] = set()
# Reentrant: a destructor that runs while it is held may be anybody's, and begin a run.
_lock = threading.RLock()


class Usage(NamedTuple):
    """An amount, and where it comes from."""

    amount: float
    source: str


class Meter:
    """Measures one run from `begin` to `end`; then `cpu_ms` and `memory_mb` say what it took.

    Args:
        cpu: `THREAD` where the run has its thread for itself, `STEPS` where its coroutine's steps
            are awaited by `steps`, None where its CPU time cannot be told from others'.
        others: how many runs are known to be open elsewhere in the process.
    """

    def __init__(self, cpu: str | None, others: Callable[[], int] | None = None) -> None:
        self.cpu_ms: Usage | None = None
        self.memory_mb: Usage | None = None
        self.duration = 0.0
        self.alone = False
        self._cpu = cpu
        self._thread = threading.get_ident() if cpu == THREAD else None
        self._others = others
        self._spent = 0.0  # seconds of CPU time, beside those of the run's own thread
        self._has_more = False
        self._expected = 0
        self._inside: set[int] = set()  # threads whose time is being counted already
        self._blurred = False

    def begin(self) -> Self:
        with _lock:
            self.alone = not _open and not (self._others and self._others())
            if len(_open) == 1:  # where they are more, they know
                next(iter(_open)).alone = False
            _open.add(self)
        self._resident = _resident() if self.alone else None
        self._started = perf_counter()
        self._process_before = process_time() if self.alone else 0.0
        self._thread_before = thread_time()
        return self

    def enter(self) -> Token[Meter | None]:
        """From now on, and in tasks made from now on, `counted` counts for this run."""
        return _current.set(self)

    @staticmethod
    def leave(token: Token[Meter | None]) -> None:
        try:  # noqa: SIM105 - it is a good deal quicker
            _current.reset(token)
        except ValueError:  # it ends in another context than it began in
            pass

    def go_on_by_steps(self) -> None:
        """The call has returned a coroutine: the run is no longer its thread's only work."""
        if self._thread == threading.get_ident():
            self._add(thread_time() - self._thread_before)
            self._cpu, self._thread = STEPS, None

    def blur(self) -> None:
        """From now on others work in between: what the run itself took can't be known."""
        self._blurred = True

    def end(self) -> None:
        """Read off what the run took."""
        own = thread_time() - self._thread_before if self._thread is not None else 0.0
        self.duration = perf_counter() - self._started
        with _lock:
            _open.discard(self)
            alone = self.alone and not (self._others and self._others())
        if self._blurred:
            return
        resident = _resident() if alone else None
        if resident is not None and self._resident is not None:
            self.memory_mb = Usage(max(resident - self._resident, 0.0), GROWTH)
        if self._cpu is None or self._thread not in (None, threading.get_ident()):
            return
        spent = max(own + self._spent, 0.0)
        noise = max(_NOISE_SECONDS, _NOISE_PART * self.duration, _NOISE_PART * spent)
        if not self._expected and not (alone and self._elsewhere(spent, noise)):
            self.cpu_ms = Usage(spent * 1000, COUNTED if self._has_more else self._cpu)

    def _elsewhere(self, spent: float, noise: float) -> bool:
        """Whether other threads have worked more than noise, while no other run was open."""
        # In so short a time all cores together cannot have: no need to ask the system.
        if self.duration * _CORES < noise:
            return False
        return process_time() - self._process_before - spent > noise

    def _add(self, seconds: float) -> None:
        with _lock:
            self._spent += seconds

    def _expect(self, more: int) -> None:
        with _lock:
            self._expected += more
            self._has_more = True

    def _entered(self) -> float | None:
        """The CPU time of this thread, or None where it is counted already."""
        thread = threading.get_ident()
        if thread == self._thread or thread in self._inside:
            return None
        self._inside.add(thread)
        return thread_time()

    def _left(self, entered: float | None) -> None:
        if entered is not None:
            self._inside.discard(threading.get_ident())
            self._add(thread_time() - entered)

    @types.coroutine
    def steps(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await a coroutine, and count the time of each of its steps (PEP 380, written out)."""
        step: Callable[[Any], Any] = work.send
        argument: Any = None
        while True:
            entered = self._entered()
            try:
                asked = step(argument)
            except StopIteration as done:
                return done.value
            finally:
                self._left(entered)
            try:
                step, argument = work.send, (yield asked)
            except GeneratorExit:
                work.close()
                raise
            except BaseException as problem:  # it is the coroutine's
                step, argument = work.throw, problem

    def task(self, work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """A coroutine to be made a task of, whose time is counted."""
        self._expect(1)
        return self._task(work)

    async def _task(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await self.steps(work)
        finally:
            self._expect(-1)

    def function(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """A function to be called in another thread, whose time is counted."""
        self._expect(1)
        expected = [1]

        @functools.wraps(work)
        def counting(*args: Any, **kwargs: Any) -> Any:
            if expected:
                expected.pop()
            else:  # several threads call it
                self._expect(1)
            entered = self._entered()
            try:
                value = work(*args, **kwargs)
                return self.task(value) if inspect.iscoroutine(value) else value
            finally:
                self._left(entered)
                self._expect(-1)

        return counting


def counted(work: Any) -> Any:
    """See `PerformanceMonitor.counted`."""
    meter = _current.get()
    if meter is None:
        return work
    if inspect.iscoroutine(work):
        return meter.task(work)
    return meter.function(work) if callable(work) else work


def _resident() -> float | None:
    """The process's resident memory in MiB now, where the system tells that."""
    try:
        return int(os.pread(_statm(), 200, 0).split()[1]) * _PAGE_MB
    except (OSError, ValueError, IndexError):
        return None


@functools.lru_cache(maxsize=1)
def _statm() -> int:
    """Open once for each process (a fork is another), since opening costs most of the reading."""
    return os.open(f"/proc/{os.getpid()}/statm", os.O_RDONLY | os.O_CLOEXEC)


_PAGE_MB = (os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096) / 2**20


def _forget() -> None:
    """In a forked child nothing that was open before is its own."""
    global _lock  # noqa: PLW0603 - perhaps somebody held it
    _lock = threading.RLock()
    _open.clear()
    _statm.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
