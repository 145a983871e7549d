"""Compares a part with the whole, over the same time.

Each verdict is about a stretch of its own: a few minutes of many runs, or the last twenty of a day.
What is bad in the one may not be subtracted from the other, nor held against it, so one of them is
counted anew, over the time of the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from perfmon.alerts.episodes.episode import Episode
from perfmon.alerts.evidence.shares import MIN_BAD, is_beyond, least_bad, strictness
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.rules.rule import Kind
from perfmon.metrics.intervals import Z_95

SHARES = (Kind.SHARE, Kind.BEYOND)
_SUMS = (Kind.NUMBER, Kind.BUDGET)
_SURE = strictness(1 / 12)  # it is asked at every look, for hours
_MICROS = 1_000_000
_MINUTE = 60 * _MICROS

Count = Callable[[str, int, float], tuple[int, int] | None]
"""The runs of a target (by its key) since a time in microseconds, and how many of them are bad by a
limit: those of a share or of a quantile; None where nobody knows. It may begin with the minute."""


class Comparing:
    """Answers what alerts have to do with one another, at a time.

    Args:
        now: the time, in microseconds.
        count: counts the runs of a target anew; without it they are estimated from the figures.
    """

    def __init__(self, now: int, count: Count | None = None) -> None:
        self.now = now
        self._count = count
        self._known: dict[tuple[str, int, float], tuple[int, int] | None] = {}

    def _counted(self, episode: Episode, since: int, limit: float) -> tuple[int, int] | None:
        if self._count is None:
            return None
        wanted = (episode.key, since, limit)
        if wanted not in self._known:
            self._known[wanted] = self._count(*wanted)
        return self._known[wanted]

    def remains(self, whole: Episode, parts: list[Episode]) -> bool:
        """Whether there would be a breach without the parts, by the evidence that it takes."""
        if whole.kind in SHARES:
            runs, bad, z = self._rest(whole, apart(parts))
            enough = runs > 0 and bad >= least_bad(whole.allowed)
            return enough and is_beyond(runs, bad, whole.allowed, z)
        return _is_left(whole, apart(parts))

    def _rest(self, whole: Episode, parts: list[Episode]) -> tuple[int, int, float]:
        """Runs and bad ones without the parts, and how far beyond the limit they have to be."""
        since = _began(whole)
        if since is None:
            return *_estimated(whole, parts), Z_95
        runs, bad = whole.sample_size, whole.bad
        for part in parts:
            counted = self._counted(part, since, whole.threshold)
            if counted is None:
                return *_estimated(whole, parts), Z_95
            runs, bad = runs - counted[0], bad - counted[1]
        return runs, bad, _strictness(whole)

    def is_no_worse(self, part: Episode, whole: Episode) -> bool:
        """Whether a part is as bad as the whole, so that naming it says nothing new."""
        if whole.kind in SHARES and part.sample_size and whole.sample_size:
            since = _began(part)
            found = None if since is None else self._counted(whole, since, part.threshold)
            runs, bad = found if found is not None else (whole.sample_size, whole.bad)
            return not is_beyond(part.sample_size, part.bad, bad / max(runs, 1), _SURE)
        if whole.kind is Kind.MEAN:
            return part.value <= whole.value if whole.above else part.value >= whole.value
        return False

    def is_fresh(self, episode: Episode, since: int) -> bool | None:
        """Whether the runs since a time alone show a breach; None where nobody knows."""
        if episode.kind not in SHARES or self._count is None:
            return None
        if episode.evidence is not State.BREACH:
            return False
        began = _began(episode)
        if began is not None and began >= since:
            return True
        # The minute in which it was over may have runs of before.
        found = self._counted(episode, -(-since // _MINUTE) * _MINUTE, episode.threshold)
        if found is None:
            return None
        runs, bad = found
        return bad >= least_bad(episode.allowed) and is_beyond(runs, bad, episode.allowed, _SURE)


def _began(episode: Episode) -> int | None:
    """When the stretch began that its figures are of."""
    if not episode.at or math.isnan(episode.seconds):
        return None
    return episode.at + 1 - round(episode.seconds * _MICROS)


def _strictness(whole: Episode) -> float:
    """How far beyond its limit a stretch has to be: the whole window, or a part of it."""
    if whole.sample_size >= whole.whole_runs or not whole.span > 0:
        return Z_95
    return strictness(min(1.0, whole.seconds / whole.span))


def apart(parts: list[Episode]) -> list[Episode]:
    """Without those that are within another one, whose runs would count twice."""
    most = max(len(part.labels) for part in parts)
    wider = [part for part in parts if len(part.labels) < most]
    return [part for part in parts if not any(holds(o.labels, part.labels) for o in wider)]


def holds(outer: Mapping[str, str], inner: Mapping[str, str]) -> bool:
    """Whether one is about a part of what the other is about."""
    return len(inner) > len(outer) and outer.items() <= inner.items()


def _is_left(whole: Episode, parts: list[Episode]) -> bool:
    """Whether a breach that is no share is left without the parts."""
    bad = whole.bad - sum(part.bad for part in parts)
    if whole.kind in (Kind.ANY, Kind.SINGLE, Kind.UNFINISHED):
        return bad >= (MIN_BAD if whole.kind is Kind.ANY else 1)
    if whole.kind in _SUMS:
        return _is_beyond(whole, whole.value - sum(part.value for part in parts))
    if whole.kind is Kind.MEAN:
        runs = whole.sample_size - sum(part.sample_size for part in parts)
        total = whole.value * whole.sample_size
        total -= sum(part.value * part.sample_size for part in parts)
        return runs > 0 and _is_beyond(whole, total / runs)
    return True


def _is_beyond(episode: Episode, value: float) -> bool:
    return value > episode.threshold if episode.above else value < episode.threshold


# Where nobody counts


def _estimated(whole: Episode, parts: list[Episode]) -> tuple[int, int]:
    """Runs and bad ones without the parts: of the whole window.

    A part with few runs has them from a longer time; only so much of them is in the whole's.
    """
    if not whole.whole_runs:  # of another version of perfmon
        size = whole.sample_size - sum(part.sample_size for part in parts)
        return size, whole.bad - sum(part.bad for part in parts)
    runs = [part.whole_runs * _in_it(part, whole) for part in parts]
    # What is bad is what came last.
    bad = [min(part.whole_bad, own) for part, own in zip(parts, runs, strict=True)]
    return round(whole.whole_runs - sum(runs)), round(whole.whole_bad - sum(bad))


def _in_it(part: Episode, whole: Episode) -> float:
    known = part.span > 0 and whole.span > 0
    return min(1.0, whole.span / part.span) if known else 1.0
