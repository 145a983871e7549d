"""The targets of rules: the known agents, tenants and so on."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s
from typing import NamedTuple

from perfmon.alerts.rules.rule import DIMENSIONS, Watch
from perfmon.records import CellKey, Scope
from perfmon.records.measurements import ANY_AGENT


class Target(NamedTuple):
    """One thing that a watch is evaluated for; `key` is its alert's, and never changes."""

    key: str
    watch: Watch
    scope: Scope


def targets(watched: Iterable[Watch], keys: Iterable[CellKey]) -> list[Target]:
    """What to look at, given the keys of the runs (or measurements) that are known.

    The whole system is there with no keys at all; everything else comes from them.
    """
    watched = list(watched)
    known = [key for key in dict.fromkeys(keys) if key.agent_name != ANY_AGENT]
    found: dict[str, Target] = {}
    for watch in watched:
        rivals = [other for other in watched if _replaces(other, watch)]
        by_scope: dict[Scope, list[CellKey]] = {} if watch.by else {Scope(): []}
        for key in known:
            scope = _scope(watch.by, key)
            if watch.by and len(labels(scope)) == len(watch.by) and watch.matches(key):
                by_scope.setdefault(scope, []).append(key)
        for scope, own in by_scope.items():
            if not any(own and all(rival.matches(key) for key in own) for rival in rivals):
                key_text = alert_key(watch.rule, scope)
                found[key_text] = Target(key_text, watch, scope)
    return list(found.values())


def _replaces(rule: Watch, threshold: Watch) -> bool:
    """Whether a rule is one about the same as a threshold, for fewer runs."""
    same = ("kind", "metric", "above")
    return (
        threshold.is_default
        and not rule.is_default
        and bool(rule.globs)
        and "agent" in threshold.by
        and "agent" in rule.by
        and all(getattr(rule, name) == getattr(threshold, name) for name in same)
    )


def _scope(by: tuple[str, ...], key: CellKey) -> Scope:
    return Scope(**{DIMENSIONS[name]: getattr(key, DIMENSIONS[name]) for name in by})


def labels(scope: Scope) -> dict[str, str]:
    """What a scope fixes, by dimension; empty for the whole system."""
    values = {name: getattr(scope, field) for name, field in DIMENSIONS.items()}
    return {name: value for name, value in values.items() if value is not None}


def alert_key(rule: str, scope: Scope) -> str:
    """The stable key of a rule's alert about a scope."""
    parts = [rule, *(f"{name}={value}" for name, value in sorted(labels(scope).items()))]
    return blake2s("\0".join(parts).encode(), digest_size=10).hexdigest()
