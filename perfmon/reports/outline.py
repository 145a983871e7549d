"""The outline of a report: sections of facts, tables and sentences, for any format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.metrics import formatting as figures
from perfmon.records import MetricType
from perfmon.records.alerts import subject_of
from perfmon.records.catalog import METRICS, Metric, Nature, counted_by, label_of
from perfmon.reports.accuracy import accuracy_section
from perfmon.reports.parts import Outline, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 12


def outline(report: dict[str, Any]) -> Outline:
    """The outline of the dictionary that `generate_report()` gives."""
    health = report.get("health_score")
    sections = (
        _health(report),
        _runs(report),
        _errors(report),
        _agents(report),
        accuracy_section(report),
        _trends(report),
        _alerts(report),
        _anomalies(report),
        _recommendations(report),
    )
    return Outline(
        title="perfmon report",
        range=_range(report),
        generated=figures.moment(report.get("generated_at")),
        score=figures.figure(health, "score"),
        status=str(report.get("health_status") or "no_data").replace("_", " "),
        sections=tuple(section for section in sections if section is not None),
    )


def _health(report: dict[str, Any]) -> Section | None:
    """What lowers the score: firing alerts, parts that lost points, few runs."""
    reasons = (report.get("health") or {}).get("reasons") or []
    return Section("Health", items=tuple(map(str, reasons))) if reasons else None


def _range(report: dict[str, Any]) -> str:
    metrics = report.get("system_metrics") or {}
    since = report.get("since") or metrics.get("window_start")
    until = report.get("until") or metrics.get("window_end")
    if since and until:
        return f"{figures.moment(since)} to {figures.moment(until)}"
    return f"the last {figures.figure(report.get('time_window_minutes'))} minutes"


# Told beside others, or by the section about accuracy, as are the counts of known values.
_ELSEWHERE = frozenset(
    ("runs_per_minute", "accuracy_coverage", "predictions_waiting", "unmapped_count")
) | {counted_by(metric) for metric in METRICS if counted_by(metric) != "total_tasks"}


def _runs(report: dict[str, Any]) -> Section:
    """Every number of the catalogue that was measured; rates of runs as a dash where none was."""
    metrics = report.get("system_metrics") or {}
    shown = (metric for name, metric in METRICS.items() if name not in _ELSEWHERE)
    facts = (_fact(metric, metrics) for metric in shown if metric.is_number)
    return Section("Runs", facts=tuple(fact for fact in facts if fact is not None))


def _fact(metric: Metric, metrics: dict[str, Any]) -> tuple[str, str, str] | None:
    value, field = metrics.get(metric.name), counted_by(metric.name)
    runs, known = metrics.get("total_tasks") or 0, metrics.get(field)
    if not metric.is_share_of_runs and (value is None or (field != "total_tasks" and not known)):
        return None
    label = f"{metric.label[:1].upper()}{metric.label[1:]}"
    return label, figures.figure(value, _unit(metric)), _remark(metric, metrics, runs, known)


def _unit(metric: Metric) -> str:
    """The label says already what is counted."""
    return "" if metric.nature is Nature.COUNT or metric.unit in metric.label else metric.unit


def _remark(metric: Metric, metrics: dict[str, Any], runs: int, known: int | None) -> str:
    if metric.name == "total_tasks":
        rate = metrics.get("runs_per_minute")
        return "" if rate is None else f"{figures.figure(rate)} per minute"
    bounds = figures.interval(metrics.get(metric.interval))
    if metric.about is MetricType.ACCURACY:
        return figures.sample(metrics.get(metric.interval), known)
    if bounds:
        return f"95%: {bounds}"
    return f"from {figures.many(known, 'run')}" if known is not None and 0 < known < runs else ""


def _errors(report: dict[str, Any]) -> Section | None:
    patterns = report.get("error_patterns") or []
    rows = tuple(
        (
            str(pattern.get("error_type")),
            figures.count(pattern.get("count")),
            figures.percent(pattern.get("share")),
            figures.count(_how_many(pattern.get("agents"))),
        )
        for pattern in patterns
    )
    names = ("Error class", "Runs", "Share", "Agents")
    return Section("Errors", table=Table(names, rows, frozenset(names[:1]))) if rows else None


def _how_many(agents: Any) -> float | None:
    return len(agents) if isinstance(agents, (list, dict)) else agents


def _agents(report: dict[str, Any]) -> Section | None:
    agents = report.get("agent_metrics") or {}
    if not agents:
        return None
    rows = tuple(_agent(name, agent) for name, agent in sorted(agents.items(), key=_busiest))
    table = Table(_AGENT, rows, frozenset(_AGENT[:1]), frozenset(_AGENT[-3:]))
    return Section(f"Agents ({len(rows)})", table=table.without_empty(figures.UNKNOWN))


_AGENT = (
    "Agent", "Runs", "Success", "p95", "Tokens", "Cost", "Accuracy (of)",
    "p50", "Efficiency", "Specialization",
)  # fmt: skip


def _busiest(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    name, agent = item
    return -((agent.get("metrics") or {}).get("total_tasks") or 0), name


def _agent(name: str, agent: dict[str, Any]) -> tuple[str, ...]:
    get = (agent.get("metrics") or {}).get
    scores = agent.get("scores") or {}
    return (
        name,
        figures.count(get("total_tasks")),
        figures.percent(get("success_rate")),
        figures.figure(get("p95_latency_ms"), "ms"),
        figures.brief_count(get("total_tokens") if get("tokens_count") else None),
        figures.figure(get("total_cost") if get("cost_count") else None, "$"),
        figures.sized(get("avg_accuracy"), get("accuracy_count")),
        figures.figure(get("p50_latency_ms"), "ms"),
        figures.percent(scores.get("efficiency")),
        figures.percent(scores.get("specialization")),
    )


def _trends(report: dict[str, Any]) -> Section | None:
    trends = report.get("trends") or {}
    rows = tuple(
        (
            label_of(metric),
            str(trend.get("direction")).replace("_", " "),
            figures.change(trend.get("change")),
            *(figures.figure(trend.get(end), _unit_of(metric)) for end in ("previous", "current")),
        )
        for metric, trend in trends.items()
    )
    names = ("Metric", "Direction", "Change", "Before", "Now")
    return Section("Trends", table=Table(names, rows, frozenset(names[:2]))) if rows else None


def _unit_of(metric: str) -> str:
    return METRICS[metric].unit if metric in METRICS else ""


def _alerts(report: dict[str, Any]) -> Section | None:
    alerts = report.get("recent_alerts") or []
    by_key = {alert.get("key"): alert for alert in alerts}
    items = [_alert(alert, by_key) for alert in alerts[:_SHOWN]]
    if len(alerts) > _SHOWN:
        items.append(f"and {len(alerts) - _SHOWN} more")
    return Section(f"Alerts ({len(alerts)})", items=tuple(items)) if items else None


def _alert(alert: dict[str, Any], by_key: dict[Any, dict[str, Any]]) -> str:
    level, message = str(alert.get("level")).upper(), alert.get("message")
    advice = f" {alert['recommendation']}" if alert.get("recommendation") else ""
    return f"{level} {message} ({', '.join(_states(alert, by_key))}){advice}"


def _states(alert: dict[str, Any], by_key: dict[Any, dict[str, Any]]) -> Iterator[str]:
    """Since when it is firing, or from when to when it was; and who or what suppresses it."""
    since = figures.moment(alert.get("started_at") or alert.get("timestamp"))
    if alert.get("state") == "resolved":
        yield f"{since} to {figures.moment(alert.get('resolved_at'))}"
    else:
        yield f"{alert.get('state')} since {since}"
    if alert.get("acknowledged_by"):
        yield f"acknowledged by {alert['acknowledged_by']}"
    if alert.get("silenced_by"):
        yield "silenced"
    if alert.get("inhibited_by"):
        cause = by_key.get(alert["inhibited_by"])
        named = "another alert" if cause is None else f"'{subject_of(cause)}'"
        yield f"suppressed: same cause as {named}"


def _anomalies(report: dict[str, Any]) -> Section | None:
    found = report.get("anomalies") or []
    return Section("Anomalies", items=tuple(_sentence(item) for item in found)) if found else None


def _sentence(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return ", ".join(f"{name} {value}" for name, value in item.items() if value is not None)


def _recommendations(report: dict[str, Any]) -> Section | None:
    texts = [str(text) for text in report.get("recommendations") or []]
    details = report.get("recommendation_details") or []
    reasons = {item.get("text"): _because(item) for item in details if isinstance(item, dict)}
    items = tuple(f"{text}{reasons.get(text, '')}" for text in texts)
    return Section("Recommendations", items=items) if items else None


def _because(detail: dict[str, Any]) -> str:
    parts = [str(detail[key]) for key in ("reason", "expected_effect") if detail.get(key)]
    return f" ({'; '.join(parts)})" if parts else ""
