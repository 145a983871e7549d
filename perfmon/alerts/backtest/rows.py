"""Samples from plain rows of runs: for backtests, tests of rules, and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from perfmon.alerts.beginnings import began_at, chain_began, terms_of
from perfmon.alerts.evidence.shares import quantile_levels
from perfmon.alerts.evidence.verdicts import Finding, Sample, Tally, Verdict
from perfmon.alerts.rules.rule import HORIZON_SECONDS, Kind, Stretch, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.alerts.wording.advice import Details
from perfmon.metrics.statistics import MADE_OF
from perfmon.records import CellKey, Scope, from_micros, to_micros
from perfmon.records.catalog import METRICS, Nature
from perfmon.records.measurements import MEASUREMENT_FIELDS, RowState
from perfmon.records.validation import RUN_FIELDS
from perfmon.window.cells import Stat
from perfmon.window.columns import NUMBERS, OF_RUNS, RunColumns
from perfmon.window.ragged import turned
from perfmon.window.vocabulary import Numbered, Vocabulary

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Detect = Callable[[Target, int], Finding | None]
_MICROS = 1_000_000
_MINUTE = 60 * _MICROS
_MEASURED = (Stat.ACCURACY, Stat.ACCURACY_N)


def told_by_runs(watch: Watch) -> bool:
    """Whether rows of runs and measurements say all that a watch wants to know."""
    if watch.kind in (Kind.TREND, Kind.ANOMALY, Kind.FORECAST):
        return False
    made = MADE_OF.get(watch.metric)
    return not watch.metric or (made is not None and made.of in (*OF_RUNS, *_MEASURED))


class Rows:
    """Runs (and measurements) as columns, in the order of time, and samples of them.

    Args:
        runs: rows in the order of `RUN_ROW`, as storages keep them, in any order of time.
        measurements: rows in the order of `MEASUREMENT_FIELDS`; for accuracy.
        detect: what detectors say of a target at a time.
        watched_since: when watching began; the first run's time where it is not given.
        by_minute: stretches up to so long (microseconds) are of whole minutes and the current
            one, as live evaluation sees them; by default all are exact.
    """

    def __init__(
        self,
        runs: Sequence[tuple[Any, ...]] = (),
        measurements: Sequence[tuple[Any, ...]] = (),
        *,
        detect: Detect | None = None,
        watched_since: int | None = None,
        by_minute: int = 0,
    ) -> None:
        self._by_minute = by_minute
        ended = RUN_FIELDS.index("timestamp")
        columns = turned(sorted(runs, key=lambda run: run[ended]))
        places = [RUN_FIELDS.index(name) for name in CellKey._fields]
        own = [columns[place] for place in places] if columns else []
        self._keys = [CellKey(*words) for words in zip(*own, strict=True)]
        self._runs = RunColumns.of_columns(
            columns, Numbered.of(own), len(self._keys), _boundless(len(self._keys))
        )
        self._measured = _Measured(measurements)
        self._detect = detect
        first = int(self._runs.at[0]) if self._keys else 0
        self.watched_since = first if watched_since is None else watched_since
        self._tracks: dict[tuple[str, Scope], Track] = {}

    @classmethod
    def of_shares(cls, at: Ints, failed: Flags, key: CellKey | None = None) -> Rows:
        """Many runs of one key of which only the end and the failure are known, at little cost."""
        rows = cls()
        rows._keys = [key or CellKey("default", "agent", None, None, None)] * len(at)
        rows._runs = RunColumns(
            rows._runs.vocabulary,
            at,
            keys=np.zeros(len(at), np.int32),
            flags=failed.astype(np.uint8),
            numbers=np.full((len(at), len(NUMBERS)), np.nan),
            errors=np.full(len(at), -1, np.int32),
        )
        rows.watched_since = int(at[0]) if len(at) else 0
        return rows

    @property
    def keys(self) -> list[CellKey]:
        """The different keys there are."""
        return list(dict.fromkeys([*self._keys, *self._measured.keys]))

    def count(self, since: int, until: int) -> int:
        """How many runs there are in `[since, until)`."""
        at = self._runs.at
        return int(np.count_nonzero((at >= since) & (at < until)))

    def __call__(self, target: Target, now: int) -> Sample:
        """The sample of a target: a `Sampler`."""
        return self.track(target).sample(now)

    def track(self, target: Target) -> Track:
        """A target's own runs, prepared."""
        place = (target.key, target.scope)
        if place not in self._tracks:
            self._tracks[place] = self._track(target)
        return self._tracks[place]

    def _track(self, target: Target) -> Track:
        watch, scope = target.watch, target.scope
        made = MADE_OF.get(watch.metric)
        if made is not None and made.of in _MEASURED:
            at, values = self._measured.of(scope)
            return Track(
                target, at, values, watched_since=self.watched_since, by_minute=self._by_minute
            )
        own = _within(scope, self._keys)
        at, values = self._runs.at[own], self._values(watch)[own]
        known = ~np.isnan(values)
        ends, durations = at, self._runs.values(Stat.LATENCY)[own]
        starts = ends - np.where(np.isnan(durations), 0, durations * 1000).astype(np.int64)
        return Track(
            target, at[known], values[known], open_runs=(starts, ends),
            watched_since=self.watched_since, detect=self._detect, by_minute=self._by_minute,
        )  # fmt: skip

    def _values(self, watch: Watch) -> Floats:
        """What counts of each run; for a rate 1 where it is bad."""
        if watch.kind is Kind.BUDGET:
            return self._runs.values(Stat.COST)
        if not watch.metric or watch.word:
            return np.ones(len(self._runs))
        made = MADE_OF.get(watch.metric)
        if made is None or made.of not in OF_RUNS:
            raise ValueError(f"{watch.metric} cannot be computed from runs alone")
        if watch.kind in (Kind.SHARE, Kind.BURN):
            counted = self._runs.counted(made.of)
            is_bad = watch.above and watch.kind is not Kind.BURN
            bad = (counted if is_bad else ~counted).astype(np.float64)
            return np.where(self._runs.counted(made.among), bad, np.nan)
        if METRICS[watch.metric].nature in (Nature.COUNT, Nature.RATE):
            return np.where(self._runs.counted(made.of), 1.0, np.nan)
        return self._runs.values(made.of)


def _boundless(most: int) -> Vocabulary:
    """A vocabulary that folds nothing for this many runs: scopes are found by the full keys."""
    return Vocabulary(keys_per_agent=most, error_classes=most, agents=most)


class _Measured:
    """The measurements that count."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        own = [dict(zip(MEASUREMENT_FIELDS, row, strict=True)) for row in rows]
        own = [row for row in own if row["state"] == RowState.MEASURED]
        own.sort(key=lambda row: row["timestamp"])
        self.keys = [CellKey(*(row[name] for name in CellKey._fields)) for row in own]
        self._at = np.array([row["timestamp"] for row in own], np.int64)
        self._scores = _floats([row["accuracy_score"] for row in own])

    def of(self, scope: Scope) -> tuple[Ints, Floats]:
        inside = _within(scope, self.keys)
        return self._at[inside], self._scores[inside]


class Track:
    """One target's runs that have the value, by time, with running sums: samples cost little."""

    def __init__(
        self,
        target: Target,
        at: Ints,
        values: Floats,
        *,
        open_runs: tuple[Ints, Ints] | None = None,
        watched_since: int = 0,
        detect: Detect | None = None,
        by_minute: int = 0,
    ) -> None:
        # Numbers are asked for as people ask for them, to the microsecond.
        self._by_minute = 0 if target.watch.kind is Kind.NUMBER else by_minute
        self.target = target
        self.at = at
        self._values = values
        self._open = open_runs
        self._watched_since = watched_since
        self._detect = detect
        self._bad = [_running(flags) for flags in _beyond(target.watch, values)]
        self._total, self._squares = _running(values), _running(values * values)

    def bounds(self, stretch: Stretch, times: Ints) -> tuple[Ints, Ints]:
        """From which to which row a stretch goes that ends at each of these times."""
        last = np.searchsorted(self.at, times, "right")
        if stretch.period:
            starts = np.array([period_start(int(time), stretch.period) for time in times], np.int64)
            return np.searchsorted(self.at, starts, "left"), last
        length = round(stretch.seconds * _MICROS)
        if length <= self._by_minute:
            return self._minutes(stretch, length, times, last), last
        first = np.searchsorted(self.at, times - length, "right")
        if stretch.runs:
            most = max(length, round(HORIZON_SECONDS * _MICROS))
            oldest = np.searchsorted(self.at, times - most, "right")
            first = np.minimum(first, np.maximum(last - stretch.runs, oldest))
        return first, last

    def _minutes(self, stretch: Stretch, length: int, times: Ints, last: Ints) -> Ints:
        """Where a stretch of whole minutes begins, lengthened by whole minutes."""
        first = np.searchsorted(self.at, _minute(times - length), "left")
        few = last - first < stretch.runs
        if few.any():
            most = min(max(length, round(HORIZON_SECONDS * _MICROS)), self._by_minute)
            oldest = np.searchsorted(self.at, _minute(times - most), "left")
            place = np.maximum(last - stretch.runs, oldest)
            start = self.at[np.minimum(place, max(len(self.at) - 1, 0))] if len(self.at) else place
            whole = np.maximum(np.searchsorted(self.at, _minute(start), "left"), oldest)
            first = np.where(few, np.minimum(first, whole), first)
        return first

    def counts(self, stretch: Stretch, times: Ints) -> tuple[Ints, list[Ints]]:
        """The runs of a stretch, and how many are beyond each limit, at each of these times."""
        first, last = self.bounds(stretch, times)
        bad = [(running[last] - running[first]).astype(np.int64) for running in self._bad]
        return last - first, bad

    def count_since(self, since: int, now: int, limit: float) -> tuple[int, int]:
        """The runs of `[since, now]`, and how many of them are bad, or beyond a limit."""
        first, last = np.searchsorted(self.at, [since, now + 1], "left").tolist()
        watch, values = self.target.watch, self._values[first:last]
        if watch.kind in (Kind.SHARE, Kind.BURN):
            return last - first, int((values > 0).sum())
        return last - first, int(((values - limit) * watch.sign > 0).sum())

    def sample(self, now: int) -> Sample:
        """What a verdict needs to know at a time."""
        watch = self.target.watch
        if watch.kind in (Kind.TREND, Kind.ANOMALY, Kind.FORECAST):
            return Sample(finding=None if self._detect is None else self._detect(self.target, now))
        if watch.kind is Kind.NO_RUNS:
            seen = int(np.searchsorted(self.at, now, "right"))
            last = int(self.at[seen - 1]) if seen else None
            return Sample(last_run=last, watched_since=self._watched_since)
        if watch.kind is Kind.UNFINISHED:
            return Sample((self._under_way(now),))
        return Sample(tuple(self._tally(stretch, now) for stretch in watch.stretches))

    def _tally(self, stretch: Stretch, now: int) -> Tally:
        watch = self.target.watch
        times = np.array([now], np.int64)
        (first,), (last,) = self.bounds(stretch, times)
        runs = int(last - first)
        tally = Tally(
            runs,
            tuple(int(running[last] - running[first]) for running in self._bad),
            float(self._total[last] - self._total[first]),
            float(self._squares[last] - self._squares[first]),
            bounds=(int(self.at[first]) if runs else now + 1, now + 1),
        )
        if runs:
            tally = tally._replace(since=int(self.at[first]) // _MINUTE * _MINUTE)
        if watch.kind is Kind.NUMBER:
            return tally._replace(value=_number(watch, tally, stretch))
        if not runs or watch.kind not in (Kind.BEYOND, Kind.ANY, Kind.SINGLE):
            return tally
        values = self._values[first:last]
        if watch.kind is not Kind.BEYOND:
            return tally._replace(worst=float(values.max() if watch.above else values.min()))
        quantile = METRICS[watch.metric].quantile
        levels = (quantile, *quantile_levels(runs, quantile))
        value, low, high = np.quantile(values, levels).tolist()
        return tally._replace(value=value, low=low, high=high)

    def describe(self, verdict: Verdict) -> Details:
        """When what a breach is about began: what these columns tell of its details."""
        return Details(at=verdict.at, began=self._began(verdict))

    def _began(self, verdict: Verdict) -> int | None:
        kind, now = verdict.watch.kind, verdict.at
        if kind in (Kind.NO_RUNS, Kind.UNFINISHED):
            return now - round(verdict.value * _MICROS)
        if kind not in (Kind.SHARE, Kind.BURN, Kind.BEYOND, Kind.MEAN, Kind.ANY, Kind.SINGLE):
            return None
        long = round(HORIZON_SECONDS * _MICROS)
        first, last = np.searchsorted(self.at, [now - long + 1, now + 1], "left")
        at, values = self.at[first:last], self._values[first:last]
        if kind not in (Kind.MEAN, Kind.SHARE, Kind.BURN):
            beyond = (values - verdict.threshold) * verdict.watch.sign > 0
            values = beyond.astype(np.float64)
        if kind in (Kind.ANY, Kind.SINGLE):
            gap = round(verdict.watch.stretches[0].seconds * _MICROS)
            return chain_began(at, values, gap)
        found = began_at(at, values, terms_of(verdict.watch, verdict.threshold))
        return None if found is None else found[0]

    def _under_way(self, now: int) -> Tally:
        if self._open is None:
            return Tally(bad=(0,))
        starts, ends = self._open
        ages = (now - starts[(starts <= now) & (ends > now)]) / _MICROS
        bad = tuple(int((ages > limit.value).sum()) for limit in self.target.watch.limits)
        return Tally(len(ages), bad, worst=float(ages.max()) if len(ages) else math.nan)

    def edges(self) -> Ints:
        """The times at which a verdict may change."""
        watch, edges = self.target.watch, [self.at]
        for stretch in watch.stretches:
            length = round(stretch.seconds * _MICROS)
            is_whole = length <= self._by_minute
            gone = _minute(self.at) + _MINUTE if is_whole else self.at
            edges.append(gone + length)
            if stretch.runs:
                most = round(HORIZON_SECONDS * _MICROS)
                edges.append(gone + (min(max(length, most), self._by_minute) if is_whole else most))
            if stretch.period:
                ends = {_period_end(int(time), stretch.period) for time in self.at}
                edges.append(np.array(sorted(ends), np.int64))
        for limit in watch.limits:
            if watch.kind is Kind.NO_RUNS:
                edges.append(self.at + round(limit.value * _MICROS) + 1)
            elif watch.kind is Kind.UNFINISHED and self._open is not None:
                edges.append(self._open[0] + round(limit.value * _MICROS) + 1)
        return np.unique(np.concatenate(edges))


def _beyond(watch: Watch, values: Floats) -> list[Flags]:
    """What is beyond each limit; for a rate, what is bad."""
    if watch.kind in (Kind.SHARE, Kind.BURN):
        return [values > 0] * len(watch.limits)
    if watch.above:
        return [values > limit.value for limit in watch.limits]
    return [values < limit.value for limit in watch.limits]


def _number(watch: Watch, tally: Tally, stretch: Stretch) -> float:
    nature = METRICS[watch.metric].nature
    if nature is Nature.RATE:
        return tally.runs / stretch.seconds * 60
    return tally.total if nature is Nature.TOTAL else float(tally.runs)


def _minute(times: Ints) -> Ints:
    """When the minute of each time began."""
    began: Ints = times // _MINUTE * _MINUTE
    return began


def _running(values: npt.NDArray[Any]) -> Floats:
    """Sums up to before each place."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _floats(values: list[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _within(scope: Scope, keys: list[CellKey]) -> Flags:
    if scope.is_everything:
        return np.ones(len(keys), np.bool_)
    known: Mapping[CellKey, bool] = {key: scope.matches(key) for key in set(keys)}
    return np.fromiter((known[key] for key in keys), np.bool_, len(keys))


def period_start(now: int, period: str) -> int:
    """When the hour, day, week (from Monday) or month of a time began, in UTC."""
    moment = from_micros(now).replace(minute=0, second=0, microsecond=0)
    if period != "hour":
        moment = moment.replace(hour=0)
    if period == "week":
        moment -= timedelta(days=moment.weekday())
    if period == "month":
        moment = moment.replace(day=1)
    return to_micros(moment)


def _period_end(now: int, period: str) -> int:
    start = period_start(now, period)
    longest = {"hour": 1, "day": 24, "week": 7 * 24, "month": 31 * 24}[period]
    return period_start(start + longest * 3_600 * _MICROS, period)
