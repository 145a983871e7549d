"""An agent's metrics and scores if it ran, otherwise what is known about it."""

from __future__ import annotations

import math

import attrs
import numpy as np

from perfmon.config.config import Config
from perfmon.metrics.health import Targets, efficiency, reliability, specialization
from perfmon.metrics.known_agents import Known
from perfmon.metrics.summary import AgentCells, quality_spread
from perfmon.records import AgentPerformance, PerformanceMetrics, from_micros
from perfmon.window.cells import Stat, add_up


class AgentFigures:
    """Scores agents by a configuration's `[scores]` and `[agents]`."""

    def __init__(self, config: Config) -> None:
        self._targets = Targets(**attrs.asdict(config.scores))
        self._specialties = config.specialties

    def performance(self, name: str, found: AgentCells) -> AgentPerformance:
        """An agent that ran."""
        return AgentPerformance(
            agent_name=name,
            agent_type=found.agent_type,
            status="active",
            last_run=None if found.last_run is None else from_micros(found.last_run),
            metrics=found.metrics,
            reliability_score=reliability(found.metrics),
            efficiency_score=efficiency(found.metrics, self._targets),
            specialization_score=self._specialization(name, found),
        )

    def _specialization(self, name: str, found: AgentCells) -> float:
        types = found.by_task_type
        wanted = types.keys() & set(self._specialties.get(name, ()))
        if not wanted:
            named = {kind: row for kind, row in types.items() if kind is not None}
            most = max(named, key=lambda kind: named[kind][Stat.RUNS], default=None)
            wanted = set(types) if most is None else {most}
        stats = add_up(np.stack([types[kind] for kind in wanted]))
        rate = stats[Stat.SUCCESS] / stats[Stat.RUNS] if stats[Stat.RUNS] else math.nan
        return specialization(float(rate), *quality_spread(stats))


def absent(
    name: str, found: AgentCells | None, known: Known | None, empty: PerformanceMetrics
) -> AgentPerformance:
    """An agent without runs in a window: seen before, or never."""
    return AgentPerformance(
        agent_name=name,
        agent_type=known.agent_type if known else None,
        status="inactive" if known else "unknown",
        last_run=from_micros(known.last_run) if known and known.last_run else None,
        metrics=empty if found is None else found.metrics,
    )
