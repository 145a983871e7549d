"""Metrics of a window, of an agent, and over time."""

from __future__ import annotations

from datetime import datetime

import attrs

from perfmon.records.plain import NAN


@attrs.frozen(kw_only=True)
class PerformanceMetrics:
    """The metrics of a window. A mean or rate without data is NaN (null in JSON), never 0.

    Rates are over all runs (a partial run is neither success nor error), `retry_rate` over runs
    that report retries. Totals are sums over the runs that have the value; `tokens_count`,
    `cost_count` and so on give their number. `failed_cost` is the cost of failures whose cost is
    known.
    Latencies are in milliseconds, memory in MiB, cost in US dollars. Quantiles interpolate
    linearly and are within 1% of the true value, exact for few runs. `accuracy_interval` is the
    95% interval of `avg_accuracy`, `accuracy_coverage` the share of this window's predictions
    whose outcome is known, and `predictions_waiting` how many still await theirs. Trends are
    `improving`, `stable`, `degrading` or `insufficient_data`. `window_start` is exclusive and
    `window_end` inclusive for a window that ends now; `[since, until)` otherwise.
    """

    total_tasks: int = 0
    successful_tasks: int = 0
    failed_tasks: int = 0
    partial_tasks: int = 0
    success_rate: float = NAN
    error_rate: float = NAN
    timeout_rate: float = NAN
    retry_rate: float = NAN
    runs_per_minute: float = NAN
    avg_latency_ms: float = NAN
    p50_latency_ms: float = NAN
    p95_latency_ms: float = NAN
    p99_latency_ms: float = NAN
    max_latency_ms: float = NAN
    total_tokens: int = 0
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    total_api_calls: int = 0
    total_cost: float = 0.0
    latency_count: int = 0
    tokens_count: int = 0
    cost_count: int = 0
    failed_cost: float = 0.0
    failed_cost_count: int = 0
    api_calls_count: int = 0
    retries_count: int = 0
    cost_per_task: float = NAN
    tokens_per_task: float = NAN
    avg_memory_mb: float = NAN
    max_memory_mb: float = NAN
    avg_cpu_ms: float = NAN
    avg_quality_score: float = NAN
    avg_confidence: float = NAN
    avg_accuracy: float = NAN
    accuracy_count: int = 0
    accuracy_interval: tuple[float, float] = (NAN, NAN)
    accuracy_coverage: float = NAN
    predictions_waiting: int = 0
    unmapped_count: int = 0
    errors: dict[str, int] = attrs.Factory(dict)
    success_rate_interval: tuple[float, float] = (NAN, NAN)
    success_rate_trend: str = "insufficient_data"
    latency_trend: str = "insufficient_data"
    cost_trend: str = "insufficient_data"
    accuracy_trend: str = "insufficient_data"
    window_start: datetime | None = None
    window_end: datetime | None = None
    sample_size: int = 0


@attrs.frozen(kw_only=True)
class AgentPerformance:
    """One agent in a window.

    Attributes:
        status: `active` (runs in this window), `inactive` (seen before), `unknown` (never seen).
        last_run: when its last run ended, or None.
        reliability_score, efficiency_score, specialization_score: in [0, 1], NaN if unmeasured.
    """

    agent_name: str
    agent_type: str | None = None
    status: str = "unknown"
    last_run: datetime | None = None
    metrics: PerformanceMetrics = attrs.Factory(PerformanceMetrics)
    reliability_score: float = NAN
    efficiency_score: float = NAN
    specialization_score: float = NAN


@attrs.frozen
class Point:
    """One value of a series: `value` over `[start, end)` from `count` samples; times in epoch s.

    `low` and `high` are its 95% interval, NaN where the metric has none.
    """

    start: float
    end: float
    value: float
    count: int
    low: float = NAN
    high: float = NAN


@attrs.frozen(kw_only=True)
class Series:
    """A metric over consecutive windows that do not overlap, oldest first.

    Attributes:
        metric: a field of `PerformanceMetrics`.
        higher_is_better: the metric's good direction; None where it has none, as a count of runs.
        points: the windows; `value` may be NaN where nothing was measured.
    """

    metric: str
    higher_is_better: bool | None
    points: tuple[Point, ...]


@attrs.frozen(kw_only=True)
class Trend:
    """How a metric moved between the last two windows of a series.

    Attributes:
        direction: `improving`, `stable`, `degrading` or `insufficient_data`.
        change: relative change, 0.05 for +5%; NaN where there is no base.
    """

    metric: str
    direction: str
    change: float = NAN
    previous: float = NAN
    current: float = NAN
    sample_size: int = 0
