"""The frozen values that all parts exchange: runs, measurements, metrics, alerts, trends."""

from __future__ import annotations

from perfmon.records.alerts import (
    AlertLevel,
    AlertMessage,
    MetricType,
    PerformanceAlert,
    Silence,
)
from perfmon.records.answers import Conflict, Receipt, Recommendation, Rejection
from perfmon.records.metrics import AgentPerformance, PerformanceMetrics, Point, Series, Trend
from perfmon.records.outcomes import (
    AccuracyMeasurement,
    OutcomeReceipt,
    PredictionReceipt,
    Score,
)
from perfmon.records.plain import NAN, from_micros, jsonable, to_micros
from perfmon.records.runs import EVERYTHING, STATUSES, AgentRun, CellKey, Scope

__all__ = [
    "EVERYTHING",
    "NAN",
    "STATUSES",
    "AccuracyMeasurement",
    "AgentPerformance",
    "AgentRun",
    "AlertLevel",
    "AlertMessage",
    "CellKey",
    "Conflict",
    "MetricType",
    "OutcomeReceipt",
    "PerformanceAlert",
    "PerformanceMetrics",
    "Point",
    "PredictionReceipt",
    "Receipt",
    "Recommendation",
    "Rejection",
    "Scope",
    "Score",
    "Series",
    "Silence",
    "Trend",
    "from_micros",
    "jsonable",
    "to_micros",
]
