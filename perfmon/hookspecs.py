"""Every hook a plugin can implement, on one screen.

Past participles report an event; verbs ask a question. An implementation may take fewer
arguments than its hook has. `from perfmon import hookimpl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click
    from aiohttp import web

    from perfmon.monitor.monitor import PerformanceMonitor
    from perfmon.records import (
        AccuracyMeasurement,
        AgentRun,
        AlertMessage,
        PerformanceAlert,
        Point,
        Recommendation,
        Score,
        Series,
        Trend,
    )
    from perfmon.storage.storage import Storage

hookspec = pluggy.HookspecMarker("perfmon")
hookimpl = pluggy.HookimplMarker("perfmon")
"""Marks a function of a plugin as the implementation of the hook of its name."""


@hookspec
def monitor_started(monitor: PerformanceMonitor) -> None:
    """The monitor has started: its storage is open and its history is loaded."""


@hookspec
def monitor_stopping(monitor: PerformanceMonitor) -> None:
    """The monitor is about to stop; recorded data is stored after this returns."""


@hookspec
def run_started(
    run_id: str,
    agent_name: str,
    agent_type: str | None,
    metadata: dict[str, Any] | None,
    tenant: str | None,
) -> None:
    """An orchestrator reports that a run starts; without a tenant it belongs to `default`."""


@hookspec
def run_finished(run: AgentRun) -> None:
    """An orchestrator records a run; same effect as `record_agent_run`."""


@hookspec
def outcome_known(measurement: AccuracyMeasurement) -> None:
    """An orchestrator records a measurement that already has its score."""


@hookspec
def runs_recorded(runs: list[AgentRun]) -> None:
    """These runs were accepted, in this order; called in batches, behind the recording path."""


@hookspec
def accuracy_recorded(measurements: list[AccuracyMeasurement]) -> None:
    """These measurements were accepted, in this order."""


@hookspec(firstresult=True)
def score_outcome(predicted: Any, actual: Any) -> float | Score | None:
    """A score in [0, 1] for a prediction given the actual outcome, or None to pass.

    A remote scorer is an `async def`: it answers later, on a thread of its plugin, within
    the number of seconds in the plugin's attribute `deadline` (default 120).
    """


@hookspec(firstresult=True)
def classify_error(run: AgentRun) -> str | None:
    """The error class of a run that did not succeed, or None to pass."""


@hookspec(firstresult=True)
def price_run(run: AgentRun) -> float | None:
    """The cost in dollars of a run recorded without one, or None to pass."""


@hookspec
def alert_raised(alert: PerformanceAlert) -> None:
    """An alert started firing, or rose to a higher level."""


@hookspec
def alert_resolved(alert: PerformanceAlert) -> None:
    """An alert was resolved."""


@hookspec
def deliver_alert(alert: PerformanceAlert, message: AlertMessage) -> None:
    """A sink delivers alerts; may be slow, or `async`; raises `DeliveryError(permanent=)`.

    `message` has all alerts of the group, `alert` is the most urgent one; a sink may take either.
    Returning means delivered. Attributes of the plugin, in seconds: `deadline` per attempt (default
    30), and `resend_every` for receivers where alerts expire.
    """


@hookspec(firstresult=True)
def detect_trend(series: Series) -> Trend | None:
    """How a metric changed between the last two windows of a series, or None to pass."""


@hookspec
def detect_anomalies(series: Series) -> list[tuple[Point, float]]:  # type: ignore[empty-body]
    """The anomalous points of a series, each with its score; rules use the last point."""


@hookspec(firstresult=True)
def forecast(series: Series, horizon: int) -> list[tuple[float, float, float]] | None:
    """The next `horizon` values as (low, value, high), or None to pass.

    Without an interval `low` and `high` are NaN, and rules use the value.
    """


@hookspec
def recommend(report: dict[str, Any]) -> list[Recommendation]:  # type: ignore[empty-body]
    """Recommendations for a report, each with its reason and expected effect."""


@hookspec(firstresult=True)
def open_storage(url: str) -> Storage | None:
    """A storage for the scheme of this URL, or None to pass."""


@hookspec(firstresult=True)
def read_storage(url: str) -> Storage | None:
    """The same, read-only: nothing is created, upgraded, written or left behind; or None."""


@hookspec
def add_routes(app: web.Application) -> None:
    """Add routes to the server before it starts; `app["monitor"]` is the monitor."""


@hookspec
def add_commands(cli: click.Group) -> None:
    """Add subcommands to the command line."""
