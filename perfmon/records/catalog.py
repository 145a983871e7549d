"""The catalogue of metrics: what each number and trend of `PerformanceMetrics` is, in one place.

Queries, trends, alerts, detectors, the server, reports and the documentation read it. A new metric
is a field of `PerformanceMetrics` and an entry here, in the same order; what no statistic gives by
itself also needs its formula in `perfmon.metrics.summary`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from perfmon.records.alerts import MetricType


class Nature(enum.StrEnum):
    """How a metric is made, and so what may be said of it."""

    SHARE = "share"  # of those that could: in [0, 1]
    MEAN = "mean"
    QUANTILE = "quantile"
    MAXIMUM = "maximum"
    COUNT = "count"
    TOTAL = "total"
    RATE = "rate"  # a count by the minute
    TREND = "trend"  # a word: how another metric moved


@attrs.frozen
class Metric:
    """An entry of the catalogue.

    Attributes:
        name: the field of `PerformanceMetrics`.
        label: its name for people, as it stands within a sentence.
        nature: how it is made.
        unit: `share` (of 1), `ms`, `MiB`, `$`, `tokens`, `runs`, ...; empty for a trend.
        about: the subject of alerts about it.
        higher_is_better: its good direction; None where it has none, as a count of runs.
        of: the statistic it is made of, a name of `perfmon.window.cells.Stat`; empty where there is
            no such one. Of a trend, the metric that moved.
        among: the statistic that counts the runs (or outcomes) that have the value.
        squares: the statistic of the values' squares, where it is kept.
        quantile: which one, in (0, 1).
        interval: the field with its 95% interval, where it has one.
        done: of a share, what the counted runs did: `failed`.
        other_names: what rules may call it as well.
    """

    name: str
    label: str
    nature: Nature
    unit: str
    about: MetricType
    higher_is_better: bool | None = None
    of: str = attrs.field(default="", kw_only=True)
    among: str = attrs.field(default="RUNS", kw_only=True)
    squares: str = attrs.field(default="", kw_only=True)
    quantile: float = attrs.field(default=math.nan, kw_only=True)
    interval: str = attrs.field(default="", kw_only=True)
    done: str = attrs.field(default="", kw_only=True)
    other_names: tuple[str, ...] = attrs.field(default=(), kw_only=True)

    @property
    def is_number(self) -> bool:
        """Whether it is a number, not a word."""
        return self.nature is not Nature.TREND

    @property
    def is_share_of_runs(self) -> bool:
        """Whether it says which part of the runs did something."""
        return self.nature is Nature.SHARE and bool(self.of)

    @property
    def is_proportion(self) -> bool:
        """Whether it is a share of counted runs or outcomes, so that Wilson's interval fits."""
        return self.is_share_of_runs or (self.unit == "share" and bool(self.interval))

    @property
    def has_error_classes(self) -> bool:
        """Whether the runs it counts against somebody are those with error classes."""
        return self.is_share_of_runs and self.of in ("SUCCESS", "FAILURE")


_S, _Q, _C, _T, _A = Nature.SHARE, Nature.QUANTILE, Nature.COUNT, Nature.TOTAL, MetricType
_MEAN, _MAX, _RATE, _TREND = Nature.MEAN, Nature.MAXIMUM, Nature.RATE, Nature.TREND
_HIGH, _LOW = True, False  # what is good

_ENTRIES = (
    Metric("total_tasks", "number of runs", _C, "runs", _A.API_CALLS, of="RUNS",
           other_names=("sample_size",)),
    Metric("successful_tasks", "successful runs", _C, "runs", _A.SUCCESS_RATE, _HIGH, of="SUCCESS"),
    Metric("failed_tasks", "failed runs", _C, "runs", _A.ERROR_RATE, _LOW, of="FAILURE"),
    Metric("partial_tasks", "partial runs", _C, "runs", _A.ERROR_RATE, _LOW, of="PARTIAL"),
    Metric("success_rate", "success rate", _S, "share", _A.SUCCESS_RATE, _HIGH, of="SUCCESS",
           interval="success_rate_interval", done="did not succeed"),
    Metric("error_rate", "error rate", _S, "share", _A.ERROR_RATE, _LOW, of="FAILURE",
           done="failed"),
    Metric("timeout_rate", "timeout rate", _S, "share", _A.ERROR_RATE, _LOW, of="TIMED_OUT",
           done="timed out"),
    Metric("retry_rate", "retry rate", _S, "share", _A.ERROR_RATE, _LOW, of="RETRIED",
           among="RETRIES_N", done="were retried"),
    Metric("runs_per_minute", "runs per minute", _RATE, "runs/min", _A.API_CALLS, of="RUNS"),
    Metric("avg_latency_ms", "mean latency", _MEAN, "ms", _A.LATENCY, _LOW, of="LATENCY",
           among="LATENCY_N", squares="LATENCY_SQ", other_names=("latency_avg_ms",)),
    Metric("p50_latency_ms", "median latency", _Q, "ms", _A.LATENCY, _LOW, of="LATENCY",
           among="LATENCY_N", quantile=0.50, other_names=("latency_p50_ms",)),
    Metric("p95_latency_ms", "p95 latency", _Q, "ms", _A.LATENCY, _LOW, of="LATENCY",
           among="LATENCY_N", quantile=0.95, other_names=("latency_p95_ms",)),
    Metric("p99_latency_ms", "p99 latency", _Q, "ms", _A.LATENCY, _LOW, of="LATENCY",
           among="LATENCY_N", quantile=0.99, other_names=("latency_p99_ms",)),
    Metric("max_latency_ms", "longest run", _MAX, "ms", _A.LATENCY, _LOW, of="LATENCY_MAX",
           among="LATENCY_N", other_names=("latency_max_ms",)),
    Metric("total_tokens", "tokens", _T, "tokens", _A.TOKEN_USAGE, _LOW, of="TOKENS",
           among="TOKENS_N"),
    Metric("total_input_tokens", "input tokens", _T, "tokens", _A.TOKEN_USAGE, _LOW,
           of="INPUT_TOKENS", among="TOKENS_N"),
    Metric("total_output_tokens", "output tokens", _T, "tokens", _A.TOKEN_USAGE, _LOW,
           of="OUTPUT_TOKENS", among="TOKENS_N"),
    Metric("total_api_calls", "API calls", _T, "calls", _A.API_CALLS, of="API_CALLS",
           among="API_CALLS_N"),
    Metric("total_cost", "cost", _T, "$", _A.COST, _LOW, of="COST", among="COST_N"),
    Metric("latency_count", "runs of known latency", _C, "runs", _A.LATENCY, of="LATENCY_N"),
    Metric("tokens_count", "runs of known tokens", _C, "runs", _A.TOKEN_USAGE, of="TOKENS_N"),
    Metric("cost_count", "runs of known cost", _C, "runs", _A.COST, of="COST_N"),
    Metric("failed_cost", "cost of failed runs", _T, "$", _A.COST, _LOW, of="FAILED_COST",
           among="FAILED_COST_N"),
    Metric("failed_cost_count", "failed runs of known cost", _C, "runs", _A.COST,
           of="FAILED_COST_N"),
    Metric("api_calls_count", "runs of known API calls", _C, "runs", _A.API_CALLS,
           of="API_CALLS_N"),
    Metric("retries_count", "runs of known retries", _C, "runs", _A.ERROR_RATE, of="RETRIES_N"),
    Metric("cost_per_task", "cost per task", _MEAN, "$", _A.COST, _LOW, of="COST", among="COST_N",
           squares="COST_SQ"),
    Metric("tokens_per_task", "tokens per task", _MEAN, "tokens", _A.TOKEN_USAGE, _LOW, of="TOKENS",
           among="TOKENS_N", squares="TOKENS_SQ", other_names=("token_per_task",)),
    Metric("avg_memory_mb", "mean memory", _MEAN, "MiB", _A.MEMORY, _LOW, of="MEMORY",
           among="MEMORY_N"),
    Metric("max_memory_mb", "peak memory", _MAX, "MiB", _A.MEMORY, _LOW, of="MEMORY_MAX",
           among="MEMORY_N", other_names=("memory_mb",)),
    Metric("avg_cpu_ms", "mean CPU time", _MEAN, "ms", _A.CPU, _LOW, of="CPU", among="CPU_N"),
    Metric("avg_quality_score", "mean quality", _MEAN, "share", _A.QUALITY, _HIGH, of="QUALITY",
           among="QUALITY_N", squares="QUALITY_SQ"),
    Metric("avg_confidence", "mean confidence", _MEAN, "share", _A.QUALITY, _HIGH, of="CONFIDENCE",
           among="CONFIDENCE_N"),
    Metric("avg_accuracy", "accuracy", _MEAN, "share", _A.ACCURACY, _HIGH, of="ACCURACY",
           among="ACCURACY_N", squares="ACCURACY_SQ", interval="accuracy_interval",
           other_names=("accuracy",)),
    Metric("accuracy_count", "outcomes", _C, "measurements", _A.ACCURACY, of="ACCURACY_N"),
    Metric("accuracy_coverage", "accuracy coverage", _S, "share", _A.ACCURACY, _HIGH),
    Metric("predictions_waiting", "predictions waiting", _C, "predictions", _A.ACCURACY, _LOW,
           of="WAITING"),
    Metric("unmapped_count", "unmapped outcomes", _C, "measurements", _A.ACCURACY, _LOW,
           of="UNMAPPED"),
    Metric("success_rate_trend", "success rate trend", _TREND, "", _A.SUCCESS_RATE,
           of="success_rate"),
    Metric("latency_trend", "latency trend", _TREND, "", _A.LATENCY,
           of="avg_latency_ms"),
    Metric("cost_trend", "cost trend", _TREND, "", _A.COST, of="cost_per_task"),
    Metric("accuracy_trend", "accuracy trend", _TREND, "", _A.ACCURACY, of="avg_accuracy"),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ENTRIES})
"""Every metric by its name, in the order of the fields of `PerformanceMetrics`."""
NUMBERS = tuple(metric.name for metric in _ENTRIES if metric.is_number)
TRENDS = tuple(metric.name for metric in _ENTRIES if not metric.is_number)
OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {other: metric.name for metric in _ENTRIES for other in metric.other_names}
)
"""The names of metrics that rules accept beside the fields' own."""

_COUNTS = {metric.of: metric.name for metric in _ENTRIES if metric.nature is Nature.COUNT}


def counted_by(metric: str) -> str:
    """The field that says how many runs (or outcomes) have the value of a metric.

    >>> counted_by("total_cost"), counted_by("avg_accuracy"), counted_by("max_memory_mb")
    ('cost_count', 'accuracy_count', 'total_tasks')
    """
    return _COUNTS.get(METRICS[metric].among, "total_tasks")


def label_of(metric: str) -> str:
    """A metric's name for people; one that is not in the catalogue is named by itself.

    >>> label_of("p95_latency_ms"), label_of("tool_calls")
    ('p95 latency', 'tool calls')
    """
    known = METRICS.get(metric)
    return metric.replace("_", " ") if known is None else known.label
