"""perfmon: the performance monitor for LLM agents. These are its public names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.checks import MEASUREMENT_FIELDS, RUN_FIELDS
from perfmon.errors import (
    ConfigError,
    DeliveryError,
    InvalidRun,
    PerfmonError,
    PluginError,
    StorageError,
)
from perfmon.hookspecs import hookimpl
from perfmon.records import (
    AccuracyMeasurement,
    AgentPerformance,
    AgentRun,
    AlertLevel,
    CellKey,
    MetricType,
    PerformanceAlert,
    PerformanceMetrics,
    Point,
    Receipt,
    Recommendation,
    Rejection,
    Scope,
    Series,
    Trend,
    jsonable,
)
from perfmon.roles import Clock, KnownAgent, Storage, Stored

if TYPE_CHECKING:
    from perfmon.config import Config, Duration, Secret
    from perfmon.current import get_performance_monitor, init_performance_monitor
    from perfmon.monitor import PerformanceMonitor
    from perfmon.orchestrator import MonitoredOrchestrator
    from perfmon.plugins import install_hint
    from perfmon.render import render_report
    from perfmon.scores import wilson
    from perfmon.secret import redacted
    from perfmon.window.batch import Batch
    from perfmon.window.cells import HOUR, Cells, PackedCell

# What needs numpy, or the whole monitor, is imported at its first use.
_LATER = {
    "Batch": "perfmon.window.batch",
    "Cells": "perfmon.window.cells",
    "Config": "perfmon.config",
    "Duration": "perfmon.config",
    "HOUR": "perfmon.window.cells",
    "MonitoredOrchestrator": "perfmon.orchestrator",
    "PackedCell": "perfmon.window.cells",
    "PerformanceMonitor": "perfmon.monitor",
    "Secret": "perfmon.config",
    "get_performance_monitor": "perfmon.current",
    "init_performance_monitor": "perfmon.current",
    "install_hint": "perfmon.plugins",
    "redacted": "perfmon.secret",
    "render_report": "perfmon.render",
    "wilson": "perfmon.scores",
}

__all__ = [
    "HOUR",
    "MEASUREMENT_FIELDS",
    "RUN_FIELDS",
    "AccuracyMeasurement",
    "AgentPerformance",
    "AgentRun",
    "AlertLevel",
    "Batch",
    "CellKey",
    "Cells",
    "Clock",
    "Config",
    "ConfigError",
    "DeliveryError",
    "Duration",
    "InvalidRun",
    "KnownAgent",
    "MetricType",
    "MonitoredOrchestrator",
    "PackedCell",
    "PerfmonError",
    "PerformanceAlert",
    "PerformanceMetrics",
    "PerformanceMonitor",
    "PluginError",
    "Point",
    "Receipt",
    "Recommendation",
    "Rejection",
    "Scope",
    "Secret",
    "Series",
    "Storage",
    "StorageError",
    "Stored",
    "Trend",
    "get_performance_monitor",
    "hookimpl",
    "init_performance_monitor",
    "install_hint",
    "jsonable",
    "redacted",
    "render_report",
    "wilson",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'perfmon' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
