"""Which way a metric is good: up, down, or neither."""

from __future__ import annotations

_HIGHER = frozenset(
    ("successful_tasks", "success_rate", "avg_quality_score", "avg_confidence", "avg_accuracy",
     "accuracy_coverage")
)  # fmt: skip
_LOWER = frozenset(
    ("failed_tasks", "partial_tasks", "error_rate", "timeout_rate", "retry_rate",
     "avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms",
     "total_tokens", "total_input_tokens", "total_output_tokens", "total_cost", "failed_cost",
     "cost_per_task",
     "tokens_per_task", "avg_memory_mb", "max_memory_mb", "avg_cpu_ms", "predictions_waiting",
     "unmapped_count")
)  # fmt: skip


def higher_is_better(metric: str) -> bool | None:
    """Whether more of a metric is good; None where it is neither, as how much ran or was measured.

    >>> higher_is_better("success_rate"), higher_is_better("failed_tasks")
    (True, False)
    >>> higher_is_better("cost_count") is None
    True
    """
    return True if metric in _HIGHER else False if metric in _LOWER else None
