"""Whether a share of bad runs is beyond its limit, or could be chance.

A share (and a quantile, which is the share of runs beyond it) is evaluated over its whole window,
or the last 20 runs where it has fewer, by Wilson's 95% bound and at least 3 bad runs. Who looks
every few seconds asks often, and finds something by chance sooner or later. So the shorter
stretches, which find an outage quickly where runs are many, share a tenth of that doubt by their
part of the window (Bonferroni; the tenth, because the tail of a share of a few percent is longer
than the bound's), and an alert clears by other bounds than it fires, so that a share at its very
limit neither fires nor clears again and again. `benchmarks/alerting.py` measures what comes of it.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

from perfmon.alerts.evidence.verdicts import Tally
from perfmon.alerts.rules.rule import LAST_RUNS, Kind, Limit, Watch
from perfmon.metrics.intervals import Z_95, wilson

MIN_BAD = 3
MIN_BAD_RARE = 5
"""Below a limit of 10% Wilson's bound is too sure of a few: 3 of 20 at 5% are chance 1 in 13."""
RARE = 0.10
RELAXED = 0.7
"""What is allowed to clear, as a part of what is allowed before it fires."""
HALF = 0.5
_DOUBT = 0.025  # one-sided, of a 95% interval
_SHORT = 0.1


@cache
def strictness(part: float) -> float:
    """How many standard deviations a stretch of a part of the window must be beyond a limit."""
    return Z_95 if part >= 1 else NormalDist().inv_cdf(1 - _DOUBT * _SHORT * part)


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
    """Whether a share is below its limit: few bad runs recently, and enough runs to be sure.

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
        tally.runs >= LAST_RUNS and is_below(tally.runs, tally.bad[-1], allowed, Z_95)
        for tally in tallies[1:]
    )


def quantile_levels(runs: int, quantile: float) -> tuple[float, float]:
    """The levels of the quantiles that hold a quantile of this many runs with 95% confidence.

    The share of runs below the true quantile is the quantile's level, give or take.

    >>> [round(level, 3) for level in quantile_levels(100, 0.95)]
    [0.888, 0.978]
    """
    return wilson(quantile * runs, runs)
