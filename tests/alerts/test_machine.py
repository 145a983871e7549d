"""The machine of alerts against a small model of it, over 100,000 random steps."""

from __future__ import annotations

import random

import pytest

from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import Kind, Limit, Watch
from perfmon.alerts.rules.targets import alert_key
from perfmon.records import AlertLevel, MetricType, Scope

SECOND = 1_000_000
DAY = 86_400 * SECOND
LEVELS = list(AlertLevel)
REPEAT = {AlertLevel.CRITICAL: 600.0, AlertLevel.WARNING: 1800.0, AlertLevel.INFO: None}
RULES = {
    "errors": (MetricType.ERROR_RATE, 0.0, 60.0),
    "success": (MetricType.SUCCESS_RATE, 30.0, 0.0),
    "cost": (MetricType.COST, 120.0, 90.0),
}
STALE, FLAPPING, FLAP_HOLD, MOST = 900.0, 4, 600.0, 60.0
UNDECIDED = (State.INSUFFICIENT, State.NO_DATA)


def watch(rule):
    kind, for_, keep = RULES[rule]
    return Watch(
        rule=rule, kind=Kind.NUMBER, metric_type=kind, limits=(Limit(AlertLevel.WARNING, 1.0),),
        by=("agent",), for_=for_, keep_firing_for=keep, own_joint=JOINT[rule],
    )  # fmt: skip


JOINT = {"errors": "s", "success": "s", "cost": ""}
WATCHES = {rule: watch(rule) for rule in RULES}
KEYS = {
    alert_key(rule, Scope(agent_name=name)): (rule, name) for rule in RULES for name in ("a", "b")
}
WHOLE = {
    key: alert_key(JOINT[rule] or rule, Scope(agent_name=name))
    for key, (rule, name) in KEYS.items()
}
"""The alert that a rule's breach is a part of."""


def settings(rules):
    return Settings(
        rules=frozenset(rules), repeat=REPEAT, stale_after=STALE, flapping_starts=FLAPPING,
        flapping_hold=FLAP_HOLD, max_step=MOST, failures=10**9,
    )  # fmt: skip


class Model:
    """The same in another way: a log for each rule, and everything found from the log."""

    def __init__(self):
        self.now, self.steady = None, 0
        self.logs, self.fired, self.starts, self.alerts = {}, {}, {}, {}
        self.silences, self.rules = {}, set(RULES)

    def step(self, now, verdicts):
        elapsed = 0 if self.now is None else min(max(0, now - self.now), int(MOST * SECOND))
        self.now, self.steady = now, self.steady + elapsed
        happened = []
        for key in sorted(KEYS):
            happened += [(kind, WHOLE[key]) for kind in self.one(key, verdicts.get(key), elapsed)]
        for whole in sorted(set(WHOLE.values())):
            happened += [(kind, whole) for kind in self.together(whole, elapsed)]
        return happened + [("reminder", whole) for whole in self.alerts if self.is_due(whole)]

    def one(self, key, verdict, elapsed):
        log = self.logs.get(key)
        if log is None:
            if verdict is None or verdict.state is not State.BREACH:
                return []
            log = self.logs[key] = []
        state = State.NO_DATA if verdict is None else verdict.state
        settled = verdict is not None and state is State.CLEAR and verdict.settled
        log.append(
            (self.steady, elapsed, state, settled, None if verdict is None else verdict.level)
        )
        if key in self.fired:
            self.firing(key, verdict)
            return []
        began = ["pending"] if len(log) == 1 and RULES[KEYS[key][0]][1] > 0 else []
        return began + self.pending(key, verdict)

    def pending(self, key, verdict):
        log, rule = self.logs[key], KEYS[key][0]
        if verdict is None or log[-1][2] not in (State.BREACH, State.FAILED):
            del self.logs[key]
            return ["cancelled"]
        lasted = sum(entry[1] for entry in log[1:] if entry[2] is State.BREACH)
        if log[-1][2] is State.BREACH and lasted >= RULES[rule][1] * SECOND:
            self.fire(key)
        return []

    def fire(self, key):
        log = self.logs[key]
        level = [entry[4] for entry in log if entry[2] is State.BREACH][-1]
        self.fired[key] = {"at": len(log) - 1, "level": level, "again": 0, "new": True}

    def count(self, name):
        """Whenever one begins to fire, all starts that are not within a day are forgotten."""
        for own in self.starts.values():
            own[:] = [start for start in own if abs(self.now - start) < DAY]
        self.starts.setdefault(name, []).append(self.now)
        return len(self.starts[name])

    def firing(self, key, verdict):
        log, fired, rule = self.logs[key], self.fired[key], KEYS[key][0]
        level = log[-1][4]
        if log[-1][2] is State.BREACH and LEVELS.index(level) > LEVELS.index(fired["level"]):
            fired["level"] = level
        flaps = max(self.alerts[WHOLE[key]]["starts"], fired["again"]) >= FLAPPING
        hold = max(RULES[rule][2], FLAP_HOLD if flaps else 0)
        gone = verdict is None and rule not in self.rules
        if (
            gone
            or self.lasted(key, lambda entry: entry[3], hold)
            or self.lasted(key, lambda entry: entry[2] in UNDECIDED, STALE)
        ):
            del self.logs[key], self.fired[key]

    def lasted(self, key, holds, seconds):
        """Whether the last entries, since firing, hold for so long."""
        tail = []
        for entry in reversed(self.logs[key][self.fired[key]["at"] + 1 :]):
            if not holds(entry):
                break
            tail.append(entry)
        return bool(tail) and self.steady - tail[-1][0] >= seconds * SECOND

    def together(self, whole, elapsed):
        """The alert fires with the first of its rules, and is over with the last."""
        alert, parts = self.alerts.get(whole), [key for key in sorted(KEYS) if WHOLE[key] == whole]
        if alert is not None and not any(key in self.fired for key in parts):
            for key in parts:  # what waits goes on at once where it is told already
                if key in self.logs and self.logs[key][-1][2] is State.BREACH:
                    self.fire(key)
        firing = [self.fired[key] for key in parts if key in self.fired]
        evident = any(self.logs[key][-1][2] is State.BREACH for key in parts if key in self.fired)
        if not firing:
            return ["resolved"] if self.alerts.pop(whole, None) else []
        level = max(LEVELS.index(fired["level"]) for fired in firing)
        if alert is None:
            self.alerts[whole] = {
                "level": level, "starts": self.count(whole), "ack": None, "reminders": 0,
                "told": self.steady, "evident": 0, "was": True,
            }  # fmt: skip
            self.joined(parts)
            return ["firing"]
        for key in parts:
            if key in self.fired and self.fired[key]["new"]:
                self.fired[key]["again"] = self.count(f"{key} again")
        self.joined(parts)
        alert["evident"] += elapsed if evident and alert["was"] else 0
        before, alert["was"], alert["level"] = alert["level"], evident, level
        if level > before:
            alert.update(told=self.steady, evident=0, ack=None)
        return [] if level == before else ["escalated" if level > before else "eased"]

    def joined(self, parts):
        for key in parts:
            if key in self.fired:
                self.fired[key]["new"] = False

    def silenced(self, whole, rule):
        agent = next(KEYS[key][1] for key in KEYS if WHOLE[key] == whole)
        self.silences = {i: s for i, s in self.silences.items() if s[1] > self.now}
        labels = {"rule": rule, "agent": agent}
        return any(labels[s[0][0]] == s[0][1] for s in self.silences.values())

    def is_due(self, whole):
        alert = self.alerts[whole]
        repeat = REPEAT[LEVELS[alert["level"]]]
        parts = [key for key in KEYS if WHOLE[key] == whole and key in self.fired]
        worst = [k for k in parts if LEVELS.index(self.fired[k]["level"]) == alert["level"]]
        leads = any(self.logs[key][-1][2] is State.BREACH for key in worst)
        quiet = alert["ack"] or any(self.silenced(whole, KEYS[key][0]) for key in worst)
        if repeat is None or quiet or not leads:
            return False
        if self.steady - alert["told"] < repeat * SECOND or alert["evident"] < repeat * SECOND // 2:
            return False
        alert.update(told=self.steady, evident=0, reminders=alert["reminders"] + 1)
        return True


class Pair:
    """The machine and its model, told the same."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.model, self.machine = Model(), Machine(settings(RULES))
        self.now = 1_800_000_000 * SECOND
        self.states = dict.fromkeys(KEYS, (State.CLEAR, True, None))
        self.ids = {}

    def verdicts(self):
        found = {}
        for key, (rule, name) in KEYS.items():
            if self.random.random() < 0.1:
                self.states[key] = self.random.choice(
                    [(State.BREACH, False, AlertLevel.WARNING)] * 3
                    + [(State.BREACH, False, AlertLevel.CRITICAL)]
                    + [(State.CLEAR, True, None)] * 3
                    + [(State.CLEAR, False, None), (State.INSUFFICIENT, False, None)]
                    + [(State.NO_DATA, False, None), (State.FAILED, False, None), None]
                )
            state = self.states[key]
            if state is not None and rule in self.model.rules:
                found[key] = Verdict(
                    key=key, watch=WATCHES[rule], scope=Scope(agent_name=name),
                    state=state[0], settled=state[1], level=state[2], value=2.0, threshold=1.0,
                )  # fmt: skip
        return found

    def step(self):
        dice = self.random.random()
        if dice < 0.02:
            self.now += self.random.choice([-7200, -30, 3600, 90_000, -90_000]) * SECOND
        else:
            self.now += self.random.choice([0, 5, 5, 5, 20, 45]) * SECOND
        verdicts = self.verdicts()
        changes = self.machine.step(self.now, verdicts.values())
        happened = self.model.step(self.now, verdicts)
        assert sorted((c.kind, c.alert.key) for c in changes.changes) == sorted(happened)
        self.compare(changes)
        self.meddle()

    def compare(self, changes):
        firing = {s.alert.key: s for s in changes.standings if s.alert.state == "firing"}
        assert firing.keys() == self.model.alerts.keys()
        for key, standing in firing.items():
            own, alert = self.model.alerts[key], standing.alert
            assert (alert.level, alert.acknowledged_by) == (LEVELS[own["level"]], own["ack"])
            assert standing.reminders == own["reminders"]
            assert (alert.silenced_by is not None) == self.model.silenced(key, alert.rule)
            assert alert.inhibited_by is None
            assert self.ids.setdefault(key, alert.alert_id) == alert.alert_id
        self.ids = {key: own for key, own in self.ids.items() if key in firing}

    def meddle(self):
        """A silence, its end, an acknowledgement, a restart or a reload, now and then."""
        dice = self.random.random()
        if dice < 0.01:
            self.restart()
        elif dice < 0.02:
            name, value = self.random.choice(
                [("rule", "cost"), ("agent", "a")]
            )  # never half an alert
            until = self.now + self.random.choice([60, 3600]) * SECOND
            made = self.machine.silence({name: value}, self.now, until, "me")
            self.model.silences[made.silence_id] = ((name, value), until)
        elif dice < 0.025 and self.machine.silences:
            ended = self.random.choice(self.machine.silences).silence_id
            assert self.machine.unsilence(ended)
            del self.model.silences[ended]
        elif dice < 0.035 and self.ids:
            key = self.random.choice(sorted(self.ids))
            assert self.machine.acknowledge(self.ids[key], "me").key == key
            self.model.alerts[key]["ack"] = "me"
        elif dice < 0.04:
            self.model.rules = {rule for rule in RULES if self.random.random() < 0.8}
            self.restart()

    def restart(self):
        self.machine = Machine.from_json(settings(self.model.rules), self.machine.to_json())


@pytest.mark.parametrize("seed", range(10))
def test_the_machine_does_what_its_model_does(seed):
    """Breaches, clears, silences, restarts, clock steps and reloads: no difference in 5,000."""
    pair = Pair(seed)
    for _ in range(5_000):
        pair.step()
