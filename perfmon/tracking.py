"""Recording a run by running it: `with monitor.track(...)` and `@monitor.watch(...)`."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from perfmon.checks import RUN_FIELDS, checked_run
from perfmon.errors import InvalidRun, PerfmonError
from perfmon.ids import new_id

_log = logging.getLogger("perfmon")
Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])
Record = Callable[..., None]
_KNOWN = frozenset(RUN_FIELDS) - {"task_type"}
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
    `metadata`, ... `status` is `success`, or `failure` where the block raised, unless set.
    """

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
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        fields.setdefault("duration_ms", (time.perf_counter() - self._started) * 1000)
        if self._cpu is not None:
            fields.setdefault("cpu_ms", max(time.thread_time() - self._cpu, 0.0) * 1000)
        fields.setdefault("memory_mb", resident_mb())
        fields["status"] = self.status or ("success" if problem is None else "failure")
        if problem is not None:
            fields["error_type"] = self.error_type or type(problem).__name__
            fields["timed_out"] = self.timed_out or isinstance(problem, TimeoutError)
        try:
            self._record(**_mended(fields))
        except PerfmonError as refused:
            # The host's own work is never disturbed by what it told us about it.
            _log.warning("a tracked run was not recorded: %s", refused)

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
        fields["metadata"] = {**(fields.get("metadata") or {}), **strange}
    for _ in range(len(fields)):
        try:
            checked_run(fields, None)
        except InvalidRun as wrong:
            if wrong.field not in fields or wrong.field in _NEEDED:
                return fields
            _log.warning("a tracked run's %s; it is left out", wrong)
            del fields[wrong.field]
        else:
            break
    return fields


def watched(make: Callable[[], TrackedRun], function: Wrapped) -> Wrapped:
    """The function, each call of it a tracked run."""
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
