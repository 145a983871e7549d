"""Which firing alerts concern a tenant, a model or an agent type."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from perfmon.alerts.episodes.episode import rank
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import DIMENSIONS, Watch
from perfmon.alerts.rules.targets import Target, alert_key
from perfmon.records import CellKey, PerformanceAlert, Scope

_MOST = 50  # considered for one answer


def relevant(
    alerts: Iterable[PerformanceAlert],
    scope: Scope,
    watched: Iterable[Watch],
    keys: Iterable[CellKey],
    look: Callable[[list[Target]], list[Verdict]],
) -> list[PerformanceAlert]:
    """Those about runs of a scope; what another one explains is left out.

    An alert that names what the scope names is about it. One that is about more, such as an agent
    that runs for several tenants or the whole system, is where its rule is broken by the runs of
    the scope alone.

    `keys` are those of what ran, and `look` judges targets by what ran up to now.
    """
    own = [alert for alert in alerts if alert.inhibited_by is None]
    if scope.is_everything:
        return own
    inside = [key for key in keys if scope.matches(key)]
    rules: dict[str, list[Watch]] = {}
    for watch in watched:
        rules.setdefault(watch.rule, []).append(watch)
    found, asked = [], []
    for alert in sorted(own, key=lambda alert: -rank(alert.level)):
        about = Scope(**{field: getattr(alert, field) for field in DIMENSIONS.values()})
        both = _meet(about, scope)
        if both is None or not any(both.matches(key) for key in inside):
            continue
        if both == about:
            found.append(alert)
        else:
            asked += [(alert, target) for target in _targets(rules, alert, about, both)]
    asked = asked[:_MOST]
    verdicts = look([target for _, target in asked])
    pairs = zip(asked, verdicts, strict=True)
    return found + [alert for (alert, _), one in pairs if one.state is State.BREACH]


def _meet(one: Scope, other: Scope) -> Scope | None:
    """The runs that are in both, or None where they exclude one another."""
    made: dict[str, str | None] = {}
    for field in (each.name for each in attrs.fields(Scope)):
        first, second = getattr(one, field), getattr(other, field)
        if first is not None and second is not None and first != second:
            return None
        made[field] = second if first is None else first
    return Scope(**made)


def _targets(
    rules: dict[str, list[Watch]], alert: PerformanceAlert, about: Scope, both: Scope
) -> list[Target]:
    watches = rules.get(alert.rule, [])
    fixed = {name for name, field in DIMENSIONS.items() if getattr(about, field) is not None}
    return [
        Target(f"{alert.key}:{alert_key(alert.rule, both)}", watch, both)
        for watch in watches
        if set(watch.by) == fixed
    ][:1]
