"""Verdicts from the window (and storage, for longer stretches), at a cost that follows the news.

Stretches are of whole minutes and the current one: evidence does not hang on seconds. So a verdict
holds until something comes in for its scope, or the oldest of its minutes leaves. What comes from
storage, and what detectors say, is looked at every half minute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import attrs
import numpy as np

from perfmon.alerts.attendance import Attendance
from perfmon.alerts.backtest.rows import period_start
from perfmon.alerts.evidence.judge import clear, evaluate
from perfmon.alerts.evidence.shares import quantile_levels
from perfmon.alerts.evidence.verdicts import Finding, Sample, State, Tally, Verdict
from perfmon.alerts.rules.rule import HORIZON_SECONDS, Kind, Stretch, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.alerts.screening import Screening
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import Asked
from perfmon.metrics.statistics import MADE_OF
from perfmon.metrics.summary import Span, metrics_of
from perfmon.metrics.trends import UNKNOWN
from perfmon.plugins.bus import Bus
from perfmon.recording.conflicts import named
from perfmon.recording.intake import Intake
from perfmon.records import Point, Scope, Series
from perfmon.records.catalog import METRICS
from perfmon.window import sketch
from perfmon.window.cells import MINUTE, Stat, add_up
from perfmon.window.ragged import Floats
from perfmon.window.tail import Tail
from perfmon.window.window import Answer

_MICROS = 1_000_000
_SELDOM = 30 * _MICROS  # how long an answer from storage or a detector is good
_EVER = 2**62
_MANY = 500  # targets to be looked at anew: so many are screened first
T = TypeVar("T")
_POINTS = 60  # of a series for detectors


_Counts = dict[tuple[str, int, float, int], tuple[int, int] | None]


class _Kept(NamedTuple):
    """A verdict, the version of what it is from, when it was found, and until when it holds."""

    verdict: Verdict
    version: int
    looked_at: int
    good_until: int


class Sampling:
    """Looks at targets; remembers verdicts for as long as nothing can have changed them.

    Args:
        in_flight: the runs under way, as `get_in_flight()` tells them.
        since: since when runs would have been seen (microseconds).
        attendance: who was last seen when, and when nobody watched.
    """

    def __init__(
        self,
        queries: Queries,
        intake: Intake,
        bus: Bus,
        *,
        in_flight: Callable[[], list[dict[str, Any]]],
        since: int,
        attendance: Attendance | None = None,
    ) -> None:
        self._queries = queries
        self._intake = intake
        self._bus = bus
        self._in_flight = in_flight
        self._since = since
        self._attendance = attendance
        self._kept: dict[str, _Kept] = {}
        self._given: dict[str, Verdict] = {}
        self._given_at = 0
        # What alerts are compared by, since the last look and the one before.
        self._counts: _Counts = {}
        self._counts_before: _Counts = {}
        self._left: frozenset[str] = frozenset()  # whose turn is first the next time
        # Of the evaluation that goes on:
        self._versions: dict[Scope, int] = {}
        self._tails: dict[Scope, Tail] = {}
        self._parts: dict[tuple[Any, ...], Tail] = {}
        self._longest: dict[tuple[Scope, int, Stat], Tail] = {}
        self._under_way: list[dict[str, Any]] | None = None
        # What is looked up seldom, with the time: the tally of a stretch, the sample of a target.
        self._lookups: dict[tuple[str, Stretch | None], tuple[int, Any]] = {}
        # Of the target that is looked at.
        self._good_until = _EVER
        self._found_at = 0
        self._kinds: dict[Kind, Callable[[Target, int], Sample]] = {
            Kind.NO_RUNS: self._no_runs,
            Kind.UNFINISHED: self._unfinished,
            Kind.CONFLICTS: self._conflicts,
            Kind.TREND: self._trend,
            Kind.ANOMALY: partial(self._detected, self._anomaly),
            Kind.FORECAST: partial(self._detected, self._forecast),
        }

    def verdicts(
        self,
        targets: Iterable[Target],
        now: int,
        *,
        first: Collection[str] = (),
        seconds: float = math.inf,
    ) -> list[Verdict]:
        """One for each target, from what has been taken in.

        Args:
            targets: what to look at.
            now: the time, in microseconds.
            first: the keys that must have a verdict, such as those of what fires.
            seconds: for how long to look; what is left (`waiting`) is for the next time. Of many
                targets those that may be in breach are looked at before the others.
        """
        with self._intake.lock:
            most = _next_minute(now) if self._intake.window.is_ahead(now) else _EVER
        kept, anew = self._sorted_out(targets, now)
        if len(anew) > _MANY:
            anew = self._screened(anew, kept, now, most, first)
        anew.sort(key=lambda target: (target.key not in first, target.key not in self._left))
        until = time.monotonic() + seconds
        for done, target in enumerate(anew):
            if time.monotonic() > until and target.key not in first:
                self._left = frozenset(target.key for target in anew[done:])
                break
            kept[target.key] = self._looked_at(target, now, most)
        else:
            self._left = frozenset()
        self._kept = kept  # without those that are no targets any more
        self._versions, self._tails, self._parts, self._longest = {}, {}, {}, {}
        self._under_way = None
        self._lookups = {key: old for key, old in self._lookups.items() if _is_fresh(old, now)}
        self._given = {key: _as_of(one, now) for key, one in kept.items()}
        self._given_at = now
        self._counts, self._counts_before = {}, self._counts
        return list(self._given.values())

    @property
    def waiting(self) -> int:
        """How many targets the last look had no time for."""
        return len(self._left)

    def latest(self, key: str) -> Verdict | None:
        """The verdict that was given last about a key."""
        return self._given.get(key)

    def count(self, key: str, since: int, limit: float) -> tuple[int, int] | None:
        """The runs of a target since a time until the last look, and how many are bad by a limit.

        None where its verdict is not of a share or a quantile, or memory does not reach back.
        """
        verdict = self._given.get(key)
        if verdict is None or verdict.watch.kind not in (Kind.SHARE, Kind.BEYOND):
            return None
        scope, watch = verdict.scope, verdict.watch
        with self._intake.lock:
            version = self._intake.window.keys.version(scope)
            since = max(since, self._given_at + 1 - self._intake.window.retention)
        wanted = (key, since, limit, version)
        if wanted not in self._counts:
            asked = Asked(since, self._given_at + 1, rolling=True)
            found = self._counts_before.get(wanted)
            if found is None and self._queries.in_memory(asked):
                alone = attrs.evolve(watch, limits=(watch.limits[0]._replace(value=limit),))
                with self._intake.lock:
                    answer = self._intake.window.answer(asked.since, asked.until, scope)
                tally = self._from_answer(Target(key, alone, scope), asked, answer)
                found = tally.runs, tally.bad[0]
            self._counts[wanted] = found
        return self._counts[wanted]

    def _sorted_out(
        self, targets: Iterable[Target], now: int
    ) -> tuple[dict[str, _Kept], list[Target]]:
        """What is known and holds still, and what is to be looked at anew."""
        kept: dict[str, _Kept] = {}
        anew = []
        for target in targets:
            known = self._kept.get(target.key)
            if (
                known is not None
                and known.looked_at <= now < known.good_until
                and known.version == self._version(target.scope)
            ):
                kept[target.key] = known
            else:
                anew.append(target)
        return kept, anew

    def _screened(
        self,
        anew: list[Target],
        kept: dict[str, _Kept],
        now: int,
        most: int,
        first: Collection[str],
    ) -> list[Target]:
        """Those to look at; the harmless are done with."""
        with self._intake.lock:
            screening = Screening(self._intake.window)
            left = []
            for target in anew:
                if target.key in first or not screening.is_harmless(target):
                    left.append(target)
                else:
                    fine = clear(target)
                    kept[target.key] = _Kept(fine, self._version(target.scope), now, most)
        return left

    def _looked_at(self, target: Target, now: int, most: int) -> _Kept:
        version = self._version(target.scope)
        self._good_until, self._found_at = most, now
        (verdict,) = evaluate([target], self, now)
        if verdict.state is State.BREACH or self._found_at < now:
            verdict = attrs.evolve(verdict, at=self._found_at)
        until = now if verdict.state is State.FAILED else self._good_until
        return _Kept(verdict, version, now, until)

    def _version(self, scope: Scope) -> int:
        known = self._versions.get(scope)
        if known is None:
            with self._intake.lock:
                known = self._versions[scope] = self._intake.window.keys.version(scope)
        return known

    def _is_good_until(self, moment: int) -> None:
        self._good_until = min(self._good_until, moment)

    def __call__(self, target: Target, now: int) -> Sample:
        special = self._kinds.get(target.watch.kind)
        if special is not None:
            return special(target, now)
        stretches = target.watch.stretches
        widths = [self._width(target.watch, stretch) for stretch in stretches]
        held = [width for width in widths if width is not None]
        if held:
            self._tail(target.scope, now, max(held))  # shorter ones are parts of it
        tallies = [
            self._asked(target, now, stretch)
            if width is None
            else self._counted(target, stretch, now, width)
            for stretch, width in zip(stretches, widths, strict=True)
        ]
        return Sample(tuple(tallies))

    # Stretches of runs

    def _width(self, watch: Watch, stretch: Stretch) -> int | None:
        """Microseconds, of a stretch that is counted from the window's minutes."""
        width = round(stretch.seconds * _MICROS)
        is_long = bool(stretch.period) or width > self._intake.window.retention
        return None if is_long or watch.kind is Kind.NUMBER else width

    def _counted(self, target: Target, stretch: Stretch, now: int, width: int) -> Tally:
        watch, scope = target.watch, target.scope
        tail = self._tail(scope, now, width)
        counted = _counted(watch)
        if stretch.runs and tail.totals[counted] < stretch.runs:
            width = max(width, round(HORIZON_SECONDS * _MICROS))
            width = min(width, self._intake.window.retention)
            tail = self._longer(tail, scope, now - width, counted, stretch.runs)
        if tail.oldest is not None:
            self._is_good_until(tail.oldest + MINUTE + width)
        found = self._of_tail(watch, tail, scope)
        bounds = (tail.since, _next_minute(now))
        return found._replace(since=_since(tail, counted), bounds=bounds)

    def _tail(self, scope: Scope, now: int, width: int) -> Tail:
        since = (now - width) // MINUTE * MINUTE
        part = self._parts.get((scope, since))
        if part is None:
            whole = self._tails.get(scope)
            if whole is None or whole.since > since:
                with self._intake.lock:
                    whole = self._tails[scope] = self._intake.window.tail(since, now, scope)
            part = self._parts[scope, since] = whole.within(since)
        return part

    def _longer(self, tail: Tail, scope: Scope, since: int, counted: Stat, runs: int) -> Tail:
        wanted = (scope, since, counted, runs)
        known = self._parts.get(wanted)
        if known is None:
            # For more runs it goes on from where it ended for fewer.
            shorter = self._longest.get((scope, since, counted), tail)
            tail = shorter if shorter.totals[counted] < runs else tail
            with self._intake.lock:
                known = self._intake.window.longer(tail, since, scope, counted, runs)
            self._parts[wanted] = self._longest[scope, since, counted] = known
        return known

    def _of_tail(self, watch: Watch, tail: Tail, scope: Scope) -> Tally:
        stats = tail.totals
        runs = int(stats[_counted(watch)])
        if not runs:
            return Tally(bad=(0,) * len(watch.limits))
        if watch.kind in (Kind.SHARE, Kind.BURN):
            return Tally(runs, (_bad(watch, stats),) * len(watch.limits))
        if watch.kind is Kind.MEAN:
            return _mean(watch, stats, runs)
        if watch.kind is Kind.BEYOND or MADE_OF[watch.metric].of is Stat.LATENCY_MAX:
            return _beyond(watch, tail, stats, runs)
        return self._largest(watch, tail, stats, runs, scope)

    def _largest(self, watch: Watch, tail: Tail, stats: Floats, runs: int, scope: Scope) -> Tally:
        """Runs whose memory is beyond the limits; the raw rows are counted only if there is one."""
        worst = float(stats[MADE_OF[watch.metric].of])
        bad = [0] * len(watch.limits)
        if worst > watch.limits[-1].value:
            with self._intake.lock:
                values = self._intake.window.raw_memory(tail.since, scope)
            # The worst was there, even where its row had to leave.
            bad = [
                max(int((values > limit.value).sum()), int(worst > limit.value))
                for limit in watch.limits
            ]
        return Tally(runs, tuple(bad), worst=worst, value=worst)

    def _asked(self, target: Target, now: int, stretch: Stretch) -> Tally:
        """From an answer as people get it: numbers, periods, and what is too old for the window."""
        start = period_start(now, stretch.period) if stretch.period else None
        first = now - round(stretch.seconds * _MICROS) + 1 if start is None else start
        rolling = start is None and now - first < self._intake.window.retention
        asked = Asked(first, now + 1, rolling)
        if self._queries.in_memory(asked):
            self._is_good_until(_next_minute(now))
            return self._answered(target, asked)
        return self._seldom(target, now, stretch, lambda: self._answered(target, asked))

    def _answered(self, target: Target, asked: Asked) -> Tally:
        answer = self._queries.answer(asked, target.scope)
        found = self._from_answer(target, asked, answer)
        return found._replace(since=answer.since, bounds=(answer.since, answer.until))

    def _from_answer(self, target: Target, asked: Asked, answer: Answer) -> Tally:
        watch, stats = target.watch, add_up(answer.cells.stats)
        if watch.kind is Kind.BUDGET:
            return Tally(int(stats[Stat.COST_N]), total=float(stats[Stat.COST]))
        if watch.kind is Kind.NUMBER:
            metrics = metrics_of(answer.cells, Span(answer.since, answer.until))
            value = float(getattr(metrics, watch.metric))
            if watch.metric == "total_api_calls" and not metrics.api_calls_count:
                value = math.nan if metrics.sample_size else 0.0
            return Tally(metrics.sample_size, value=value)
        return self._of_tail(watch, Tail.of(answer.cells, asked.since), target.scope)

    def _seldom(
        self, target: Target, now: int, stretch: Stretch | None, look: Callable[[], T]
    ) -> T:
        """What costs too much to be looked up for every news."""
        known = self._lookups.get((target.key, stretch))
        if known is None or not _is_fresh(known, now):
            known = self._lookups[target.key, stretch] = (now, look())
        self._is_good_until(known[0] + _SELDOM)
        self._found_at = min(self._found_at, known[0])
        found: T = known[1]
        return found

    # What is not counted in stretches

    def _no_runs(self, target: Target, now: int) -> Sample:
        self._is_good_until(now)
        attendance = self._attendance
        if attendance is None:
            return Sample(last_run=self._queries.last_run(target.scope), watched_since=self._since)
        last, first = attendance.seen(target.key), attendance.first
        unwatched = attendance.unwatched(max(last or 0, first), now)
        return Sample(last_run=last, watched_since=first, unwatched=unwatched)

    def _unfinished(self, target: Target, now: int) -> Sample:
        scope, watch = target.scope, target.watch
        self._is_good_until(now)
        if self._under_way is None:
            self._under_way = self._in_flight()
        found = [
            run
            for run in self._under_way
            if scope.agent_name in (None, run["agent_name"])
            and scope.agent_type in (None, run["agent_type"])
            and scope.tenant in (None, run["tenant"])
        ]
        ages = [run["age_seconds"] for run in found]
        bad = tuple(sum(age > limit.value for age in ages) for limit in watch.limits)
        worst = max(ages, default=math.nan)
        tally = Tally(len(ages), bad, worst=worst, value=worst)
        if not found:
            return Sample((tally,))
        longest = max(found, key=lambda run: run["age_seconds"])
        words = f"run {longest['run_id']} of agent {longest['agent_name']}"
        return Sample((tally,), finding=Finding(words=words))

    def _conflicts(self, target: Target, now: int) -> Sample:
        self._is_good_until(now)
        width = round(target.watch.stretches[0].seconds * _MICROS)
        found = self._intake.conflicts.since(now - width)
        runs = sum(count.runs for count in found)
        return Sample((Tally(runs, (runs,)),), finding=Finding(words=named(found)))

    def _trend(self, target: Target, now: int) -> Sample:
        self._is_good_until(_next_minute(now))
        width = round(target.watch.stretches[0].seconds * _MICROS)
        asked = Asked(now - width + 1, now + 1, True)
        metric = METRICS[target.watch.metric].of
        trend = self._queries.trends(asked, target.scope)[metric]
        found = None if trend.direction == UNKNOWN else trend.direction == target.watch.word
        words = f"{trend.previous:.4g} to {trend.current:.4g}"
        return Sample(
            finding=Finding(found, trend.change, sample_size=trend.sample_size, words=words)
        )

    def _series(self, target: Target, now: int) -> Series:
        width = round(HORIZON_SECONDS * _MICROS)
        for stretch in target.watch.stretches:
            width = max(width, round(stretch.seconds * _MICROS))
        width = min(width, self._intake.window.retention)
        asked = Asked(now - width + 1, now + 1, True)
        minutes = width / 60 / _MICROS / _POINTS
        return self._queries.timeseries(target.watch.metric, minutes, asked, target.scope)

    def _detected(
        self, detect: Callable[[Target, int], Sample], target: Target, now: int
    ) -> Sample:
        return self._seldom(target, now, None, lambda: detect(target, now))

    def _anomaly(self, target: Target, now: int) -> Sample:
        series = self._series(target, now)
        answers = self._bus.ask_all("detect_anomalies", check=_scored, series=series)
        if not answers or not series.points:
            return Sample()
        last = series.points[-1]
        scores = [score for found in answers for times, score in found if times == _times(last)]
        if not scores and math.isnan(last.value):
            return Sample()  # nothing was measured: nobody knows that it is well again
        words = f"score {max(scores):.3g}" if scores else ""
        return Sample(
            finding=Finding(bool(scores), last.value, sample_size=last.count, words=words)
        )

    def _forecast(self, target: Target, now: int) -> Sample:
        series = self._series(target, now)
        if not series.points:
            return Sample()
        step = series.points[0].end - series.points[0].start
        horizon = max(1, round(target.watch.within / step))
        ahead = self._bus.ask("forecast", check=_intervals, series=series, horizon=horizon)
        if not ahead:
            return Sample()
        sign = target.watch.sign
        # Of all that is forecast, what is furthest on the bad side for certain.
        low, value, high = max(ahead, key=lambda one: sign * (one[0] if sign > 0 else one[2]))
        return Sample(finding=Finding(None, value, low, high, len(series.points)))


def _times(point: Point) -> tuple[float, float]:
    """What names a point of a series: its values may be NaN, and so not even its own equal."""
    return point.start, point.end


def _scored(answer: Iterable[tuple[Point, float]]) -> list[tuple[tuple[float, float], float]]:
    """What a detector says, by the times of the points."""
    found = [(_times(point), float(score)) for point, score in answer]
    return [(times, score) for times, score in found if not math.isnan(score)]


def _intervals(answer: Iterable[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """What a forecaster says; a value without an interval is one by itself."""
    found = []
    for low, value, high in answer:
        middle = float(value)
        ends = [middle if end is None or math.isnan(end) else float(end) for end in (low, high)]
        if not math.isnan(middle):
            found.append((ends[0], middle, ends[1]))
    return found


def _since(tail: Tail, counted: Stat) -> int:
    """When the oldest minute began that has what is counted; 0 where there is none."""
    held = np.flatnonzero(tail.stats[:, counted])
    return int(tail.slices[held[-1]]) if len(held) else 0


def _as_of(kept: _Kept, now: int) -> Verdict:
    """A verdict that still holds is one of now; one of what is looked up seldom is of then."""
    verdict = kept.verdict
    holds = verdict.state is State.BREACH and verdict.at == kept.looked_at != now
    if not holds:
        return verdict
    # Nothing came since: the same runs are all there are up to now.
    since = verdict.bounds[0]
    return attrs.evolve(verdict, at=now, bounds=(since, _next_minute(now) if since else 0))


def _counted(watch: Watch) -> Stat:
    """The statistic that counts the runs which have the value."""
    return MADE_OF[watch.metric].among if watch.metric in MADE_OF else Stat.RUNS


def _bad(watch: Watch, stats: Floats) -> int:
    count = float(stats[MADE_OF[watch.metric].of])
    if watch.kind is Kind.BURN or not watch.above:
        return int(stats[_counted(watch)] - count)
    return int(count)


def _mean(watch: Watch, stats: Floats, runs: int) -> Tally:
    made = MADE_OF[watch.metric]
    total = float(stats[made.of])
    squares = math.nan if made.squares is None else float(stats[made.squares])
    return Tally(runs, total=total, squares=squares, value=total / runs)


def _beyond(watch: Watch, tail: Tail, stats: Floats, runs: int) -> Tally:
    """How many latencies are beyond the limits, and where the quantile lies."""
    values, counts = tail.latencies()
    bad = tuple(
        round(float(counts[(values - limit.value) * watch.sign > 0].sum()))
        for limit in watch.limits
    )
    worst = float(stats[Stat.LATENCY_MAX]) if watch.above else float(values.min(initial=math.inf))
    if watch.kind is not Kind.BEYOND:
        return Tally(runs, bad, worst=worst, value=worst)
    quantile = METRICS[watch.metric].quantile
    low, high = quantile_levels(runs, quantile)
    found = sketch.quantiles(values, counts, (quantile, low, high))
    return Tally(runs, bad, worst=worst, value=found[0], low=found[1], high=found[2])


def _is_fresh(found: tuple[int, Any], now: int) -> bool:
    return 0 <= now - found[0] < _SELDOM


def _next_minute(now: int) -> int:
    return (now // MINUTE + 1) * MINUTE
