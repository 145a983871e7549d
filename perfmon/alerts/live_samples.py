"""Samples of runs, from the window, and from storage for longer windows.

Stretches are of whole minutes and the current one: evidence does not hang on seconds. So a sample
holds until something comes in for its scope, or the oldest of its minutes leaves. What comes from
storage, and results of detectors, are refreshed every half minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from perfmon.alerts.attendance import Attendance
from perfmon.alerts.backtest.rows import period_start
from perfmon.alerts.detectors import Detectors
from perfmon.alerts.evidence.shares import quantile_levels
from perfmon.alerts.evidence.verdicts import Finding, Sample, Tally
from perfmon.alerts.rules.rule import HORIZON_SECONDS, Kind, Stretch, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import Asked
from perfmon.metrics.statistics import MADE_OF
from perfmon.metrics.summary import Span, metrics_of
from perfmon.plugins.bus import Bus
from perfmon.records import Scope
from perfmon.records.catalog import METRICS
from perfmon.storage.conflicts import conflicts_since, named
from perfmon.storage.storage import Storage
from perfmon.window import sketch
from perfmon.window.cells import MINUTE, Stat, add_up
from perfmon.window.live import LiveWindow
from perfmon.window.ragged import Floats
from perfmon.window.tail import Tail
from perfmon.window.window import Answer

_MICROS = 1_000_000
_SELDOM = 30 * _MICROS  # how long an answer from storage or a detector is good
EVER = 2**62
T = TypeVar("T")


class LiveSamples:
    """Looks at targets, and says until when what it found holds.

    Args:
        in_flight: the runs under way, as `get_in_flight()` tells them.
        since: since when runs would have been seen (microseconds).
        attendance: who was last seen when, and when nobody watched.

    Attributes:
        good_until: when the last sample has to be looked at again, whatever comes in.
        found_at: when its oldest part was looked up.
    """

    def __init__(
        self,
        queries: Queries,
        window: LiveWindow,
        storage: Storage,
        bus: Bus,
        *,
        in_flight: Callable[[], list[dict[str, Any]]],
        since: int,
        attendance: Attendance | None = None,
    ) -> None:
        self._queries = queries
        self._window = window
        self._storage = storage
        self._in_flight = in_flight
        self._since = since
        self._attendance = attendance
        self._detectors = Detectors(queries, window.retention, bus)
        self.good_until = EVER
        self.found_at = 0
        # Of the evaluation that goes on:
        self._tails: dict[Scope, Tail] = {}
        self._parts: dict[tuple[Any, ...], Tail] = {}
        self._longest: dict[tuple[Scope, int, Stat], Tail] = {}
        self._under_way: list[dict[str, Any]] | None = None
        # What is looked up seldom, with the time: the tally of a stretch, the sample of a target.
        self._lookups: dict[tuple[str, Stretch | None], tuple[int, Any]] = {}
        self._kinds: dict[Kind, Callable[[Target, int], Sample]] = {
            Kind.NO_RUNS: self._no_runs,
            Kind.UNFINISHED: self._unfinished,
            Kind.CONFLICTS: self._conflicts,
            Kind.TREND: self._trend,
            Kind.ANOMALY: partial(self._detected, self._detectors.anomaly),
            Kind.FORECAST: partial(self._detected, self._detectors.forecast),
        }

    def begin(self, now: int, good_until: int = EVER) -> None:
        """The next target is looked at now; what is found holds until then at most."""
        self.good_until, self.found_at = good_until, now

    def end(self, now: int) -> None:
        """An evaluation is over: what it read of the window is let go of."""
        self._tails, self._parts, self._longest = {}, {}, {}
        self._under_way = None
        self._lookups = {key: old for key, old in self._lookups.items() if _is_fresh(old, now)}

    def _is_good_until(self, moment: int) -> None:
        self.good_until = min(self.good_until, moment)

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
        is_long = bool(stretch.period) or width > self._window.retention
        return None if is_long or watch.kind is Kind.NUMBER else width

    def _counted(self, target: Target, stretch: Stretch, now: int, width: int) -> Tally:
        watch, scope = target.watch, target.scope
        tail = self._tail(scope, now, width)
        counted = _counted(watch)
        if stretch.runs and tail.totals[counted] < stretch.runs:
            width = max(width, round(HORIZON_SECONDS * _MICROS))
            width = min(width, self._window.retention)
            tail = self._longer(tail, scope, now - width, counted, stretch.runs)
        if tail.oldest is not None:
            self._is_good_until(tail.oldest + MINUTE + width)
        found = self._of_tail(watch, tail, scope)
        bounds = (tail.since, next_minute(now))
        return found._replace(since=_since(tail, counted), bounds=bounds)

    def _tail(self, scope: Scope, now: int, width: int) -> Tail:
        since = (now - width) // MINUTE * MINUTE
        part = self._parts.get((scope, since))
        if part is None:
            whole = self._tails.get(scope)
            if whole is None or whole.since > since:
                whole = self._tails[scope] = self._window.tail(since, now, scope)
            part = self._parts[scope, since] = whole.within(since)
        return part

    def _longer(self, tail: Tail, scope: Scope, since: int, counted: Stat, runs: int) -> Tail:
        wanted = (scope, since, counted, runs)
        known = self._parts.get(wanted)
        if known is None:
            # For more runs it goes on from where it ended for fewer.
            shorter = self._longest.get((scope, since, counted), tail)
            tail = shorter if shorter.totals[counted] < runs else tail
            known = self._window.longer(tail, since, scope, counted, runs)
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
            values = self._window.raw_memory(tail.since, scope)
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
        rolling = start is None and now - first < self._window.retention
        asked = Asked(first, now + 1, rolling)
        if self._queries.in_memory(asked):
            self._is_good_until(next_minute(now))
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

    def counted(self, target: Target, since: int, until: int) -> tuple[int, int] | None:
        """The runs of `[since, until)` and how many are bad by the first limit, counted anew.

        For a share or a quantile; None where memory does not reach back.
        """
        asked = Asked(since, until, rolling=True)
        if not self._queries.in_memory(asked):
            return None
        answer = self._window.answer(since, until, target.scope)
        tally = self._from_answer(target, asked, answer)
        return tally.runs, tally.bad[0]

    def _seldom(
        self, target: Target, now: int, stretch: Stretch | None, look: Callable[[], T]
    ) -> T:
        """What costs too much to be looked up for every news."""
        known = self._lookups.get((target.key, stretch))
        if known is None or not _is_fresh(known, now):
            known = self._lookups[target.key, stretch] = (now, look())
        self._is_good_until(known[0] + _SELDOM)
        self.found_at = min(self.found_at, known[0])
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
        found = conflicts_since(self._storage, now - width)
        runs = sum(count.runs for count in found)
        return Sample((Tally(runs, (runs,)),), finding=Finding(words=named(found)))

    def _trend(self, target: Target, now: int) -> Sample:
        self._is_good_until(next_minute(now))
        return self._detectors.trend(target, now)

    def _detected(
        self, detect: Callable[[Target, int], Sample], target: Target, now: int
    ) -> Sample:
        return self._seldom(target, now, None, lambda: detect(target, now))


def _since(tail: Tail, counted: Stat) -> int:
    """When the oldest minute began that has what is counted; 0 where there is none."""
    held = np.flatnonzero(tail.stats[:, counted])
    return int(tail.slices[held[-1]]) if len(held) else 0


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


def next_minute(now: int) -> int:
    return (now // MINUTE + 1) * MINUTE
