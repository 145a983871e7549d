"""From cells to `PerformanceMetrics`, in total or by agent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np

from perfmon.metrics.intervals import mean_interval, mean_share, wilson
from perfmon.metrics.statistics import MADE_OF, MadeOf
from perfmon.records import CellKey, PerformanceMetrics, from_micros
from perfmon.records.catalog import METRICS, Nature
from perfmon.records.measurements import ANY_AGENT
from perfmon.window import sketch
from perfmon.window.cells import Cells, Stat, add_up
from perfmon.window.ragged import Floats, Ints
from perfmon.window.vocabulary import Vocabulary


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
    wanted = tuple(_QUANTILES.values())
    latencies = sketch.quantiles(cells.latencies.labels, cells.latencies.counts, wanted)
    return _metrics(stats, latencies, error_counts(cells), span)


def _metrics(
    row: Floats, quantiles: list[float], errors: dict[str, int], span: Span
) -> PerformanceMetrics:
    stats: list[float] = row.tolist()
    values: dict[str, Any] = {name: int(stats[of]) for name, of in _COUNTS}
    values |= {name: round(stats[of]) for name, of in _WHOLE_TOTALS}
    values |= {name: stats[of] for name, of in _TOTALS}
    values |= {name: _ratio(stats[of], stats[among]) for name, of, among in _RATIOS}
    values |= {name: _ratio(stats[of], span.minutes) for name, of in _RATES}
    values |= {name: _extreme(stats[of]) for name, of in _MAXIMA}
    # The middle of the highest bucket may lie above the longest run.
    longest = values["max_latency_ms"]
    known = (min(value, longest) if value == value else value for value in quantiles)  # noqa: PLR0124
    values |= zip(_QUANTILES, known, strict=True)
    values |= {name: formula(stats) for name, formula in _FORMULAS.items()}
    return PerformanceMetrics(
        **values,
        errors=errors,
        window_start=from_micros(span.start),
        window_end=from_micros(span.end),
        sample_size=values["total_tasks"],
    )


Stats = list[float]


def _accuracy(stats: Stats) -> float:
    return mean_share(stats[Stat.ACCURACY_N], stats[Stat.ACCURACY])


def _accuracy_interval(stats: Stats) -> tuple[float, float]:
    return mean_interval(stats[Stat.ACCURACY_N], stats[Stat.ACCURACY], stats[Stat.ACCURACY_SQ])


def _coverage(stats: Stats) -> float:
    labelled = stats[Stat.DIRECT] + stats[Stat.ANSWERED]
    return _ratio(labelled, labelled + stats[Stat.WAITING])


def _success_interval(stats: Stats) -> tuple[float, float]:
    return wilson(stats[Stat.SUCCESS], stats[Stat.RUNS])


# What no statistic gives by itself, and intervals.
_FORMULAS: dict[str, Callable[[Stats], Any]] = {
    "avg_accuracy": _accuracy,
    "accuracy_interval": _accuracy_interval,
    "accuracy_coverage": _coverage,
    "success_rate_interval": _success_interval,
}


def _of(*natures: Nature) -> Iterator[tuple[str, MadeOf]]:
    """The metrics that are made of statistics in one of these ways."""
    for name, made in MADE_OF.items():
        if METRICS[name].nature in natures and name not in _FORMULAS:
            yield name, made


_INTEGERS = frozenset(f.name for f in attrs.fields(PerformanceMetrics) if f.type in ("int", int))
# The name of each metric with the places of its statistics in a row.
_COUNTS = tuple((name, int(made.of)) for name, made in _of(Nature.COUNT))
_SUMS = tuple((name, int(made.of)) for name, made in _of(Nature.TOTAL))
_WHOLE_TOTALS = tuple((name, of) for name, of in _SUMS if name in _INTEGERS)
_TOTALS = tuple((name, of) for name, of in _SUMS if name not in _INTEGERS)
_RATIOS = tuple(
    (name, int(made.of), int(made.among)) for name, made in _of(Nature.SHARE, Nature.MEAN)
)
_RATES = tuple((name, int(made.of)) for name, made in _of(Nature.RATE))
_MAXIMA = tuple((name, int(made.of)) for name, made in _of(Nature.MAXIMUM))
_QUANTILES = {name: METRICS[name].quantile for name, _ in _of(Nature.QUANTILE)}


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
