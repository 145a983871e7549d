"""Small makers that the tests of alerts share."""

from __future__ import annotations

import math

from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.evidence.verdicts import State, Tally, Verdict
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.targets import Target, alert_key
from perfmon.config.config import Config
from perfmon.records import CellKey, Scope

SECOND = 1_000_000
T0 = 1_800_000_000 * SECOND


def config(*rules, **alerts):
    return Config.from_mapping({"alerts": {"rules": list(rules), **alerts}})


def key(agent="a", tenant="default", agent_type=None, model=None):
    return CellKey(tenant, agent, agent_type, model, None)


def watch(name, *rules, by=("agent",), **alerts):
    """The watch of a threshold or rule."""
    found = [w for w in watches(config(*rules, **alerts)) if w.rule == name]
    return next((w for w in found if w.by == tuple(by)), found[0])


def target(name, *rules, agent="a", **alerts):
    scope = Scope() if agent is None else Scope(agent_name=agent)
    own = watch(name, *rules, by=() if agent is None else ("agent",), **alerts)
    return Target(alert_key(name, scope), own, scope)


def tallies(own, runs, bad, **values):
    """The same counts in every stretch of a watch."""
    return tuple(Tally(runs, (bad,) * len(own.limits), **values) for _ in own.stretches)


def verdict(own, state=State.BREACH, level=None, *, settled=False, value=2.0, **figures):
    """A verdict about a target."""
    if state is State.BREACH and level is None:
        level = own.watch.limits[-1].level
    return Verdict(
        key=own.key, watch=own.watch, scope=own.scope, state=state, level=level,
        settled=settled, value=value, threshold=own.watch.limits[-1].value, **figures,
    )  # fmt: skip


def over(own, value=0.0):
    return verdict(own, State.CLEAR, settled=True, value=value)


class Life:
    """A machine, and the time at which it is asked."""

    def __init__(self, *targets, **settings):
        self.targets = targets
        self.settings = Settings(rules=frozenset(t.watch.rule for t in targets), **settings)
        self.machine = Machine(self.settings)
        self.now = T0

    def step(self, *verdicts, after=0.0, describe=None):
        self.now += round(after * SECOND)
        return self.machine.step(self.now, verdicts, describe)

    def kinds(self, *verdicts, after=0.0):
        return [change.kind for change in self.step(*verdicts, after=after).changes]

    def lasting(self, seconds, *verdicts, every=5.0):
        """Every change while the same is seen for so long."""
        found = []
        for _ in range(math.ceil(seconds / every)):
            found += self.step(*verdicts, after=every).changes
        return [change.kind for change in found]

    def restart(self, settings=None):
        text = self.machine.to_json()
        self.machine = Machine.from_json(settings or self.settings, text)
