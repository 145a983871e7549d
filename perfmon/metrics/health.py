"""Health, reliability, efficiency and specialization: many metrics in one number.

A part that was not measured (NaN) is left out and its weight shared out among the others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import attrs

if TYPE_CHECKING:
    from perfmon.records import PerformanceMetrics

_WORST_ERROR_RATE = 0.20
_WORDS = ((90.0, "Excellent"), (70.0, "Good"), (50.0, "Fair"), (0.0, "Poor"))
_STATUSES = ((70.0, "healthy"), (50.0, "degraded"), (0.0, "unhealthy"))
NO_DATA = "no_data"


@attrs.frozen(kw_only=True)
class Targets:
    """What counts as efficient.

    Attributes:
        latency_ms: a mean latency up to here is perfect.
        latency_limit_ms: from here on it is worth nothing.
    """

    latency_ms: float = 1000.0
    latency_limit_ms: float = 5000.0


DEFAULT_TARGETS = Targets()


def health_score(metrics: PerformanceMetrics, latency_p95_max_ms: float = 5000.0) -> float | None:
    """How well a window went, 0 to 100, or None where there were no runs.

    40 for success, 30 for latency (mean against twice the p95 threshold), 20 for few errors
    (none left at 20%), 10 for accuracy (full where nothing was measured).
    """
    if not metrics.total_tasks:
        return None
    parts = _health(metrics, latency_p95_max_ms)
    return 100 * _weighted(tuple((weight, value) for _, weight, value in parts))


class HealthPart(NamedTuple):
    """What a part of the health score came to: points of `most`."""

    name: str
    points: float
    most: float

    @property
    def lost(self) -> float:
        return self.most - self.points


def health_parts(
    metrics: PerformanceMetrics, latency_p95_max_ms: float = 5000.0
) -> tuple[HealthPart, ...]:
    """The parts whose points make the health score; empty without runs.

    >>> from perfmon import PerformanceMetrics
    >>> half = PerformanceMetrics(total_tasks=4, success_rate=0.5, error_rate=0.5)
    >>> [(part.name, round(part.points, 1), round(part.most, 1)) for part in health_parts(half)]
    [('success', 28.6, 57.1), ('errors', 0.0, 28.6), ('accuracy', 14.3, 14.3)]
    """
    if not metrics.total_tasks:
        return ()
    known = [one for one in _health(metrics, latency_p95_max_ms) if not math.isnan(one[2])]
    scale = 100 / math.fsum(weight for _, weight, _ in known)
    return tuple(
        HealthPart(name, scale * weight * _clamp(value), scale * weight)
        for name, weight, value in known
    )


def _health(
    metrics: PerformanceMetrics, latency_p95_max_ms: float
) -> tuple[tuple[str, float, float], ...]:
    """Each part's name, weight and value."""
    accuracy = 1.0 if math.isnan(metrics.avg_accuracy) else metrics.avg_accuracy
    return (
        ("success", 40, metrics.success_rate),
        ("latency", 30, 1 - _ratio(metrics.avg_latency_ms, 2 * latency_p95_max_ms)),
        ("errors", 20, 1 - metrics.error_rate / _WORST_ERROR_RATE),
        ("accuracy", 10, accuracy),
    )


def health_word(score: float | None) -> str:
    """`Excellent` from 90, `Good` from 70, `Fair` from 50, else `Poor`; `no_data` for None."""
    return _graded(score, _WORDS)


def health_status(score: float | None) -> str:
    """`healthy` from 70, `degraded` from 50, else `unhealthy`; `no_data` for None."""
    return _graded(score, _STATUSES)


def reliability(metrics: PerformanceMetrics) -> float:
    """The success rate in [0, 1]; its uncertainty is `metrics.success_rate_interval`."""
    return metrics.success_rate


def efficiency(metrics: PerformanceMetrics, targets: Targets = DEFAULT_TARGETS) -> float:
    """Quick, good and successful, in [0, 1]; NaN where nothing of that was measured."""
    span = targets.latency_limit_ms - targets.latency_ms
    late = _ratio(metrics.avg_latency_ms - targets.latency_ms, span)
    parts = ((0.3, 1 - late), (0.4, metrics.avg_quality_score), (0.3, metrics.success_rate))
    return _weighted(parts)


def specialization(success_rate: float, quality: float, quality_std: float) -> float:
    """How good an agent is at its specialties, in [0, 1]; NaN where nothing was measured.

    The mean of success rate, mean quality and consistency (1 - the coefficient of variation of
    quality), all over the runs of its specialties.
    """
    consistency = 1 - quality_std / quality if quality > 0 else math.nan
    return _weighted(((1, success_rate), (1, quality), (1, consistency)))


def _weighted(parts: tuple[tuple[float, float], ...]) -> float:
    measured = [(weight, _clamp(value)) for weight, value in parts if not math.isnan(value)]
    if not measured:
        return math.nan
    total = math.fsum(weight * value for weight, value in measured)
    return _clamp(total / math.fsum(weight for weight, _ in measured))


def _graded(score: float | None, grades: tuple[tuple[float, str], ...]) -> str:
    if score is None or math.isnan(score):
        return NO_DATA
    return next((word for least, word in grades if score >= least), grades[-1][1])


def _ratio(part: float, whole: float) -> float:
    """A limit of 0 is met by nothing but 0."""
    if math.isnan(part) or whole > 0:
        return part / whole if whole > 0 else math.nan
    return math.inf if part > 0 else 0.0


def _clamp(value: float) -> float:
    return min(1.0, max(0.0, value))
