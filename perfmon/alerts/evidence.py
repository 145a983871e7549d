"""Is it so, or was it chance? Verdicts about samples of runs.

A share (and a quantile, which is the share of runs beyond it) is looked at over its whole window,
or the last 20 runs where it has fewer, by Wilson's 95 % bound and at least 3 bad runs. Who looks
every few seconds asks often, and finds something by chance sooner or later. So the shorter
stretches, which find an outage quickly where runs are many, share a tenth of that doubt by their
part of the window (Bonferroni; the tenth, because the tail of a share of a few percent is longer
than the bound's), and an alert clears by other bounds than it fires, so that a share at its very
limit neither fires nor clears again and again. `benchmarks/alerting.py` measures what comes of it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple

import attrs

from perfmon.alerts.rules import LAST_RUNS, Kind, Limit, Target, Watch
from perfmon.intervals import mean_interval, student_95
from perfmon.records import AlertLevel, Scope
from perfmon.scores import wilson

MIN_BAD = 3
MIN_BAD_RARE = 5
"""Below a limit of 10 % Wilson's bound is too sure of a few: 3 of 20 at 5 % are chance 1 in 13."""
RARE = 0.10
RELAXED = 0.7
"""What is allowed to clear, as a part of what is allowed before it fires."""
HALF = 0.5
MIN_MEAN = 3
_DOUBT = 0.025  # one-sided, of a 95 % interval
_SHORT = 0.1
_Z = 1.959963984540054
_MICROS = 1_000_000
_UNIT_INTERVAL = frozenset(("avg_accuracy", "avg_quality_score", "avg_confidence"))


class State(enum.StrEnum):
    """What a look came to."""

    BREACH = "breach"
    CLEAR = "clear"
    INSUFFICIENT = "insufficient_data"
    NO_DATA = "no_data"
    FAILED = "failed"


class Tally(NamedTuple):
    """The runs of one stretch.

    Attributes:
        runs: how many have the value (all of them for a rate; those under way for `UNFINISHED`).
        bad: how many are beyond each of the watch's limits, in their order. For a rate the number
            of bad runs stands once for each limit: those that failed (`error_rate`), timed out,
            were retried, or for `success_rate` below a limit those that did not succeed.
        total, squares: the sum of the values, and of their squares; NaN where it is not known.
        worst: the largest value (smallest, where below is bad); for `UNFINISHED` in seconds.
        value: the metric itself over this stretch, for a quantile or a number.
        low, high: for a quantile, the quantiles at `quantile_levels(runs, q)`: its 95 % interval.
    """

    runs: int = 0
    bad: tuple[int, ...] = ()
    total: float = math.nan
    squares: float = math.nan
    worst: float = math.nan
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


class Finding(NamedTuple):
    """What a detector says. `found` is None where it cannot tell; a forecast is judged by `low`
    and `high`, and its `found` is not looked at.
    """

    found: bool | None = None
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sample_size: int = 0
    words: str = ""


class Sample(NamedTuple):
    """What a verdict needs to know about a target at a moment.

    Attributes:
        tallies: one for each of the watch's stretches, in their order.
        last_run: when the target's last run ended (microseconds), or None; for `NO_RUNS`.
        watched_since: since when runs would have been seen; for `NO_RUNS`.
        finding: what the detector says, for `TREND`, `ANOMALY` and `FORECAST`; None is no data.
    """

    tallies: tuple[Tally, ...] = ()
    last_run: int | None = None
    watched_since: int = 0
    finding: Finding | None = None


Sampler = Callable[[Target, int], Sample]
"""Finds the sample of a target at a time in microseconds; may raise."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What a look at a target came to.

    Attributes:
        key, watch, scope: the target's.
        state: what it came to.
        level: of a breach; None of anything else.
        settled: not even near a breach, so that an alert may clear. A `clear` that is not settled
            does not fire, and does not end what fires.
        value, threshold: in the watch's unit; the limit is the one that is breached, or the first.
        low, high: the 95 % interval of the value, NaN where it has none.
        sample_size, bad: runs, and how many of them are bad.
        seconds: of the stretch they are from.
        words: what a detector says, or why evaluation failed.
    """

    key: str
    watch: Watch
    scope: Scope
    state: State
    level: AlertLevel | None = None
    settled: bool = False
    value: float = math.nan
    threshold: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sample_size: int = 0
    bad: int = 0
    seconds: float = math.nan
    words: str = ""


def evaluate(targets: Iterable[Target], sampler: Sampler, now: int) -> list[Verdict]:
    """A verdict for every target; one whose sample cannot be had is `failed`."""
    return [_looked_at(target, sampler, now) for target in targets]


def _looked_at(target: Target, sampler: Sampler, now: int) -> Verdict:
    try:
        return judge(target, sampler(target, now), now)
    except Exception as problem:
        words = f"{type(problem).__name__}: {problem}"
        return _verdict(target, State.FAILED, words=words)


def judge(target: Target, sample: Sample, now: int) -> Verdict:
    """What a sample says about its target."""
    return _JUDGES[target.watch.kind](target, sample, now)


def _verdict(target: Target, state: State, **values: object) -> Verdict:
    known = {"threshold": target.watch.limits[-1].value, **values}
    return Verdict(
        key=target.key, watch=target.watch, scope=target.scope, state=state,
        **known,  # type: ignore[arg-type]
    )  # fmt: skip


# Shares and quantiles


@cache
def strictness(part: float) -> float:
    """How many standard deviations a stretch of a part of the window must be beyond a limit."""
    return _Z if part >= 1 else NormalDist().inv_cdf(1 - _DOUBT * _SHORT * part)


def least_bad(allowed: float) -> int:
    """How many bad runs there must be at least, whatever the share."""
    return MIN_BAD if allowed >= RARE else MIN_BAD_RARE


def is_beyond(runs: int, bad: int, allowed: float, z: float) -> bool:
    """Whether Wilson's bound of z standard deviations is above the share that is allowed.

    The bound is the share that the score test would just not reject, so this is the test itself.
    """
    return bad - runs * allowed > z * math.sqrt(runs * allowed * (1 - allowed))


def is_below(runs: int, bad: int, allowed: float, z: float) -> bool:
    """Whether the upper bound is below the share that is allowed."""
    return runs * allowed - bad > z * math.sqrt(runs * allowed * (1 - allowed))


def allowed_share(watch: Watch, limit: Limit) -> float:
    """The share of bad runs up to which there is no breach."""
    if watch.kind is Kind.BEYOND:
        return watch.share
    if watch.kind is Kind.BURN:
        return limit.value * (1 - watch.objective)
    return limit.value if watch.above else 1 - limit.value


def share_breach(watch: Watch, tallies: tuple[Tally, ...]) -> tuple[int, int] | None:
    """The limit and the stretch (the longest) that show a breach, or None.

    All shorter stretches must be beyond the limit too, if without proof: what is over does not
    begin to fire because the window still remembers it.
    """
    last = len(tallies) - 2  # the last one is for clearing
    for number, limit in enumerate(watch.limits):
        allowed = allowed_share(watch, limit)
        least, found = least_bad(allowed), None
        for place, tally in enumerate(tallies[: last + 1]):
            bad = tally.bad[number] if tally.runs else 0
            if bad <= allowed * tally.runs:
                break
            if bad >= least and is_beyond(
                tally.runs, bad, allowed, strictness(watch.stretches[place].part)
            ):
                found = number, place
        if found is not None:
            return found
    return None


def share_settled(watch: Watch, tallies: tuple[Tally, ...]) -> bool:
    """Whether a share is below its limit: few bad runs lately, and enough runs that say so.

    Enough are those whose upper bound is below the limit, or the last 40 with half of what is
    allowed; for a limit of a few percent the bound alone would take hundreds.
    """
    allowed = allowed_share(watch, watch.limits[-1])
    newest, clearing = tallies[0], tallies[-1]
    if not newest.runs or newest.bad[-1] > RELAXED * allowed * newest.runs:
        return False
    if clearing.runs >= LAST_RUNS and clearing.bad[-1] <= HALF * allowed * clearing.runs:
        return True
    return any(
        tally.runs >= LAST_RUNS and is_below(tally.runs, tally.bad[-1], allowed, _Z)
        for tally in tallies[1:]
    )


def _share(target: Target, sample: Sample, _now: int) -> Verdict:
    watch, tallies = target.watch, sample.tallies
    whole = len(tallies) - 2
    if not tallies[whole].runs:
        return _verdict(target, State.NO_DATA, sample_size=0)
    found = share_breach(watch, tallies)
    if found is None:
        settled = share_settled(watch, tallies)
        enough = settled or tallies[whole].runs >= LAST_RUNS
        state = State.CLEAR if enough else State.INSUFFICIENT
        return _verdict(target, state, settled=settled, **_share_figures(watch, tallies, -1, whole))
    number, place = found
    return _verdict(
        target, State.BREACH, level=watch.limits[number].level,
        threshold=watch.limits[number].value, **_share_figures(watch, tallies, number, place),
    )  # fmt: skip


def _share_figures(
    watch: Watch, tallies: tuple[Tally, ...], number: int, place: int
) -> dict[str, object]:
    tally, seconds = tallies[place], watch.stretches[place].seconds
    bad = tally.bad[number]
    known: dict[str, object] = {"sample_size": tally.runs, "bad": bad, "seconds": seconds}
    if watch.kind is Kind.BEYOND:
        return {**known, "value": tally.value, "low": tally.low, "high": tally.high}
    low, high = wilson(bad, tally.runs)
    value = bad / tally.runs
    if watch.above:
        return {**known, "value": value, "low": low, "high": high}
    return {**known, "value": 1 - value, "low": 1 - high, "high": 1 - low}


def quantile_levels(runs: int, quantile: float) -> tuple[float, float]:
    """The levels of the quantiles that hold a quantile of so many runs with 95 % confidence.

    The share of runs below the true quantile is the quantile's level, give or take.

    >>> [round(level, 3) for level in quantile_levels(100, 0.95)]
    [0.888, 0.978]
    """
    return wilson(quantile * runs, runs)


# Runs beyond a limit, one by one


def _any(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    if not tally.runs:
        return _verdict(target, State.NO_DATA)
    return _counted(target, tally, MIN_BAD)


def _single(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    return _counted(target, tally, 1)


def _counted(target: Target, tally: Tally, least: int) -> Verdict:
    watch = target.watch
    figures = {
        "value": tally.worst, "sample_size": tally.runs, "seconds": _seconds(watch),
    }  # fmt: skip
    for limit, bad in zip(watch.limits, tally.bad, strict=False):
        if bad >= least:
            return _verdict(
                target, State.BREACH, level=limit.level, threshold=limit.value, bad=bad, **figures
            )
    bad = tally.bad[-1] if tally.bad else 0
    return _verdict(target, State.CLEAR, settled=bad == 0, bad=bad, **figures)


def _seconds(watch: Watch) -> float:
    return watch.stretches[0].seconds if watch.stretches else math.nan


# Values


def relaxed(watch: Watch, limit: float) -> float:
    """The limit to clear: closer to what is good than the one to fire."""
    if watch.above:
        return limit * RELAXED if limit > 0 else limit
    if watch.unit == "share":
        return 1 - (1 - limit) * RELAXED
    return limit / RELAXED if limit > 0 else limit


def _beyond(watch: Watch, value: float, limit: float) -> bool:
    return (value - limit) * watch.sign > 0


def _levelled(
    target: Target, near: float, value: float, far: float | None = None, **figures: object
) -> Verdict:
    """A breach where the near end of the interval is beyond a limit, too; settled where the far end
    is within it, or the value is within the lower limit to clear.
    """
    watch = target.watch
    for limit in watch.limits:
        if _beyond(watch, near, limit.value):
            return _verdict(
                target, State.BREACH, level=limit.level, threshold=limit.value, value=value,
                **figures,
            )  # fmt: skip
    lowest = watch.limits[-1].value
    within = not _beyond(watch, value, relaxed(watch, lowest))
    settled = within or (far is not None and not _beyond(watch, far, lowest))
    return _verdict(target, State.CLEAR, settled=settled, value=value, **figures)


def _mean(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    watch = target.watch
    if not tally.runs:
        return _verdict(target, State.NO_DATA)
    mean = tally.total / tally.runs
    low, high = _mean_interval(watch, tally)
    figures = {"sample_size": tally.runs, "low": low, "high": high, "seconds": _seconds(watch)}
    # Where squares are not known, as many values as a window is widened to must do.
    if tally.runs < (LAST_RUNS if math.isnan(low) else MIN_MEAN):
        return _verdict(target, State.INSUFFICIENT, value=mean, **figures)
    if math.isnan(low):
        return _levelled(target, mean, mean, **figures)
    near, far = (low, high) if watch.above else (high, low)
    return _levelled(target, near, mean, far, **figures)


def _mean_interval(watch: Watch, tally: Tally) -> tuple[float, float]:
    if math.isnan(tally.squares) or tally.runs < 2:
        return math.nan, math.nan
    if watch.metric in _UNIT_INTERVAL:
        return mean_interval(tally.runs, tally.total, tally.squares)
    mean = tally.total / tally.runs
    variance = max(0.0, tally.squares - tally.total * mean) / (tally.runs - 1)
    reach = student_95(tally.runs - 1) * math.sqrt(variance / tally.runs)
    return mean - reach, mean + reach


def _number(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    if math.isnan(tally.value):
        return _verdict(target, State.NO_DATA)
    figures = {"sample_size": tally.runs, "seconds": _seconds(target.watch)}
    return _levelled(target, tally.value, tally.value, **figures)


def _budget(target: Target, sample: Sample, _now: int) -> Verdict:
    """A sum needs no evidence: what is spent is spent, until the next period begins."""
    (tally,) = sample.tallies
    watch = target.watch
    spent = 0.0 if math.isnan(tally.total) else tally.total
    for limit in watch.limits:
        if spent >= limit.value:
            return _verdict(
                target, State.BREACH, level=limit.level, threshold=limit.value, value=spent,
                sample_size=tally.runs,
            )  # fmt: skip
    return _verdict(target, State.CLEAR, settled=True, value=spent, sample_size=tally.runs)


def _burn(target: Target, sample: Sample, _now: int) -> Verdict:
    """A rate of spending that both the long and the short stretch show."""
    watch, tallies = target.watch, sample.tallies
    if not tallies[0].runs:
        return _verdict(target, State.NO_DATA)
    ended = True
    for number, limit in enumerate(watch.limits):
        long, short = tallies[2 * number], tallies[2 * number + 1]
        allowed = allowed_share(watch, limit)
        if _burns(long, allowed) and _burns(short, allowed):
            return _verdict(
                target, State.BREACH, level=limit.level, threshold=limit.value,
                **_burn_figures(watch, long, 2 * number),
            )  # fmt: skip
        ended = ended and short.runs > 0 and short.bad[0] <= RELAXED * allowed * short.runs
    enough = ended or tallies[0].runs >= LAST_RUNS
    state = State.CLEAR if enough else State.INSUFFICIENT
    return _verdict(target, state, settled=ended, **_burn_figures(watch, tallies[0], 0))


def _burns(tally: Tally, allowed: float) -> bool:
    bad = tally.bad[0] if tally.runs else 0
    return bad >= least_bad(allowed) and is_beyond(tally.runs, bad, allowed, _Z)


def _burn_figures(watch: Watch, tally: Tally, place: int) -> dict[str, object]:
    bad, budget = tally.bad[0], 1 - watch.objective
    low, high = wilson(bad, tally.runs)
    return {
        "value": bad / tally.runs / budget, "low": low / budget, "high": high / budget,
        "sample_size": tally.runs, "bad": bad, "seconds": watch.stretches[place].seconds,
    }  # fmt: skip


# Time, and what detectors say


def _no_runs(target: Target, sample: Sample, now: int) -> Verdict:
    """Nothing was recorded; while nobody watched, that says nothing."""
    limit = target.watch.limits[0]
    heard = sample.watched_since if sample.last_run is None else sample.last_run
    quiet = max(0, now - heard) / _MICROS
    if quiet <= limit.value:
        return _verdict(target, State.CLEAR, settled=True, value=quiet)
    if now - sample.watched_since <= limit.value * _MICROS:
        return _verdict(target, State.INSUFFICIENT, value=quiet)
    return _verdict(target, State.BREACH, level=limit.level, value=quiet)


def _unfinished(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies or (Tally(),)
    return _counted(target, tally, 1)


def _detected(target: Target, sample: Sample, _now: int) -> Verdict:
    finding = sample.finding
    if finding is None:
        return _verdict(target, State.NO_DATA)
    figures = {
        "value": finding.value, "low": finding.low, "high": finding.high,
        "sample_size": finding.sample_size, "words": finding.words,
    }  # fmt: skip
    if finding.found is None:
        return _verdict(target, State.INSUFFICIENT, **figures)
    if finding.found:
        return _verdict(target, State.BREACH, level=target.watch.limits[0].level, **figures)
    return _verdict(target, State.CLEAR, settled=True, **figures)


def _forecast(target: Target, sample: Sample, _now: int) -> Verdict:
    """A breach where the whole interval of what is forecast is beyond the limit."""
    finding = sample.finding
    if finding is None:
        return _verdict(target, State.NO_DATA)
    figures: dict[str, Any] = {
        "low": finding.low, "high": finding.high, "sample_size": finding.sample_size,
        "words": finding.words, "seconds": target.watch.within,
    }  # fmt: skip
    near = finding.low if target.watch.above else finding.high
    if math.isnan(near):
        return _verdict(target, State.INSUFFICIENT, value=finding.value, **figures)
    return _levelled(target, near, finding.value, **figures)


_JUDGES: dict[Kind, Callable[[Target, Sample, int], Verdict]] = {
    Kind.SHARE: _share, Kind.BEYOND: _share, Kind.ANY: _any, Kind.SINGLE: _single,
    Kind.MEAN: _mean, Kind.NUMBER: _number, Kind.BUDGET: _budget, Kind.BURN: _burn,
    Kind.NO_RUNS: _no_runs, Kind.UNFINISHED: _unfinished, Kind.TREND: _detected,
    Kind.ANOMALY: _detected, Kind.FORECAST: _forecast,
}  # fmt: skip
