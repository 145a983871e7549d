"""What the rules look at: a report's figures, and how a sentence shows them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import METRICS, change, figure, interval, percent, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

ENOUGH = 20
A_WHILE = 86_400.0
"""Seconds: what waits for longer has been waiting for long."""
_LIMITS = {
    "success_rate_min": 0.80,
    "latency_p95_max_ms": 5000.0,
    "cost_per_task_max": 1.0,
    "accuracy_min": 0.70,
    "memory_max_mb": 1024.0,
    "token_per_task_max": 5000.0,
}


class Figures:
    """The metrics of the system or an agent; what was not measured is NaN, and never compares."""

    def __init__(self, metrics: Mapping[str, Any] | None) -> None:
        self._metrics = metrics or {}

    def __getitem__(self, field: str) -> float:
        value = self._metrics.get(field)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def count(self, field: str) -> int:
        value = self[field]
        return 0 if math.isnan(value) else round(value)

    def runs_at(self, rate: str, among: str = "total_tasks") -> int:
        """How many runs a rate stands for."""
        share = self[rate]
        return 0 if math.isnan(share) else round(share * self.count(among))

    @property
    def errors(self) -> dict[str, int]:
        return dict(self._metrics.get("errors") or {})

    @property
    def worst_error(self) -> tuple[str, int]:
        """The most frequent error class, with its count."""
        return max(self.errors.items(), key=lambda item: item[1], default=("", 0))


@attrs.frozen
class View:
    """What the rules look at."""

    system: Figures
    agents: dict[str, Figures]
    trends: Mapping[str, Any]
    limits: Mapping[str, float]
    accuracy: Mapping[str, Any] = attrs.Factory(dict)
    waiting_for: float = math.nan  # seconds that the oldest prediction has waited

    @classmethod
    def of_report(cls, report: Mapping[str, Any]) -> View:
        agents, accuracy = report.get("agent_metrics") or {}, report.get("accuracy") or {}
        return cls(
            Figures(report.get("system_metrics")),
            {name: Figures(agent.get("metrics")) for name, agent in agents.items()},
            report.get("trends") or {},
            _LIMITS | {key: x for key, x in (report.get("thresholds") or {}).items() if x},
            accuracy,
            _seconds(accuracy.get("oldest_waiting"), report.get("generated_at")),
        )

    @property
    def runs(self) -> int:
        return self.system.count("total_tasks")

    def failing(self) -> list[tuple[str, Figures, float]]:
        """Agents that surely fail more than the others, with the share they would have there."""
        worse = []
        for name, agent in self.agents.items():
            runs, failures = agent.count("total_tasks"), agent.count("failed_tasks")
            others = self.runs - runs
            their_failures = max(0, self.system.count("failed_tasks") - failures)
            if failures < 3 or others < ENOUGH:
                continue
            if wilson(failures, runs)[0] > wilson(their_failures, others)[1]:
                worse.append((name, agent, their_failures / others))
        return worse

    def most(self, field: str) -> str:
        """The agent with the largest value of a metric, as part of a sentence."""
        known = {n: agent[field] for n, agent in self.agents.items() if agent[field] > 0}
        return f"agent {max(known, key=known.__getitem__)!r} first" if known else "the agents"


def _seconds(since: str | None, until: str | None) -> float:
    if not since or not until:
        return math.nan
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def share_of(part: int, whole: int, noun: str = "runs") -> str:
    return f"{part:,} of {whole:,} {noun} ({percent(part / whole)})"


def likely(part: int, whole: int) -> str:
    """The 95% interval of a share."""
    return interval(wilson(part, whole))


def named(metric: str) -> str:
    return METRICS[metric].label if metric in METRICS else metric.replace("_", " ")


def moved(metric: str, trend: Mapping[str, Any]) -> str:
    unit = METRICS[metric].unit if metric in METRICS else ""
    before, now = (figure(trend[key], unit) for key in ("previous", "current"))
    by = change(trend.get("change"))
    return f"from {before} to {now}" + (f" ({by})" if by else "")
