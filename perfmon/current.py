"""The process's monitor: made once, found from anywhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from perfmon.monitor import PerformanceMonitor
from perfmon.roles import Clock

_current: PerformanceMonitor | None = None
_lock = threading.RLock()


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
    with _lock:
        before, _current = _current, None
        if before is not None:
            before.stop()
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
    with _lock:
        return _current if _current is not None else init_performance_monitor()
