"""From cells to `PerformanceMetrics`, for everything or agent by agent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from perfmon.metrics.health import wilson
from perfmon.metrics.intervals import mean_interval, mean_share
from perfmon.records import CellKey, PerformanceMetrics, from_micros
from perfmon.records.measurements import ANY_AGENT
from perfmon.window import sketch
from perfmon.window.cells import Cells, Stat, add_up
from perfmon.window.ragged import Floats, Ints
from perfmon.window.vocabulary import Vocabulary

QUANTILES = (0.50, 0.95, 0.99)


class Span(NamedTuple):
    """What the metrics are about: from, to (UTC microseconds)."""

    start: int
    end: int

    @property
    def minutes(self) -> float:
        return (self.end - self.start) / 60e6


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _extreme(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def error_counts(cells: Cells) -> dict[str, int]:
    """Error classes with their counts, most frequent first."""
    if not len(cells.errors.labels):
        return {}
    totals = np.bincount(cells.errors.labels.astype(np.int64), weights=cells.errors.counts)
    order = np.argsort(-totals, kind="stable")
    names = cells.vocabulary.errors.values
    return {names[number]: int(totals[number]) for number in order if totals[number]}


def metrics_of(cells: Cells, span: Span) -> PerformanceMetrics:
    """All cells together."""
    stats = add_up(cells.stats)
    latencies = sketch.quantiles(cells.latencies.labels, cells.latencies.counts, QUANTILES)
    return _metrics(stats, latencies, error_counts(cells), span)


def _metrics(
    row: Floats, quantiles: list[float], errors: dict[str, int], span: Span
) -> PerformanceMetrics:
    stats: list[float] = row.tolist()
    runs, success = stats[Stat.RUNS], stats[Stat.SUCCESS]
    longest = _extreme(stats[Stat.LATENCY_MAX])
    # The middle of the highest bucket may lie above the longest run.
    p50, p95, p99 = (min(value, longest) if value == value else value for value in quantiles)  # noqa: PLR0124
    mean = _ratio
    labelled = stats[Stat.DIRECT] + stats[Stat.ANSWERED]
    return PerformanceMetrics(
        total_tasks=int(runs),
        successful_tasks=int(success),
        failed_tasks=int(stats[Stat.FAILURE]),
        partial_tasks=int(stats[Stat.PARTIAL]),
        success_rate=_ratio(success, runs),
        error_rate=_ratio(stats[Stat.FAILURE], runs),
        timeout_rate=_ratio(stats[Stat.TIMED_OUT], runs),
        retry_rate=_ratio(stats[Stat.RETRIED], stats[Stat.RETRIES_N]),
        runs_per_minute=_ratio(runs, span.minutes),
        avg_latency_ms=mean(stats[Stat.LATENCY], stats[Stat.LATENCY_N]),
        p50_latency_ms=p50,
        p95_latency_ms=p95,
        p99_latency_ms=p99,
        max_latency_ms=longest,
        total_tokens=round(stats[Stat.TOKENS]),
        total_input_tokens=round(stats[Stat.INPUT_TOKENS]),
        total_output_tokens=round(stats[Stat.OUTPUT_TOKENS]),
        total_api_calls=round(stats[Stat.API_CALLS]),
        total_cost=stats[Stat.COST],
        latency_count=int(stats[Stat.LATENCY_N]),
        tokens_count=int(stats[Stat.TOKENS_N]),
        cost_count=int(stats[Stat.COST_N]),
        failed_cost=stats[Stat.FAILED_COST],
        failed_cost_count=int(stats[Stat.FAILED_COST_N]),
        api_calls_count=int(stats[Stat.API_CALLS_N]),
        retries_count=int(stats[Stat.RETRIES_N]),
        cost_per_task=mean(stats[Stat.COST], stats[Stat.COST_N]),
        tokens_per_task=mean(stats[Stat.TOKENS], stats[Stat.TOKENS_N]),
        avg_memory_mb=mean(stats[Stat.MEMORY], stats[Stat.MEMORY_N]),
        max_memory_mb=_extreme(stats[Stat.MEMORY_MAX]),
        avg_cpu_ms=mean(stats[Stat.CPU], stats[Stat.CPU_N]),
        avg_quality_score=mean(stats[Stat.QUALITY], stats[Stat.QUALITY_N]),
        avg_confidence=mean(stats[Stat.CONFIDENCE], stats[Stat.CONFIDENCE_N]),
        avg_accuracy=mean_share(stats[Stat.ACCURACY_N], stats[Stat.ACCURACY]),
        accuracy_count=int(stats[Stat.ACCURACY_N]),
        accuracy_interval=mean_interval(
            stats[Stat.ACCURACY_N], stats[Stat.ACCURACY], stats[Stat.ACCURACY_SQ]
        ),
        accuracy_coverage=_ratio(labelled, labelled + stats[Stat.WAITING]),
        predictions_waiting=int(stats[Stat.WAITING]),
        unmapped_count=int(stats[Stat.UNMAPPED]),
        errors=errors,
        success_rate_interval=wilson(success, runs),
        window_start=from_micros(span.start),
        window_end=from_micros(span.end),
        sample_size=int(runs),
    )


class AgentCells(NamedTuple):
    """One agent's part of an answer: metrics, and what its scores need."""

    metrics: PerformanceMetrics
    agent_type: str | None
    last_run: int | None
    stats: Floats
    by_task_type: dict[str | None, Floats]


def quality_spread(stats: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the quality of one row of statistics."""
    count = stats[Stat.QUALITY_N]
    if not count:
        return math.nan, math.nan
    mean = stats[Stat.QUALITY] / count
    return float(mean), math.sqrt(max(stats[Stat.QUALITY_SQ] / count - mean * mean, 0.0))


def agents_of(cells: Cells, span: Span) -> Iterator[tuple[str, AgentCells]]:
    """Each agent with its metrics; one name in several tenants is one agent here."""
    if not len(cells):
        return
    names, group = agent_groups(cells.keys, cells.vocabulary)
    order = np.argsort(group, kind="stable")
    ordered = cells.take(order)
    bounds = np.searchsorted(group[order], np.arange(len(names) + 1))
    for number, name in enumerate(names):
        if name == ANY_AGENT:
            continue
        rows = np.arange(bounds[number], bounds[number + 1])
        yield name, _agent(ordered.take(rows), span)


def agent_groups(keys: Ints, vocabulary: Vocabulary) -> tuple[list[str], Ints]:
    """The agents of these keys, and for each key the place of its agent among them."""
    numbers: dict[str, int] = {}
    present, inverse = np.unique(keys, return_inverse=True)
    of_key = [
        numbers.setdefault(vocabulary.keys.values[key].agent_name, len(numbers)) for key in present
    ]
    group: Ints = np.array(of_key, np.int64)[inverse]
    return list(numbers), group


def _agent(cells: Cells, span: Span) -> AgentCells:
    keys: list[CellKey] = cells.vocabulary.keys.values
    lasts = cells.stats[:, Stat.LAST_RUN]
    newest = int(np.argmax(lasts))
    last = float(lasts[newest])
    return AgentCells(
        metrics_of(cells, span),
        keys[cells.keys[newest]].agent_type,
        int(last) if math.isfinite(last) else None,
        add_up(cells.stats),
        _by_task_type(cells, keys),
    )


def _by_task_type(cells: Cells, keys: list[CellKey]) -> dict[str | None, Floats]:
    rows: dict[str | None, list[int]] = {}
    for row, key in enumerate(cells.keys.tolist()):
        rows.setdefault(keys[key].task_type, []).append(row)
    return {kind: add_up(cells.stats[places]) for kind, places in rows.items()}
