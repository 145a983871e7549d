"""The monitor object: its life cycle, and its own counters."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from perfmon.accuracy.scoring import Scoring
from perfmon.config import MonitorTable
from perfmon.config.config import Config
from perfmon.delivery.outbox import Outbox
from perfmon.errors import ConfigError, StorageError
from perfmon.metrics.ranges import minutes_of
from perfmon.monitor.alerts import AlertPage
from perfmon.monitor.forking import Forks, Sleeping
from perfmon.monitor.instances import instance_of
from perfmon.monitor.logs import close_log, open_log
from perfmon.monitor.outcomes import OutcomePage
from perfmon.monitor.parts import Parts, Setup
from perfmon.monitor.queries import QueryPage
from perfmon.monitor.recording import RecordingPage
from perfmon.monitor.recording_hooks import RecordingHooks
from perfmon.monitor.reload import greet_plugins, prepared, replace_plugins
from perfmon.monitor.stats import StatsPage
from perfmon.plugins.bus import MONITOR, Bus
from perfmon.plugins.discovery import Plugins
from perfmon.recording.tracking import record_left
from perfmon.recording.writer import Writer
from perfmon.storage.storage import Clock, Storage
from perfmon.window.cells import HOUR
from perfmon.window.vocabulary import Vocabulary

_log = logging.getLogger("perfmon")
_PURGED_AT_ONCE = 10_000
_COMPACT_SECONDS = 0.1  # of every second, after a purge


class PerformanceMonitor(RecordingPage, OutcomePage, QueryPage, AlertPage, StatsPage):
    """Records runs and outcomes, and reports on them.

    Works for recording and reading without being started; nothing runs in the background then.
    `start()` (or `with`) loads history and stores in the background; `stop()` may be called at
    any time, also twice.

    Args:
        config: a path to a `monitor.toml`, or a `Config`; keywords override it.
        window_size_minutes: the default window of queries.
        alert_thresholds: overrides of `[alerts.thresholds]`, by name.
        enable_auto_alerts: whether thresholds are evaluated.
        enable_trend_analysis: whether metrics carry trends.
        storage_url: any SQLAlchemy URL; `memory:` stores nothing.
        clock: returns the time, for tests and replays.

    Attributes:
        config: the configuration that is in force.
        window_size_minutes: the default window of queries.
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
        self.bus.register(RecordingHooks(self), MONITOR)
        self.scoring = Scoring(self.bus, self.config)
        self.vocabulary = Vocabulary()
        self._writer = None
        self._log_file: logging.Handler | None = None
        self._shown_at: str | None = None
        self._closed = False
        self._next_purge = 0.0
        self._has_free_pages = False
        self._forks = Forks(
            self.bus,
            current=self._open_parts,
            doze=self._doze,
            reopen=self._open,
            start=self.start,
        )
        self._use(Sleeping.parts(self.bus, self._forks.wake))
        self._open()
        _open_ones.add(self)

    def _open(self) -> Parts:
        """Open parts and go on with what those before have; or leave all as it was, and raise."""
        before = self._parts
        parts = Parts.open(self._setup(), before.counts)
        self._use(parts)
        try:
            parts.begin(before.queue)
        except BaseException:
            self._use(before)
            before.queue.take_over(parts.queue)
            parts.abandon()
            raise
        return parts

    def _setup(self) -> Setup:
        return Setup(
            config=self.config,
            bus=self.bus,
            scoring=self.scoring,
            vocabulary=self.vocabulary,
            now=self.now_us,
            # A clock of one's own is all the time there is, for waiting too.
            steady=time.monotonic if self.clock is None else self._seconds,
            in_flight=self.in_flight,
            runs_in_flight=self.get_in_flight,
            priority=self._source_priority_of,
            is_alerting=self.enable_auto_alerts,
            is_trending=self.enable_trend_analysis,
            link=self._shown_at,
            is_read_only=self._reads_only,
        )

    def _use(self, parts: Parts) -> None:
        self._parts, self._append_run = parts, parts.queue.append_run

    def _doze(self, parts: Parts) -> bool:
        """These sleep in the place of what is the parent's; whether it was started there."""
        was_started, self._writer = self._writer is not None, None
        self._use(parts)
        return was_started

    def _open_parts(self) -> Parts | None:
        return None if self._closed else self._parts

    def _source_priority_of(self, agent_name: str) -> list[str]:
        return self.config.source_priority_of(agent_name)  # of today's, after a reload too

    def _seconds(self) -> float:
        return self.now_us() / 1e6

    # Life

    def start(self) -> Self:
        """Load history into the window and store in the background from now on."""
        if self._closed:
            self._reopen()
        if self._writer is not None and self._writer.is_alive:
            return self
        if self.config.monitor.log_file is not None and self._log_file is None:
            self._log_file = open_log(self.config.monitor.log_file)
        parts = self._parts
        loaded = parts.load(self.config.monitor.retention_hours)
        _log.info("perfmon started: %d runs and measurements loaded from history", loaded)
        parts.intake.matcher.join_the_rest()
        self._writer = Writer(parts.intake, self._chores)
        self._writer.start()
        parts.evaluator.start()
        self.bus.publish("monitor_started", monitor=self)
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Store everything recorded and stop; waits at most `timeout` seconds for storage.

        Anything recorded afterwards is dropped and counted. What could not be stored in time
        stays in the journal for the next start.
        """
        if self._closed:
            return
        record_left()
        self._parts.wake_if_recorded()
        self._closed = True
        self.bus.publish("monitor_stopping", monitor=self)
        self._parts.close(timeout, self._stop_writer)
        if self._log_file is not None:
            close_log(self._log_file)
            self._log_file = None

    def _stop_writer(self, timeout: float) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop(timeout)

    def _reopen(self) -> None:
        unstored = self._parts.unstored_rows
        self._open().queue.take_back(unstored)
        self._closed = False

    def reload(self, config: str | os.PathLike[str] | Config | None = None) -> list[str]:
        """Reload a changed configuration at run time: all of it or nothing.

        Alert rules, thresholds, `[accuracy]`, `[scores]`, `[agents]`, and plugins whose table
        changed (sinks and scorers are created again) switch over at once; the keywords given to
        the monitor still override it. None is the file it was read from.

        Returns:
            Changed settings that need a restart, such as `[monitor] storage`.

        Raises:
            ConfigError, PluginError: it has mistakes, all of them listed; nothing was changed.
        """
        if config is None:
            config = self.config.path
        if config is None:
            raise ConfigError(["the configuration did not come from a file; pass one to reload()"])
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
            self._parts.reload(self.config, is_alerting=self.enable_auto_alerts)
            if running is not None:
                self._parts.evaluator.start()
            greet_plugins(self.bus, change, running)
        return list(change.later)

    def show_at(self, url: str) -> None:
        """Set the dashboard's address, for messages without `[alerts] link`."""
        self._shown_at = url
        self._parts.evaluator.show_at(url)

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
        self._parts.look_after()
        if time.monotonic() >= self._next_purge:
            # In parts, so that storing goes on in between.
            rest = self.purge(_PURGED_AT_ONCE) >= _PURGED_AT_ONCE
            self._next_purge = time.monotonic() + (0.0 if rest else 3600.0)
            self._has_free_pages = True
        elif self._has_free_pages:
            self._has_free_pages = self._parts.storage.compact(_COMPACT_SECONDS)

    def purge(self, limit: int | None = None) -> int:
        """Delete stored runs and cells past their retention; returns the rows removed.

        At most `limit` of each kind; without a limit, unused space is released, too.
        Memory storage keeps data as long as the window does.
        """
        settings, now = self.config.monitor, self.now_us()
        runs, cells = (round(days * 24 * HOUR) for days in _kept_days(settings))
        storage = self._parts.storage
        removed = storage.purge(now - runs, now - cells, limit=limit)
        while limit is None and storage.compact(_COMPACT_SECONDS):
            pass
        return removed

    def flush(self, timeout: float | None = None) -> None:
        """Return once everything recorded so far is committed.

        Where nothing runs in the background, remote scorers are asked first.

        Raises:
            StorageError: not committed after `timeout` seconds (None: no limit).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        record_left()
        writer, parts = self._writer, self._parts
        if writer is None or not writer.is_alive:
            parts.intake.store_now(deadline)
            parts.remote_scoring.finish()
        else:
            target = parts.queue.entered + parts.counts.recovered
            writer.hurry()
            if not parts.intake.wait_settled(target, deadline, lambda: self._writer is not writer):
                reason = parts.intake.storage_error or "storage is slow"
                raise StorageError(f"not everything is stored yet: {reason}")
        if self.config.monitor.durability == "power":
            parts.storage.sync()

    def sync_with_database(self, lookback_hours: float = 24) -> int:
        """Load history into the window; returns how many runs and measurements were new.

        Those that came from other processes since the last time are counted in.

        Raises:
            InvalidRun: not a number of hours above 0.
            StorageError: storage is unavailable.
        """
        hours = minutes_of(lookback_hours, "lookback_hours")
        self.flush()
        return self._parts.load(hours)

    @property
    def storage(self) -> Storage:
        """Where runs, outcomes and alerts are kept."""
        return self._parts.storage

    @property
    def outbox(self) -> Outbox:
        """Sends what was decided about alerts to the sinks."""
        return self._parts.outbox

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
