"""Alerts: what is watched, evidence, the life of an alert, messages. Pure: time is passed in.

`watches` and `targets` say what to look at, `evaluate` judges samples of it, `Machine` takes in
verdicts, `Groups` makes messages of what stands. `runs`, `backtest` and `cases` (which need
numpy, and are imported where they are used) do the same with the past.
"""

from __future__ import annotations

from perfmon.alerts.advice import Details, Part
from perfmon.alerts.evidence import evaluate, judge
from perfmon.alerts.groups import Grouping, Groups, SinkTerms
from perfmon.alerts.life import Machine
from perfmon.alerts.plain import alert_of, plain_alert
from perfmon.alerts.rules import watches
from perfmon.alerts.settings import Settings
from perfmon.alerts.silences import Silence
from perfmon.alerts.step import Change, Changes, Standing
from perfmon.alerts.targets import Target, targets
from perfmon.alerts.verdicts import Finding, Sample, State, Tally, Verdict
from perfmon.alerts.watch import Kind, Stretch, Watch

__all__ = [
    "Change",
    "Changes",
    "Details",
    "Finding",
    "Grouping",
    "Groups",
    "Kind",
    "Machine",
    "Part",
    "Sample",
    "Settings",
    "Silence",
    "SinkTerms",
    "Standing",
    "State",
    "Stretch",
    "Tally",
    "Target",
    "Verdict",
    "Watch",
    "alert_of",
    "evaluate",
    "judge",
    "plain_alert",
    "targets",
    "watches",
]
