"""Alerts as JSON values and back."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from perfmon.records import AlertLevel, MetricType, PerformanceAlert, jsonable

_MOMENTS = ("timestamp", "started_at", "resolved_at")


def plain_alert(alert: PerformanceAlert) -> dict[str, Any]:
    """An alert as JSON values, as REST tells it."""
    values: dict[str, Any] = jsonable(alert)
    return values


def alert_of(plain: dict[str, Any]) -> PerformanceAlert:
    """The alert of `plain_alert`; figures that are null were NaN."""
    values = dict(plain)
    for name in _MOMENTS:
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    values["level"] = AlertLevel(values["level"])
    values["metric_type"] = MetricType(values["metric_type"])
    for name in ("current_value", "threshold"):
        values[name] = _number(values[name])
    values["interval"] = tuple(_number(end) for end in values["interval"])
    return PerformanceAlert(**values)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
