"""Thresholds and what is beyond them: a breach needs evidence, not one unlucky run.

Pure functions of metrics; nothing here knows the time, storage or a sink.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import blake2s
from typing import Any, NamedTuple

from perfmon.records import (
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMetrics,
    from_micros,
)
from perfmon.scores import wilson

MIN_BAD = 3


class Threshold(NamedTuple):
    """A limit on a metric: `sign` is +1 for a maximum, -1 for a minimum."""

    name: str
    metric: str
    metric_type: MetricType
    level: AlertLevel
    sign: int
    words: str


THRESHOLDS = (
    Threshold(
        "success_rate_min", "success_rate", MetricType.SUCCESS_RATE, AlertLevel.CRITICAL, -1,
        "success rate {value:.1%} is below {limit:.0%}",
    ),
    Threshold(
        "error_rate_max", "error_rate", MetricType.ERROR_RATE, AlertLevel.WARNING, 1,
        "error rate {value:.1%} is above {limit:.0%}",
    ),
    Threshold(
        "latency_p95_max_ms", "p95_latency_ms", MetricType.LATENCY, AlertLevel.WARNING, 1,
        "p95 latency {value:,.0f} ms is above {limit:,.0f} ms",
    ),
    Threshold(
        "cost_per_task_max", "cost_per_task", MetricType.COST, AlertLevel.WARNING, 1,
        "cost per task ${value:,.4f} is above ${limit:,.2f}",
    ),
    Threshold(
        "accuracy_min", "avg_accuracy", MetricType.ACCURACY, AlertLevel.CRITICAL, -1,
        "accuracy {value:.1%} is below {limit:.0%}",
    ),
    Threshold(
        "memory_max_mb", "max_memory_mb", MetricType.MEMORY, AlertLevel.CRITICAL, 1,
        "peak memory {value:,.0f} MB is above {limit:,.0f} MB",
    ),
    Threshold(
        "token_per_task_max", "tokens_per_task", MetricType.TOKEN_USAGE, AlertLevel.WARNING, 1,
        "tokens per task {value:,.0f} are above {limit:,.0f}",
    ),
)  # fmt: skip


def breaches(
    metrics: PerformanceMetrics, limits: dict[str, float], agent_name: str | None = None
) -> Iterator[PerformanceAlert]:
    """The thresholds that these metrics are beyond, with their evidence in `details`."""
    for threshold in THRESHOLDS:
        value, limit = float(getattr(metrics, threshold.metric)), limits[threshold.name]
        if math.isnan(value) or (value - limit) * threshold.sign <= 0:
            continue
        evidence = _evidence(threshold, metrics, limit)
        if evidence is not None:
            yield _alert(threshold, value, limit, agent_name, metrics, evidence)


def _evidence(
    threshold: Threshold, metrics: PerformanceMetrics, limit: float
) -> dict[str, Any] | None:
    """Sample size and interval, or None where chance would explain the figure as well."""
    runs = metrics.total_tasks
    if threshold.metric == "success_rate":
        return _share(metrics.successful_tasks, runs, limit, threshold.sign)
    if threshold.metric == "error_rate":
        return _share(metrics.failed_tasks, runs, limit, threshold.sign)
    counts = {
        "p95_latency_ms": metrics.latency_count,
        "cost_per_task": metrics.cost_count,
        "avg_accuracy": metrics.accuracy_count,
        "tokens_per_task": metrics.tokens_count,
    }
    samples = counts.get(threshold.metric, runs)
    # A p95 needs 20 runs before it is more than the largest of them.
    least = 20 if threshold.metric == "p95_latency_ms" else MIN_BAD
    return {"sample_size": samples} if samples >= least else None


def _share(part: int, whole: int, limit: float, sign: int) -> dict[str, Any] | None:
    low, high = wilson(part, whole)
    bad = part if sign > 0 else whole - part
    beyond = low > limit if sign > 0 else high < limit
    if bad < MIN_BAD or not beyond:
        return None
    return {"sample_size": whole, "interval": [low, high]}


def _alert(
    threshold: Threshold,
    value: float,
    limit: float,
    agent_name: str | None,
    metrics: PerformanceMetrics,
    evidence: dict[str, Any],
) -> PerformanceAlert:
    words = threshold.words.format(value=value, limit=limit)
    who = f"agent {agent_name}" if agent_name else "the system"
    key = f"{threshold.name}\0{agent_name or ''}"
    return PerformanceAlert(
        alert_id=blake2s(key.encode(), digest_size=8).hexdigest(),
        level=threshold.level,
        metric_type=threshold.metric_type,
        message=f"{who}: {words} ({evidence['sample_size']:,} samples)",
        current_value=value,
        threshold=limit,
        agent_name=agent_name,
        timestamp=metrics.window_end or from_micros(0),
        details=evidence,
    )
