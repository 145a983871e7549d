"""perfmon: the performance monitor for LLM agents. These are its public names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.alert_storage import (
    AlertState,
    AlertStorage,
    Delivery,
    DueMessage,
    FoundAlert,
    SinkState,
)
from perfmon.checks import RUN_FIELDS
from perfmon.content import RUN_ROW, differing
from perfmon.errors import (
    ConfigError,
    DeliveryError,
    InvalidRun,
    PerfmonError,
    PluginError,
    StorageError,
)
from perfmon.hookspecs import hookimpl
from perfmon.measurements import MEASUREMENT_FIELDS, MEASUREMENT_STATES
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
from perfmon.roles import Clock, ConflictCount, FoundBy, KnownAgent, Storage, Stored

if TYPE_CHECKING:
    from perfmon.accuracy import (
        AccuracyFigures,
        AccuracySummary,
        CalibrationFigures,
        Disagreement,
        NumericErrors,
    )
    from perfmon.calibration import Calibration, CalibrationBin
    from perfmon.config import Config, Duration, Secret
    from perfmon.current import get_performance_monitor, init_performance_monitor
    from perfmon.equality import ValueNumbers, plain_text, same_value, value_kind
    from perfmon.limits import SecretText
    from perfmon.monitor import PerformanceMonitor
    from perfmon.orchestrator import MonitoredOrchestrator
    from perfmon.outside import Answer, encoded, http_url, post
    from perfmon.plugins import install_hint
    from perfmon.render import render_report
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

# What needs numpy, or the whole monitor, is imported at its first use.
_LATER = {
    "AccuracyFigures": "perfmon.accuracy",
    "AccuracySummary": "perfmon.accuracy",
    "alert_annotations": "perfmon.wording",
    "alert_facts": "perfmon.wording",
    "alert_labels": "perfmon.wording",
    "Answer": "perfmon.outside",
    "Batch": "perfmon.window.batch",
    "Calibration": "perfmon.calibration",
    "CalibrationBin": "perfmon.calibration",
    "CalibrationFigures": "perfmon.accuracy",
    "Cells": "perfmon.window.cells",
    "Config": "perfmon.config",
    "Disagreement": "perfmon.accuracy",
    "Duration": "perfmon.config",
    "encoded": "perfmon.outside",
    "get_performance_monitor": "perfmon.current",
    "headline": "perfmon.wording",
    "HOUR": "perfmon.window.cells",
    "http_url": "perfmon.outside",
    "init_performance_monitor": "perfmon.current",
    "install_hint": "perfmon.plugins",
    "link_of": "perfmon.wording",
    "MonitoredOrchestrator": "perfmon.orchestrator",
    "NumericErrors": "perfmon.accuracy",
    "PackedCell": "perfmon.window.cells",
    "PerformanceMonitor": "perfmon.monitor",
    "plain_text": "perfmon.equality",
    "alike": "perfmon.writing",
    "one_form": "perfmon.writing",
    "words_of": "perfmon.writing",
    "post": "perfmon.outside",
    "redacted": "perfmon.secret",
    "render_report": "perfmon.render",
    "same_value": "perfmon.equality",
    "HttpSinkTable": "perfmon.sinks",
    "Secret": "perfmon.config",
    "SinkTable": "perfmon.sinks",
    "SecretText": "perfmon.limits",
    "urgency": "perfmon.wording",
    "value_kind": "perfmon.equality",
    "ValueNumbers": "perfmon.equality",
    "wilson": "perfmon.scores",
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
    if name not in _LATER:
        raise AttributeError(f"module 'perfmon' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
