"""Calls that may hang: in a daemon thread that nothing has to wait for, not even the exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def in_thread(call: Callable[..., Result], *args: object, name: str = "perfmon") -> Future[Result]:
    """Call a function in a daemon thread of its own.

    Wait for it with a deadline, `in_thread(call).result(5.0)`, or from a coroutine, `await
    asyncio.wrap_future(in_thread(call))`. Threads cannot be killed: one that is late is left
    behind, holds up neither its caller nor the exit, and goes on until it ends by itself.

    Args:
        call: what it raises is the future's exception.
        *args: what it is called with.
        name: the thread's.
    """
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # so that it cannot be cancelled, which would say less

    def work() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as problem:
            future.set_exception(problem)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
