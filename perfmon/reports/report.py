"""The report as one dictionary of JSON values."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from perfmon.accuracy.figures import AccuracySummary
from perfmon.metrics.health_words import Health
from perfmon.records import (
    AgentPerformance,
    PerformanceAlert,
    PerformanceMetrics,
    Recommendation,
    Trend,
    from_micros,
    jsonable,
)

_MOST_EXAMPLES = 20
_LONGEST = 1_000


def build_report(
    *,
    generated_at: int,
    window: tuple[int, int],
    metrics: PerformanceMetrics,
    agents: dict[str, AgentPerformance] | None,
    accuracy: AccuracySummary,
    trends: dict[str, Trend],
    error_patterns: list[dict[str, Any]],
    thresholds: dict[str, float],
    alerts: list[Any],
    firing: list[PerformanceAlert],
    conflicts: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything but the recommendations, which are made from it.

    `alerts` are those to list, `firing` those that fire about these runs, `conflicts` those by
    agent.
    """
    health = Health.of(metrics, thresholds["latency_p95_max_ms"], firing)
    report: dict[str, Any] = {
        "generated_at": from_micros(generated_at),
        "time_window_minutes": round((window[1] - window[0]) / 60e6, 3),
        "since": from_micros(window[0]),
        "until": from_micros(window[1]),
        "health_score": None if health.score is None else round(health.score, 1),
        "health_status": health.word,
        "health": health.plain(),
        "system_metrics": metrics,
        "agent_metrics": {},
        "accuracy": _in_short(accuracy, with_agents=agents is not None),
        "trends": trends,
        "recent_alerts": alerts,
        "error_patterns": error_patterns,
        "conflicts": conflicts,
        "anomalies": [],
        "forecasts": {},
        "thresholds": thresholds,
    }
    if agents is not None:
        report["agent_metrics"] = jsonable(
            {name: agent_fields(agent) for name, agent in agents.items()}
        )
    plain: dict[str, Any] = jsonable(report)
    return plain


def _in_short(accuracy: AccuracySummary, *, with_agents: bool) -> AccuracySummary:
    """A report has a few examples, and long outcomes as text that is cut off."""
    examples = tuple(
        attrs.evolve(
            one,
            predicted_outcome=_shortened(one.predicted_outcome),
            sources={name: _shortened(told) for name, told in one.sources.items()},
        )
        for one in accuracy.disagreements[:_MOST_EXAMPLES]
    )
    short = attrs.evolve(accuracy, disagreements=examples)
    return short if with_agents else attrs.evolve(short, by_agent={}, calibration_by_agent={})


def _shortened(outcome: Any) -> Any:
    text = msgspec.json.encode(outcome)
    if len(text) <= _LONGEST:
        return outcome
    return text[:_LONGEST].decode(errors="ignore") + "…"


def agent_fields(agent: AgentPerformance) -> dict[str, Any]:
    """An agent as REST and reports show it, by field; `jsonable` makes JSON of the values."""
    return {
        "agent_name": agent.agent_name,
        "agent_type": agent.agent_type,
        "status": agent.status,
        "last_run": agent.last_run,
        "metrics": agent.metrics,
        "scores": {
            "specialization": agent.specialization_score,
            "reliability": agent.reliability_score,
            "efficiency": agent.efficiency_score,
        },
    }


def add_recommendations(report: dict[str, Any], found: list[Recommendation]) -> None:
    """Sentences for people, and each with its reason and expected effect."""
    report["recommendations"] = [item.text for item in found]
    report["recommendation_details"] = [jsonable(attrs.asdict(item)) for item in found]
    if not found:
        report["recommendations"] = [_quiet(report)]


def _quiet(report: dict[str, Any]) -> str:
    """What is said where nothing is recommended."""
    firing = len(report["health"]["alerts"])
    if firing:
        alerts = "the firing alert" if firing == 1 else f"the {firing:,} firing alerts"
        return f"Handle {alerts} first."
    if not report["system_metrics"]["total_tasks"]:
        return "No runs in this window: nothing to recommend."
    return "No action needed."
