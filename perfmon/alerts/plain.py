"""Alerts as JSON values and back."""

from __future__ import annotations

from typing import Any

from perfmon.records import PerformanceAlert, jsonable


def plain_alert(alert: PerformanceAlert) -> dict[str, Any]:
    """An alert as JSON values, as REST tells it."""
    values: dict[str, Any] = jsonable(alert)
    return values


def alert_of(plain: dict[str, Any]) -> PerformanceAlert:
    """The alert of `plain_alert`; see `PerformanceAlert.from_plain`."""
    return PerformanceAlert.from_plain(plain)
