"""The figures behind an alert: error classes, worst agents and models, what grew, since when.

They are of the very runs that the verdict is about. Where those cannot be had any more, or others
came in between, there are none rather than figures of another moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.alerts.beginnings import began_at, chain_began, terms_of
from perfmon.alerts.evidence.verdicts import Verdict
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.alerts.wording.advice import Details, Part
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import Asked
from perfmon.metrics.statistics import MADE_OF
from perfmon.metrics.summary import error_counts
from perfmon.records import CellKey
from perfmon.records.catalog import METRICS, Nature
from perfmon.window.cells import MINUTE, Cells, Stat, add_up
from perfmon.window.columns import RunColumns
from perfmon.window.live import LiveWindow
from perfmon.window.ragged import Floats, Ints

Flags = npt.NDArray[np.bool_]
_MICROS = 1_000_000
_HOUR = 3600 * _MICROS
_MOST = 10
_SHARES = (Kind.SHARE, Kind.BURN)
_ONE_BY_ONE = (Kind.ANY, Kind.SINGLE)
_TRACED = (*_SHARES, Kind.BEYOND, Kind.MEAN)


class _Excerpt(NamedTuple):
    """Runs, with how many of them are bad: single ones, or the cells they are in.

    Attributes:
        cells: of these runs.
        keys, runs, bad: of each run or cell.
        errors: the classes of the bad ones.
    """

    cells: Cells
    keys: Ints
    runs: Floats
    bad: Floats
    errors: dict[str, int]


class DetailsOf:
    """Finds the details of a verdict: of its own runs, and of the stretch before them."""

    def __init__(self, queries: Queries, window: LiveWindow) -> None:
        self._queries = queries
        self._window = window

    def __call__(self, verdict: Verdict) -> Details:
        if verdict.watch.kind is Kind.CONFLICTS:  # it is about what is in no figure
            return Details()
        since, until = verdict.bounds
        if not since:
            since, until = verdict.at + 1 - _width(verdict), verdict.at + 1
        bare = Details(at=verdict.at, began=self._began(verdict, since, until))
        part = self._part(verdict, since, until)
        bad = round(float(part.bad.sum()))
        if verdict.watch.kind in _SHARES and (
            (round(float(part.runs.sum())), bad) != (verdict.sample_size, verdict.bad)
        ):
            return bare
        before = self._part(verdict, 2 * since - until, since)
        stats, earlier = add_up(part.cells.stats), add_up(before.cells.stats)
        is_counted = bad == verdict.bad
        return attrs.evolve(
            bare,
            bad=bad if is_counted else 0,
            classes=len(part.errors),
            unclassed=max(0, bad - sum(part.errors.values())) if part.errors else 0,
            errors=_first(part.errors),
            errors_before=_first(before.errors),
            runs=int(stats[Stat.RUNS]),
            runs_before=int(earlier[Stat.RUNS]),
            agents=_parts(part, lambda key: key.agent_name) if is_counted else (),
            models=_parts(part, lambda key: key.model) if is_counted else (),
            retry_rate=_share(stats, Stat.RETRIED, Stat.RETRIES_N),
            retry_rate_before=_share(earlier, Stat.RETRIED, Stat.RETRIES_N),
            # No run has an empty prompt: where there are no input tokens, nobody tells them.
            prompt_tokens=_share(stats, Stat.INPUT_TOKENS) or math.nan,
            prompt_tokens_before=_share(earlier, Stat.INPUT_TOKENS) or math.nan,
        )

    def _part(self, verdict: Verdict, since: int, until: int) -> _Excerpt:
        runs = self._window.raw_runs(since, until, verdict.scope)
        if runs is None:
            return self._of_cells(verdict, since, until)
        bad = _bad(runs, verdict)
        by_class = _is_share(verdict.watch) and METRICS[verdict.watch.metric].has_error_classes
        failed = bad if by_class else ~runs.counted(Stat.SUCCESS)
        of = _known(runs, verdict.watch).astype(np.float64)
        classes = _classes(runs, failed)
        return _Excerpt(
            runs.cells(MINUTE), runs.keys.astype(np.int64), of, bad.astype(float), classes
        )

    def _of_cells(self, verdict: Verdict, since: int, until: int) -> _Excerpt:
        """Where single runs had to leave: their sums, and classes only where all of them count."""
        asked = Asked(since, until, True)
        cells = self._queries.answer(asked, verdict.scope, by_key=True).cells
        bad = _bad_in(cells, verdict)
        errors = error_counts(cells)
        fits = sum(errors.values()) <= bad.sum()
        known = _among(verdict.watch)
        return _Excerpt(cells, cells.keys, cells.stats[:, known], bad, errors if fits else {})

    # Since when

    def _began(self, verdict: Verdict, since: int, until: int) -> int | None:
        """When what is wrong began, as far as the runs in memory tell; None where they do not."""
        kind = verdict.watch.kind
        if kind in (Kind.NO_RUNS, Kind.UNFINISHED):
            known = not math.isnan(verdict.value)
            return verdict.at - round(verdict.value * _MICROS) if known else None
        if kind in _ONE_BY_ONE:
            at, values = self._values(verdict, self._floor(verdict), until)
            gap = round(verdict.watch.stretches[0].seconds * _MICROS)
            return chain_began(at, values, gap)
        if kind not in _TRACED:
            return None
        return self._traced(verdict, since, until)

    def _traced(self, verdict: Verdict, since: int, until: int) -> int | None:
        """Further and further back, until runs are met that were well."""
        terms = terms_of(verdict.watch, verdict.threshold)
        floor = self._floor(verdict)
        while True:
            since = max(since, floor)
            at, values = self._values(verdict, since, until)
            found = began_at(at, values, terms)
            if found is None or found[1] or since <= floor:
                return None if found is None else found[0]
            since = until - 2 * (until - since)

    def _floor(self, verdict: Verdict) -> int:
        """From when on the runs in memory tell."""
        return max(verdict.at - self._window.retention + 1, self._window.raw_since)

    def _values(self, verdict: Verdict, since: int, until: int) -> tuple[Ints, Floats]:
        """What counts of each run, by time; 1 where it is bad, for what counts bad runs."""
        watch = verdict.watch
        if watch.metric == "avg_accuracy":
            return self._window.raw_scores(since, until, verdict.scope)
        runs = self._window.raw_runs(since, until, verdict.scope)
        if runs is None:
            return np.zeros(0, np.int64), np.zeros(0)
        if watch.kind is not Kind.MEAN:
            known = _known(runs, watch)
            return runs.at[known], _bad(runs, verdict)[known].astype(np.float64)
        values = runs.values(MADE_OF[watch.metric].of)
        known = ~np.isnan(values)
        return runs.at[known], values[known]


def _width(verdict: Verdict) -> int:
    return round(verdict.seconds * _MICROS) if verdict.seconds > 0 else _HOUR


def _first(counts: dict[str, int]) -> dict[str, int]:
    return dict(list(counts.items())[:_MOST])


def _share(stats: Floats, stat: Stat, among: Stat = Stat.RUNS) -> float:
    return float(stats[stat] / stats[among]) if stats[among] else math.nan


def _classes(runs: RunColumns, bad: Flags) -> dict[str, int]:
    """Error classes of bad runs with their counts, most frequent first."""
    numbers, counts = np.unique(runs.errors[bad & (runs.errors >= 0)], return_counts=True)
    names = runs.vocabulary.errors.values
    found = [(names[number], int(count)) for number, count in zip(numbers, counts, strict=True)]
    return dict(sorted(found, key=lambda item: (-item[1], item[0])))


def _is_share(watch: Watch) -> bool:
    metric = METRICS.get(watch.metric)
    return metric is not None and metric.is_share_of_runs


def _among(watch: Watch) -> Stat:
    """What counts the runs that are bad or not; of values, all of them."""
    return MADE_OF[watch.metric].among if _is_share(watch) else Stat.RUNS


def _by_value(watch: Watch) -> bool:
    """Whether runs are bad by a value of theirs that is beyond the limit."""
    metric = METRICS.get(watch.metric)
    is_maximum = metric is not None and metric.nature is Nature.MAXIMUM
    return watch.kind is Kind.BEYOND or is_maximum


def _known(runs: RunColumns, watch: Watch) -> Flags:
    """Which runs have what a watch looks at."""
    return runs.counted(MADE_OF[watch.metric].among if _by_value(watch) else _among(watch))


def _bad(runs: RunColumns, verdict: Verdict) -> Flags:
    """Which runs are bad, in the sense of the watch."""
    watch = verdict.watch
    if _by_value(watch):
        values = runs.values(MADE_OF[watch.metric].of)
        beyond: Flags = (values - verdict.threshold) * watch.sign > 0
        return beyond
    if not _is_share(watch):
        return ~runs.counted(Stat.SUCCESS)
    counted = runs.counted(MADE_OF[watch.metric].of)
    is_bad = watch.above and watch.kind is not Kind.BURN
    return (counted if is_bad else ~counted) & _known(runs, watch)


def _bad_in(cells: Cells, verdict: Verdict) -> Floats:
    """How many runs of each cell are bad."""
    watch, stats = verdict.watch, cells.stats
    if watch.kind is Kind.BEYOND:
        values, counts = cells.latencies.labels, cells.latencies.counts
        beyond = (values - verdict.threshold) * watch.sign > 0
        owners = cells.latencies.owners()[beyond]
        return np.bincount(owners, counts[beyond], len(cells)).astype(np.float64)
    is_share = _is_share(watch)
    stat = MADE_OF[watch.metric].of if is_share else Stat.SUCCESS
    is_bad = is_share and watch.above and watch.kind is not Kind.BURN
    found: Floats = stats[:, stat] if is_bad else stats[:, _among(watch)] - stats[:, stat]
    return found


def _parts(part: _Excerpt, name_of: Callable[[CellKey], str | None]) -> tuple[Part, ...]:
    """What each of them has of the bad runs, the worst first."""
    numbers, owners = np.unique(part.keys, return_inverse=True)
    runs = np.bincount(owners, part.runs, len(numbers))
    bad = np.bincount(owners, part.bad, len(numbers))
    keys = part.cells.vocabulary.keys.values
    held: dict[str, tuple[float, float]] = {}
    for place, number in enumerate(numbers.tolist()):
        name = name_of(keys[number])
        if name:
            before = held.get(name, (0.0, 0.0))
            held[name] = before[0] + float(bad[place]), before[1] + float(runs[place])
    found = [Part(name, round(own), round(of)) for name, (own, of) in held.items() if of]
    return tuple(sorted(found, key=lambda one: (-one.bad, one.name))[:_MOST])
