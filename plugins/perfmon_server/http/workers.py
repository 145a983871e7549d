"""A few daemon threads for slow calls; one that hangs does not delay shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from perfmon_server.http.errors import Refusal

Result = TypeVar("Result")


class Workers:
    """Runs calls in its own threads, never in the event loop's default executor.

    Python waits for the default executor's threads when it ends, however long they hang.

    Args:
        name: what the threads are called.
        threads: how many calls run at the same time.
        waiting: how many more may wait for their turn; beyond that, `Refusal` 503.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(waiting)
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[..., Result], *args: Any, seconds: float) -> Result:
        """The result of the call, or `Refusal` 503 when it takes longer than `seconds`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        try:
            self._calls.put_nowait(partial(_perform, call, args, future, loop))
        except queue.Full:
            raise Refusal(503, "overloaded", "too many requests are waiting") from None
        try:
            # Not `wait_for`, which before Python 3.12 may swallow a cancellation.
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            message = f"no answer within {seconds:g} s; the request may still be carried out"
            raise Refusal(503, "too_slow", message) from None

    def close(self) -> None:
        """Let the threads end after their calls; does not wait for them."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()
        for _ in self._threads:
            with contextlib.suppress(queue.Full):
                self._calls.put_nowait(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _perform(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    future: asyncio.Future[Any],
    loop: asyncio.AbstractEventLoop,
) -> None:
    if future.cancelled():
        return
    try:
        result = call(*args)
    except BaseException as problem:
        outcome = partial(_settle, future, None, problem)
    else:
        outcome = partial(_settle, future, result, None)
    # The loop is closed when the server went away meanwhile: nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(outcome)


def _settle(future: asyncio.Future[Any], result: Any, problem: BaseException | None) -> None:
    if future.done():
        return
    if problem is None:
        future.set_result(result)
    else:
        future.set_exception(problem)
