"""The status of a window in one word, consistent with its alerts, and what lowered its score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from perfmon.metrics.health import (
    HealthPart,
    health_parts,
    health_score,
    health_status,
    health_word,
)
from perfmon.records import AlertLevel, PerformanceAlert, PerformanceMetrics

FEW = 20
"""Fewer runs than this are said to be few."""
_CEILINGS = {AlertLevel.CRITICAL: 69.9, AlertLevel.WARNING: 89.9}
"""While an alert of a level fires, the words are those of no higher a score than this."""
_SHOWN = 3
_ORDER = list(AlertLevel)


@attrs.frozen(kw_only=True)
class Health:
    """The health of a window.

    The score is what the runs came to, by its formula; the words are also about what fires: while
    a critical alert does, they are never better than `Fair` and `degraded`, while a warning does,
    never better than `Good`.

    Attributes:
        score: 0 to 100, or None without runs.
        runs: how many it is of.
        parts: what each part of the score came to, and could have.
        alerts: what fires about these runs, the most urgent first.
    """

    score: float | None
    runs: int
    parts: tuple[HealthPart, ...]
    alerts: tuple[PerformanceAlert, ...] = ()

    @classmethod
    def of(
        cls, metrics: PerformanceMetrics, latency_p95_max_ms: float, alerts: list[PerformanceAlert]
    ) -> Health:
        """That of a window's metrics, and of the alerts that fire about the same runs."""
        urgent = sorted(alerts, key=lambda alert: -_ORDER.index(alert.level))
        return cls(
            score=health_score(metrics, latency_p95_max_ms),
            runs=metrics.total_tasks,
            parts=health_parts(metrics, latency_p95_max_ms),
            alerts=tuple(urgent),
        )

    @property
    def word(self) -> str:
        """`Excellent`, `Good`, `Fair`, `Poor` or `no_data`."""
        return health_word(self._spoken)

    @property
    def status(self) -> str:
        """`healthy`, `degraded`, `unhealthy` or `no_data`."""
        return health_status(self._spoken)

    @property
    def is_few(self) -> bool:
        """Whether the runs are too few to say much."""
        return 0 < self.runs < FEW

    @property
    def _spoken(self) -> float | None:
        if self.score is None:
            return None
        return min([self.score, *(_CEILINGS.get(alert.level, 100.0) for alert in self.alerts)])

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons for the status, a sentence each: alerts, lost points, few runs."""
        return (*self._of_alerts(), *self._of_parts(), *self._of_runs())

    def _of_alerts(self) -> Iterator[str]:
        for level in reversed(_ORDER):
            own = [alert for alert in self.alerts if alert.level is level]
            for alert in own[:_SHOWN]:
                yield f"{level} alert: {alert.message}"
            if len(own) > _SHOWN:
                yield f"and {len(own) - _SHOWN:,} more {level} alerts"

    def _of_parts(self) -> Iterator[str]:
        for part in sorted(self.parts, key=lambda part: -part.lost):
            if part.lost >= 0.05:
                yield f"{part.name} costs {part.lost:.1f} of {part.most:.1f} points"

    def _of_runs(self) -> Iterator[str]:
        if self.is_few:
            yield f"only {self.runs} run{'' if self.runs == 1 else 's'}: too few to be meaningful"

    def plain(self) -> dict[str, Any]:
        """Everything as values for JSON, alerts in short."""
        return {
            "status": self.status,
            "runs": self.runs,
            "few_runs": self.is_few,
            "parts": [
                {"part": one.name, "points": one.points, "most": one.most, "lost": one.lost}
                for one in self.parts
            ],
            "alerts": [
                {"alert_id": one.alert_id, "level": str(one.level), "message": one.message}
                for one in self.alerts
            ],
            "reasons": list(self.reasons),
        }
