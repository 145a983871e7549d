"""Alerts about rules whose evaluation keeps failing."""

from __future__ import annotations

from collections.abc import Iterable

from perfmon.alerts.episodes.memory import Memory
from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import Kind, Limit, Watch
from perfmon.alerts.rules.targets import alert_key
from perfmon.records import AlertLevel, MetricType, Scope

FAILED_SUFFIX = ": evaluation failed"


def failures(memory: Memory, settings: Settings, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """A verdict about each rule whose evaluation fails, or has failed."""
    failed: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.state is State.FAILED:
            failed.setdefault(verdict.watch.rule, []).append(verdict)
    memory.failed = {rule: memory.failed.get(rule, 0) + 1 for rule in failed}
    known = {e.rule.removesuffix(FAILED_SUFFIX) for e in memory.episodes.values()
             if e.rule.endswith(FAILED_SUFFIX)}  # fmt: skip
    found = []
    for rule in sorted({*failed, *(known & settings.rules)}):
        own = failed.get(rule, [])
        if own and memory.failed[rule] < settings.failures and rule not in known:
            continue
        found.append(_failure(rule, own))
    return found


def _failure(rule: str, failed: list[Verdict]) -> Verdict:
    """A verdict about the evaluation of a rule."""
    watch = Watch(
        rule=f"{rule}{FAILED_SUFFIX}", kind=Kind.NUMBER, metric_type=MetricType.ERROR_RATE,
        unit="failures", limits=(Limit(AlertLevel.WARNING, 0.0),), keep_firing_for=0.0,
    )  # fmt: skip
    return Verdict(
        key=alert_key(watch.rule, Scope()), watch=watch, scope=Scope(),
        state=State.BREACH if failed else State.CLEAR, settled=True,
        level=AlertLevel.WARNING if failed else None, value=float(len(failed)), threshold=0.0,
        words=failed[0].words if failed else "",
    )  # fmt: skip
