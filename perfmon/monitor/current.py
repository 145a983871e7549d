"""The process's monitor: created once, available everywhere."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from perfmon.config.config import USUAL_PATH, Config
from perfmon.monitor.monitor import PerformanceMonitor
from perfmon.storage.storage import Clock

_log = logging.getLogger("perfmon")
_current: PerformanceMonitor | None = None
_lock = threading.RLock()


def init_performance_monitor(
    config: str | os.PathLike[str] | Config | None = None,
    *,
    window_size_minutes: int | None = None,
    alert_thresholds: Mapping[str, float] | None = None,
    enable_auto_alerts: bool = True,
    enable_trend_analysis: bool = True,
    storage_url: str | None = None,
    clock: Clock | None = None,
) -> PerformanceMonitor:
    """Create and start the process's monitor, stopping the previous one.

    `config` is a path to a `monitor.toml`, by default `./monitor.toml` if it exists, as on the
    command line (`Config()` is the defaults without a file); keywords override it. The log says
    what was read. See `PerformanceMonitor` for the rest.
    """
    global _current  # noqa: PLW0603 - one monitor a process is what this function is for
    with _lock:
        before, _current = _current, None
        if before is not None:
            before.stop()
        _current = PerformanceMonitor(
            _usual() if config is None else config,
            window_size_minutes=window_size_minutes,
            alert_thresholds=alert_thresholds,
            enable_auto_alerts=enable_auto_alerts,
            enable_trend_analysis=enable_trend_analysis,
            storage_url=storage_url,
            clock=clock,
        ).start()
        # By now the log file is open, too.
        read = _current.config.path
        if read is not None:
            _log.info("perfmon read its configuration from %s", read.absolute())
        elif config is None:
            _log.info(
                "perfmon found no ./%s: using the defaults and the arguments given", USUAL_PATH
            )
        return _current


def get_performance_monitor() -> PerformanceMonitor:
    """The process's monitor; if there is none, it is created by `init_performance_monitor()`."""
    with _lock:
        return _current if _current is not None else init_performance_monitor()


def _usual() -> Path | Config:
    return USUAL_PATH if USUAL_PATH.is_file() else Config()
