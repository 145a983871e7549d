"""When a problem began, traced back in the runs themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perfmon.alerts.evidence.judge import relaxed
from perfmon.alerts.evidence.shares import RELAXED, allowed_share
from perfmon.alerts.rules.rule import LAST_RUNS, Kind, Watch
from perfmon.window.ragged import Floats, Ints

_COUNTED = (Kind.SHARE, Kind.BEYOND, Kind.BURN)


class Excess(NamedTuple):
    """What makes runs bad for a watch at a limit.

    Attributes:
        allowed: what a run may have: a share of bad runs, or a value.
        well: the mean excess over that up to which `LAST_RUNS` runs in a row are well.
        sign: -1 where less is worse.
    """

    allowed: float
    well: float
    sign: int


def terms_of(watch: Watch, threshold: float) -> Excess:
    """Those of the limit that is breached; `relaxed` limits are what is well."""
    limit = next((one for one in watch.limits if one.value == threshold), watch.limits[-1])
    if watch.kind in _COUNTED:
        allowed = allowed_share(watch, limit)
        return Excess(allowed, (RELAXED - 1) * allowed, 1)
    return Excess(limit.value, -abs(relaxed(watch, limit.value) - limit.value), watch.sign)


def excess(values: Floats, terms: Excess) -> Floats:
    """By how much each run is worse than what is allowed; for shares `values` are 1 where bad."""
    found: Floats = (values - terms.allowed) * terms.sign
    return found


def beginning(over: Floats, well: float) -> tuple[int, bool] | None:
    """The run with which the last bad phase began; None where there is none.

    The phase ends with the last bad run, and reaches back to the last `LAST_RUNS` runs in a row
    before it that were well; it began with the run from which on there is most that is too much
    (the maximum of Page's cumulative sum, "Continuous inspection schemes", 1954). The second value
    is whether such well runs were met, so that what is before these runs does not matter.

    >>> import numpy as np
    >>> bad = np.array([0.0] * 30 + [1, 0] + [0.0] * 30 + [1, 1, 0, 1, 1])
    >>> beginning(bad - 0.2, -0.06)
    (62, True)
    """
    over = over[: int(np.flatnonzero(over > 0)[-1]) + 1] if (over > 0).any() else over[:0]
    first = _last_well(over, well)
    rest = over[first or 0 :]
    if not len(rest):
        return None
    sums = np.cumsum(rest[::-1])[::-1]
    most = float(sums.max())
    # One bad run and four good ones come to nothing at 20%: the earliest of equals, to rounding.
    best = int(np.flatnonzero(sums >= most - 1e-9 * max(1.0, abs(most)))[0])
    bad = np.flatnonzero(rest[best:] > 0)
    if most <= 0 or not len(bad):
        return None
    return (first or 0) + best + int(bad[0]), first is not None


def _last_well(over: Floats, well: float) -> int | None:
    """Where the last stretch of runs begins that were well on the whole."""
    if len(over) < LAST_RUNS:
        return None
    sums = np.concatenate([[0.0], np.cumsum(over)])
    means = (sums[LAST_RUNS:] - sums[:-LAST_RUNS]) / LAST_RUNS
    found = np.flatnonzero(means <= well + 1e-9)
    return int(found[-1]) if len(found) else None


def chain_began(at: Ints, bad: Floats, gap: int) -> int | None:
    """Of single bad runs: the first of those of which no two are further apart than a stretch."""
    own = at[bad > 0]
    if not len(own):
        return None
    far = np.flatnonzero(np.diff(own) > gap)
    return int(own[far[-1] + 1] if len(far) else own[0])


def began_at(at: Ints, values: Floats, terms: Excess) -> tuple[int, bool] | None:
    """As `beginning`, for runs in the order of their times (microseconds): when it began."""
    found = beginning(excess(values, terms), terms.well)
    return None if found is None else (int(at[found[0]]), found[1])
