"""Compiles thresholds and rules of a configuration into watches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import attrs

from perfmon.alerts.rules.rule import LAST_RUNS, Kind, Limit, Stretch, Watch
from perfmon.config import AlertsTable, Rule, Thresholds
from perfmon.config.config import Config
from perfmon.records import AlertLevel, MetricType
from perfmon.records.catalog import METRICS, Nature

CLEARING_RUNS = 40
"""Fewer than these seldom prove that a share is below a limit."""


# How a watch looks at a metric; what is not here is a number that is what it is.
_KINDS = {Nature.MEAN: Kind.MEAN, Nature.QUANTILE: Kind.BEYOND, Nature.MAXIMUM: Kind.ANY}


class _Default(NamedTuple):
    """One of `[alerts.thresholds]`."""

    metric: str
    above: bool
    level: AlertLevel


_DEFAULTS = {
    "success_rate_min": _Default("success_rate", False, AlertLevel.CRITICAL),
    "error_rate_max": _Default("error_rate", True, AlertLevel.WARNING),
    "latency_p95_max_ms": _Default("p95_latency_ms", True, AlertLevel.WARNING),
    "cost_per_task_max": _Default("cost_per_task", True, AlertLevel.WARNING),
    "accuracy_min": _Default("avg_accuracy", False, AlertLevel.CRITICAL),
    "memory_max_mb": _Default("max_memory_mb", True, AlertLevel.CRITICAL),
    "token_per_task_max": _Default("tokens_per_task", True, AlertLevel.WARNING),
}


CONFLICTS_RULE = "run_id_conflicts"
_A_FEW = 3
_CONFLICTS_COUNT = 3600.0  # seconds since an agent's last one


def conflicts_watch(config: Config) -> Watch:
    """The monitor's own: runs that came under known ids with other content, and were not kept."""
    return Watch(
        rule=CONFLICTS_RULE, kind=Kind.CONFLICTS, metric="conflicts", unit="runs",
        metric_type=MetricType.ERROR_RATE, limits=(Limit(AlertLevel.WARNING, _A_FEW),),
        stretches=(Stretch(_CONFLICTS_COUNT),),
        keep_firing_for=config.alerts.keep_firing_for, group_wait=config.alerts.group_wait,
    )  # fmt: skip


JOINTS = {
    "success": "success_rate_min", "latency": "latency_p95_max_ms", "cost": "cost_per_task_max",
    "accuracy": "accuracy_min", "memory": "memory_max_mb", "token_usage": "token_per_task_max",
}  # fmt: skip
"""The subjects of the thresholds: what is one alert with them is named by the main one."""


def watches(config: Config) -> list[Watch]:
    """Everything a configuration watches: the thresholds, then the rules in its order.

    A threshold is watched for every agent and for the whole system. So is a rule that names
    nothing (it comes beside the threshold of its metric); one that names agents, types, models or
    tenants is watched for each agent of those, and for an agent all of whose runs it is about it
    replaces the threshold of its metric (of the same side). Each latency or memory limit brings a
    watch for single runs far beyond it.
    """
    found = list(_thresholds(config))
    for rule in config.alerts.rules:
        found += _of_rule(rule, config)
    alone = config.alerts.single_run
    if alone.enabled:
        found += [single for watch in found for single in _single(watch, alone.times, alone.level)]
    return found


def _thresholds(config: Config) -> Iterator[Watch]:
    alerts, window = config.alerts, config.monitor.window_size_minutes * 60.0
    for field in attrs.fields(Thresholds):
        metric, above, level = _DEFAULTS[field.name]
        watch = _limited(metric, above=above, rule=field.name, window=window)
        watch = attrs.evolve(
            watch,
            limits=(Limit(level, float(getattr(alerts.thresholds, field.name))),),
            is_default=True,
            own_joint=JOINTS[watch.family],
            joint_metric=_DEFAULTS[JOINTS[watch.family]].metric,
            for_=alerts.for_,
            keep_firing_for=alerts.keep_firing_for,
            group_wait=alerts.group_wait,
        )
        yield from (watch, attrs.evolve(watch, by=("agent",)))


def _of_rule(rule: Rule, config: Config) -> Iterator[Watch]:
    alerts = config.alerts
    minutes = rule.window_minutes or config.monitor.window_size_minutes
    for watch in _conditioned(rule, minutes * 60.0):
        yield from _divided(rule, alerts, watch)


def _divided(rule: Rule, alerts: AlertsTable, watch: Watch) -> Iterator[Watch]:
    watch = attrs.evolve(
        watch,
        for_=alerts.for_ if rule.for_ is None else rule.for_,
        keep_firing_for=(
            alerts.keep_firing_for if rule.keep_firing_for is None else rule.keep_firing_for
        ),
        group_wait=alerts.group_wait if rule.group_wait is None else rule.group_wait,
        globs=tuple(sorted(rule.scope.items())),
        own_joint=watch.own_joint if rule.family is None else JOINTS.get(rule.family, rule.family),
        joint_metric=_joint_metric(rule),
    )
    for by in _divisions(rule, watch.kind):
        yield attrs.evolve(watch, by=by)


def _joint_metric(rule: Rule) -> str:
    main = _DEFAULTS.get(JOINTS.get(rule.family or "", ""))
    return "" if main is None else main.metric


def _divisions(rule: Rule, kind: Kind) -> Iterator[tuple[str, ...]]:
    """What a rule is watched for: each combination of these dimensions' values."""
    named = set(rule.scope)
    if rule.by is not None:
        yield tuple(sorted(named | set(rule.by)))
    elif kind is Kind.BUDGET:
        yield tuple(sorted(named))
    else:
        if not named:
            yield ()
        yield tuple(sorted(named | {"agent"}))


def _conditioned(rule: Rule, window: float) -> Iterator[Watch]:
    """The watches of a rule's condition, without scope and times."""
    if rule.budget is not None:
        yield _budget(rule, rule.budget)
    elif rule.no_run_for is not None or rule.started_and_not_ended_for is not None:
        yield _waiting(rule)
    elif rule.objective is not None:
        yield from _burning(rule, rule.objective)
    elif rule.is_ == "anomalous":
        watch = _limited(rule.field, above=True, rule=rule.name, window=window)
        yield attrs.evolve(watch, kind=Kind.ANOMALY, limits=(Limit(rule.level, math.nan),))
    elif rule.is_ is not None:
        yield Watch(
            rule=rule.name, kind=Kind.TREND, metric=rule.field, word=rule.is_,
            metric_type=METRICS[rule.field].about, limits=(Limit(rule.level, math.nan),),
            stretches=(Stretch(window),),
        )  # fmt: skip
    else:
        yield _bounded(rule, window)


def _bounded(rule: Rule, window: float) -> Watch:
    limit = rule.below if rule.above is None else rule.above
    assert limit is not None
    watch = _limited(rule.field, above=rule.above is not None, rule=rule.name, window=window)
    watch = attrs.evolve(watch, limits=_limits(rule, limit))
    if rule.within is None:
        return watch
    return attrs.evolve(watch, kind=Kind.FORECAST, within=rule.within)


def _limits(rule: Rule, limit: float) -> tuple[Limit, ...]:
    worse = () if rule.critical_at is None else (Limit(AlertLevel.CRITICAL, rule.critical_at),)
    return (*worse, Limit(rule.level, limit))


def _limited(metric: str, *, above: bool, rule: str, window: float) -> Watch:
    """A watch of a metric; its limits are still to come."""
    entry = METRICS[metric]
    kind = Kind.SHARE if entry.is_share_of_runs else _KINDS.get(entry.nature, Kind.NUMBER)
    beyond = 1 - entry.quantile if above else entry.quantile
    return Watch(
        rule=rule,
        kind=kind,
        metric=metric,
        metric_type=entry.about,
        unit=entry.unit,
        above=above,
        limits=(),
        stretches=_stretches(kind, window),
        share=beyond if kind is Kind.BEYOND else 0.0,
    )


def _stretches(kind: Kind, window: float) -> tuple[Stretch, ...]:
    """Shares are evaluated over the whole window, and its end, to be quick where runs are many."""
    if kind in (Kind.SHARE, Kind.BEYOND):
        return (
            Stretch(window / 12, LAST_RUNS, 1 / 12),
            Stretch(window / 4, LAST_RUNS, 1 / 4),
            Stretch(window, LAST_RUNS),
            Stretch(window, CLEARING_RUNS),
        )
    if kind is Kind.SINGLE:
        return (Stretch(window / 12),)
    return (Stretch(window, LAST_RUNS if kind in (Kind.ANY, Kind.MEAN) else 0),)


def _single(watch: Watch, times: float, level: AlertLevel) -> Iterator[Watch]:
    """One run far beyond the limit of a latency or a memory."""
    if watch.kind in (Kind.BEYOND, Kind.ANY) and watch.above:
        (*_, limit) = watch.limits
        yield attrs.evolve(
            watch,
            rule=f"{watch.rule}: single run",
            kind=Kind.SINGLE,
            limits=(Limit(level, limit.value * times),),
            stretches=_stretches(Kind.SINGLE, watch.stretches[-1].seconds),
            metric="max_memory_mb" if watch.metric_type is MetricType.MEMORY else "max_latency_ms",
            share=0.0,
            for_=0.0,
        )


def _budget(rule: Rule, budget: float) -> Watch:
    return Watch(
        rule=rule.name, kind=Kind.BUDGET, metric="total_cost", metric_type=MetricType.COST,
        unit="$", limits=_limits(rule, budget),
        stretches=(Stretch(0.0, period=rule.per or "day"),),
    )  # fmt: skip


def _waiting(rule: Rule) -> Watch:
    """Time since the last run, or of the runs that are under way."""
    silent = rule.no_run_for is not None
    limit = rule.no_run_for if silent else rule.started_and_not_ended_for
    assert limit is not None
    return Watch(
        rule=rule.name,
        kind=Kind.NO_RUNS if silent else Kind.UNFINISHED,
        metric_type=MetricType.API_CALLS if silent else MetricType.LATENCY,
        unit="s",
        limits=(Limit(rule.level, limit),),
    )


def _burning(rule: Rule, objective: float) -> Iterator[Watch]:
    """A watch for each level, so that the page ends with the fire and not with the ticket.

    Two stretches for each rate: the long one, and the short one that says it still burns.
    """
    levels = sorted({burn.level for burn in rule.burns}, key=list(AlertLevel).index, reverse=True)
    for level in levels:
        burns = [burn for burn in rule.burns if burn.level is level]
        burns.sort(key=lambda burn: -burn.factor)
        stretches = []
        for burn in burns:
            short = burn.long / 12 if burn.short is None else burn.short
            stretches += [Stretch(burn.long, LAST_RUNS), Stretch(short, LAST_RUNS)]
        yield Watch(
            rule=rule.name if len(levels) == 1 else f"{rule.name}: {level}",
            kind=Kind.BURN, metric="success_rate", metric_type=MetricType.SUCCESS_RATE, unit="x",
            limits=tuple(Limit(level, burn.factor) for burn in burns),
            stretches=tuple(stretches), objective=objective, own_joint=rule.name,
        )  # fmt: skip
