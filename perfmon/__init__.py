"""perfmon: the performance monitor for LLM agents. These are its public names.

What only authors of plugins need is in modules of their own: `perfmon.sinks`, `perfmon.scorers`,
`perfmon.storage`, and `perfmon.testing`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this file
if TYPE_CHECKING:
    from typing import Any

    from perfmon.accuracy.calibration import Calibration, CalibrationBin
    from perfmon.accuracy.figures import (
        AccuracyFigures,
        AccuracySummary,
        CalibrationFigures,
        Disagreement,
        NumericErrors,
    )
    from perfmon.agents.orchestrator import MonitoredOrchestrator
    from perfmon.config.config import Config, Duration, Secret
    from perfmon.config.secret import redacted
    from perfmon.config.validators import SecretText, duration_seconds
    from perfmon.delivery.http import http_url, retry_after
    from perfmon.errors import (
        ConfigError,
        DeliveryError,
        InvalidRun,
        PerfmonError,
        PluginError,
        StorageError,
        StorageMissing,
    )
    from perfmon.hookspecs import hookimpl
    from perfmon.metrics.formatting import ago, change, figure, interval, percent
    from perfmon.metrics.intervals import wilson
    from perfmon.monitor.current import get_performance_monitor, init_performance_monitor
    from perfmon.monitor.monitor import PerformanceMonitor
    from perfmon.plugins.discovery import install_hint
    from perfmon.plugins.threads import in_thread
    from perfmon.records import (
        AccuracyMeasurement,
        AgentPerformance,
        AgentRun,
        AlertLevel,
        AlertMessage,
        MetricType,
        OutcomeReceipt,
        PerformanceAlert,
        PerformanceMetrics,
        Point,
        PredictionReceipt,
        Receipt,
        Recommendation,
        Rejection,
        Score,
        Series,
        Silence,
        Trend,
        from_micros,
        jsonable,
        to_micros,
    )
    from perfmon.records.catalog import METRICS, Metric, Nature
    from perfmon.reports import render_report
    from perfmon.reports.report import agent_fields
    from perfmon.storage.alerts import Delivery, FoundAlert
    from perfmon.storage.storage import Clock

# Each is imported at its first use, so that the command and a library that only names perfmon are
# quick, and numpy comes in with the monitor.
_HOMES = {
    "AccuracyFigures": "perfmon.accuracy.figures",
    "AccuracyMeasurement": "perfmon.records",
    "AccuracySummary": "perfmon.accuracy.figures",
    "agent_fields": "perfmon.reports.report",
    "AgentPerformance": "perfmon.records",
    "AgentRun": "perfmon.records",
    "ago": "perfmon.metrics.formatting",
    "AlertLevel": "perfmon.records",
    "AlertMessage": "perfmon.records",
    "Calibration": "perfmon.accuracy.calibration",
    "CalibrationBin": "perfmon.accuracy.calibration",
    "CalibrationFigures": "perfmon.accuracy.figures",
    "change": "perfmon.metrics.formatting",
    "Clock": "perfmon.storage.storage",
    "Config": "perfmon.config.config",
    "ConfigError": "perfmon.errors",
    "Delivery": "perfmon.storage.alerts",
    "DeliveryError": "perfmon.errors",
    "Disagreement": "perfmon.accuracy.figures",
    "Duration": "perfmon.config.config",
    "duration_seconds": "perfmon.config.validators",
    "figure": "perfmon.metrics.formatting",
    "FoundAlert": "perfmon.storage.alerts",
    "from_micros": "perfmon.records",
    "get_performance_monitor": "perfmon.monitor.current",
    "hookimpl": "perfmon.hookspecs",
    "http_url": "perfmon.delivery.http",
    "in_thread": "perfmon.plugins.threads",
    "init_performance_monitor": "perfmon.monitor.current",
    "install_hint": "perfmon.plugins.discovery",
    "interval": "perfmon.metrics.formatting",
    "InvalidRun": "perfmon.errors",
    "jsonable": "perfmon.records",
    "Metric": "perfmon.records.catalog",
    "METRICS": "perfmon.records.catalog",
    "MetricType": "perfmon.records",
    "MonitoredOrchestrator": "perfmon.agents.orchestrator",
    "Nature": "perfmon.records.catalog",
    "NumericErrors": "perfmon.accuracy.figures",
    "OutcomeReceipt": "perfmon.records",
    "percent": "perfmon.metrics.formatting",
    "PerfmonError": "perfmon.errors",
    "PerformanceAlert": "perfmon.records",
    "PerformanceMetrics": "perfmon.records",
    "PerformanceMonitor": "perfmon.monitor.monitor",
    "PluginError": "perfmon.errors",
    "Point": "perfmon.records",
    "PredictionReceipt": "perfmon.records",
    "Receipt": "perfmon.records",
    "Recommendation": "perfmon.records",
    "redacted": "perfmon.config.secret",
    "Rejection": "perfmon.records",
    "render_report": "perfmon.reports",
    "retry_after": "perfmon.delivery.http",
    "Score": "perfmon.records",
    "Secret": "perfmon.config.config",
    "SecretText": "perfmon.config.validators",
    "Series": "perfmon.records",
    "Silence": "perfmon.records",
    "StorageError": "perfmon.errors",
    "StorageMissing": "perfmon.errors",
    "to_micros": "perfmon.records",
    "Trend": "perfmon.records",
    "wilson": "perfmon.metrics.intervals",
}

# Where the names of plugins' authors are; they are found here too, where they once were.
_ELSEWHERE = {
    "alert_annotations": "perfmon.sinks",
    "alert_facts": "perfmon.sinks",
    "alert_labels": "perfmon.sinks",
    "AlertState": "perfmon.storage",
    "AlertStorage": "perfmon.storage",
    "alike": "perfmon.scorers",
    "Batch": "perfmon.storage",
    "CellKey": "perfmon.storage",
    "Cells": "perfmon.storage",
    "ConflictCount": "perfmon.storage",
    "differing": "perfmon.storage",
    "DueMessage": "perfmon.storage",
    "encoded": "perfmon.sinks",
    "FoundBy": "perfmon.storage",
    "headline": "perfmon.sinks",
    "HOUR": "perfmon.storage",
    "HttpSinkTable": "perfmon.sinks",
    "KnownAgent": "perfmon.storage",
    "link_of": "perfmon.sinks",
    "MEASUREMENT_FIELDS": "perfmon.storage",
    "MEASUREMENT_STATES": "perfmon.storage",
    "News": "perfmon.storage",
    "one_form": "perfmon.scorers",
    "PackedCell": "perfmon.storage",
    "plain_text": "perfmon.scorers",
    "post": "perfmon.sinks",
    "RUN_FIELDS": "perfmon.storage",
    "RUN_ROW": "perfmon.storage",
    "RunInFlight": "perfmon.storage",
    "same_value": "perfmon.scorers",
    "Scope": "perfmon.storage",
    "SinkState": "perfmon.storage",
    "SinkTable": "perfmon.sinks",
    "Storage": "perfmon.storage",
    "Stored": "perfmon.storage",
    "urgency": "perfmon.sinks",
    "value_kind": "perfmon.scorers",
    "ValueNumbers": "perfmon.scorers",
    "words_of": "perfmon.scorers",
}

__all__ = [
    "METRICS",
    "AccuracyFigures",
    "AccuracyMeasurement",
    "AccuracySummary",
    "AgentPerformance",
    "AgentRun",
    "AlertLevel",
    "AlertMessage",
    "Calibration",
    "CalibrationBin",
    "CalibrationFigures",
    "Clock",
    "Config",
    "ConfigError",
    "Delivery",
    "DeliveryError",
    "Disagreement",
    "Duration",
    "FoundAlert",
    "InvalidRun",
    "Metric",
    "MetricType",
    "MonitoredOrchestrator",
    "Nature",
    "NumericErrors",
    "OutcomeReceipt",
    "PerfmonError",
    "PerformanceAlert",
    "PerformanceMetrics",
    "PerformanceMonitor",
    "PluginError",
    "Point",
    "PredictionReceipt",
    "Receipt",
    "Recommendation",
    "Rejection",
    "Score",
    "Secret",
    "SecretText",
    "Series",
    "Silence",
    "StorageError",
    "StorageMissing",
    "Trend",
    "agent_fields",
    "ago",
    "change",
    "duration_seconds",
    "figure",
    "from_micros",
    "get_performance_monitor",
    "hookimpl",
    "http_url",
    "in_thread",
    "init_performance_monitor",
    "install_hint",
    "interval",
    "jsonable",
    "percent",
    "redacted",
    "render_report",
    "retry_after",
    "to_micros",
    "wilson",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or _ELSEWHERE.get(name)
    if home is None:
        raise AttributeError(f"module 'perfmon' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
