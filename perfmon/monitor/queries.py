"""What a monitor answers: metrics, agents, trends, accuracy, health, reports."""

from __future__ import annotations

from typing import Any

import attrs

from perfmon.accuracy.calibration import Calibration
from perfmon.accuracy.figures import AccuracySummary
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.health_words import Health
from perfmon.metrics.ranges import Asked, Moment
from perfmon.monitor.page import Page
from perfmon.records import (
    AccuracyMeasurement,
    AgentPerformance,
    PerformanceMetrics,
    Scope,
    Series,
    Trend,
    from_micros,
)
from perfmon.records.measurements import MEASUREMENT_STATES
from perfmon.records.validation import text
from perfmon.reports.report import add_recommendations, build_report
from perfmon.storage.conflicts import conflicts_since, plain
from perfmon.storage.storage import FoundBy

_FOUND_STATES = tuple(
    word
    for word in dict.fromkeys(MEASUREMENT_STATES)
    if word not in ("waiting", "answered", "outcome", "repeated")
)


class QueryPage(Page):
    """The monitor's methods that answer queries."""

    def get_system_metrics(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> PerformanceMetrics:
        """The metrics of the last minutes, or of `[since, until)`; see `PerformanceMetrics`.

        Raises:
            InvalidRun: the window is not valid.
        """
        asked = self._asked(time_window_minutes, since, until)
        return self._parts.queries.system(asked, _scope(tenant, model, agent_type))

    def get_agent_metrics(
        self,
        agent_name: str,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> AgentPerformance:
        """One agent; `status` is `unknown` for one that was never seen."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        return self._parts.queries.agent(text("agent_name", agent_name), asked, scope)

    def get_all_agent_metrics(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, AgentPerformance]:
        """Every agent by name, including those without runs in the window (`inactive`)."""
        asked = self._asked(time_window_minutes, since, until)
        return self._parts.queries.agents(asked, _scope(tenant, model, agent_type))

    def get_trends(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Trend]:
        """Success rate, latency, cost and accuracy compared with the previous window."""
        asked = self._asked(time_window_minutes, since, until)
        return self._parts.queries.trends(asked, _scope(tenant, model, agent_type, agent_name))

    def get_timeseries(
        self,
        metric: str,
        step_minutes: float = 5,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> Series:
        """A field of `PerformanceMetrics` in consecutive steps; from history in whole hours."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type, agent_name)
        return self._parts.queries.timeseries(metric, step_minutes, asked, scope)

    def get_error_patterns(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> list[dict[str, Any]]:
        """Error classes, most frequent first: count, share of runs, agents with their counts."""
        asked = self._asked(time_window_minutes, since, until)
        return self._parts.queries.error_patterns(
            asked, _scope(tenant, model, agent_type, agent_name)
        )

    def get_accuracy(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        task_type: str | None = None,
    ) -> AccuracySummary:
        """Accuracy of agents: means with intervals, coverage, sources, errors, calibration.

        A measurement belongs to the time when its outcome became known, coverage to the time of
        the prediction.
        """
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type, agent_name, task_type)
        return self._parts.accuracy.summary(asked, scope)

    def get_calibration(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        task_type: str | None = None,
    ) -> Calibration:
        """Whether stated confidence matches accuracy: reliability bins, errors, a verdict."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type, agent_name, task_type)
        return self._parts.accuracy.calibration(asked, scope)

    def get_measurements(
        self,
        time_window_minutes: float | None = None,
        *,
        agent_name: str | None = None,
        source: str | None = None,
        task_id: str | None = None,
        state: str | None = None,
        worst: bool = False,
        limit: int = 100,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        task_type: str | None = None,
    ) -> list[AccuracyMeasurement]:
        """Single measurements with both outcomes, newest first, or `worst` first.

        `worst` includes only those that count; otherwise all states are included: for a task with
        several outcomes the whole history.
        """
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type, agent_name, task_type)
        if state is not None and state not in _FOUND_STATES:
            raise InvalidRun("state", state, f"one of {', '.join(_FOUND_STATES)}")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidRun("limit", limit, "a whole number of at least 1")
        by = FoundBy(source=source, task_id=task_id, state=state, worst=worst, limit=limit)
        return self._parts.accuracy.measurements(asked, scope, by)

    def compare(
        self,
        window_minutes: float | None = None,
        against: str | tuple[Moment, Moment] = "previous",
        *,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """A window compared with another: `current`, `against`, and the relative `changes`."""
        scope = _scope(tenant, model, agent_type, agent_name)
        minutes = self.window_size_minutes if window_minutes is None else window_minutes
        return self._parts.queries.compare(minutes, against, scope)

    @property
    def thresholds(self) -> dict[str, float]:
        """The limits by name, as configured."""
        return attrs.asdict(self.config.alerts.thresholds)

    def get_health(
        self,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """`status` (healthy, degraded, unhealthy, no_data), `health_score`, `timestamp`.

        The score is computed from the runs; the status also considers firing alerts: it is never
        `healthy` while a critical alert is firing. `parts` list the points lost by each part of
        the score, `alerts` the firing alerts, `runs` the number of runs (`few_runs`: too few to be
        meaningful), and `reasons` all of that in sentences.
        """
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        firing = self._parts.listing.firing_in(asked, scope)
        metrics = self._parts.queries.system(asked, scope)
        health = Health.of(metrics, self.thresholds["latency_p95_max_ms"], firing)
        return {
            "health_score": None if health.score is None else round(health.score, 1),
            "timestamp": from_micros(self.now_us()),
            **health.plain(),
        }

    def generate_report(
        self,
        include_agents: bool = True,
        time_window_minutes: float | None = None,
        *,
        since: Moment = None,
        until: Moment = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
    ) -> dict[str, Any]:
        """The report as JSON values; `render_report` turns it into text, Markdown or HTML."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        self._parts.accuracy.settle()
        alerts = self._parts.listing.latest() if asked.rolling and scope.is_everything else []
        firing = self._parts.listing.firing_in(asked, scope)
        found = self._parts.queries.overview(asked, scope, include_agents=include_agents)
        report = build_report(
            generated_at=self.now_us(),
            window=found.window,
            metrics=found.metrics,
            agents=found.agents,
            accuracy=self._parts.accuracy.of_answer(found.answer, scope),
            trends=found.trends,
            error_patterns=found.error_patterns,
            thresholds=self.thresholds,
            alerts=alerts,
            firing=firing,
            conflicts=self._conflicts(found.window, tenant),
        )
        advice = self.bus.ask_all("recommend", report=report)
        add_recommendations(report, [item for part in advice for item in part])
        return report

    def _conflicts(self, window: tuple[int, int], tenant: str | None) -> list[dict[str, Any]]:
        """By agent, where one came in the window; those of the same hours count, too."""
        try:
            found = conflicts_since(self._parts.storage, *window)
        except StorageError:
            return []
        return [plain(one) for one in found if tenant in (None, one.tenant)]

    def _asked(self, minutes: float | None, since: Moment, until: Moment) -> Asked:
        if minutes is None and since is None and until is None:
            minutes = self.window_size_minutes
        return self._parts.queries.asked(minutes, since, until)


def _scope(
    tenant: str | None,
    model: str | None,
    agent_type: str | None,
    agent_name: str | None = None,
    task_type: str | None = None,
) -> Scope:
    return Scope(
        tenant=tenant,
        model=model,
        agent_type=agent_type,
        agent_name=agent_name,
        task_type=task_type,
    )
