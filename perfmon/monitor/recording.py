"""Recording of runs: checked, queued and stored in the background."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from perfmon.errors import InvalidRun, StorageError
from perfmon.monitor.rows import RowPage
from perfmon.recording.bulk_validation import json_items, quick_rows
from perfmon.recording.in_flight import InFlight
from perfmon.recording.journal_rows import Row
from perfmon.recording.resources import counted
from perfmon.recording.tracking import Home, TrackedRun
from perfmon.recording.wrappers import Wrapped, watched
from perfmon.records import AgentRun, Receipt, Rejection
from perfmon.records.content import CUT, OWN_STAMP, recorded_run, when
from perfmon.records.validation import (
    MAX_JSON,
    RUN_FIELDS,
    STATUS_CODES,
    quick_json,
    text,
)

_MAX_KNOWN = 20_000
_time_ns = time.time_ns
_NUMBER = frozenset((int, float))
_ERROR = RUN_FIELDS.index("error_type")


class RecordingPage(RowPage):
    """What a monitor can be told of runs."""

    _append_run: Callable[[Row], None]
    _wall: bool

    def __init__(self) -> None:
        super().__init__()
        # Words and keys that were checked before, so that the quick way need not.
        self._known: set[tuple[Any, ...]] = set()
        self._known_errors: set[str] = set()
        self.in_flight = InFlight()
        self._flying = self.in_flight.runs

    def record_agent_run(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None,
        status: str,
        duration_ms: float | None = None,
        tokens_used: float | None = None,
        cost: float | None = None,
        memory_mb: float | None = None,
        cpu_ms: float | None = None,
        quality_score: float | None = None,
        confidence: float | None = None,
        error_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        input_tokens: float | None = None,
        output_tokens: float | None = None,
        cached_tokens: float | None = None,
        model: str | None = None,
        task_type: str | None = None,
        api_calls: int | None = None,
        retries: int | None = None,
        timed_out: bool = False,
        task_id: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
    ) -> None:
        """Record one run; see `AgentRun` for the fields and their units.

        Returns within microseconds, and never waits for storage, a sink or the network beyond a
        bounded moment. `timestamp` is when the run ended, by default now; `task_type` takes
        precedence over one in the metadata. `agent_type`, `model`, `task_type` and `error_type`
        are truncated if too long, metadata over 64 KiB of JSON is dropped: the run counts as `cut`.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        # The quick way takes what is plainly good; the slow way converts or refuses the rest.
        row: Row | None = None
        try:
            kind = task_type
            if metadata is None:
                details = None
            else:
                encoded = quick_json(metadata)
                is_plain = len(encoded) <= MAX_JSON and type(metadata) is dict
                details = encoded.decode() if is_plain else False
                if kind is None:
                    kind = metadata.get("task_type")
            tokens = tokens_used
            if tokens is None and (input_tokens is not None or output_tokens is not None):
                tokens = (input_tokens or 0) + (output_tokens or 0)
            if (
                (tenant, agent_name, agent_type, model, kind) in self._known
                and type(run_id) is str
                and 0 < len(run_id) <= 512
                and "\0" not in run_id
                and run_id.isascii()
                and not run_id.isspace()
                and (
                    duration_ms is None
                    or (type(duration_ms) in _NUMBER and 0 <= duration_ms <= 1e15)
                )
                and (tokens is None or (type(tokens) in _NUMBER and 0 <= tokens <= 1e15))
                and (
                    input_tokens is None
                    or (type(input_tokens) in _NUMBER and 0 <= input_tokens <= 1e15)
                )
                and (
                    output_tokens is None
                    or (type(output_tokens) in _NUMBER and 0 <= output_tokens <= 1e15)
                )
                and (
                    cached_tokens is None
                    or (type(cached_tokens) in _NUMBER and 0 <= cached_tokens <= 1e15)
                )
                and (cost is None or (type(cost) in _NUMBER and 0 <= cost <= 1e15))
                and (memory_mb is None or (type(memory_mb) in _NUMBER and 0 <= memory_mb <= 1e15))
                and (cpu_ms is None or (type(cpu_ms) in _NUMBER and 0 <= cpu_ms <= 1e15))
                and (
                    quality_score is None
                    or (type(quality_score) in _NUMBER and 0 <= quality_score <= 1)
                )
                and (confidence is None or (type(confidence) in _NUMBER and 0 <= confidence <= 1))
                and (api_calls is None or (type(api_calls) is int and 0 <= api_calls <= 2147483647))
                and (retries is None or (type(retries) is int and 0 <= retries <= 2147483647))
                and (timed_out is False or timed_out is True)
                and (error_type is None or error_type in self._known_errors)
                and (
                    task_id is None
                    or (
                        type(task_id) is str
                        and 0 < len(task_id) <= 512
                        and "\0" not in task_id
                        and task_id.isascii()
                        and not task_id.isspace()
                    )
                )
                and details is not False
            ):
                at, added = _time_ns() // 1_000 if self._wall else self.now_us(), OWN_STAMP
                if timestamp is not None:
                    at, added = when(timestamp, at)
                row = (
                    run_id,
                    tenant,
                    agent_name,
                    agent_type,
                    model,
                    kind,
                    at,
                    STATUS_CODES[status],
                    duration_ms,
                    tokens,
                    input_tokens,
                    output_tokens,
                    cached_tokens,
                    cost,
                    memory_mb,
                    cpu_ms,
                    quality_score,
                    confidence,
                    api_calls,
                    retries,
                    1 if timed_out else 0,
                    error_type,
                    task_id,
                    details,
                    added,
                )
        except Exception:  # noqa: S110 - objects may raise anything, and the slow way says it
            pass
        if row is not None:
            self._append_run(row)
            if self._flying:
                self._flying.pop((tenant, run_id, agent_name), None)
            if self._writer is None:
                self._take_in_if_many()
            return
        self.record_fields(
            dict(
                run_id=run_id,
                agent_name=agent_name,
                agent_type=agent_type,
                status=status,
                duration_ms=duration_ms,
                tokens_used=tokens_used,
                cost=cost,
                memory_mb=memory_mb,
                cpu_ms=cpu_ms,
                quality_score=quality_score,
                confidence=confidence,
                error_type=error_type,
                metadata=metadata,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cached_tokens=cached_tokens,
                model=model,
                task_type=task_type,
                api_calls=api_calls,
                retries=retries,
                timed_out=timed_out,
                task_id=task_id,
                tenant=tenant,
                timestamp=timestamp,
            )
        )

    def record_fields(self, fields: Mapping[str, Any]) -> None:
        """Record a run given as a mapping of `AgentRun`'s fields."""
        with self._counting():
            row = self._checked(fields)
        self._count_cut(_cut([row]))
        self._append_run(row)
        self.in_flight.end([row])
        if self._writer is None:
            self._take_in_if_many()

    def _checked(self, fields: Mapping[str, Any]) -> Row:
        """The row of a run, whose words the quick way knows from now on."""
        row = recorded_run(fields, self.now_us())
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        tenant, agent_name, agent_type, model, task_type = row[1:6]
        self._known.add((tenant, agent_name, agent_type, model, task_type))
        error_type = row[_ERROR]
        if error_type is not None:
            if len(self._known_errors) > _MAX_KNOWN:
                self._known_errors.clear()
            self._known_errors.add(error_type)
        return row

    def record_agent_runs(
        self, runs: Iterable[Mapping[str, Any] | AgentRun] | bytes, *, wait: bool = True
    ) -> Receipt:
        """Record many runs, given as `AgentRun`s or mappings of their fields.

        The bytes of a JSON array of such objects are accepted as well, and are the fastest.

        Invalid ones are rejected one by one, with their index, and the valid ones kept. With
        `wait` it returns once they are committed, so `accepted`, `duplicates` and `conflicts` are
        exact; without it, everything not rejected or dropped is `pending`.
        """
        rows, rejected = [], []
        items = runs if isinstance(runs, (list, bytes)) else list(runs)
        quick = quick_rows(items, self._known, self._known_errors, self.now_us())
        for index, row in enumerate(quick):
            if row is not None:
                rows.append(row)
                continue
            if isinstance(items, bytes):
                items = json_items(items)
            try:
                rows.append(self._row(items[index]))
            except InvalidRun as problem:
                rejected.append(Rejection(index=index, field=problem.field, message=str(problem)))
        receipt = self._record_rows(rows, [], rejected, wait=wait, cut=_cut(rows))
        if not (rejected and receipt.conflicts):
            return receipt
        refused = {one.index for one in rejected}
        places = [index for index in range(len(items)) if index not in refused]
        conflicts = [attrs.evolve(one, index=places[one.index]) for one in receipt.conflicts]
        return attrs.evolve(receipt, conflicts=tuple(conflicts))

    def _row(self, run: Mapping[str, Any] | AgentRun) -> Row:
        fields = attrs.asdict(run, recurse=False) if isinstance(run, AgentRun) else run
        if not isinstance(fields, Mapping):
            raise InvalidRun("run", fields, "an object of a run's fields")
        return self._checked(fields)

    def run_started(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        tenant: str = "default",
    ) -> bool:
        """Report that a run has started; it is in flight until the run of this tenant, ID and
        agent is recorded.

        Returns:
            Whether it is noted. It is not where too many runs are in flight already; recording
            it works all the same.

        Raises:
            InvalidRun: as recording it would.
        """
        whose = text("tenant", tenant)  # not given to the hook, it would be the default
        dropped = self.in_flight.dropped
        self.hook.run_started(
            run_id=run_id,
            agent_name=agent_name,
            agent_type=agent_type,
            metadata=metadata,
            tenant=whose,
        )
        flying = self.in_flight
        return flying.dropped == dropped or (whose, run_id, agent_name) in flying.runs

    def get_in_flight(self) -> list[dict[str, Any]]:
        """Runs in flight (started, not ended), oldest first, of all processes on this storage."""
        if self._writer is None:  # nobody else brings them up to date
            with contextlib.suppress(StorageError):
                storage = self._parts.storage
                self.in_flight.look(storage)
                self.in_flight.save(storage)
        return self.in_flight.plain(self.now_us())

    def track(self, agent_name: str, agent_type: str | None = None, **fields: Any) -> TrackedRun:
        """Record a block as a run: `with monitor.track("planner", "react") as run: ...`.

        Also `async with`. Records duration, the exception's class, and the run's own CPU time and
        memory, as far as they can be measured; see `TrackedRun`. Never raises errors of its own,
        and never swallows the program's exceptions.
        """
        return TrackedRun(
            self._home, {"agent_name": agent_name, "agent_type": agent_type, **fields}
        )

    @property
    def _home(self) -> Home:
        return Home(self.record_agent_run, self.now_us, self._flying.__len__)

    def watch(
        self, agent_name: str, agent_type: str | None = None, **fields: Any
    ) -> Callable[[Wrapped], Wrapped]:
        """A decorator that records each call of a function, method, class or callable as a run.

        The run lasts until the result of the call has ended: a coroutine, future or other
        awaitable, a generator or stream (also as an attribute of a response, or one of several in
        a tuple, list or dictionary), or a context manager. `TrackedRun` says how results end that
        were never awaited, or were closed or dropped early. Files, and objects that return their
        stream from a method, end when they are returned.
        """
        return lambda target: watched(lambda: self.track(agent_name, agent_type, **fields), target)

    def counted(self, work: Any) -> Any:
        """Count the CPU time of work in another thread or task towards the current run.

        Takes a function, `pool.submit(monitor.counted(function), ...)`, or a coroutine,
        `asyncio.create_task(monitor.counted(coroutine))`, and returns the same to use instead. If
        such work has not ended when its run does, the run's CPU time is unknown; other threads are
        noticed, and make it unknown, only while no other run is open.
        """
        return counted(work)


def _cut(rows: Sequence[Row]) -> int:
    """Of how many runs something was too large."""
    return sum(bool(row[-1] & CUT) for row in rows)
