"""Alerts and messages as stored, to fill a storage with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from perfmon.records import AlertLevel, AlertMessage, MetricType, PerformanceAlert, from_micros
from perfmon.testing.rows import START_US

SECOND = 1_000_000


def stored_alert(number: int = 0, **fields: Any) -> PerformanceAlert:
    """An alert of ordinary values but for the given fields; each number's is a second younger."""
    at = from_micros(START_US + number * SECOND)
    ordinary: dict[str, Any] = {
        "alert_id": f"alert-{number}",
        "level": AlertLevel.WARNING,
        "key": f"key-{number}",
        "metric_type": MetricType.ERROR_RATE,
        "metric": "error_rate",
        "rule": "error_rate_max",
        "message": "error rate 40.0% is above 15%",
        "current_value": 0.4,
        "threshold": 0.15,
        "interval": (0.21875, 0.6123),
        "sample_size": 20,
        "agent_name": "planner",
        "tenant": "default",
        "timestamp": at,
        "started_at": at,
        "details": {"errors": {"it's 🦜 %s ?": 8}, "worst": [["planner", None]]},
    }
    return PerformanceAlert(**(ordinary | fields))


def resolved(alert: PerformanceAlert, after: float = 60.0) -> PerformanceAlert:
    """The same episode, resolved this many seconds after it began."""
    assert alert.started_at is not None
    end = alert.started_at + timedelta(seconds=after)
    return attrs.evolve(alert, state="resolved", resolved_at=end, timestamp=end)


def stored_message(message_id: str, *alerts: PerformanceAlert, **fields: Any) -> AlertMessage:
    """A message of ordinary values but for the given fields, decided when its alert was."""
    told = alerts or (stored_alert(),)
    ordinary: dict[str, Any] = {
        "message_id": message_id,
        "sink": "log",
        "group": "group",
        "kind": told[0].state,
        "alerts": told,
        "created_at": told[0].timestamp,
    }
    return AlertMessage(**(ordinary | fields))
