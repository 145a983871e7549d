"""The one place that wires things together."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import msgspec

from perfmon.alerts import breaches
from perfmon.bus import Bus
from perfmon.checks import (
    MAX_JSON,
    RUN_FIELDS,
    STATUS_CODES,
    checked_measurement,
    checked_run,
    stamp,
    text,
)
from perfmon.config import Config
from perfmon.errors import InvalidRun, PerfmonError, StorageError
from perfmon.history import History
from perfmon.hookspecs import hookimpl
from perfmon.ids import new_id
from perfmon.intake import BATCH, Intake
from perfmon.journal import Journal
from perfmon.plugins import Plugins
from perfmon.queries import Asked, Moment, Queries
from perfmon.recorder import Bulk, Recorder, Row
from perfmon.records import (
    AccuracyMeasurement,
    AgentPerformance,
    AgentRun,
    AlertLevel,
    PerformanceAlert,
    PerformanceMetrics,
    Receipt,
    Rejection,
    Scope,
    Series,
    Trend,
    from_micros,
    jsonable,
    to_micros,
)
from perfmon.report import add_recommendations, build_report
from perfmon.roles import Clock, Storage
from perfmon.scores import health_score, health_status
from perfmon.tracking import TrackedRun, Wrapped, watched
from perfmon.window.cells import HOUR
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Window
from perfmon.writer import Writer

_log = logging.getLogger("perfmon")
_INF = float("inf")
_MAX_IN_FLIGHT = 100_000
_MAX_KNOWN = 20_000
_TAKE_IN_AT = 10_000
_encode_json = msgspec.json.Encoder().encode
_time_ns = time.time_ns
_NUMBER = frozenset((int, float))
_QUICK_PROBLEMS = (TypeError, AttributeError, ValueError, KeyError, OverflowError, RecursionError)
_ERROR = RUN_FIELDS.index("error_type")


class PerformanceMonitor:
    """Records runs and outcomes, and answers for them.

    Works for recording and reading without being started; nothing runs in the background then.
    `start()` (or `with`) loads history and stores in the background; `stop()` may be called at
    any time, twice too.

    Args:
        config: a path to a `monitor.toml`, or a `Config`; keywords win over it.
        window_size_minutes: what "now" means when nobody asks for another window.
        alert_thresholds: overrides of `[alerts.thresholds]`, by name.
        enable_auto_alerts: whether thresholds are evaluated.
        enable_trend_analysis: whether metrics carry trends.
        storage_url: any SQLAlchemy URL; `memory:` keeps nothing.
        clock: tells the time; for tests and replays.

    Raises:
        ConfigError: the configuration has mistakes, all of them listed.
        PluginError: a plugin cannot be loaded.
        StorageError: storage cannot be opened.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config | None = None,
        *,
        window_size_minutes: int | None = None,
        alert_thresholds: Mapping[str, float] | None = None,
        enable_auto_alerts: bool = True,
        enable_trend_analysis: bool = True,
        storage_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if config is None:
            config = Config()
        loaded = config if isinstance(config, Config) else Config.load(config)
        self.config = loaded.with_overrides(
            window_size_minutes=window_size_minutes,
            alert_thresholds=alert_thresholds,
            storage_url=storage_url,
        )
        self.window_size_minutes = self.config.monitor.window_size_minutes
        self.enable_auto_alerts = enable_auto_alerts and self.config.alerts.enabled
        self.enable_trend_analysis = enable_trend_analysis
        self.clock = clock
        self._wall = clock is None
        self.bus = Bus()
        self.hook = self.bus.hook
        self.plugins = Plugins(self.config)
        self.plugins.register_all(self.bus)
        self.bus.register(_Inputs(self), "monitor")
        self.vocabulary = Vocabulary()
        self._known: set[tuple[Any, ...]] = set()
        self._known_errors: set[str] = set()
        self._in_flight: dict[str, dict[str, Any]] = {}
        self._counts_lock = threading.Lock()
        self._writer: Writer | None = None
        self._closed = False
        self._next_purge = 0.0
        self._open()
        _alive.add(self)

    def _open(self) -> None:
        """Open storage and journal, and make what stands on them."""
        settings = self.config.monitor
        self.storage = self._open_storage(settings.storage)
        self.recorder = Recorder(self._open_journal())
        self._append_run = self.recorder.append_run
        window = Window(self.vocabulary, settings.retention_hours * HOUR, settings.max_runs_in_memory)
        self.intake = Intake(
            self.recorder, window, self.storage, self.bus, self.now_us, settings.max_runs_in_memory
        )
        history = History(self.storage, self.vocabulary)
        self.queries = Queries(
            self.intake, history, self.bus, self.config, self.now_us,
            flush=self._store_now, with_trends=self.enable_trend_analysis,
        )  # fmt: skip
        self.queries.learn_agents()
        self.intake.recover()

    def _open_storage(self, url: str) -> Storage:
        storage: Storage | None = self.bus.ask("open_storage", url=url, propagate=PerfmonError)
        if storage is None:
            scheme = url.split(":", 1)[0]
            raise StorageError(
                f"no plugin opens storage of the kind '{scheme}:' (see `perfmon plugins`)"
            )
        return storage

    def _open_journal(self) -> Journal | None:
        settings = self.config.monitor
        folder = _journal_folder(settings.storage, settings.journal)
        if settings.durability == "memory" or folder is None:
            return None
        try:
            return Journal(folder, settings.journal_max_mb * 2**20)
        except OSError as problem:
            raise StorageError(f"the journal in {folder} cannot be made: {problem}") from None

    def now_us(self) -> int:
        """The clock's time in UTC microseconds."""
        if self.clock is None:
            return _time_ns() // 1_000
        return to_micros(self.clock())

    # Life

    def start(self) -> PerformanceMonitor:
        """Load history into the window and store in the background from now on."""
        if self._closed:
            self._reopen()
        if self._writer is not None and self._writer.is_alive:
            return self
        self._load(self.config.monitor.retention_hours)
        self._writer = Writer(self.intake, self._chores)
        self._writer.start()
        self.bus.publish("monitor_started", monitor=self)
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Store what was recorded and end; waits at most `timeout` seconds for storage."""
        if self._closed:
            return
        self.bus.publish("monitor_stopping", monitor=self)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop(timeout)
        try:
            self.flush(timeout)
        except StorageError as problem:
            _log.warning("stopped with runs that are not stored yet: %s", problem)
        self._closed = True
        self.bus.close(min(timeout, 2.0))
        if self.recorder.journal is not None:
            self.recorder.journal.close(keep=self.intake.pending > 0)
        self.storage.close()

    def _reopen(self) -> None:
        self._closed = False
        self._open()

    def __enter__(self) -> PerformanceMonitor:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _chores(self) -> None:
        self.queries.look_back()
        if time.monotonic() >= self._next_purge:
            self._next_purge = time.monotonic() + 3600
            self.purge()

    def purge(self) -> int:
        """Forget stored runs and cells beyond their retention; returns rows removed."""
        settings, now = self.config.monitor, self.now_us()
        day = 24 * HOUR
        return self.storage.purge(
            now - round(settings.keep_runs_days * day), now - round(settings.keep_cells_days * day)
        )

    # Recording

    def record_agent_run(  # noqa: PLR0915 - the recording path: microseconds, so all in one place
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
        api_calls: int = 1,
        retries: int = 0,
        timed_out: bool = False,
        task_id: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
    ) -> None:
        """Record one run; see `AgentRun` for the fields and their units.

        Returns in microseconds, and never waits for storage, a sink or the network beyond a
        bounded moment. `timestamp` is when the run ended, by default now.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        # The quick way takes what is plainly good. Anything else, an unusual type or a bad
        # value, goes the slow way, which converts it or says what is wrong.
        try:
            if metadata is None:
                task_type = details = None
            else:
                task_type = metadata.get("task_type")
                details = _encode_json(metadata).decode()
            tokens = tokens_used
            if tokens is None and (input_tokens is not None or output_tokens is not None):
                tokens = (input_tokens or 0) + (output_tokens or 0)
            if (
                (tenant, agent_name, agent_type, model, task_type) in self._known
                and type(run_id) is str
                and 0 < len(run_id) <= 512
                and "\0" not in run_id
                and (duration_ms is None or (type(duration_ms) in _NUMBER and 0 <= duration_ms <= 1e15))
                and (tokens is None or (type(tokens) in _NUMBER and 0 <= tokens <= 1e15))
                and (input_tokens is None or (type(input_tokens) in _NUMBER and 0 <= input_tokens <= 1e15))
                and (output_tokens is None or (type(output_tokens) in _NUMBER and 0 <= output_tokens <= 1e15))
                and (cached_tokens is None or (type(cached_tokens) in _NUMBER and 0 <= cached_tokens <= 1e15))
                and (cost is None or (type(cost) in _NUMBER and 0 <= cost <= 1e15))
                and (memory_mb is None or (type(memory_mb) in _NUMBER and 0 <= memory_mb <= 1e15))
                and (cpu_ms is None or (type(cpu_ms) in _NUMBER and 0 <= cpu_ms <= 1e15))
                and (quality_score is None or (type(quality_score) in _NUMBER and 0 <= quality_score <= 1))
                and (confidence is None or (type(confidence) in _NUMBER and 0 <= confidence <= 1))
                and type(api_calls) is int
                and 0 <= api_calls <= 2147483647
                and type(retries) is int
                and 0 <= retries <= 2147483647
                and (timed_out is False or timed_out is True)
                and (error_type is None or error_type in self._known_errors)
                and (task_id is None or (type(task_id) is str and 0 < len(task_id) <= 512 and "\0" not in task_id))
                and (details is None or len(details) <= MAX_JSON)
            ):
                now = _time_ns() // 1_000 if self._wall else self.now_us()
                self._append_run(
                    (
                        run_id, tenant, agent_name, agent_type, model, task_type,
                        now if timestamp is None else stamp("timestamp", timestamp, now),
                        STATUS_CODES[status], duration_ms, tokens, input_tokens, output_tokens,
                        cached_tokens, cost, memory_mb, cpu_ms, quality_score, confidence,
                        api_calls, retries, 1 if timed_out else 0, error_type, task_id, details,
                    )
                )  # fmt: skip
                if self._in_flight:
                    self._in_flight.pop(run_id, None)
                if self._writer is None:
                    self._take_in_if_many()
                return
        except _QUICK_PROBLEMS:
            pass
        self._record_slowly(
            dict(
                run_id=run_id, agent_name=agent_name, agent_type=agent_type, status=status,
                duration_ms=duration_ms, tokens_used=tokens_used, cost=cost, memory_mb=memory_mb,
                cpu_ms=cpu_ms, quality_score=quality_score, confidence=confidence,
                error_type=error_type, metadata=metadata, input_tokens=input_tokens,
                output_tokens=output_tokens, cached_tokens=cached_tokens, model=model,
                api_calls=api_calls, retries=retries, timed_out=timed_out, task_id=task_id,
                tenant=tenant, timestamp=timestamp,
            )
        )  # fmt: skip

    def _record_slowly(self, fields: Mapping[str, Any]) -> None:
        row = self._checked(fields)
        self._append_run(row)
        self._in_flight.pop(row[0], None)
        if self._writer is None:
            self._take_in_if_many()

    def _checked(self, fields: Mapping[str, Any]) -> Row:
        """The row of a run, whose words the quick way knows from now on."""
        try:
            row = checked_run(fields, self.now_us())
        except InvalidRun:
            with self._counts_lock:
                self.intake.counts.rejected += 1
            raise
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

    def _take_in_if_many(self) -> None:
        if self.intake.pending >= _TAKE_IN_AT:
            with contextlib.suppress(StorageError):
                self._store_now()

    def record_agent_runs(
        self, runs: Iterable[Mapping[str, Any] | AgentRun], *, wait: bool = True
    ) -> Receipt:
        """Record many runs, given as mappings of the fields of `AgentRun`, or as such.

        Bad ones are refused one by one, with their index, and the good ones kept. With `wait`
        it returns when they are committed, so that `accepted` and `duplicates` are exact.
        """
        rows, rejected = [], []
        for index, run in enumerate(runs):
            try:
                fields = attrs.asdict(run, recurse=False) if isinstance(run, AgentRun) else run
                rows.append(self._row(fields))
            except InvalidRun as problem:
                rejected.append(Rejection(index=index, field=problem.field, message=str(problem)))
        return self._record_rows(rows, [], rejected, wait=wait)

    def _row(self, fields: Mapping[str, Any]) -> Row:
        if not isinstance(fields, Mapping):
            raise InvalidRun("run", fields, "an object of a run's fields")
        return self._checked(fields)

    def _record_rows(
        self, runs: list[Row], measurements: list[Row], rejected: list[Rejection], *, wait: bool
    ) -> Receipt:
        if self._in_flight:
            for row in runs:
                self._in_flight.pop(row[0], None)
        if not wait:
            for row in runs:
                self._append_run(row)
            for row in measurements:
                self.recorder.append_measurement(row)
            if self._writer is None:
                self._take_in_if_many()
            return Receipt(
                accepted=len(runs) + len(measurements), rejected=tuple(rejected), stored=False
            )
        bulk = Bulk(runs, measurements)
        self._await(bulk)
        return Receipt(
            accepted=bulk.accepted,
            duplicates=bulk.duplicates,
            rejected=tuple(rejected),
            stored=bulk.stored,
        )

    def _await(self, bulk: Bulk) -> None:
        if bulk.done.is_set():
            return
        self.recorder.append_bulk(bulk)
        writer = self._writer
        if writer is None:
            with contextlib.suppress(StorageError):
                self._store_now()
            return
        writer.hurry()
        while not bulk.done.wait(1.0):
            if not writer.is_alive:
                with contextlib.suppress(StorageError):
                    self._store_now()

    def record_accuracy(
        self,
        agent_name: str,
        task_id: str,
        predicted_outcome: Any,
        actual_outcome: Any,
        feedback_source: str = "user",
        metadata: Mapping[str, Any] | None = None,
        *,
        confidence: float | None = None,
        model: str | None = None,
        task_type: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
        measurement_id: str | None = None,
    ) -> AccuracyMeasurement:
        """Compare a prediction with what really happened, and record the measurement.

        Outcomes are any JSON values. `measurement_id` makes a repeat harmless: by default every
        call is a measurement of its own.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        row = self._measurement_row(
            dict(
                agent_name=agent_name, task_id=task_id, predicted_outcome=predicted_outcome,
                actual_outcome=actual_outcome, feedback_source=feedback_source, metadata=metadata,
                confidence=confidence, model=model, task_type=task_type, tenant=tenant,
                timestamp=timestamp, measurement_id=measurement_id,
            )
        )  # fmt: skip
        self.recorder.append_measurement(row)
        if self._writer is None:
            self._take_in_if_many()
        return AccuracyMeasurement.from_row(row)

    def record_accuracies(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> tuple[list[AccuracyMeasurement | None], Receipt]:
        """Record many measurements, given as mappings of `record_accuracy`'s arguments.

        The list has None where an item was refused.
        """
        rows: list[Row] = []
        rejected: list[Rejection] = []
        measured: list[AccuracyMeasurement | None] = []
        for index, item in enumerate(items):
            try:
                row = self._measurement_row(_known_fields(item))
            except InvalidRun as problem:
                rejected.append(Rejection(index=index, field=problem.field, message=str(problem)))
                measured.append(None)
            else:
                rows.append(row)
                measured.append(AccuracyMeasurement.from_row(row))
        return measured, self._record_rows([], rows, rejected, wait=wait)

    def _measurement_row(self, fields: dict[str, Any]) -> Row:
        try:
            fields["measurement_id"] = fields.get("measurement_id") or new_id()
            if fields.get("accuracy_score") is None:
                score, scorer = self._score(fields["predicted_outcome"], fields["actual_outcome"])
                fields["accuracy_score"], fields["scorer"] = score, scorer
            return checked_measurement(fields, self.now_us())
        except InvalidRun:
            with self._counts_lock:
                self.intake.counts.rejected += 1
            raise

    def _score(self, predicted: Any, actual: Any) -> tuple[float, str]:
        """The first scorer's answer and its name; plain equality where none has one."""
        named = self.bus.ask_named(
            "score_outcome", check=_in_range, predicted=predicted, actual=actual
        )
        if named is not None:
            return named[1], named[0]
        return float(type(predicted) is type(actual) and predicted == actual), "equality"

    def run_started(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Say that a run begins; it is in flight until a run of this id is recorded."""
        self.hook.run_started(
            run_id=run_id, agent_name=agent_name, agent_type=agent_type, metadata=metadata
        )

    def get_in_flight(self) -> list[dict[str, Any]]:
        """Runs that began and did not end yet, the oldest first."""
        now = self.now_us()
        return [
            {**run, "age_seconds": (now - to_micros(run["started_at"])) / 1e6}
            for run in list(self._in_flight.values())
        ]

    def track(self, agent_name: str, agent_type: str | None = None, **fields: Any) -> TrackedRun:
        """A block that is a run: `with monitor.track("planner", "react") as run: ...`.

        Also `async with`. Records duration, CPU, memory and the exception's class, and never
        raises into the host nor swallows its exceptions.
        """
        return TrackedRun(
            self.record_agent_run, {"agent_name": agent_name, "agent_type": agent_type, **fields}
        )

    def watch(
        self, agent_name: str, agent_type: str | None = None, **fields: Any
    ) -> Callable[[Wrapped], Wrapped]:
        """A decorator: each call of the function, sync or async, is a run."""
        return lambda function: watched(
            lambda: self.track(agent_name, agent_type, **fields), function
        )

    # Reading

    def get_system_metrics(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> PerformanceMetrics:
        """What happened in the last minutes, or in `[since, until)`; see `PerformanceMetrics`.

        Raises:
            InvalidRun: the window is none.
        """
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.system(asked, _scope(tenant, model, agent_type))

    def get_agent_metrics(
        self,
        agent_name: str,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> AgentPerformance:
        """One agent; `status` is `unknown` for one that was never seen."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        return self.queries.agent(text("agent_name", agent_name), asked, scope)

    def get_all_agent_metrics(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, AgentPerformance]:
        """Every agent by name, those without runs in the window too (`inactive`)."""
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.agents(asked, _scope(tenant, model, agent_type))

    def get_trends(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Trend]:
        """Success rate, latency, cost and accuracy against the window before."""
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.trends(asked, _scope(tenant, model, agent_type, agent_name))

    def get_timeseries(
        self,
        metric: str,
        step_minutes: float = 5,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> Series:
        """A field of `PerformanceMetrics` in consecutive steps; from history in whole hours."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type, agent_name)
        return self.queries.timeseries(metric, step_minutes, asked, scope)

    def get_error_patterns(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> list[dict[str, Any]]:
        """Error classes, most frequent first: count, share of runs, agents with their counts."""
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.error_patterns(asked, _scope(tenant, model, agent_type, agent_name))

    def compare(
        self,
        window_minutes: float | None = None,
        against: str | tuple[Moment, Moment] = "previous",
        *,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """A window beside another one: `current`, `against`, and the relative `changes`."""
        scope = _scope(tenant, model, agent_type, agent_name)
        minutes = self.window_size_minutes if window_minutes is None else window_minutes
        return self.queries.compare(minutes, against, scope)

    def get_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        *,
        state: str | None = None,
        since: Moment = None,
    ) -> list[PerformanceAlert]:
        """What is beyond its threshold now, with evidence: the system's, then each agent's."""
        if not self.enable_auto_alerts or state not in (None, "firing"):
            return []
        if level is not None and level not in tuple(AlertLevel):
            raise InvalidRun("level", level, "info, warning or critical")
        asked = self._asked(None, None, None)
        limits = self.thresholds
        found = list(breaches(self.queries.system(asked, Scope()), limits))
        for name, agent in self.queries.agents(asked, Scope()).items():
            found += breaches(agent.metrics, limits, name)
        first = None if since is None else from_micros(stamp("since", since, None))
        return [
            alert
            for alert in found
            if (level is None or alert.level == level)
            and (agent_name is None or alert.agent_name == agent_name)
            and (first is None or alert.timestamp >= first)
        ][:limit]

    @property
    def thresholds(self) -> dict[str, float]:
        """The limits by name, as configured."""
        return attrs.asdict(self.config.alerts.thresholds)

    def get_health(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """`status` (healthy, degraded, unhealthy, no_data), `health_score`, `timestamp`."""
        metrics = self.get_system_metrics(
            time_window_minutes,
            since=since,
            until=until,
            tenant=tenant,
            model=model,
            agent_type=agent_type,
        )
        score = health_score(metrics, self.thresholds["latency_p95_max_ms"])
        return {
            "status": health_status(score),
            "health_score": None if score is None else round(score, 1),
            "timestamp": from_micros(self.now_us()),
        }

    def generate_report(
        self,
        include_agents: bool = True,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """The report as JSON values; `render_report` makes text, Markdown or HTML of it."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        found = self.queries.overview(asked, scope, include_agents=include_agents)
        report = build_report(
            generated_at=self.now_us(),
            window=found.window,
            metrics=found.metrics,
            agents=found.agents,
            trends=found.trends,
            error_patterns=found.error_patterns,
            thresholds=self.thresholds,
            alerts=self.get_alerts() if asked.rolling and scope.is_everything else [],
        )
        advice = self.bus.ask_all("recommend", report=report)
        add_recommendations(report, [item for part in advice for item in part])
        return report

    def _asked(self, minutes: float | None, since: Moment, until: Moment) -> Asked:
        if minutes is None and since is None and until is None:
            minutes = self.window_size_minutes
        return self.queries.asked(minutes, since, until)

    # Keeping

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was recorded so far is committed.

        Raises:
            StorageError: it is not, after `timeout` seconds (None: as long as it takes).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self.intake.take_in()
        writer = self._writer
        if writer is None or not writer.is_alive:
            self._store_now()
        else:
            writer.hurry()
            if not self.intake.wait_stored(deadline):
                reason = self.intake.storage_error or "storage is slow"
                raise StorageError(f"not everything is stored after {timeout} s: {reason}")
        if self.config.monitor.durability == "power":
            self.storage.sync()

    def _store_now(self) -> None:
        """Take in and store in the caller's thread."""
        self.intake.take_in()
        while self.intake.unstored:
            self.intake.store_all()
            self.intake.take_in()

    def sync_with_database(self, lookback_hours: float = 24) -> int:
        """Load history into the window; returns how many runs and measurements were new to it."""
        if not lookback_hours > 0:
            raise InvalidRun("lookback_hours", lookback_hours, "a number of hours above 0")
        self.flush()
        return self._load(lookback_hours)

    def _load(self, hours: float) -> int:
        settings = self.config.monitor
        until = self.now_us() + 1
        since = until - round(min(hours, settings.retention_hours) * HOUR)
        limit = settings.max_runs_in_memory
        loaded, oldest, seen = 0, since, 0
        for rows in self.storage.read_runs(since, until, Scope(), limit=limit):
            for start in range(0, len(rows), BATCH):
                loaded += self.intake.load(rows[start : start + BATCH], [])
            seen += len(rows)
            oldest = min(oldest, rows[0][6]) if seen == len(rows) else oldest
        for rows in self.storage.read_measurements(since, until, Scope(), limit=limit):
            loaded += self.intake.load([], rows)
        if seen < limit:
            known = self.queries.covers_from
            self.queries.covers_from = since if known is None else min(known, since)
        self.queries.learn_agents()
        return loaded

    def get_stats(self) -> dict[str, Any]:
        """The monitor's own accounts.

        recorded = stored + duplicate + rejected + dropped + pending, in runs and measurements.
        """
        intake, counts = self.intake, self.intake.counts
        with intake.lock:
            pending = intake.pending
            dropped = self.recorder.dropped
            recorded = counts.stored + counts.duplicate + counts.rejected + dropped + pending
            window_runs = len(intake.window)
        return {
            "events_buffered": pending,
            "agents_tracked": len({key[:2] for key in list(self.vocabulary.keys.values)}),
            "accuracy_measurements": counts.measurements,
            "active_alerts": len(self.get_alerts(limit=10_000)),
            "monitoring_active": self._writer is not None and self._writer.is_alive,
            "recorded": recorded,
            "stored": counts.stored,
            "duplicate": counts.duplicate,
            "rejected": counts.rejected,
            "dropped": dropped,
            "pending": pending,
            "recovered": counts.recovered,
            "damaged": counts.damaged,
            "in_flight": len(self._in_flight),
            "runs_in_memory": window_runs,
            "folded_keys": self.vocabulary.folded,
            "storage": self.storage.describe(),
            "storage_error": intake.storage_error,
            "plugins": self.bus.accounts(),
        }

    def plugin(self, name: str) -> Any:
        """A loaded plugin by name; `PluginError` where it is not loaded."""
        return self.plugins.get(name)


class _Inputs:
    """The hooks an orchestrator calls to record."""

    def __init__(self, monitor: PerformanceMonitor) -> None:
        self._monitor = weakref.ref(monitor)

    def _get(self) -> PerformanceMonitor:
        monitor = self._monitor()
        if monitor is None:
            raise PerfmonError("the monitor of this hook is gone")
        return monitor

    @hookimpl
    def run_started(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        monitor = self._get()
        if len(monitor._in_flight) < _MAX_IN_FLIGHT:  # noqa: SLF001 - the monitor's own part
            monitor._in_flight[text("run_id", run_id, 512)] = {  # noqa: SLF001
                "run_id": run_id,
                "agent_name": text("agent_name", agent_name),
                "agent_type": agent_type,
                "metadata": jsonable(metadata),
                "started_at": from_micros(monitor.now_us()),
            }

    @hookimpl
    def run_finished(self, run: AgentRun) -> None:
        self._get()._record_slowly(attrs.asdict(run, recurse=False))  # noqa: SLF001

    @hookimpl
    def outcome_known(self, measurement: AccuracyMeasurement) -> None:
        monitor = self._get()
        row = monitor._measurement_row(attrs.asdict(measurement, recurse=False))  # noqa: SLF001
        monitor.recorder.append_measurement(row)


_MEASUREMENT_ARGUMENTS = frozenset(
    (
        "agent_name", "task_id", "predicted_outcome", "actual_outcome", "feedback_source",
        "metadata", "confidence", "model", "task_type", "tenant", "timestamp", "measurement_id",
    )
)  # fmt: skip


def _known_fields(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise InvalidRun("measurement", item, "an object of a measurement's fields")
    for name in item:
        if name not in _MEASUREMENT_ARGUMENTS:
            raise InvalidRun(str(name), item[name], f"one of {', '.join(sorted(_MEASUREMENT_ARGUMENTS))}")
    for name in ("agent_name", "task_id", "predicted_outcome", "actual_outcome"):
        if name not in item:
            raise InvalidRun(name, None, "given")
    return dict(item)


def _scope(
    tenant: str | None,
    model: str | None,
    agent_type: str | None,
    agent_name: str | None = None,
) -> Scope:
    return Scope(tenant=tenant, model=model, agent_type=agent_type, agent_name=agent_name)


def _in_range(score: Any) -> float:
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise ValueError(f"score_outcome answered {score!r}, not a number in [0, 1]")
    return float(score)


def _journal_folder(url: str, configured: str | None) -> Path | None:
    """Beside the database file, or in the current folder for a database on a server."""
    scheme, _, rest = url.partition(":")
    if scheme == "memory" or url in ("sqlite://", "sqlite:///:memory:"):
        return None
    if configured is not None:
        return Path(configured)
    if scheme.startswith("sqlite"):
        return Path(rest.removeprefix("///").split("?")[0] + ".journal")
    return Path("perfmon.journal")


_alive: weakref.WeakSet[PerformanceMonitor] = weakref.WeakSet()
_current: PerformanceMonitor | None = None
_current_lock = threading.Lock()


def init_performance_monitor(
    config: str | os.PathLike[str] | None = None,
    *,
    window_size_minutes: int | None = None,
    alert_thresholds: Mapping[str, float] | None = None,
    enable_auto_alerts: bool = True,
    enable_trend_analysis: bool = True,
    storage_url: str | None = None,
    clock: Clock | None = None,
) -> PerformanceMonitor:
    """Make and start the process's monitor, stopping the one before.

    `config` is a path to a `monitor.toml`; keywords win over it. See `PerformanceMonitor`.
    """
    global _current  # noqa: PLW0603 - one monitor a process is what this function is for
    with _current_lock:
        if _current is not None:
            _current.stop()
        _current = PerformanceMonitor(
            config,
            window_size_minutes=window_size_minutes,
            alert_thresholds=alert_thresholds,
            enable_auto_alerts=enable_auto_alerts,
            enable_trend_analysis=enable_trend_analysis,
            storage_url=storage_url,
            clock=clock,
        ).start()
        return _current


def get_performance_monitor() -> PerformanceMonitor:
    """The process's monitor; a default one is made where there is none."""
    if _current is None:
        return init_performance_monitor()
    return _current
