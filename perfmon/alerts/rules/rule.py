"""A compiled rule: a limit on a metric, with its windows and scope."""

from __future__ import annotations

import enum
from fnmatch import fnmatchcase
from typing import NamedTuple

import attrs

from perfmon.records import AlertLevel, CellKey, MetricType

LAST_RUNS = 20
"""A window with fewer runs is widened to the last N."""
HORIZON_SECONDS = 24 * 3600.0
"""No evidence is older, but where a window is itself longer."""
DIMENSIONS = {
    "agent": "agent_name", "agent_type": "agent_type", "model": "model", "tenant": "tenant",
}  # fmt: skip
"""The fields of a key by the names they have in a configuration."""


class Kind(enum.StrEnum):
    """How a watch looks at runs."""

    SHARE = "share"  # of runs that are bad: a rate
    BEYOND = "beyond"  # the share of runs beyond the limit: a quantile
    ANY = "any"  # three runs beyond the limit: a maximum
    SINGLE = "single"  # one run far beyond it
    MEAN = "mean"
    NUMBER = "number"  # counts and totals, which are what they are
    BUDGET = "budget"
    BURN = "burn"
    NO_RUNS = "no_runs"
    UNFINISHED = "unfinished"
    CONFLICTS = "conflicts"  # runs under known ids with other content
    TREND = "trend"
    ANOMALY = "anomaly"
    FORECAST = "forecast"


LASTING = (Kind.NO_RUNS, Kind.UNFINISHED)
"""They end when something happens, not when nothing is known any more."""


class Limit(NamedTuple):
    """From where on a breach has a level; for a burn rate `value` is the factor."""

    level: AlertLevel
    value: float


class Stretch(NamedTuple):
    """A stretch of time up to now that a watch wants to know about.

    Attributes:
        seconds: its length.
        runs: it is extended to the last N runs with the value (to `HORIZON_SECONDS` or its
            own length at most), where it has fewer.
        part: the part of the watch's whole window it is; shorter ones are held to a stricter bound.
        period: instead of a length, since the beginning of the current `hour`, `day`, `week` or
            `month` in UTC.
    """

    seconds: float
    runs: int = 0
    part: float = 1.0
    period: str = ""


@attrs.frozen(kw_only=True)
class Watch:
    """A threshold or rule, ready to be evaluated.

    Attributes:
        rule: its name, unique; a part of the keys of its alerts.
        kind: how it looks at runs.
        metric, metric_type: the field of `PerformanceMetrics` (or empty), and what it is about.
        unit: of value and limit: `share`, `ms`, `MiB`, `$`, `tokens`, `s`, `runs`, ... or empty.
        above: whether what is above the limit is bad, not what is below.
        limits: the most urgent first.
        stretches: what a sample must tell of, in this order.
        share: for a quantile, the share of runs that may be beyond the limit.
        word: for a trend, the direction that is bad.
        within: for a forecast, how many seconds ahead.
        objective: for a burn rate, the share of runs that should succeed.
        by: the dimensions whose values are watched apart; empty is all together.
        globs: the values it is about, by dimension.
        is_default: a threshold, which gives way to a rule about the same metric.
        own_joint: what `joint` is; empty is the rule itself.
        joint_metric: the metric of the main one of what is one alert; empty is none in particular.
        for_, keep_firing_for, group_wait: seconds.
    """

    rule: str
    kind: Kind
    metric: str = ""
    metric_type: MetricType
    unit: str = ""
    above: bool = True
    limits: tuple[Limit, ...]
    stretches: tuple[Stretch, ...] = ()
    share: float = 0.0
    word: str = ""
    within: float = 0.0
    objective: float = 0.0
    by: tuple[str, ...] = ()
    globs: tuple[tuple[str, str], ...] = ()
    is_default: bool = False
    own_joint: str = ""
    joint_metric: str = ""
    for_: float = 0.0
    keep_firing_for: float = 60.0
    group_wait: float = 2.0

    @property
    def family(self) -> str:
        """What alerts of one scope say the same about: successes and errors are one thing."""
        # Dear runs say nothing of a budget, nor slow ones of one that hangs.
        if self.kind in (*LASTING, Kind.BUDGET, Kind.CONFLICTS):
            return self.kind.value
        if self.metric == "predictions_waiting":
            return self.metric
        kinds = (MetricType.SUCCESS_RATE, MetricType.ERROR_RATE)
        return "success" if self.metric_type in kinds else self.metric_type.value

    @property
    def joint(self) -> str:
        """With what else it is one alert: watches of the same scope and joint are."""
        return self.own_joint or self.rule

    @property
    def sign(self) -> int:
        """+1 where above is bad, else -1."""
        return 1 if self.above else -1

    def matches(self, key: CellKey) -> bool:
        """Whether runs of this key are of those it is about."""
        for dimension, glob in self.globs:
            value = getattr(key, DIMENSIONS[dimension])
            if value is None or not fnmatchcase(value, glob):
                return False
        return True
