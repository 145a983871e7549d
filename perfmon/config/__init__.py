"""The core's own tables of monitor.toml, and the allowed values of each key."""

from __future__ import annotations

from perfmon.config.alerts import AlertsTable, Burn, Repeat, Rule, SingleRun, Thresholds
from perfmon.config.general import (
    AccuracyTable,
    AgentTable,
    FieldTable,
    MonitorTable,
    OutcomesTable,
    ScoresTable,
    Synonyms,
    check_url,
    value_key,
)

__all__ = [
    "AccuracyTable",
    "AgentTable",
    "AlertsTable",
    "Burn",
    "FieldTable",
    "MonitorTable",
    "OutcomesTable",
    "Repeat",
    "Rule",
    "ScoresTable",
    "SingleRun",
    "Synonyms",
    "Thresholds",
    "check_url",
    "value_key",
]
