"""The one place that wires things together."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from perfmon.bus import MONITOR, Bus
from perfmon.config import Config
from perfmon.errors import InvalidRun, PerfmonError, StorageError
from perfmon.forking import Sleeping, watch_forks
from perfmon.history import History
from perfmon.inputs import Inputs
from perfmon.intake import BATCH, Intake
from perfmon.journal import Journal
from perfmon.logs import close_log, open_log
from perfmon.plugins import Plugins
from perfmon.queries import Queries
from perfmon.reading import Reading
from perfmon.recorder import Recorder
from perfmon.recording import Recording
from perfmon.records import Scope, to_micros
from perfmon.roles import Clock, Storage
from perfmon.window.cells import HOUR
from perfmon.window.recent import CHUNK
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Window
from perfmon.writer import Writer

_log = logging.getLogger("perfmon")
_time_ns = time.time_ns


class PerformanceMonitor(Recording, Reading):
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
        loaded = config if isinstance(config, Config) else Config.load(Path(config))
        self.config = loaded.with_overrides(
            window_size_minutes=window_size_minutes,
            alert_thresholds=alert_thresholds,
            storage_url=storage_url,
        )
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
        self.vocabulary = Vocabulary()
        self._writer: Writer | None = None
        self._log_file: logging.Handler | None = None
        self._paused: list[Any] = []
        self._inherited: list[Any] = []
        self._was_started = False
        self._waking = threading.RLock()
        self._closed = False
        self._next_purge = 0.0
        self._open()
        watch_forks(self)

    def _open(self) -> None:
        """Open storage and journal, and make what stands on them."""
        settings = self.config.monitor
        self.storage = self._open_storage(settings.storage)
        self.recorder = Recorder(self._open_journal())
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
            settings.max_runs_in_memory + 2 * CHUNK,
        )
        history = History(self.storage, self.vocabulary)
        self.queries = Queries(
            self.intake, history, self.bus, self.config, self.now_us,
            flush=self.store_now, with_trends=self.enable_trend_analysis,
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

    def before_fork(self) -> None:
        """Wait until no transaction and no reading of the window is under way."""
        if self._closed or isinstance(self.intake, Sleeping):
            return
        self._paused = [
            self.intake.writing,
            self.intake.taking,
            self.intake.lock,
            self.recorder.lock,
        ]
        for lock in self._paused:
            lock.acquire()
        self.storage.pause()

    def after_fork(self, *, in_child: bool) -> None:
        """The parent goes on. In the child all that is the parent's is left alone."""
        paused, self._paused = self._paused, []
        if not paused:
            return
        self.storage.resume()
        for lock in reversed(paused):
            lock.release()
        if in_child:
            # Kept, so that no destructor closes the parent's connections and files.
            self._inherited.append((self.storage, self.recorder, self.intake, self.queries))
            self._was_started, self._writer = self._writer is not None, None
            for part in ("storage", "recorder", "intake", "queries"):
                setattr(self, part, Sleeping(self, part))
            self._append_run = lambda row: self.recorder.append_run(row)  # noqa: PLW0108 - later's

    def wake_after_fork(self) -> None:
        """Open what this process needs of its own."""
        with self._waking:
            if isinstance(self.intake, Sleeping):
                self._open()
                if self._was_started:
                    self.start()

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
        if self._log_file is not None:
            close_log(self._log_file)
            self._log_file = None

    def _reopen(self) -> None:
        self._closed = False
        self._open()

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
        if self.queries.trending is not None:
            self.queries.trending.look_back()
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

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was recorded so far is committed.

        Raises:
            StorageError: it is not, after `timeout` seconds (None: as long as it takes).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self.intake.take_in()
        writer = self._writer
        if writer is None or not writer.is_alive:
            self.store_now()
        else:
            writer.hurry()
            if not self.intake.wait_stored(deadline):
                reason = self.intake.storage_error or "storage is slow"
                raise StorageError(f"not everything is stored after {timeout} s: {reason}")
        if self.config.monitor.durability == "power":
            self.storage.sync()

    def store_now(self) -> None:
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
        with intake.taking, intake.lock:
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
            "storage": self._described(),
            "storage_error": intake.storage_error,
            "plugins": self.bus.accounts(),
        }

    def _described(self) -> dict[str, Any]:
        try:
            return self.storage.describe()
        except StorageError as problem:
            return {"error": str(problem)}

    def plugin(self, name: str) -> Any:
        """A loaded plugin by name; `PluginError` where it is not loaded."""
        return self.plugins.get(name)


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
