"""A plugin's implementations, and a thread of its own for its slow work."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from perfmon.plugins.accounts import Check, PluginStats
from perfmon.plugins.async_worker import Remote

_OVERRUNS_ALLOWED = 3


@attrs.frozen(eq=False)
class Implementation:
    """One plugin's function for a hook; it is given the arguments it takes, and no more.

    `positional` takes all the hook's arguments in their order. `unhurried` may take any time.
    """

    plugin: str
    hook: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]
    positional: Callable[..., Any]
    account: PluginStats
    worker: Worker
    remote: Remote | None
    unhurried: bool

    def __call__(self, **arguments: Any) -> Any:
        return self.function(*[arguments[name] for name in self.argnames])

    def run(self, arguments: Mapping[str, Any]) -> Any:
        """Call it and, on a worker only, see a coroutine through to its end."""
        answer = self(**arguments)
        return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Any) -> Any:
    return await answer


@attrs.define(eq=False)
class Questions:
    """One question about each of several things, on its way to a plugin and back."""

    implementation: Implementation
    items: Sequence[Mapping[str, Any]]
    check: Check | None
    answers: list[Any] = attrs.field(init=False)
    done: threading.Event = attrs.Factory(threading.Event)
    cancelled: bool = False

    def __attrs_post_init__(self) -> None:
        self.answers = [None] * len(self.items)


@attrs.frozen(eq=False)
class _Event:
    implementation: Implementation
    arguments: Mapping[str, Any]
    weight: int


class Worker:
    """A thread of a plugin and its bounded queue; the thread starts with the first job.

    Threads cannot be killed: one whose call outlasts its deadline is abandoned where it hangs,
    and its plugin is disabled from then on.

    Args:
        account: the plugin's account.
        capacity: how many runs, measurements or other things may wait.
        deadline: how many seconds a call may take.
        retire: disables the plugin, for a reason.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        account: PluginStats,
        capacity: int,
        deadline: float,
        retire: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.account = account
        self._clock = clock
        self._capacity = capacity
        self._deadline = deadline
        self._retire = retire
        self._queue: deque[_Event | Questions] = deque()
        self._waiting = 0
        self._overruns = 0
        self._since: float | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake = threading.Condition()

    def tell(self, implementation: Implementation, arguments: Mapping[str, Any]) -> None:
        """Queue an event, or drop and count it when too much waits already."""
        weight = max((len(v) for v in arguments.values() if isinstance(v, list)), default=1)
        self.retire_if_hung(self._deadline)
        with self._wake:
            full = self._waiting > 0 and self._waiting + weight > self._capacity
            if full or not self.account.in_service:
                self.account.dropped_some(weight)
                return
            self._waiting += weight
            self._queue.append(_Event(implementation, arguments, weight))
            self._start()

    def ask(self, batch: Questions, deadline: float) -> list[Any]:
        """The answers there are by the deadline; None for the rest."""
        if threading.current_thread() is self._thread:
            self._answer(batch)
            return batch.answers
        with self._wake:
            if not self.account.in_service:
                return batch.answers
            self._queue.append(batch)
            self._start()
        in_time = batch.done.wait(deadline)
        batch.cancelled = True
        self._overruns = 0 if in_time else self._overruns + 1
        if not in_time:
            # One call that takes most of what all of them may is no slow call.
            self.retire_if_hung(deadline / 2)
        if self._overruns >= _OVERRUNS_ALLOWED:
            hook = batch.implementation.hook
            self._retire(f"{hook}: took over {deadline:g} s {self._overruns} times in a row")
        return list(batch.answers)

    def retire_if_hung(self, deadline: float | None = None) -> None:
        """Disable the plugin if its call here has been going on for too long."""
        since, limit = self._since, self._deadline if deadline is None else deadline
        if since is not None and self._clock() - since >= limit:
            self._retire(f"a call took longer than {limit:g} s")

    def finish(self) -> None:
        """Let the thread end once it has done what waits; returns at once."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()

    def close(self, until: float) -> None:
        """Finish what waits, up to a moment (monotonic seconds); the rest is dropped."""
        with self._wake:
            thread, self._closing = self._thread, True
            self._wake.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
        self.drop_all()

    def drop_all(self) -> None:
        """Drop and count what waits."""
        with self._wake:
            for job in self._queue:
                if isinstance(job, Questions):
                    job.done.set()
            self._queue.clear()
            self.account.dropped_some(self._waiting)
            self._waiting = 0
            self._wake.notify_all()

    def _start(self) -> None:
        # A thread does not survive a fork, and one that was closed has ended.
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(
                target=self._work, name=f"perfmon-{self.account.plugin}", daemon=True
            )
            self._thread.start()
        self._wake.notify()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, Questions):
                self._answer(job)
            else:
                self._call(job.implementation, job.arguments, None)

    def _next(self) -> _Event | Questions | None:
        with self._wake:
            while not self._queue:
                if self._closing or not self.account.in_service:
                    self._thread = None
                    return None
                self._wake.wait()
            job = self._queue.popleft()
            if isinstance(job, _Event):
                self._waiting -= job.weight
            return job

    def _answer(self, batch: Questions) -> None:
        for place, arguments in enumerate(batch.items):
            if batch.cancelled or not self.account.in_service:
                break
            batch.answers[place] = self._call(batch.implementation, arguments, batch.check)
        batch.done.set()

    def _call(
        self, implementation: Implementation, arguments: Mapping[str, Any], check: Check | None
    ) -> Any:
        self._since = started = self._clock()
        try:
            answer = implementation.run(arguments)
            return answer if answer is None or check is None else check(answer)
        except BaseException as problem:
            self.account.failed(implementation.hook, problem)
            return None
        finally:
            self._since = None
            self.account.called(self._clock() - started)
