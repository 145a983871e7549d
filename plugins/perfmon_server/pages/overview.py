"""The overview page: health, firing alerts, and a table of agents; no script, all text escaped."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from perfmon import (
    AgentPerformance,
    PerformanceAlert,
    PerformanceMetrics,
    StorageError,
    ago,
    figure,
    interval,
    percent,
)
from perfmon_server.http.route import PREFIX, Question, Route, now
from perfmon_server.pages.style import STYLE

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

MOST_AGENTS = 200
MOST_ALERTS = 20
MOST_OVER = 5
MOST_CONFLICTS = 10
_MARKS = {"improving": "▲ improving", "degrading": "▼ degrading", "stable": "stable"}
_TONES = {"healthy": "good", "degraded": "fair", "unhealthy": "poor", "no_data": "soft"}
_HEADINGS = (
    "Agent", "Runs", "Success", "p95", "Cost", "Cost per run", "Accuracy", "Last run"
)  # fmt: skip


@attrs.frozen
class Facts:
    """What the page shows, queried at once."""

    health: dict[str, Any]
    metrics: PerformanceMetrics
    agents: dict[str, AgentPerformance]
    alerts: list[PerformanceAlert]
    over: list[PerformanceAlert]
    minutes: float
    now: datetime
    conflicts: list[dict[str, Any]]
    decided_by: str | None


def gather(monitor: PerformanceMonitor) -> Facts:
    # Alerts first: they are evaluated again, and health must not contradict them.
    firing = monitor.get_alerts(state="firing", limit=MOST_ALERTS)
    return Facts(
        monitor.get_health(),
        monitor.get_system_metrics(),
        monitor.get_all_agent_metrics(),
        firing,
        _over(monitor),
        monitor.window_size_minutes,
        now(monitor),
        monitor.recent_conflicts(),
        monitor.alerts_decided_by(),
    )


def _over(monitor: PerformanceMonitor) -> list[PerformanceAlert]:
    try:
        return monitor.get_alerts(state="resolved", limit=MOST_OVER)
    except StorageError:  # the page shows what it can without it
        return []


async def first_page(question: Question) -> web.Response:
    facts = await question.read(gather, question.monitor)
    nonce = secrets.token_urlsafe(16)
    host = question.request.headers.get("Host", "localhost:8787")
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
    return web.Response(
        text=rendered(facts, nonce, host),
        content_type="text/html",
        headers={"Content-Security-Policy": policy},
    )


def rendered(facts: Facts, nonce: str, host: str) -> str:
    """The page as HTML; `host` is how the server was called."""
    made = f"{facts.now:%Y-%m-%d %H:%M:%S} UTC"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="30">
<link rel="icon" href="data:,">
<title>{_title(facts)}</title>
<style nonce="{nonce}">{STYLE}</style>
</head>
<body>
<header>
<h1>perfmon</h1>
<nav><a href="{PREFIX}/report">Report</a> <a href="{PREFIX}/stats">Internals</a>
<a href="/api/openapi.json">API</a></nav>
</header>
<main>
{_tiles(facts)}
{_conflicts(facts)}{_alerts(facts)}
{_agents(facts, host)}
</main>
<footer>The last {facts.minutes:g} minutes, at {made}. Refreshes every 30 seconds.
{_decided(facts)}</footer>
</body>
</html>
"""


def _decided(facts: Facts) -> str:
    """Of several monitors on one storage, one evaluates the alerts."""
    if facts.decided_by is None:
        return "No monitor is evaluating alerts right now."
    return f"Alerts are evaluated by {escape(facts.decided_by)}."


def _title(facts: Facts) -> str:
    firing = f"({len(facts.alerts)}) " if facts.alerts else ""
    return f"{firing}perfmon: {escape(_words(facts.health['status']))}"


def _words(status: str) -> str:
    return status.replace("_", " ")


def _tiles(facts: Facts) -> str:
    health, metrics = facts.health, facts.metrics
    tone = _TONES.get(health["status"], "soft")
    likely = interval(metrics.success_rate_interval)
    rate = metrics.runs_per_minute if metrics.total_tasks else float("nan")
    tiles = [
        _tile("Health", figure(health["health_score"], "score"), _pulled_down(health), tone),
        _tile("Runs", figure(metrics.total_tasks), f"{figure(rate)} per minute"),
        _tile(
            "Success",
            percent(metrics.success_rate),
            likely,
            trend=metrics.success_rate_trend,
        ),
        _tile(
            "p95 latency",
            figure(metrics.p95_latency_ms, "ms"),
            f"median {figure(metrics.p50_latency_ms, 'ms')}",
            trend=metrics.latency_trend,
            of="mean",
        ),
        _tile(
            "Cost",
            figure(metrics.total_cost, "$"),
            f"{figure(metrics.cost_per_task, '$')} per run",
            trend=metrics.cost_trend,
            of="cost per run",
        ),
        _tile(
            "Accuracy",
            percent(metrics.avg_accuracy),
            _relied_on(metrics),
            trend=metrics.accuracy_trend,
        ),
    ]
    return f'<section class="tiles">{"".join(tiles)}</section>'


def _pulled_down(health: dict[str, Any]) -> str:
    """The status, and its causes in a few words."""
    critical = sum(alert["level"] == "critical" for alert in health["alerts"])
    due = [f"{critical} critical alert{'' if critical == 1 else 's'}"] if critical else []
    lost = sorted(health["parts"], key=lambda part: -part["lost"])
    due += [f"{part['part']} -{part['lost']:.0f}" for part in lost if part["lost"] >= 0.5]
    if health["few_runs"]:
        due.append(f"only {figure(health['runs'])} run{'' if health['runs'] == 1 else 's'}")
    words = _words(health["status"])
    return f"{words}: {', '.join(due)}" if due else words


def _relied_on(metrics: PerformanceMetrics) -> str:
    """How reliable the accuracy is: interval, number of outcomes, coverage."""
    count, coverage = metrics.accuracy_count, metrics.accuracy_coverage
    parts = [interval(metrics.accuracy_interval)] if count else []
    parts.append(f"{figure(count)} outcome{'' if count == 1 else 's'}")
    if coverage < 1:
        parts.append(f"coverage {percent(coverage)}")
    return ", ".join(parts)


def _tile(name: str, value: str, remark: str, tone: str = "", trend: str = "", of: str = "") -> str:
    """A figure; `of` names the metric of the trend, if it differs from the one shown."""
    mark = _MARKS.get(trend, "")
    words = f"{of}: {mark}" if of else mark
    shown = f'<p class="trend {escape(trend)}">{escape(words)}</p>' if mark else ""
    return (
        f'<div class="tile"><h2>{escape(name)}</h2><p class="value {tone}">{escape(value)}</p>'
        f'<p class="soft">{escape(remark)}</p>{shown}</div>'
    )


def _ago(moment: datetime | None, now: datetime) -> str:
    return figure(None) if moment is None else ago((now - moment).total_seconds())


def _conflicts(facts: Facts) -> str:
    """Runs that are not part of any figure on the page."""
    if not facts.conflicts:
        return ""
    runs = sum(one["runs"] for one in facts.conflicts)
    items = "".join(
        f"<li><strong>{escape(one['agent_name'])}</strong> {one['runs']:,}"
        f' <span class="soft">most recently {_ago(one["last_at"], facts.now)}: run'
        f" {escape(one['run_id'])}, different {escape(', '.join(one['fields']))}</span></li>"
        for one in facts.conflicts[:MOST_CONFLICTS]
    )
    return (
        f"<section><h2>Conflicts</h2><p>{runs:,} runs in the last 24 hours reused run IDs already"
        f" stored with different content and were not kept.</p><ul>{items}</ul></section>\n"
    )


def _alerts(facts: Facts) -> str:
    by_key = {alert.key: alert for alert in facts.alerts}
    firing = "".join(_alert(alert, by_key, facts.now) for alert in facts.alerts)
    shown = f'<ul class="alerts">{firing}</ul>' if firing else _NONE_FIRING
    over = "".join(_resolved(alert, facts.now) for alert in facts.over)
    past = f'<h3>Recently resolved</h3><ul class="alerts over">{over}</ul>' if over else ""
    return f"<section><h2>Alerts</h2>{shown}{past}</section>"


def _alert(alert: PerformanceAlert, by_key: dict[str, PerformanceAlert], at: datetime) -> str:
    level = escape(str(alert.level.value))
    since = alert.started_at or alert.timestamp
    when = f'<span class="soft" title="{since:%Y-%m-%d %H:%M:%S} UTC">'
    when += f"since {_ago(since, at).removesuffix(' ago')}</span>"
    shown = (f' <span class="mark">{escape(mark)}</span>' for mark in _marks(alert, by_key))
    marks = "".join(shown)
    advice = f'<p class="soft">{escape(alert.recommendation)}</p>' if alert.recommendation else ""
    text = escape(alert.message)
    return f'<li class="{level}"><strong>{level}</strong> {when}{marks}<p>{text}</p>{advice}</li>'


def _marks(alert: PerformanceAlert, by_key: dict[str, PerformanceAlert]) -> list[str]:
    marks = []
    if alert.acknowledged_by is not None:
        marks.append(f"acknowledged by {alert.acknowledged_by}")
    if alert.silenced_by is not None:
        marks.append("silenced")
    if alert.inhibited_by is not None:
        cause = by_key.get(alert.inhibited_by)
        named = "another alert" if cause is None else f"'{cause.subject}'"
        marks.append(f"suppressed: same cause as {named}")
    return marks


def _resolved(alert: PerformanceAlert, at: datetime) -> str:
    level = escape(str(alert.level.value))
    ended = _ago(alert.resolved_at, at)
    text = escape(alert.message)
    return (
        f'<li><strong>{level}</strong> <span class="soft">resolved {ended}</span><p>{text}</p></li>'
    )


def _agents(facts: Facts, host: str) -> str:
    if not facts.agents:
        welcome = _WELCOME.replace("HOST", escape(host))
        return f"<section><h2>Agents</h2>{welcome}</section>"
    ranked = sorted(facts.agents.values(), key=lambda agent: -agent.metrics.total_tasks)
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEADINGS)
    rows = "".join(_row(agent, facts.now) for agent in ranked[:MOST_AGENTS])
    more = len(ranked) - MOST_AGENTS
    rest = f'<p class="soft">and {more} more with fewer runs</p>' if more > 0 else ""
    return (
        f'<section><h2>Agents</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{rest}</section>"
    )


def _row(agent: AgentPerformance, at: datetime) -> str:
    metrics = agent.metrics
    kind = f' <span class="soft">{escape(agent.agent_type)}</span>' if agent.agent_type else ""
    last = _ago(agent.last_run, at)
    exact = f' title="{agent.last_run:%Y-%m-%d %H:%M:%S} UTC"' if agent.last_run else ""
    cost = metrics.total_cost if metrics.cost_count else float("nan")
    cells = (
        figure(metrics.total_tasks),
        percent(metrics.success_rate),
        figure(metrics.p95_latency_ms, "ms"),
        figure(cost, "$"),
        figure(metrics.cost_per_task, "$"),
    )
    idle = ' class="idle"' if agent.status != "active" else ""
    return (
        f'<tr{idle}><th scope="row">{escape(agent.agent_name)}{kind}</th>'
        f"{_cells(cells)}{_accuracy(metrics)}<td{exact}>{escape(last)}</td></tr>"
    )


def _accuracy(metrics: PerformanceMetrics) -> str:
    count = metrics.accuracy_count
    if not count:
        return f"<td>{figure(None)}</td>"
    sample = f"{interval(metrics.accuracy_interval)} of {figure(count)}"
    return (
        f'<td title="{escape(_relied_on(metrics))}">{percent(metrics.avg_accuracy)}'
        f' <span class="soft">{escape(sample)}</span></td>'
    )


def _cells(values: Iterable[str]) -> str:
    return "".join(f"<td>{escape(value)}</td>" for value in values)


_NONE_FIRING = '<p class="soft">No alerts firing.</p>'
_WELCOME = """<p>No runs recorded yet. Record the first one:</p>
<pre><code>curl -X POST http://HOST/api/performance/runs \\
  -d '{"run_id": "1", "agent_name": "my-agent", "status": "success", "duration_ms": 820}'
</code></pre>"""

ROUTES = (
    Route(
        method="GET",
        path="/",
        summary="The overview page (HTML)",
        answer=first_page,
        contents={"text/html": "Health, firing alerts and a table of agents."},
    ),
)
