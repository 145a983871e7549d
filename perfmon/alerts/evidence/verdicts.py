"""Input and output of an evaluation: samples of runs in, verdicts out."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

import attrs

from perfmon.alerts.rules.rule import Watch
from perfmon.alerts.rules.targets import Target
from perfmon.records import AlertLevel, Scope


class State(enum.StrEnum):
    """The result of an evaluation."""

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
        low, high: for a quantile, the quantiles at `quantile_levels(runs, q)`: its 95% interval.
        since: the time (microseconds) since which they are; 0 is unknown.
        bounds: they are all the runs of `[since, until)`, in microseconds; zeros are unknown.
    """

    runs: int = 0
    bad: tuple[int, ...] = ()
    total: float = math.nan
    squares: float = math.nan
    worst: float = math.nan
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    since: int = 0
    bounds: tuple[int, int] = (0, 0)


class Finding(NamedTuple):
    """What a detector says. `found` is None where it cannot tell; a forecast is judged by `low`
    and `high`, and its `found` is ignored.
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
        unwatched: for how much of the time since then (or since the last run) nobody watched, in
            microseconds; for `NO_RUNS`.
        finding: what the detector says, for `TREND`, `ANOMALY` and `FORECAST`; None is no data.
            For `UNFINISHED` its words name the longest run.
    """

    tallies: tuple[Tally, ...] = ()
    last_run: int | None = None
    watched_since: int = 0
    unwatched: int = 0
    finding: Finding | None = None


Sampler = Callable[[Target, int], Sample]
"""Finds the sample of a target at a time in microseconds; may raise."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The result of evaluating a target.

    Attributes:
        key, watch, scope: the target's.
        state: what it came to.
        level: of a breach; None of anything else.
        settled: not even near a breach, so that an alert may clear. A `clear` that is not settled
            does not fire, and does not end what fires.
        value, threshold: in the watch's unit; the limit is the one that is breached, or the first.
        low, high: the 95% interval of the value, NaN where it has none.
        sample_size, bad: runs, and how many of them are bad.
        seconds: of the stretch they are from.
        at: the moment of the figures, in microseconds; 0 is that of the look.
        bounds: they are those of the runs of `[since, until)`; zeros where nobody says.
        words: what a detector says, or why evaluation failed.
        floor: where limits have several levels, the one to which an alert may ease: all limits
            above it are settled. None is no lower than it is.
        whole: of a share, the runs of the whole window, and how many of them are bad.
        since: the time (microseconds) since which those are; 0 is unknown.
        lately: how bad it is most recently: the bad runs of the shortest lookback.
        seen: when the target's last run ended (microseconds), or None; for `NO_RUNS`.
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
    at: int = 0
    bounds: tuple[int, int] = (0, 0)
    words: str = ""
    floor: AlertLevel | None = None
    whole: tuple[int, int] = (0, 0)
    since: int = 0
    lately: float = math.nan
    seen: int | None = None
