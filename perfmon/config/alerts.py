"""`[alerts]` of monitor.toml: thresholds, rules, and how alerts go out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from perfmon.config.partial import decided, is_known, is_whole
from perfmon.config.secret import Secret
from perfmon.config.validators import (
    Allowed,
    Duration,
    a_while,
    above_zero,
    between_0_and_1,
    did_you_mean,
    share,
    some_text,
    whole,
)
from perfmon.records import AlertLevel
from perfmon.records.catalog import METRICS, OTHER_NAMES, TRENDS


def _above_one(value: float) -> bool:
    return value > 1


def _metric(_instance: Any, _attribute: Any, value: str | None) -> None:
    names = {*METRICS, *OTHER_NAMES}
    if value is not None and value not in names:
        hint = did_you_mean(value, names)
        raise ValueError(f"must be a number of PerformanceMetrics{hint or ', such as error_rate'}")


@attrs.frozen(kw_only=True)
class Repeat:
    """`[alerts] repeat`: seconds between reminders of a firing alert, by level; None is never."""

    critical: Duration | None = 4 * 3600.0
    warning: Duration | None = 24 * 3600.0
    info: Duration | None = None


@attrs.frozen(kw_only=True)
class Thresholds:
    """`[alerts.thresholds]`: the limits watched by default; ms, dollars and MiB."""

    success_rate_min: float = attrs.field(default=0.80, validator=share)
    error_rate_max: float = attrs.field(default=0.15, validator=share)
    latency_p95_max_ms: float = attrs.field(default=5000.0, validator=above_zero("ms"))
    cost_per_task_max: float = attrs.field(default=1.0, validator=above_zero("dollars"))
    accuracy_min: float = attrs.field(default=0.70, validator=share)
    memory_max_mb: float = attrs.field(default=1024.0, validator=above_zero("MiB"))
    token_per_task_max: float = attrs.field(default=5000.0, validator=above_zero("tokens"))


@attrs.frozen(kw_only=True)
class Burn:
    """One of `burn = [...]`: how fast an error budget may be spent.

    A factor of 1 spends the budget exactly in its period; the alert fires while both the long and
    the short window spend it faster than `factor` times that.

    Attributes:
        factor: how many times as fast as the objective allows.
        long, short: the two windows, in seconds; None is a twelfth of the long one.
        level: how urgent that is.
    """

    factor: float = attrs.field(validator=above_zero())
    long: Duration = attrs.field(validator=a_while)
    short: Duration | None = attrs.field(default=None, validator=a_while)
    level: AlertLevel = AlertLevel.CRITICAL

    def __attrs_post_init__(self) -> None:
        if self.short is not None and self.short >= self.long:
            raise ValueError("short must be shorter than long")


# Beyer and others, "The Site Reliability Workbook" (2018), table 5-8.
_BURNS = (
    Burn(factor=14.4, long=3600.0, short=300.0),
    Burn(factor=6.0, long=6 * 3600.0, short=1800.0),
    Burn(factor=1.0, long=3 * 86_400.0, short=6 * 3600.0, level=AlertLevel.WARNING),
)
_Dimension = Literal["agent", "agent_type", "model", "tenant"]
_CONDITIONS = (
    "above", "below", "is_", "budget", "no_run_for", "started_and_not_ended_for", "objective",
)  # fmt: skip
_NO_METRIC = ("budget", "no_run_for", "started_and_not_ended_for")


@attrs.frozen(kw_only=True)
class Rule:
    """One of `[[alerts.rules]]`: a condition that must not hold for the runs in its scope.

    It has exactly one condition: `above` or `below` (with `within`, of the forecast), `is`,
    `budget`, `no_run_for`, `started_and_not_ended_for`, or `objective`.

    Attributes:
        name: unique, and not a threshold's.
        metric: a number of `PerformanceMetrics`, or one of its trends; `field` is its name there.
        above, below: the limit.
        critical_at: the alert is critical beyond this.
        is_: what a trend must not be, or `anomalous`.
        within: the limit applies to the forecast this many seconds ahead.
        budget, per: dollars that may be spent in each hour, day, week or month of the calendar.
        no_run_for: seconds without a run.
        started_and_not_ended_for: seconds that a run may take.
        objective, burn: the share of runs that should succeed, and how fast what it leaves for
            failures may be spent.
        agent, agent_type, model, tenant: globs; None is any.
        by: evaluated separately for each of these, in addition to the globs; None is each agent
            (for a budget: the globs only) and, without globs, the whole system, too.
        level: how urgent a breach is.
        window_minutes: the window; None is the monitor's.
        for_, keep_firing_for, group_wait: seconds; None is the default of `[alerts]`.
        family: rules of a family share one alert per scope; the thresholds belong to the families
            `success`, `latency`, `cost`, `accuracy`, `memory` and `token_usage`; None is an alert
            of its own.
    """

    name: str = attrs.field(validator=some_text)
    metric: str | None = attrs.field(default=None, validator=_metric)
    above: float | None = None
    below: float | None = None
    critical_at: float | None = None
    is_: Literal["degrading", "improving", "stable", "anomalous"] | None = None
    within: Duration | None = attrs.field(default=None, validator=a_while)
    budget: float | None = attrs.field(default=None, validator=above_zero("dollars"))
    per: Literal["hour", "day", "week", "month"] | None = None
    no_run_for: Duration | None = attrs.field(default=None, validator=a_while)
    started_and_not_ended_for: Duration | None = attrs.field(default=None, validator=a_while)
    objective: float | None = attrs.field(default=None, validator=between_0_and_1)
    burn: list[Burn] | None = None
    agent: str | None = attrs.field(default=None, validator=some_text)
    agent_type: str | None = attrs.field(default=None, validator=some_text)
    model: str | None = attrs.field(default=None, validator=some_text)
    tenant: str | None = attrs.field(default=None, validator=some_text)
    by: list[_Dimension] | None = None
    level: AlertLevel = AlertLevel.WARNING
    window_minutes: int | None = attrs.field(default=None, validator=whole(1, 527_040))
    for_: Duration | None = None
    keep_firing_for: Duration | None = None
    group_wait: Duration | None = None
    family: str | None = attrs.field(default=None, validator=some_text)

    def __attrs_post_init__(self) -> None:
        wrong = list(_wrong(self))
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def field(self) -> str:
        """The metric's name in `PerformanceMetrics`; empty where the condition needs none."""
        named = self.metric or ("success_rate" if self.objective is not None else "")
        return OTHER_NAMES.get(named, named)

    @property
    def burns(self) -> tuple[Burn, ...]:
        """How fast the error budget may be spent; the workbook's three rates by default."""
        return _BURNS if self.burn is None else tuple(self.burn)

    @property
    def scope(self) -> dict[str, str]:
        """The globs it names, by dimension."""
        named = {name: getattr(self, name) for name in DIMENSIONS}
        return {name: glob for name, glob in named.items() if glob is not None}


DIMENSIONS = ("agent", "agent_type", "model", "tenant")


def _wrong(rule: Rule) -> Iterator[str]:
    """What no single key can tell of a rule; of one with mistakes, as far as it is decided."""
    given = [name for name in _CONDITIONS if getattr(rule, name) is not None]
    if given[:2] == ["above", "below"]:
        yield "must have exactly one of above and below"
    elif len(given) > 1 or (not given and is_whole(rule)):
        words = ", ".join(name.rstrip("_") for name in _CONDITIONS)
        found = " and ".join(name.rstrip("_") for name in given) or "none"
        yield f"must have exactly one condition (one of {words}); found {found}"
    elif given:
        for check in _WRONG.get(given[0], (_wrong_metric, _wrong_reach, _wrong_rise)):
            yield from decided(check(rule))
        yield from decided(_misplaced(rule, given[0]))


def _misplaced(rule: Rule, condition: str) -> Iterator[str]:
    """Keys that mean something beside another condition only."""
    limits = ("above", "below")
    for name, wanted in (
        ("per", ("budget",)),
        ("burn", ("objective",)),
        ("within", limits),
        ("critical_at", (*limits, "budget")),
    ):
        if getattr(rule, name) is not None and condition not in wanted:
            yield f"{name} goes with {' or '.join(wanted)}, not with {condition.rstrip('_')}"
    if rule.metric is not None and condition in _NO_METRIC:
        yield f"metric does not go with {condition}; leave it out"
    if rule.critical_at is not None and rule.level is AlertLevel.CRITICAL:
        yield "critical_at needs a level below critical"


def _limit(rule: Rule) -> tuple[str, float]:
    """The name of the limit's side, and the limit."""
    if rule.above is not None:
        return "above", rule.above
    assert rule.below is not None
    return "below", rule.below


def _wrong_metric(rule: Rule) -> Iterator[str]:
    if rule.metric is None:
        yield "metric is missing; above and below require it"
    elif rule.metric in TRENDS:
        yield f'{rule.metric} is not a number; use is = "degrading" instead of a limit'


def _wrong_reach(rule: Rule) -> Iterator[str]:
    side, limit = _limit(rule)
    metric = METRICS.get(rule.field)
    if metric is None or metric.unit != "share":
        return
    for name, value in ((side, limit), ("critical_at", rule.critical_at)):
        if value is not None and is_known(value):
            yield from _out_of_reach(rule.field, name, value, is_above=side == "above")


def _wrong_rise(rule: Rule) -> Iterator[str]:
    side, limit = _limit(rule)
    if rule.critical_at is not None and (rule.critical_at > limit) != (side == "above"):
        yield f"critical_at = {rule.critical_at:g} must be {side} {limit:g}"


def _out_of_reach(field: str, name: str, value: float, *, is_above: bool) -> Iterator[str]:
    meant = f"; write {value:g}% as {value / 100:g}" if 1 < value <= 100 else ""
    if is_above and value > 1:
        yield f"{name} = {value:g} can never fire: {field} is at most 1{meant}"
    if not is_above and value < 0:
        yield f"{name} = {value:g} can never fire: {field} is at least 0"
    if not is_above and value > 1:
        yield f"{name} = {value:g} would always fire: {field} is at most 1{meant}"


def _wrong_word(rule: Rule) -> Iterator[str]:
    if rule.metric is None:
        yield "metric is missing; is requires it"
    elif (rule.metric in TRENDS) != (rule.is_ != "anomalous"):
        trends = ", ".join(sorted(TRENDS))
        yield f'metric must be a trend ({trends}), or numeric with is = "anomalous"'


def _wrong_budget(rule: Rule) -> Iterator[str]:
    assert rule.budget is not None
    if rule.critical_at is not None and rule.critical_at <= rule.budget:
        yield f"critical_at = {rule.critical_at:g} must be above the budget of {rule.budget:g}"


def _wrong_objective(rule: Rule) -> Iterator[str]:
    """An objective with rates of which one means more failures than there are runs."""
    assert rule.objective is not None
    if rule.field != "success_rate":
        yield "metric must be success_rate (or be left out) with an objective"
    if rule.burn == []:
        yield "burn must have at least one rate"
    most = 1 / (1 - rule.objective)
    for burn in rule.burns:
        if burn.factor >= most * (1 - 1e-9):
            yield (
                f"a burn rate of {burn.factor:g} can never be exceeded with an objective of"
                f" {rule.objective:.4g}: it would take {burn.factor / most:.4g} of all runs to"
                f" fail, and the rate is at most {most:.4g}; set burn = [...] with lower factors"
                f" ({most / 2:.4g} means that half of all runs fail)"
            )


_WRONG: dict[str, tuple[Callable[[Rule], Iterator[str]], ...]] = {
    "is_": (_wrong_word,),
    "budget": (_wrong_budget,),
    "objective": (_wrong_objective,),
    "no_run_for": (),
    "started_and_not_ended_for": (),
}


def _unique(_instance: Any, _attribute: Any, rules: list[Rule]) -> None:
    names = [rule.name if is_known(rule) and is_known(rule.name) else None for rule in rules]
    known = [name for name in names if name is not None]
    wrong = []
    twice = sorted({name for name in known if names.count(name) > 1})
    if twice:
        places = [f"{name!r} is used by {' and '.join(_numbers(names, name))}" for name in twice]
        wrong.append(f"must have unique names; {', '.join(places)}")
    taken = sorted({field.name for field in attrs.fields(Thresholds)} & set(known))
    if taken:
        wrong.append(f"must not be named like a threshold ({', '.join(taken)})")
    if wrong:
        raise ValueError("; ".join(wrong))


def _numbers(names: list[str | None], wanted: str) -> Iterator[str]:
    return (str(number) for number, name in enumerate(names, 1) if name == wanted)


@attrs.frozen(kw_only=True)
class SingleRun:
    """`[alerts] single_run`: one run far beyond a latency or memory limit, an alert of its own.

    Attributes:
        enabled: whether it is looked for.
        times: how many times the limit is far beyond it.
        level: how urgent it is.
    """

    enabled: bool = True
    times: float = attrs.field(default=10.0, validator=Allowed("a number above 1", _above_one))
    level: AlertLevel = AlertLevel.INFO


def _own_dimensions(_instance: Any, _attribute: Any, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"must not repeat a name; {', '.join(map(repr, twice))} occurs twice")


def _is_web_address(value: str | Secret) -> bool:
    text = value.reveal() if isinstance(value, Secret) else value
    try:
        parts = urlsplit(text)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False
    return bool(named) and text.isprintable() and " " not in text


_web_address = Allowed('a URL such as "https://example.org"', _is_web_address)


@attrs.frozen(kw_only=True)
class AlertsTable:
    """`[alerts]`; times in seconds. `for`, `keep_firing_for`, `group_wait`: a rule's defaults.

    Attributes:
        evaluation_interval: how often everything is evaluated.
        for_: how long a limit must be exceeded before it fires.
        keep_firing_for: how long it must be back to normal before it is resolved.
        group_wait: how long a group waits for more before its first message.
        group_interval: minimum time between further messages of a group.
        group_by: what the alerts of one message have in common.
        repeat: reminders, by level.
        single_run: one run far beyond a limit.
        thresholds: the limits watched by default.
        rules: further ones.
        link: the dashboard's address in messages; None is the server's own, while it serves.
        heartbeat_url: called after completed evaluations, so that somebody outside notices when
            there are none any more.
        heartbeat_interval: how often at most.
        heartbeat_allow_private: whether that may be a private or loopback address.
    """

    enabled: bool = True
    evaluation_interval: Duration = attrs.field(default=5.0, validator=a_while)
    for_: Duration = 0.0
    keep_firing_for: Duration = 60.0
    group_wait: Duration = 2.0
    group_interval: Duration = 30.0
    group_by: list[Literal["tenant", "agent", "agent_type", "model", "rule", "level"]] = (
        attrs.field(factory=lambda: ["tenant"], validator=_own_dimensions)
    )
    repeat: Repeat = attrs.Factory(Repeat)
    single_run: SingleRun = attrs.Factory(SingleRun)
    thresholds: Thresholds = attrs.Factory(Thresholds)
    rules: list[Rule] = attrs.field(factory=list, validator=_unique)
    link: str | None = attrs.field(default=None, validator=_web_address)
    heartbeat_url: Secret | None = attrs.field(default=None, validator=_web_address)
    heartbeat_interval: Duration = attrs.field(default=60.0, validator=a_while)
    heartbeat_allow_private: bool = False
