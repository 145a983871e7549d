"""The reading half of the monitor: metrics, agents, trends, alerts, reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import attrs

from perfmon.alerts import breaches
from perfmon.bus import Bus
from perfmon.checks import stamp, text
from perfmon.config import Config
from perfmon.errors import InvalidRun
from perfmon.queries import Queries
from perfmon.ranges import Asked, Moment
from perfmon.records import (
    AgentPerformance,
    AlertLevel,
    PerformanceAlert,
    PerformanceMetrics,
    Scope,
    Series,
    Trend,
    from_micros,
)
from perfmon.report import add_recommendations, build_report
from perfmon.scores import health_score, health_status


class Reading(ABC):
    """What a monitor can be asked."""

    bus: Bus
    config: Config
    queries: Queries
    window_size_minutes: int
    enable_auto_alerts: bool

    @abstractmethod
    def now_us(self) -> int:
        """The clock's time in UTC microseconds."""

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
        """What happened in the last minutes, or in `[since, until)`; see `PerformanceMetrics`.

        Raises:
            InvalidRun: the window is none.
        """
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.system(asked, _scope(tenant, model, agent_type))

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
        return self.queries.agent(text("agent_name", agent_name), asked, scope)

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
        """Every agent by name, those without runs in the window too (`inactive`)."""
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.agents(asked, _scope(tenant, model, agent_type))

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
        """Success rate, latency, cost and accuracy against the window before."""
        asked = self._asked(time_window_minutes, since, until)
        return self.queries.trends(asked, _scope(tenant, model, agent_type, agent_name))

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
        return self.queries.timeseries(metric, step_minutes, asked, scope)

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
        return self.queries.error_patterns(asked, _scope(tenant, model, agent_type, agent_name))

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
        """A window beside another one: `current`, `against`, and the relative `changes`."""
        scope = _scope(tenant, model, agent_type, agent_name)
        minutes = self.window_size_minutes if window_minutes is None else window_minutes
        return self.queries.compare(minutes, against, scope)

    def get_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        *,
        state: str | None = None,
        since: Moment = None,
    ) -> list[PerformanceAlert]:
        """What is beyond its threshold now, with evidence: the system's, then each agent's."""
        if not self.enable_auto_alerts or state not in (None, "firing"):
            return []
        if level is not None and level not in tuple(AlertLevel):
            raise InvalidRun("level", level, "info, warning or critical")
        asked = self._asked(None, None, None)
        limits = self.thresholds
        found = list(breaches(self.queries.system(asked, Scope()), limits))
        for name, agent in self.queries.agents(asked, Scope()).items():
            found += breaches(agent.metrics, limits, name)
        first = None if since is None else from_micros(stamp("since", since, None))
        return [
            alert
            for alert in found
            if (level is None or alert.level == level)
            and (agent_name is None or alert.agent_name == agent_name)
            and (first is None or alert.timestamp >= first)
        ][:limit]

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
        """`status` (healthy, degraded, unhealthy, no_data), `health_score`, `timestamp`."""
        metrics = self.get_system_metrics(
            time_window_minutes,
            since=since,
            until=until,
            tenant=tenant,
            model=model,
            agent_type=agent_type,
        )
        score = health_score(metrics, self.thresholds["latency_p95_max_ms"])
        return {
            "status": health_status(score),
            "health_score": None if score is None else round(score, 1),
            "timestamp": from_micros(self.now_us()),
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
        """The report as JSON values; `render_report` makes text, Markdown or HTML of it."""
        asked = self._asked(time_window_minutes, since, until)
        scope = _scope(tenant, model, agent_type)
        found = self.queries.overview(asked, scope, include_agents=include_agents)
        report = build_report(
            generated_at=self.now_us(),
            window=found.window,
            metrics=found.metrics,
            agents=found.agents,
            trends=found.trends,
            error_patterns=found.error_patterns,
            thresholds=self.thresholds,
            alerts=self.get_alerts() if asked.rolling and scope.is_everything else [],
        )
        advice = self.bus.ask_all("recommend", report=report)
        add_recommendations(report, [item for part in advice for item in part])
        return report

    def _asked(self, minutes: float | None, since: Moment, until: Moment) -> Asked:
        if minutes is None and since is None and until is None:
            minutes = self.window_size_minutes
        return self.queries.asked(minutes, since, until)


def _scope(
    tenant: str | None,
    model: str | None,
    agent_type: str | None,
    agent_name: str | None = None,
) -> Scope:
    return Scope(tenant=tenant, model=model, agent_type=agent_type, agent_name=agent_name)
