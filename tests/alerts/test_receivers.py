"""Random lives of alerts, restarts and receivers: what each receiver hears makes sense to it."""

from __future__ import annotations

import random

import attrs
import pytest
from shapes import SECOND, T0, target

from perfmon import AlertLevel
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.grouping import Grouping, Groups
from perfmon.alerts.rules.targets import alert_key
from perfmon.delivery.terms import SinkTerms

RULES = (
    {"name": "mine", "metric": "error_rate", "above": 0.5, "level": "critical", "family": "success"},
    {"name": "slow to say", "metric": "timeout_rate", "above": 0.2, "for": "3m", "family": "success"},
    {"name": "apart", "metric": "error_rate", "above": 0.3, "critical_at": 0.6},
    {"name": "quiet", "no_run_for": "5m"},
)  # fmt: skip
NAMES = ("success_rate_min", "error_rate_max", *(rule["name"] for rule in RULES))
TARGETS = [target(name, *RULES, agent=agent) for name in NAMES for agent in ("a", "b", None)]
SINKS = tuple(SinkTerms(name=level.value, min_level=level) for level in AlertLevel)
ORDER = list(AlertLevel)
CALM, BREACH, NEAR = "calm", "breach", "near"


class Receiver:
    """A small model of who hears messages: what is open, and at which level."""

    def __init__(self, terms):
        self.least = ORDER.index(terms.min_level)
        self.open, self.eased, self.reminded = {}, set(), {}

    def hear(self, message, world):
        for alert in message.alerts:
            self.hear_one(alert, world)

    def hear_one(self, alert, world):
        level, known = ORDER.index(alert.level), self.open.get(alert.alert_id)
        if alert.state == "resolved":
            assert known is not None, "an end of what it was never told"
            assert alert.alert_id not in self.eased, "an end after it eased away"
            assert world.is_true_end(alert), "an end that did not happen"
            del self.open[alert.alert_id]
            return
        if known is None:
            assert level >= self.least, "below its level"
        elif level < self.least:
            assert level < known, "it did not ease"
            assert alert.alert_id not in self.eased, "it eased away twice"
            self.eased.add(alert.alert_id)
        else:
            self.eased.discard(alert.alert_id)
        reminders = world.reminders[alert.alert_id]
        if known == level:
            assert reminders > self.reminded[alert.alert_id], "the same again"
        self.open[alert.alert_id], self.reminded[alert.alert_id] = level, reminders


class World:
    """Rules that are breached and not, a machine that is restarted, sinks that come back."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.now, self.seen = T0, dict.fromkeys(("a", "b", None), 1)
        self.rules = set(NAMES)
        self.settings = self.made()
        self.machine = Machine(self.settings)
        self.groups = Groups(Grouping(), SINKS)
        self.receivers = {terms.name: Receiver(terms) for terms in SINKS}
        self.truth = dict.fromkeys((t.key for t in TARGETS), CALM)
        self.closed, self.by_id, self.reminders, self.breached = set(), {}, {}, {}

    def made(self):
        repeat = {AlertLevel.CRITICAL: 900.0, AlertLevel.WARNING: 3600.0}
        return Settings(rules=frozenset(self.rules), repeat=repeat, failures=10**9)

    def verdicts(self, calm):
        for own in TARGETS:
            if own.watch.rule not in self.rules:
                continue
            if calm:
                self.truth[own.key] = CALM
            elif self.dice.random() < 0.01:
                self.truth[own.key] = self.dice.choice([CALM, BREACH, BREACH, NEAR])
            yield self.verdict(own)

    def verdict(self, own):
        state = self.truth[own.key]
        figures = {"sample_size": 40, "bad": 30, "value": 0.75, "threshold": 0.3, "whole": (40, 30)}
        made = Verdict(key=own.key, watch=own.watch, scope=own.scope, state=State.CLEAR, **figures)
        levels = [limit.level for limit in own.watch.limits]
        if own.watch.rule == "quiet":
            agent = own.scope.agent_name
            if state is CALM:
                self.seen[agent] += 1
            made = attrs.evolve(made, seen=self.seen[agent], value=400.0, threshold=300.0)
        if state == BREACH:
            level = self.dice.choice(levels)
            return attrs.evolve(made, state=State.BREACH, level=level, floor=level)
        return attrs.evolve(made, settled=state is CALM, floor=levels[-1])

    def step(self, *, calm=False):
        self.now += self.dice.choice([1, 5, 5, 15]) * SECOND
        changes = self.machine.step(self.now, list(self.verdicts(calm)))
        for standing in changes.standings:
            self.by_id[standing.alert.alert_id] = standing.alert.key
            self.reminders[standing.alert.alert_id] = standing.reminders
        for message in self.groups.step(self.now, changes.standings):
            self.receivers[message.sink].hear(message, self)

    def is_true_end(self, alert):
        """No rule of it that is still watched was breached at last; or a person closed it."""
        going = {
            own.key
            for own in TARGETS
            if own.watch.rule in self.rules and alert_key(own.watch.joint, own.scope) == alert.key
        }
        breached = self.breached.get(alert.alert_id, set())
        return alert.alert_id in self.closed or not (going & breached)

    def meddle(self):
        dice = self.dice.random()
        if dice < 0.02:
            self.machine = Machine.from_json(self.settings, self.machine.to_json())
            self.groups = Groups.from_json(Grouping(), SINKS, self.groups.to_json())
        elif dice < 0.025:
            self.rules = {name for name in NAMES if self.dice.random() < 0.8}
            self.settings = self.made()
            self.machine.settings = self.settings
        elif dice < 0.03:
            agent = self.dice.choice(["a", "b"])
            self.machine.silence({"agent": agent}, self.now, self.now + 300 * SECOND, "ann")
        elif dice < 0.035 and (firing := self.machine.memory.in_concern()):
            alert_id = self.dice.choice(firing).alert_id
            self.closed.add(alert_id)
            changes = self.machine.resolve(alert_id, self.now, "ann")
            self.groups.note_over(s.alert for s in changes.standings if s.alert.state == "resolved")

    def note(self):
        """What was breached at the last look at each alert."""
        for concern in self.machine.memory.in_concern():
            self.breached[concern.alert_id] = {
                one.key for one in concern.members if self.truth[one.key] == BREACH
            }


@pytest.mark.parametrize("seed", range(6))
def test_every_receiver_hears_what_makes_sense(seed):
    """Nothing twice, no end that did not happen, and in the end nothing is left open."""
    world = World(seed)
    for _ in range(2_500):
        world.step()
        world.note()
        world.meddle()
    assert len(world.by_id) > 20
    world.rules = set(NAMES)
    world.settings = world.machine.settings = world.made()
    for _ in range(1_200):
        world.step(calm=True)
        world.note()
    assert world.machine.memory.in_concern() == []
    for receiver in world.receivers.values():
        assert receiver.open.keys() <= receiver.eased
    heard = [len(receiver.eased) for receiver in world.receivers.values()]
    assert heard[0] == 0
    assert max(heard) > 0
