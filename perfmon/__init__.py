"""perfmon: the performance monitor for LLM agents. These are its public names."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this file
if TYPE_CHECKING:
    from typing import Any

    from perfmon.accuracy import (
        AccuracyFigures,
        AccuracySummary,
        CalibrationFigures,
        Disagreement,
        NumericErrors,
    )
    from perfmon.alert_storage import (
        AlertState,
        AlertStorage,
        Delivery,
        DueMessage,
        FoundAlert,
        RunInFlight,
        SinkState,
    )
    from perfmon.calibration import Calibration, CalibrationBin
    from perfmon.checks import RUN_FIELDS
    from perfmon.config import Config, Duration, Secret
    from perfmon.content import RUN_ROW, differing
    from perfmon.current import get_performance_monitor, init_performance_monitor
    from perfmon.equality import ValueNumbers, plain_text, same_value, value_kind
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
    from perfmon.limits import SecretText
    from perfmon.measurements import MEASUREMENT_FIELDS, MEASUREMENT_STATES
    from perfmon.monitor import PerformanceMonitor
    from perfmon.orchestrator import MonitoredOrchestrator
    from perfmon.outside import Answer, encoded, http_url, post
    from perfmon.plugins import install_hint
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
    from perfmon.render import render_report
    from perfmon.roles import Clock, ConflictCount, FoundBy, KnownAgent, News, Storage, Stored
    from perfmon.scores import wilson
    from perfmon.secret import redacted
    from perfmon.sinks import HttpSinkTable, SinkTable
    from perfmon.window.batch import Batch
    from perfmon.window.cells import HOUR, Cells, PackedCell
    from perfmon.wording import (
        alert_annotations,
        alert_facts,
        alert_labels,
        headline,
        link_of,
        urgency,
    )
    from perfmon.writing import alike, one_form, words_of

# Each is imported at its first use, so that the command and a library that only names perfmon are
# quick, and numpy comes in with the monitor.
_HOMES = {
    "AccuracyFigures": "perfmon.accuracy",
    "AccuracyMeasurement": "perfmon.records",
    "AccuracySummary": "perfmon.accuracy",
    "AgentPerformance": "perfmon.records",
    "AgentRun": "perfmon.records",
    "alert_annotations": "perfmon.wording",
    "alert_facts": "perfmon.wording",
    "alert_labels": "perfmon.wording",
    "AlertLevel": "perfmon.records",
    "AlertMessage": "perfmon.records",
    "AlertState": "perfmon.alert_storage",
    "AlertStorage": "perfmon.alert_storage",
    "alike": "perfmon.writing",
    "Answer": "perfmon.outside",
    "Batch": "perfmon.window.batch",
    "Calibration": "perfmon.calibration",
    "CalibrationBin": "perfmon.calibration",
    "CalibrationFigures": "perfmon.accuracy",
    "CellKey": "perfmon.records",
    "Cells": "perfmon.window.cells",
    "Clock": "perfmon.roles",
    "Config": "perfmon.config",
    "ConfigError": "perfmon.errors",
    "ConflictCount": "perfmon.roles",
    "Delivery": "perfmon.alert_storage",
    "DeliveryError": "perfmon.errors",
    "differing": "perfmon.content",
    "Disagreement": "perfmon.accuracy",
    "DueMessage": "perfmon.alert_storage",
    "Duration": "perfmon.config",
    "encoded": "perfmon.outside",
    "FoundAlert": "perfmon.alert_storage",
    "FoundBy": "perfmon.roles",
    "from_micros": "perfmon.records",
    "get_performance_monitor": "perfmon.current",
    "headline": "perfmon.wording",
    "hookimpl": "perfmon.hookspecs",
    "HOUR": "perfmon.window.cells",
    "http_url": "perfmon.outside",
    "HttpSinkTable": "perfmon.sinks",
    "init_performance_monitor": "perfmon.current",
    "install_hint": "perfmon.plugins",
    "InvalidRun": "perfmon.errors",
    "jsonable": "perfmon.records",
    "KnownAgent": "perfmon.roles",
    "link_of": "perfmon.wording",
    "MEASUREMENT_FIELDS": "perfmon.measurements",
    "MEASUREMENT_STATES": "perfmon.measurements",
    "MetricType": "perfmon.records",
    "MonitoredOrchestrator": "perfmon.orchestrator",
    "News": "perfmon.roles",
    "NumericErrors": "perfmon.accuracy",
    "one_form": "perfmon.writing",
    "OutcomeReceipt": "perfmon.records",
    "PackedCell": "perfmon.window.cells",
    "PerfmonError": "perfmon.errors",
    "PerformanceAlert": "perfmon.records",
    "PerformanceMetrics": "perfmon.records",
    "PerformanceMonitor": "perfmon.monitor",
    "plain_text": "perfmon.equality",
    "PluginError": "perfmon.errors",
    "Point": "perfmon.records",
    "post": "perfmon.outside",
    "PredictionReceipt": "perfmon.records",
    "Receipt": "perfmon.records",
    "Recommendation": "perfmon.records",
    "redacted": "perfmon.secret",
    "Rejection": "perfmon.records",
    "render_report": "perfmon.render",
    "RUN_FIELDS": "perfmon.checks",
    "RunInFlight": "perfmon.alert_storage",
    "RUN_ROW": "perfmon.content",
    "same_value": "perfmon.equality",
    "Scope": "perfmon.records",
    "Score": "perfmon.records",
    "Secret": "perfmon.config",
    "SecretText": "perfmon.limits",
    "Series": "perfmon.records",
    "Silence": "perfmon.records",
    "SinkState": "perfmon.alert_storage",
    "SinkTable": "perfmon.sinks",
    "Storage": "perfmon.roles",
    "StorageError": "perfmon.errors",
    "StorageMissing": "perfmon.errors",
    "Stored": "perfmon.roles",
    "to_micros": "perfmon.records",
    "Trend": "perfmon.records",
    "urgency": "perfmon.wording",
    "value_kind": "perfmon.equality",
    "ValueNumbers": "perfmon.equality",
    "wilson": "perfmon.scores",
    "words_of": "perfmon.writing",
}

__all__ = [
    "HOUR",
    "MEASUREMENT_FIELDS",
    "MEASUREMENT_STATES",
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
    "MetricType",
    "MonitoredOrchestrator",
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
