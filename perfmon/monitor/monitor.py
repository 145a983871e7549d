"""The one place that wires things together."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from perfmon.accuracy.queries import AccuracyQueries
from perfmon.accuracy.remote_scoring import Later
from perfmon.accuracy.scoring import Scoring
from perfmon.alerts.evaluator import Alerting
from perfmon.config import MonitorTable
from perfmon.config.config import Config
from perfmon.delivery.outbox import Outbox
from perfmon.errors import ConfigError, PerfmonError, StorageError
from perfmon.metrics.history import History
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import minutes_of
from perfmon.monitor.alerts import Watching
from perfmon.monitor.forking import Forking, Sleeping, watch_forks
from perfmon.monitor.inputs import Inputs
from perfmon.monitor.instances import instance_of
from perfmon.monitor.logs import close_log, open_log
from perfmon.monitor.opening import journal_folder, journal_owner, open_journal, open_storage
from perfmon.monitor.outcomes import Measuring
from perfmon.monitor.reload import greet_plugins, prepared, replace_plugins
from perfmon.plugins.bus import MONITOR, Bus
from perfmon.plugins.discovery import Plugins
from perfmon.recording.conflicts import plain
from perfmon.recording.counts import Counts
from perfmon.recording.intake import Intake
from perfmon.recording.journal_rows import Row
from perfmon.recording.loading import load_lately
from perfmon.recording.other_processes import Others
from perfmon.recording.queue import Recorder
from perfmon.recording.tracking import record_left
from perfmon.recording.writer import Writer
from perfmon.records import to_micros
from perfmon.storage.storage import Clock
from perfmon.window.cells import HOUR
from perfmon.window.recent import CHUNK
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Window

_log = logging.getLogger("perfmon")
_time_ns = time.time_ns
_PURGED_AT_ONCE = 10_000
_COMPACT_SECONDS = 0.1  # of every second, after a purge


class PerformanceMonitor(Forking, Measuring, Watching):
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

    Attributes:
        config: the configuration that is in force.
        window_size_minutes: what "now" means when nobody asks for another window.
        hook: every hook as a function that takes keywords: `monitor.hook.run_finished(run=...)`.

    Raises:
        ConfigError: the configuration has mistakes, all of them listed.
        PluginError: a plugin cannot be loaded.
        StorageError: storage cannot be opened.
    """

    _reads_only = False
    """Whether storage is opened without making or changing anything there."""

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
        loaded = config if isinstance(config, Config) else Config.load(Path(config))
        self._overrides: dict[str, Any] = {
            "window_size_minutes": window_size_minutes,
            "alert_thresholds": alert_thresholds,
            "storage_url": storage_url,
        }
        self._may_alert = enable_auto_alerts
        self._reloading = threading.Lock()
        self.config = loaded.with_overrides(**self._overrides)
        self._instance = instance_of(self.config)
        self.window_size_minutes = self.config.monitor.window_size_minutes
        self.enable_auto_alerts = enable_auto_alerts and self.config.alerts.enabled
        self.enable_trend_analysis = enable_trend_analysis
        super().__init__()
        self.clock = clock
        self._wall = clock is None
        self.bus = Bus()
        self.hook = self.bus.hook
        self.plugins = Plugins(self.config)
        self.plugins.register_all(self.bus)
        self.bus.register(Inputs(self), MONITOR)
        self.scoring = Scoring(self.bus, self.config)
        self.vocabulary = Vocabulary()
        self.recorder = Recorder(None)
        self._counts = Counts()
        self._writer: Writer | None = None
        self._log_file: logging.Handler | None = None
        self._shown_at: str | None = None
        self._closed = False
        self._next_purge = 0.0
        self._has_free_pages = False
        self._open()
        watch_forks(self)
        _open_ones.add(self)

    def _open(self) -> None:
        """Open storage and journal, and make what stands on them."""
        settings = self.config.monitor
        self.storage = open_storage(self.bus, settings.storage, read_only=self._reads_only)
        self._owner = journal_owner(settings.storage, self.storage)
        before = self.recorder
        try:
            journal = open_journal(settings, self._owner)
        except StorageError:
            journal = None  # what fills the disk may be stored in a moment
        self.recorder = Recorder(journal, synced=settings.durability == "power")
        self._append_run = self.recorder.append_run
        window = Window(
            self.vocabulary, settings.retention_hours * HOUR, settings.max_runs_in_memory
        )
        self.intake = Intake(
            self.recorder,
            window,
            self.storage,
            self.bus,
            self.now_us,
            remember=settings.max_runs_in_memory + 2 * CHUNK,
            counts=self._counts,
            compare=self.scoring.score,
            priority=self._source_priority_of,
        )
        self.intake.others = Others(self.intake, self.now_us, settings)
        history = History(self.storage, self.vocabulary)
        self.queries = Queries(
            self.intake, history, self.bus, self.config, self.now_us,
            flush=self.store_now, with_trends=self.enable_trend_analysis,
        )  # fmt: skip
        self.later = Later(self.intake, self.scoring)
        self.accuracy_queries = AccuracyQueries(self.queries, self.intake, self.store_now)
        self.outbox = Outbox(
            self.storage,
            self.bus,
            self.now_us,
            # A clock of one's own is all the time there is, for waiting too.
            steady=time.monotonic if self.clock is None else self._seconds,
            firing=lambda: self.alerting.firing,
            # Made only after the outbox that it is given.
            accepts=lambda sink, alert: self.alerting.accepts(sink, alert),  # noqa: PLW0108
        )
        self.alerting = Alerting(
            self.config, self.storage, self.intake, self.queries, self.bus, self.outbox,
            self.now_us, in_flight=self.get_in_flight, is_on=self.enable_auto_alerts,
            link=self._shown_at, flights=self.in_flight,
        )  # fmt: skip
        self.intake.learn_agents()
        self.intake.recover(journal_folder(settings), self._owner)
        if journal is None:
            self.recorder.begin(open_journal(settings, self._owner))
        self.recorder.take_over(before)
        before.close(keep=False)
        self.in_flight.forget_saved()
        with contextlib.suppress(StorageError):  # they are looked at again
            self.in_flight.look(self.storage, at_once=True)

    def _source_priority_of(self, agent_name: str) -> list[str]:
        return self.config.source_priority_of(agent_name)  # of today's, after a reload too

    def _seconds(self) -> float:
        return self.now_us() / 1e6

    def now_us(self) -> int:
        """The clock's time in UTC microseconds."""
        if self.clock is None:
            return _time_ns() // 1_000
        return to_micros(self.clock())

    # Life

    def start(self) -> Self:
        """Load history into the window and store in the background from now on."""
        if self._closed:
            self._reopen()
        if self._writer is not None and self._writer.is_alive:
            return self
        if self.config.monitor.log_file is not None and self._log_file is None:
            self._log_file = open_log(self.config.monitor.log_file)
        loaded = self._load(self.config.monitor.retention_hours)
        _log.info("perfmon started: %d runs and measurements of history in memory", loaded)
        self.intake.matcher.join_the_rest()
        self._writer = Writer(self.intake, self._chores)
        self._writer.start()
        self.alerting.start()
        self.bus.publish("monitor_started", monitor=self)
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Store what was recorded and end; waits at most `timeout` seconds for storage.

        What is recorded from now on is dropped and counted. What could not be stored in time
        is in the journal, for the next start.
        """
        if self._closed:
            return
        record_left()
        self._closed = True
        if isinstance(self.intake, Sleeping):
            self._wake_if_recorded()
        deadline = time.monotonic() + timeout
        self.bus.publish("monitor_stopping", monitor=self)
        if not isinstance(self.alerting, Sleeping):
            self.alerting.stop(min(timeout, 2.0))
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop(timeout)
        self.later.stop(min(timeout, 2.0))
        self.recorder.shut()
        if not isinstance(self.intake, Sleeping):
            self._store_the_rest(deadline)
        self.bus.close(min(timeout, 2.0))
        self.later.stop(min(timeout, 2.0))  # what was cut off now
        self.recorder.close(keep=self._is_waiting)
        if not isinstance(self.intake, Sleeping):
            self.intake.conflicts.look(is_last=True)
        if not isinstance(self.storage, Sleeping):
            with contextlib.suppress(StorageError):
                self.in_flight.save(self.storage, is_last=True)
            self.storage.close()
        if self._log_file is not None:
            close_log(self._log_file)
            self._log_file = None

    def _wake_if_recorded(self) -> None:
        if len(self.recorder):
            with contextlib.suppress(PerfmonError):
                self.wake_after_fork()

    def _store_the_rest(self, deadline: float) -> None:
        try:
            self.store_now(deadline)
            if self.config.monitor.durability == "power":
                self.storage.sync()
        except StorageError as problem:
            _log.warning("stopped with runs that are not stored yet: %s", problem)
        self.recorder.refuse_bulks()

    @property
    def _is_waiting(self) -> bool:
        if isinstance(self.intake, Sleeping):
            return len(self.recorder) > 0
        return self.intake.pending > 0

    def _reopen(self) -> None:
        self._closed = False
        waiting: tuple[list[Row], list[Row]] = ([], [])
        if not isinstance(self.intake, Sleeping):
            waiting = self.intake.unstored_rows()
        self._open()
        self.recorder.take_back(waiting)

    def reload(self, config: str | os.PathLike[str] | Config | None = None) -> list[str]:
        """Take up a changed configuration while it runs: all of it, or nothing.

        Alert rules, thresholds, `[accuracy]`, `[scores]`, `[agents]`, and the plugins whose table
        changed (sinks and scorers are made anew) go over at once; the keywords the monitor was
        made with still win. None is the file it came from.

        Returns:
            What takes a restart, and stays as it was: `[monitor] storage` and the like.

        Raises:
            ConfigError, PluginError: it has mistakes, all of them listed; nothing has changed.
        """
        if config is None:
            config = self.config.path
        if config is None:
            raise ConfigError(["the configuration came from no file; give reload() one"])
        loaded = config if isinstance(config, Config) else Config.load(Path(config))
        with self._reloading:
            wanted = loaded.with_overrides(**self._overrides)
            change = prepared(wanted, self.config, self.plugins)
            running = self if self._writer is not None else None
            replace_plugins(self.bus, change, self.plugins, running)
            self.config, self.plugins = change.config, change.plugins
            self.window_size_minutes = self.config.monitor.window_size_minutes
            self.enable_auto_alerts = self._may_alert and self.config.alerts.enabled
            self.scoring.reload(self.config)
            self.queries.reload(self.config)
            self.alerting.reload(self.config, is_on=self.enable_auto_alerts)
            if running is not None:
                self.alerting.start()
            greet_plugins(self.bus, change, running)
        return list(change.later)

    def show_at(self, url: str) -> None:
        """The dashboard is at this address, for messages without `[alerts] link`."""
        self._shown_at = url
        self.alerting.show_at(url)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _chores(self) -> None:
        self.intake.look_at_storage()
        self.intake.conflicts.look()
        self.later.look()
        self.in_flight.save(self.storage)
        self.in_flight.look(self.storage)
        if self.queries.trending is not None:
            self.queries.trending.look_back()
        if time.monotonic() >= self._next_purge:
            # In parts, so that storing goes on in between.
            rest = self.purge(_PURGED_AT_ONCE) >= _PURGED_AT_ONCE
            self._next_purge = time.monotonic() + (0.0 if rest else 3600.0)
            self._has_free_pages = True
        elif self._has_free_pages:
            self._has_free_pages = self.storage.compact(_COMPACT_SECONDS)

    def purge(self, limit: int | None = None) -> int:
        """Forget stored runs and cells beyond their retention; returns rows removed.

        At most `limit` of each kind; without one, unused space is given back, too.
        What is stored in memory is kept as long as the window.
        """
        settings, now = self.config.monitor, self.now_us()
        runs, cells = (round(days * 24 * HOUR) for days in _kept_days(settings))
        removed = self.storage.purge(now - runs, now - cells, limit=limit)
        while limit is None and self.storage.compact(_COMPACT_SECONDS):
            pass
        return removed

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was recorded so far is committed.

        Where nothing runs in the background, remote scorers are asked first.

        Raises:
            StorageError: it is not, after `timeout` seconds (None: as long as it takes).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        record_left()
        writer = self._writer
        if writer is None or not writer.is_alive:
            self.store_now(deadline)
            self.later.finish()
        else:
            target = self.recorder.entered + self._counts.recovered
            writer.hurry()
            if not self.intake.wait_settled(target, deadline, lambda: self._writer is not writer):
                reason = self.intake.storage_error or "storage is slow"
                raise StorageError(f"not everything is stored yet: {reason}")
        if self.config.monitor.durability == "power":
            self.storage.sync()

    def store_now(self, deadline: float | None = None) -> None:
        """Take in and store in the caller's thread."""
        self.intake.take_in()
        while self.intake.unstored:
            self.intake.store_all(deadline)
            self.intake.take_in()

    def sync_with_database(self, lookback_hours: float = 24) -> int:
        """Load history into the window; returns how many runs and measurements were new to it.

        Those that came from other processes since the last time are counted in.

        Raises:
            InvalidRun: the hours are none.
            StorageError: storage does not answer.
        """
        hours = minutes_of(lookback_hours, "lookback_hours")
        self.flush()
        return self._load(hours)

    def _load(self, hours: float) -> int:
        self.intake.others.begin()
        loaded = load_lately(self.intake, hours, self.now_us(), self.config.monitor)
        return loaded + self.intake.others.brought()

    def get_stats(self) -> dict[str, Any]:
        """The monitor's own accounts; what was recorded before is seen.

        `events_buffered` is how many runs the window holds. In runs and measurements,
        recorded = stored + duplicate + conflict + rejected + dropped + pending, in runs and
        measurements.
        """
        self._catch_up()
        alerts = self.alerting.stats()
        intake, counts = self.intake, self.intake.counts
        with intake.taking, intake.lock:
            pending = intake.pending
            dropped = self.recorder.dropped + counts.dropped
            # Counted where they come in, so that the sum of what became of them can be checked.
            recorded = (
                self.recorder.entered + self.recorder.dropped + counts.rejected + counts.recovered
            )
            window_runs = len(intake.window)
        described = self._described()
        return {
            "events_buffered": window_runs,
            "agents_tracked": len({key[:2] for key in self.vocabulary.agents()}),
            "accuracy_measurements": counts.measurements,
            "active_alerts": alerts["firing"],
            "monitoring_active": self._writer is not None and self._writer.is_alive,
            "recorded": recorded,
            "stored": counts.stored,
            "duplicate": counts.duplicate,
            "conflict": counts.conflict,
            "superseded_predictions": counts.superseded,
            "rejected": counts.rejected,
            "dropped": dropped,
            "pending": pending,
            "cut": counts.cut,
            "recovered": counts.recovered,
            "damaged": counts.damaged,
            "in_flight": len(self.in_flight.runs),
            "in_flight_dropped": self.in_flight.dropped,
            "conflicts": self.recent_conflicts(),
            "runs_in_memory": window_runs,
            "folded_keys": self.vocabulary.folded,
            "instance": self._instance,
            "storage": described,
            "storage_error": intake.storage_error or described.get("error"),
            "alerts": alerts,
            "plugins": self.bus.accounts(),
        }

    @property
    def dropped(self) -> int:
        """How many runs and measurements were lost since it was made, for want of room."""
        return self.recorder.dropped + self._counts.dropped

    def check(self) -> None:
        """Raise `StorageError` where storage does not answer just now; for a readiness probe."""
        self.storage.check()

    def recent_conflicts(self) -> list[dict[str, Any]]:
        """Those of the last 24 hours by agent, of every process on this storage."""
        try:
            return [plain(one) for one in self.intake.conflicts.since(self.now_us() - 24 * HOUR)]
        except StorageError:
            return []

    def _catch_up(self) -> None:
        """See what was recorded before, as every question does; alerts where nobody else looks."""
        if self._closed:
            return
        self.intake.take_in(with_bulks=False)
        if self._writer is None:
            with contextlib.suppress(StorageError):  # what is known without it is told
                self.alerting.look_now()
            if self.intake.has_open_measurements:
                self.accuracy_queries.settle()

    def _described(self) -> dict[str, Any]:
        try:
            return self.storage.describe()
        except StorageError as problem:
            return {"error": str(problem)}

    def plugin(self, name: str) -> Any:
        """A loaded plugin by name; `PluginError` where it is not loaded."""
        return self.plugins.get(name)


class ReadingMonitor(PerformanceMonitor):
    """One for looking at a storage: it makes and changes nothing there."""

    _reads_only = True


def _kept_days(settings: MonitorTable) -> tuple[float, float]:
    """How long runs and cells are kept, in days."""
    if settings.storage.startswith("memory:"):
        return settings.retention_hours / 24, settings.retention_hours / 24 + 1 / 24
    return settings.keep_runs_days, settings.keep_cells_days


_open_ones: weakref.WeakSet[PerformanceMonitor] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """A program that just ends loses nothing of what it recorded."""
    for monitor in list(_open_ones):
        monitor.stop(timeout=5.0)
