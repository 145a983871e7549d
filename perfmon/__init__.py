"""perfmon: the performance monitor for LLM agents. These are its public names."""

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
    from perfmon.config.validators import SecretText
    from perfmon.delivery.http import Answer, encoded, http_url, post
    from perfmon.delivery.messages import (
        alert_annotations,
        alert_facts,
        alert_labels,
        headline,
        link_of,
        urgency,
    )
    from perfmon.delivery.sinks import HttpSinkTable, SinkTable
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
    from perfmon.metrics.intervals import wilson
    from perfmon.monitor.current import get_performance_monitor, init_performance_monitor
    from perfmon.monitor.monitor import PerformanceMonitor
    from perfmon.plugins.discovery import install_hint
    from perfmon.records import (
        AccuracyMeasurement,
        AgentPerformance,
        AgentRun,
        AlertLevel,
        AlertMessage,
        CellKey,
        MetricType,
        OutcomeReceipt,
        PerformanceAlert,
        PerformanceMetrics,
        Point,
        PredictionReceipt,
        Receipt,
        Recommendation,
        Rejection,
        Scope,
        Score,
        Series,
        Silence,
        Trend,
        from_micros,
        jsonable,
        to_micros,
    )
    from perfmon.records.catalog import METRICS, Metric, Nature
    from perfmon.records.content import RUN_ROW, differing
    from perfmon.records.equality import ValueNumbers, plain_text, same_value, value_kind
    from perfmon.records.measurements import MEASUREMENT_FIELDS, MEASUREMENT_STATES
    from perfmon.records.text_forms import alike, one_form, words_of
    from perfmon.records.validation import RUN_FIELDS
    from perfmon.reports import render_report
    from perfmon.storage.alerts import (
        AlertState,
        AlertStorage,
        Delivery,
        DueMessage,
        FoundAlert,
        RunInFlight,
        SinkState,
    )
    from perfmon.storage.storage import (
        Clock,
        ConflictCount,
        FoundBy,
        KnownAgent,
        News,
        Storage,
        Stored,
    )
    from perfmon.window.batch import Batch
    from perfmon.window.cells import HOUR, Cells, PackedCell

# Each is imported at its first use, so that the command and a library that only names perfmon are
# quick, and numpy comes in with the monitor.
_HOMES = {
    "AccuracyFigures": "perfmon.accuracy.figures",
    "AccuracyMeasurement": "perfmon.records",
    "AccuracySummary": "perfmon.accuracy.figures",
    "AgentPerformance": "perfmon.records",
    "AgentRun": "perfmon.records",
    "alert_annotations": "perfmon.delivery.messages",
    "alert_facts": "perfmon.delivery.messages",
    "alert_labels": "perfmon.delivery.messages",
    "AlertLevel": "perfmon.records",
    "AlertMessage": "perfmon.records",
    "AlertState": "perfmon.storage.alerts",
    "AlertStorage": "perfmon.storage.alerts",
    "alike": "perfmon.records.text_forms",
    "Answer": "perfmon.delivery.http",
    "Batch": "perfmon.window.batch",
    "Calibration": "perfmon.accuracy.calibration",
    "CalibrationBin": "perfmon.accuracy.calibration",
    "CalibrationFigures": "perfmon.accuracy.figures",
    "CellKey": "perfmon.records",
    "Cells": "perfmon.window.cells",
    "Clock": "perfmon.storage.storage",
    "Config": "perfmon.config.config",
    "ConfigError": "perfmon.errors",
    "ConflictCount": "perfmon.storage.storage",
    "Delivery": "perfmon.storage.alerts",
    "DeliveryError": "perfmon.errors",
    "differing": "perfmon.records.content",
    "Disagreement": "perfmon.accuracy.figures",
    "DueMessage": "perfmon.storage.alerts",
    "Duration": "perfmon.config.config",
    "encoded": "perfmon.delivery.http",
    "FoundAlert": "perfmon.storage.alerts",
    "FoundBy": "perfmon.storage.storage",
    "from_micros": "perfmon.records",
    "get_performance_monitor": "perfmon.monitor.current",
    "headline": "perfmon.delivery.messages",
    "hookimpl": "perfmon.hookspecs",
    "HOUR": "perfmon.window.cells",
    "http_url": "perfmon.delivery.http",
    "HttpSinkTable": "perfmon.delivery.sinks",
    "init_performance_monitor": "perfmon.monitor.current",
    "install_hint": "perfmon.plugins.discovery",
    "InvalidRun": "perfmon.errors",
    "jsonable": "perfmon.records",
    "KnownAgent": "perfmon.storage.storage",
    "link_of": "perfmon.delivery.messages",
    "MEASUREMENT_FIELDS": "perfmon.records.measurements",
    "MEASUREMENT_STATES": "perfmon.records.measurements",
    "Metric": "perfmon.records.catalog",
    "METRICS": "perfmon.records.catalog",
    "MetricType": "perfmon.records",
    "MonitoredOrchestrator": "perfmon.agents.orchestrator",
    "Nature": "perfmon.records.catalog",
    "News": "perfmon.storage.storage",
    "NumericErrors": "perfmon.accuracy.figures",
    "one_form": "perfmon.records.text_forms",
    "OutcomeReceipt": "perfmon.records",
    "PackedCell": "perfmon.window.cells",
    "PerfmonError": "perfmon.errors",
    "PerformanceAlert": "perfmon.records",
    "PerformanceMetrics": "perfmon.records",
    "PerformanceMonitor": "perfmon.monitor.monitor",
    "plain_text": "perfmon.records.equality",
    "PluginError": "perfmon.errors",
    "Point": "perfmon.records",
    "post": "perfmon.delivery.http",
    "PredictionReceipt": "perfmon.records",
    "Receipt": "perfmon.records",
    "Recommendation": "perfmon.records",
    "redacted": "perfmon.config.secret",
    "Rejection": "perfmon.records",
    "render_report": "perfmon.reports",
    "RUN_FIELDS": "perfmon.records.validation",
    "RunInFlight": "perfmon.storage.alerts",
    "RUN_ROW": "perfmon.records.content",
    "same_value": "perfmon.records.equality",
    "Scope": "perfmon.records",
    "Score": "perfmon.records",
    "Secret": "perfmon.config.config",
    "SecretText": "perfmon.config.validators",
    "Series": "perfmon.records",
    "Silence": "perfmon.records",
    "SinkState": "perfmon.storage.alerts",
    "SinkTable": "perfmon.delivery.sinks",
    "Storage": "perfmon.storage.storage",
    "StorageError": "perfmon.errors",
    "StorageMissing": "perfmon.errors",
    "Stored": "perfmon.storage.storage",
    "to_micros": "perfmon.records",
    "Trend": "perfmon.records",
    "urgency": "perfmon.delivery.messages",
    "value_kind": "perfmon.records.equality",
    "ValueNumbers": "perfmon.records.equality",
    "wilson": "perfmon.metrics.intervals",
    "words_of": "perfmon.records.text_forms",
}

__all__ = [
    "HOUR",
    "MEASUREMENT_FIELDS",
    "MEASUREMENT_STATES",
    "METRICS",
    "RUN_FIELDS",
    "RUN_ROW",
    "AccuracyFigures",
    "AccuracyMeasurement",
    "AccuracySummary",
    "AgentPerformance",
    "AgentRun",
    "AlertLevel",
    "AlertMessage",
    "AlertState",
    "AlertStorage",
    "Answer",
    "Batch",
    "Calibration",
    "CalibrationBin",
    "CalibrationFigures",
    "CellKey",
    "Cells",
    "Clock",
    "Config",
    "ConfigError",
    "ConflictCount",
    "Delivery",
    "DeliveryError",
    "Disagreement",
    "DueMessage",
    "Duration",
    "FoundAlert",
    "FoundBy",
    "HttpSinkTable",
    "InvalidRun",
    "KnownAgent",
    "Metric",
    "MetricType",
    "MonitoredOrchestrator",
    "Nature",
    "News",
    "NumericErrors",
    "OutcomeReceipt",
    "PackedCell",
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
    "RunInFlight",
    "Scope",
    "Score",
    "Secret",
    "SecretText",
    "Series",
    "Silence",
    "SinkState",
    "SinkTable",
    "Storage",
    "StorageError",
    "StorageMissing",
    "Stored",
    "Trend",
    "ValueNumbers",
    "alert_annotations",
    "alert_facts",
    "alert_labels",
    "alike",
    "differing",
    "encoded",
    "from_micros",
    "get_performance_monitor",
    "headline",
    "hookimpl",
    "http_url",
    "init_performance_monitor",
    "install_hint",
    "jsonable",
    "link_of",
    "one_form",
    "plain_text",
    "post",
    "redacted",
    "render_report",
    "same_value",
    "to_micros",
    "urgency",
    "value_kind",
    "wilson",
    "words_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'perfmon' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
