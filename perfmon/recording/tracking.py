"""Tracked runs: what was set on them, and what was measured."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from perfmon.config.validators import did_you_mean
from perfmon.errors import InvalidRun, PerfmonError, spelled
from perfmon.recording.resources import THREAD, Meter
from perfmon.records.ids import new_id
from perfmon.records.validation import RUN_FIELDS, check_given

_log = logging.getLogger("perfmon")
Record = Callable[..., None]
_KNOWN = frozenset(RUN_FIELDS)
_NEEDED = ("run_id", "agent_name", "status")
_MOST_STRANGE = 1_000
_process = os.getpid()
MEASURED = "measured"
"""The key of a run's metadata that says where its measured amounts come from."""


class Home(NamedTuple):
    """Where runs are recorded: how, what the time is there, and how many are open beside these."""

    record: Record
    now_us: Callable[[], int]
    others: Callable[[], int] | None = None


class TrackedRun:
    """A run in progress. What is set on it is recorded when it ends.

    Attributes are those of `record_agent_run`: `tokens_used`, `cost`, `quality_score`,
    `metadata`, ... Unless set, `status` is

    - `success` if the block, or the result of the call, ran to its end;
    - `failure` if it raised, with the exception's class as `error_type`; this includes a cancelled
      task or coroutine (`CancelledError`);
    - `partial` if it started and was abandoned: a generator or stream that was closed or dropped
      early, or a result that was never awaited or read.

    A coroutine or generator *function* that never took a step did nothing, and is not a run.
    Unless set, `cpu_ms` and `memory_mb` are the run's own, where they can be measured (see
    `perfmon.recording.resources`); `metadata["measured"]` says where they come from:
    `growth`, `thread`, `steps` or `counted`.
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
    api_calls: int | None
    retries: int | None
    model: str | None
    task_id: str | None
    tenant: str
    timestamp: datetime | float | None
    metadata: Mapping[str, Any] | None

    def __init__(self, home: Home, fields: dict[str, Any]) -> None:
        self._open: list[bool] = []  # one token while it is under way, taken by who ends it
        self._failed: type[BaseException] | None = None  # how a part of it ended
        self._home = home
        self.run_id: str = fields.pop("run_id", None) or new_id()
        self.status: str | None = None
        self.timed_out = False
        self.error_type: str | None = None
        self.__dict__.update({str(name): value for name, value in fields.items()})

    def _begin(self, cpu: str | None) -> Meter:
        self._process = _process
        self._meter = Meter(cpu, self._home.others).begin()
        self._open.append(True)
        return self._meter

    def _finish(self, problem: BaseException | type[BaseException] | None) -> None:
        kind = problem if isinstance(problem, type) or problem is None else type(problem)
        # The host's own work is never disturbed by what it told us about it.
        try:
            self._open.pop()
        except IndexError:
            return  # it has ended before
        try:
            told = self._told(kind)
            if kind is not None and issubclass(kind, GeneratorExit):
                self._leave(told)
            else:
                _record(self._home.record, told)
        except Exception:
            _log.exception("a tracked run was not recorded")

    def _leave(self, told: dict[str, Any]) -> None:
        """Record it a little later: where this is called by the collector, locks may be held."""
        if told.get("timestamp") is None:
            told["timestamp"] = self._home.now_us() / 1e6
        _left.append((self._home.record, told))

    def __del__(self) -> None:
        try:
            if self._open and self._process == _process and not sys.is_finalizing():
                self._finish(self._failed or GeneratorExit)
        except Exception:  # noqa: S110 - at the end of an interpreter anything may be gone
            pass

    def _told(self, kind: type[BaseException] | None) -> dict[str, Any]:
        """What was set on the run, and what was measured where it was not."""
        meter = self._meter
        meter.end()
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        fields.setdefault("duration_ms", meter.duration * 1000)
        sources = {}
        for name in ("cpu_ms", "memory_mb"):
            found = getattr(meter, name)
            if found is not None and fields.setdefault(name, found.amount) is found.amount:
                sources[name] = found.source
        fields["metadata"] = with_sources(fields.get("metadata"), sources)
        if kind is not None and issubclass(kind, GeneratorExit):
            # Whoever asked for the items has enough of them: no error, and not all of the work.
            fields["status"] = self.status or "partial"
        elif kind is not None:
            fields["status"] = self.status or "failure"
            fields["error_type"] = self.error_type or kind.__name__
            fields["timed_out"] = self.timed_out or issubclass(kind, TimeoutError)
        else:
            fields["status"] = self.status or "success"
        return fields

    def __enter__(self) -> Self:
        self._entered = self._begin(THREAD).enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.leave(self._entered)
        self._finish(problem)

    async def __aenter__(self) -> Self:
        # Of an async block the thread's CPU time is everybody's.
        self._entered = self._begin(None).enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.leave(self._entered)
        self._finish(problem)


class _All:
    """The parts of a run: which are open, and whether others were left before their end."""

    __slots__ = ("left", "open")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.left = False


class RunPart:
    """What a run lasts as long as: it ends when all of its parts have; dropped, one was left.

    Attributes:
        run: the run.
        value: what is followed, where nobody else holds it.
    """

    __slots__ = ("_all", "_over", "run", "value")

    def __init__(
        self, run: TrackedRun, value: Any = None, *, beside: RunPart | None = None
    ) -> None:
        self.run = run
        self.value = value
        self._over = False
        self._all: _All = _All() if beside is None else beside._all  # noqa: SLF001 - of its own kind
        self._all.open.add(id(self))

    @property
    def meter(self) -> Meter:
        return self.run._meter  # noqa: SLF001 - a run's own part

    def end(self, problem: BaseException | None = None) -> None:
        """It came to its end, or to a bad one."""
        if self._over:
            return
        self._over = True
        every = self._all
        run = self.run
        # Of a problem only its class is kept: its traceback holds the frames that hold the parts.
        if isinstance(problem, GeneratorExit):
            every.left = True
        elif problem is not None and run._failed is None:  # noqa: SLF001 - a run's own part
            run._failed = type(problem)  # noqa: SLF001
        every.open.discard(id(self))
        if not every.open:
            run._finish(run._failed or (GeneratorExit if every.left else None))  # noqa: SLF001

    def __del__(self) -> None:
        with suppress(Exception):
            if not self._over and self.run._process == _process:  # noqa: SLF001
                # It never began; that it was never awaited is said once, of what the host had.
                close = getattr(self.value, "close", None)
                if hasattr(self.value, "cr_frame") and close is not None:
                    close()
                self.end(GeneratorExit())


_left: deque[tuple[Record, dict[str, Any]]] = deque()


def record_left() -> None:
    """Record the runs that were left, by closing or dropping what they were in the midst of."""
    while _left:
        with suppress(IndexError):  # somebody else takes them, too
            record, told = _left.popleft()
            try:
                _record(record, told)
            except Exception:
                _log.exception("a tracked run was not recorded")


def _forget() -> None:
    """In a forked child: what its parent tracks and left is its parent's."""
    global _process  # noqa: PLW0603 - asked for by every run, and a call of the system
    _process = os.getpid()
    _left.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _record(record: Record, told: dict[str, Any]) -> None:
    try:
        record(**_mended(told))
    except PerfmonError as refused:
        _log.warning("a tracked run was not recorded: %s", refused)


def with_sources(metadata: Any, sources: dict[str, str]) -> Any:
    """The metadata with where amounts come from, unless there is something else under that key."""
    if not sources:
        return metadata
    if metadata is None:
        return {MEASURED: sources}
    with suppress(Exception):  # the caller's own objects may raise anything
        if isinstance(metadata, Mapping) and MEASURED not in metadata:
            return {**metadata, MEASURED: sources}
    return metadata


def _mended(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what a run cannot have: strange names go to the metadata, bad values are left out."""
    if not _KNOWN.issuperset(fields):
        strange = {name: fields.pop(name) for name in set(fields) - _KNOWN}
        _say_once(strange)
        given = fields.get("metadata")
        if given is not None and not isinstance(given, Mapping):
            given = {"metadata": given}
        fields["metadata"] = {**(given or {}), **strange}
    for _ in range(len(fields)):
        try:
            check_given(fields)
        except InvalidRun as wrong:
            name = wrong.field.partition(".")[0]  # metadata.task_type is the metadata's
            if name not in fields or name in _NEEDED:
                return fields
            _log.warning("tracked run: %s; %s is ignored", wrong, name)
            del fields[name]
        else:
            break
    return fields


_said: set[str] = set()
_saying = threading.Lock()


def _say_once(strange: Mapping[str, Any]) -> None:
    """Each strange name is in the log once, with the one that was probably meant."""
    with _saying:
        new = sorted(set(strange) - _said) if len(_said) < _MOST_STRANGE else []
        _said.update(new)
    for name in new:
        meant = did_you_mean(name, _KNOWN).removeprefix("; ")
        hint = f" ({meant})" if meant else ""
        _log.warning(
            "tracked run: unknown field %s, stored in metadata%s; logged once", spelled(name), hint
        )
