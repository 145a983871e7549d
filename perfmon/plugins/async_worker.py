"""Runs a plugin's coroutines concurrently, each with a deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, NamedTuple

from perfmon.config.secret import redacted
from perfmon.plugins.accounts import Check, PluginStats

PATIENCE = 120.0
"""How many seconds an answer may take where the plugin has no `deadline` of its own."""
_GRACE = 5.0  # for a coroutine to end itself, and for its plugin's own deadline to come first


class RemoteAnswer(NamedTuple):
    """An answer, or why there is none; neither is a plugin that passes."""

    answer: Any = None
    problem: str | None = None


class Remote:
    """An event loop of a plugin on a thread of its own, which starts with the first question.

    Any number of callers wait at once. A coroutine that is too slow is cancelled, and its plugin
    stays in service: being slow is no disease of what is far away. A loop that does not even
    cancel it (something in it blocks) is abandoned, and its plugin is disabled.

    Args:
        account: the plugin's account.
        deadline: how many seconds an answer may take, with all that the plugin tries again.
        retire: disables the plugin, for a reason.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        account: PluginStats,
        deadline: float,
        retire: Callable[[str], None],
        clock: Callable[[], float],
        grace: float = _GRACE,
    ) -> None:
        self._account = account
        self._deadline = deadline
        self._retire = retire
        self._clock = clock
        self._grace = grace
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Future[Any]] = set()

    def ask(
        self,
        hook: str,
        function: Callable[..., Any],
        values: tuple[Any, ...],
        check: Check | None,
        deadline: float | None = None,
        propagate: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> RemoteAnswer:
        """Wait for the answer of an `async def` function, in the caller's thread.

        `deadline` is for this answer; None is the plugin's. Errors of the classes `propagate`
        are counted and reach the caller.
        """
        account, patience = self._account, self._deadline if deadline is None else deadline
        if not account.in_service:
            return RemoteAnswer(
                None, f"plugin {account.plugin!r} is disabled: {account.last_error}"
            )
        if threading.current_thread() is self._thread:
            return RemoteAnswer(None, f"plugin {account.plugin!r} cannot wait for itself")
        started = self._clock()
        future = self._submitted(self._timed(function, values, patience))
        over = threading.Event()  # `wait` would not wake for a future that is cancelled
        future.add_done_callback(lambda _: over.set())
        try:
            over.wait(patience + self._grace)
            if not future.done():
                future.cancel()
                self._retire(f"{hook}: took over {patience:g} s and cannot be stopped")
                return RemoteAnswer(None, account.last_error)
            answer = future.result()
            return RemoteAnswer(answer if answer is None or check is None else check(answer))
        except CancelledError:
            return RemoteAnswer(None, f"{hook}: the monitor stopped")
        except Exception as problem:
            account.failed(hook, problem)
            if isinstance(problem, propagate):
                raise
            return RemoteAnswer(None, f"{type(problem).__name__}: {redacted(problem)}")
        finally:
            self._open.discard(future)
            account.called(self._clock() - started)

    def close(self, until: float) -> None:
        """Let what is under way finish, up to a moment (monotonic seconds), and cancel the rest."""
        with self._starting:
            loop, thread, under_way = self._loop, self._thread, self._open
            self._loop, self._thread, self._open = None, None, set()
        if loop is None or thread is None or not thread.is_alive():
            return
        wait(under_way.copy(), max(0.0, until - time.monotonic()))
        for future in under_way.copy():  # nobody waits for one that blocks its loop
            future.cancel()
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread() and self._account.in_service:
            thread.join(max(0.5, until - time.monotonic()))

    async def _timed(
        self, function: Callable[..., Any], values: tuple[Any, ...], deadline: float
    ) -> Any:
        try:
            async with asyncio.timeout(deadline) as limit:
                return await function(*values)
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"no answer within {deadline:g} s") from None
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise RuntimeError("it was cancelled") from None
            raise
        except (SystemExit, KeyboardInterrupt) as problem:  # which would end the loop for all
            raise RuntimeError(f"it raised {type(problem).__name__}") from problem

    def _submitted(self, asked: Coroutine[Any, Any, Any]) -> Future[Any]:
        with self._starting:
            loop = self._loop
            # A thread does not survive a fork.
            if loop is None or self._thread is None or not self._thread.is_alive():
                loop = self._start()
            future = asyncio.run_coroutine_threadsafe(asked, loop)
            self._open.add(future)
            return future

    def _start(self) -> asyncio.AbstractEventLoop:
        ready: Future[asyncio.AbstractEventLoop] = Future()

        def work() -> None:
            with asyncio.Runner() as runner:  # which cancels at its end what is still under way
                loop = runner.get_loop()
                ready.set_result(loop)
                loop.run_forever()

        name = f"perfmon-{self._account.plugin}-remote"
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._thread.start()
        self._loop = ready.result()
        return self._loop
