"""Verdicts on samples of runs, by the kind of rule: is it real, or chance?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from perfmon.alerts.evidence.shares import (
    MIN_BAD,
    RELAXED,
    allowed_share,
    is_beyond,
    least_bad,
    share_breach,
    share_settled,
)
from perfmon.alerts.evidence.verdicts import Sample, Sampler, State, Tally, Verdict
from perfmon.alerts.rules.rule import LAST_RUNS, Kind, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.metrics.formatting import lasted
from perfmon.metrics.intervals import Z_95, mean_interval, student_95, wilson
from perfmon.records import AlertLevel

MIN_MEAN = 3
_TOLD_FROM = 5.0  # seconds in which nobody watched
_MICROS = 1_000_000


def evaluate(targets: Iterable[Target], sampler: Sampler, now: int) -> list[Verdict]:
    """A verdict for every target; one whose sample cannot be had is `failed`."""
    return [_looked_at(target, sampler, now) for target in targets]


def _looked_at(target: Target, sampler: Sampler, now: int) -> Verdict:
    try:
        return judge(target, sampler(target, now), now)
    except Exception as problem:
        words = f"{type(problem).__name__}: {problem}"
        return _verdict(target, State.FAILED, words=words)


def clear(target: Target) -> Verdict:
    """The verdict about a target that is sure not to be in breach, without figures."""
    return _verdict(target, State.CLEAR)


def judge(target: Target, sample: Sample, now: int) -> Verdict:
    """What a sample says about its target."""
    verdict = _JUDGES[target.watch.kind](target, sample, now)
    levels = {limit.level for limit in target.watch.limits}
    if len(levels) < 2 or verdict.state not in (State.BREACH, State.CLEAR):
        return verdict
    return attrs.evolve(verdict, floor=_floor(target, sample, now, verdict))


def _floor(target: Target, sample: Sample, now: int, verdict: Verdict) -> AlertLevel:
    """The level of the first limit that is breached, or that is not settled by itself."""
    limits = target.watch.limits
    for place, limit in enumerate(limits[:-1]):
        if limit.level == verdict.level:
            break
        own = target._replace(watch=attrs.evolve(target.watch, limits=(limit,)))
        tallies = (t._replace(bad=t.bad[place : place + 1]) for t in sample.tallies)
        alone = _JUDGES[own.watch.kind](own, sample._replace(tallies=tuple(tallies)), now)
        if not (alone.state is State.CLEAR and alone.settled):
            break
    else:
        limit = limits[-1]
    return limit.level


def _verdict(target: Target, state: State, **values: object) -> Verdict:
    known = {"threshold": target.watch.limits[-1].value, **values}
    return Verdict(
        key=target.key, watch=target.watch, scope=target.scope, state=state,
        **known,  # type: ignore[arg-type]
    )  # fmt: skip


# Shares and quantiles


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
        figures = _share_figures(watch, tallies, -1, whole)
        return _verdict(target, state, settled=settled, **figures)
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
    newest = tallies[0].bad[number] if tallies[0].runs else 0
    whole = tallies[-2]
    known: dict[str, object] = {
        "sample_size": tally.runs, "bad": bad, "seconds": seconds, "lately": float(newest),
        "whole": (whole.runs, whole.bad[number]) if whole.runs else (0, 0),
        "since": whole.since, "bounds": tally.bounds,
    }  # fmt: skip
    if watch.kind is Kind.BEYOND:
        return {**known, "value": tally.value, "low": tally.low, "high": tally.high}
    low, high = wilson(bad, tally.runs)
    value = bad / tally.runs
    if watch.above:
        return {**known, "value": value, "low": low, "high": high}
    return {**known, "value": 1 - value, "low": 1 - high, "high": 1 - low}


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
        "bounds": tally.bounds,
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
    figures: dict[str, Any] = {
        "sample_size": tally.runs, "low": low, "high": high, "seconds": _seconds(watch),
        "bounds": tally.bounds,
    }  # fmt: skip
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
    if watch.unit == "share":
        return mean_interval(tally.runs, tally.total, tally.squares)
    mean = tally.total / tally.runs
    variance = max(0.0, tally.squares - tally.total * mean) / (tally.runs - 1)
    reach = student_95(tally.runs - 1) * math.sqrt(variance / tally.runs)
    return mean - reach, mean + reach


def _number(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    if math.isnan(tally.value):
        return _verdict(target, State.NO_DATA)
    figures: dict[str, Any] = {
        "sample_size": tally.runs, "seconds": _seconds(target.watch), "bounds": tally.bounds,
    }  # fmt: skip
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
    return bad >= least_bad(allowed) and is_beyond(tally.runs, bad, allowed, Z_95)


def _burn_figures(watch: Watch, tally: Tally, place: int) -> dict[str, object]:
    bad, budget = tally.bad[0], 1 - watch.objective
    low, high = wilson(bad, tally.runs)
    return {
        "value": bad / tally.runs / budget, "low": low / budget, "high": high / budget,
        "sample_size": tally.runs, "bad": bad, "seconds": watch.stretches[place].seconds,
        "lately": float(bad), "bounds": tally.bounds,
    }  # fmt: skip


# Time, and what detectors say


def _no_runs(target: Target, sample: Sample, now: int) -> Verdict:
    """Nothing was recorded; while nobody watched, that says nothing, neither for nor against.

    Only a run that was seen is presence.
    """
    limit = target.watch.limits[0]
    heard = max(sample.last_run or 0, sample.watched_since)
    quiet = max(0, now - heard - sample.unwatched) / _MICROS
    figures: dict[str, Any] = {"value": quiet, "seen": sample.last_run}
    if sample.unwatched >= _TOLD_FROM * _MICROS:
        missed = lasted(sample.unwatched / _MICROS)
        figures["words"] = f"not counting {missed} in which the monitor was down"
    if quiet > limit.value:
        return _verdict(target, State.BREACH, level=limit.level, **figures)
    if sample.last_run is not None and now - sample.last_run <= limit.value * _MICROS:
        return _verdict(target, State.CLEAR, settled=True, **figures)
    return _verdict(target, State.INSUFFICIENT, **figures)


def _unfinished(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies or (Tally(),)
    verdict = _counted(target, tally, 1)
    if sample.finding is None:
        return verdict
    return attrs.evolve(verdict, words=sample.finding.words)


def _conflicts(target: Target, sample: Sample, _now: int) -> Verdict:
    (tally,) = sample.tallies
    limit = target.watch.limits[0]
    figures: dict[str, Any] = {
        "value": float(tally.runs), "sample_size": tally.runs, "bad": tally.runs,
        "words": "" if sample.finding is None else sample.finding.words,
    }  # fmt: skip
    if tally.runs >= limit.value:
        return _verdict(target, State.BREACH, level=limit.level, **figures)
    return _verdict(target, State.CLEAR, settled=not tally.runs, **figures)


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
    Kind.NO_RUNS: _no_runs, Kind.UNFINISHED: _unfinished, Kind.CONFLICTS: _conflicts,
    Kind.TREND: _detected, Kind.ANOMALY: _detected, Kind.FORECAST: _forecast,
}  # fmt: skip
