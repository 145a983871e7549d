"""Recording a run by running it: `with monitor.track(...)` and `@monitor.watch(...)`."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from perfmon.checks import RUN_FIELDS, checked_run
from perfmon.errors import InvalidRun, PerfmonError
from perfmon.ids import new_id

_log = logging.getLogger("perfmon")
Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])
Record = Callable[..., None]
_KNOWN = frozenset(RUN_FIELDS)
_NEEDED = ("run_id", "agent_name", "status")


def resident_mb() -> float | None:
    """The process's resident memory in MiB now (its peak where the system only tells that)."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    with suppress(ImportError, OSError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return None


class TrackedRun:
    """A run under way. What is set on it is recorded when its block ends.

    Attributes are those of `record_agent_run`: `tokens_used`, `cost`, `quality_score`,
    `metadata`, ... Unless set, `status` is `success`, `failure` where the block raised, and
    `partial` where it is part of a generator that was closed before its end.
    """

    agent_name: str
    agent_type: str | None
    duration_ms: float | None
    tokens_used: float | None
    input_tokens: float | None
    output_tokens: float | None
    cached_tokens: float | None
    cost: float | None
    memory_mb: float | None
    cpu_ms: float | None
    quality_score: float | None
    confidence: float | None
    api_calls: int
    retries: int
    model: str | None
    task_id: str | None
    tenant: str
    timestamp: datetime | float | None
    metadata: Mapping[str, Any] | None

    def __init__(self, record: Record, fields: dict[str, Any]) -> None:
        self.run_id: str = fields.pop("run_id", None) or new_id()
        self.status: str | None = None
        self.timed_out = False
        self.error_type: str | None = None
        self.__dict__.update(fields)
        self._record = record
        self._started = 0.0
        self._cpu: float | None = None

    def _begin(self, *, own_thread: bool) -> None:
        # Of an async block the thread's CPU time is everybody's.
        self._cpu = time.thread_time() if own_thread else None
        self._started = time.perf_counter()

    def _finish(self, problem: BaseException | None) -> None:
        # The host's own work is never disturbed by what it told us about it.
        try:
            self._record(**_mended(self._told(problem)))
        except PerfmonError as refused:
            _log.warning("a tracked run was not recorded: %s", refused)
        except Exception:
            _log.exception("a tracked run was not recorded")

    def _told(self, problem: BaseException | None) -> dict[str, Any]:
        """What was set on the run, and what was measured where it was not."""
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        fields.setdefault("duration_ms", (time.perf_counter() - self._started) * 1000)
        if self._cpu is not None:
            fields.setdefault("cpu_ms", max(time.thread_time() - self._cpu, 0.0) * 1000)
        fields.setdefault("memory_mb", resident_mb())
        if isinstance(problem, GeneratorExit):
            # Whoever asked for the items has enough of them: no error, and not all of the work.
            fields["status"] = self.status or "partial"
        elif problem is not None:
            fields["status"] = self.status or "failure"
            fields["error_type"] = self.error_type or type(problem).__name__
            fields["timed_out"] = self.timed_out or isinstance(problem, TimeoutError)
        else:
            fields["status"] = self.status or "success"
        return fields

    def __enter__(self) -> Self:
        self._begin(own_thread=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(problem)

    async def __aenter__(self) -> Self:
        self._begin(own_thread=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(problem)


def _mended(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what a run cannot have: strange names go to the metadata, bad values are left out."""
    strange = {name: fields.pop(name) for name in set(fields) - _KNOWN}
    if strange:
        _log.warning("a tracked run has no %s: kept in its metadata", ", ".join(sorted(strange)))
        given = fields.get("metadata")
        if given is not None and not isinstance(given, Mapping):
            given = {"metadata": given}
        fields["metadata"] = {**(given or {}), **strange}
    for _ in range(len(fields)):
        try:
            checked_run(fields, None)
        except InvalidRun as wrong:
            name = wrong.field.partition(".")[0]  # metadata.task_type is the metadata's
            if name not in fields or name in _NEEDED:
                return fields
            _log.warning("a tracked run's %s; %s is left out", wrong, name)
            del fields[name]
        else:
            break
    return fields


def watched(make: Callable[[], TrackedRun], function: Wrapped) -> Wrapped:
    """The function, each call of it a tracked run; of a generator, each iteration over it."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def watching_items_async(*args: Any, **kwargs: Any) -> Any:
            async with make(), aclosing(function(*args, **kwargs)) as items:
                # What `yield from` does, which async generators have not.
                step = anext(items)
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = items.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as problem:
                        step = items.athrow(problem)

        return watching_items_async  # type: ignore[return-value]

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def watching_items(*args: Any, **kwargs: Any) -> Any:
            with make() as run:
                # Between two items the thread works for whoever asked for them.
                run.cpu_ms = None
                return (yield from function(*args, **kwargs))

        return watching_items  # type: ignore[return-value]

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def watching_async(*args: Any, **kwargs: Any) -> Any:
            async with make():
                return await function(*args, **kwargs)

        return watching_async  # type: ignore[return-value]

    @functools.wraps(function)
    def watching(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return watching  # type: ignore[return-value]
