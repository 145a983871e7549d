"""Every number that an alert tells is one of the moment it names: random lives against raw runs.

The oracle is slow and knows nothing of cells, windows or verdicts: a list of all runs, each with
when it came, and plain counting.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import Config, PerformanceMonitor, wilson
from perfmon.testing import ManualClock

CONFIG = Config.from_mapping(
    {
        "alerts": {
            "repeat": {"critical": "20m", "warning": "30m"},
            "keep_firing_for": "1m",
            "group_wait": "2s",
            "rules": [{"name": "late", "metric": "timeout_rate", "above": 0.2},
                      {"name": "slow mean", "metric": "avg_latency_ms", "above": 3000}],
        },
    }
)  # fmt: skip
BAD = {
    "success_rate": lambda run: run["status"] != "success",
    "error_rate": lambda run: run["status"] == "failure",
    "timeout_rate": lambda run: run["timed_out"] or "timeout" in (run["error_type"] or "").lower(),
    "p95_latency_ms": lambda run: run["duration_ms"] > 5000,
}
ALLOWED = {"success_rate": 0.2, "error_rate": 0.15, "timeout_rate": 0.2}  # one alert
VERBS = {"success_rate": "did not succeed", "error_rate": "failed", "timeout_rate": "timed out",
         "p95_latency_ms": "were above it"}  # fmt: skip
ON_MODEL = r"(\d+) of (\d+) affected runs use model (\w+) \((\d+) of its (\d+)\)"
OF_AGENT = r"agent (\w+) first: it has (\d+) of (\d+) bad runs \((\d+) of its (\d+)\)"
STEPS = st.lists(
    st.tuples(
        st.sampled_from([5, 20, 60, 180, 600]),  # seconds until the next look
        st.sampled_from([0, 0, 3]) | st.integers(0, 25),  # runs in them
        st.sampled_from([0.0, 0.1, 0.5, 0.9]),  # chance of failure
        st.sampled_from([800, 4000, 9000]),  # milliseconds
        st.sampled_from(["", "late", "restart", "ask"]),
    ),
    min_size=15,
    max_size=40,
)


class World:
    """A monitor, all that was recorded, and all that was said."""

    def __init__(self, seed, url="memory:"):
        self.clock, self.runs, self.chance = ManualClock(), [], random.Random(seed)
        self.url, self.numbers, self.checked = url, itertools.count(), 0
        self.came = 0  # how much was recorded at each look
        self.looks = {}
        self.open()

    def open(self):
        self.monitor = PerformanceMonitor(CONFIG, storage_url=self.url, clock=self.clock)
        if not self.url.startswith("memory:"):
            self.monitor.sync_with_database()

    def now(self):
        return self.monitor.now_us()

    def record(self, gap, count, fails, duration, late):
        for _ in range(count):
            back = self.chance.uniform(0, gap) + (self.chance.uniform(0, 900) if late else 0)
            failed, agent = self.chance.random() < fails, self.chance.choice("aab")
            run = {
                "run_id": f"r{next(self.numbers)}", "agent_name": agent, "agent_type": None,
                "status": ("partial" if self.chance.random() < 0.2 else "failure") if failed
                else "success",
                "error_type": self.chance.choice(["RateLimit", "RateLimit", "Timeout", "Odd", None])
                if failed else self.chance.choice([None, None, "Ignored"]),
                "duration_ms": float(round(duration * self.chance.uniform(0.5, 1.5))),
                "cost": round(self.chance.uniform(0.1, 1.7), 4), "timed_out": False,
                "model": self.chance.choice(["m", "n"]),
                "timestamp": self.now() / 1e6 - back,
            }  # fmt: skip
            self.monitor.record_agent_run(**run)
            self.runs.append({**run, "at": round(run["timestamp"] * 1e6), "came": self.came})

    def look(self, *, ask):
        self.monitor._parts.evaluator.evaluate()
        now = self.now()
        self.looks[now] = self.came
        self.came += 1
        found = [alert for due in self.monitor.storage.due_messages(now, 10_000)
                 for alert in due.message.alerts]  # fmt: skip
        for due in self.monitor.storage.due_messages(now, 10_000):
            self.monitor.storage.note_delivery(due.message.message_id, now, delivered=True)
        if ask:
            found += [one for state in ("firing", "resolved", "pending")
                      for one in self.monitor.get_alerts(state=state, limit=500)]  # fmt: skip
            found += self.monitor._parts.alerts.firing
        for alert in found:
            self.check(alert)

    def known(self, alert, at):
        """The runs an alert is about that were there at a look, by time."""
        came = self.looks[at]
        own = [run for run in self.runs if run["came"] <= came and run["at"] <= at
               and alert.agent_name in (None, run["agent_name"])]  # fmt: skip
        return sorted(own, key=lambda run: run["at"])

    def check(self, alert):
        at = micros(alert.timestamp)
        assert at in self.looks, (alert.message, "is of a moment when nobody looked")
        if alert.metric == "cost_per_task" or alert.rule == "slow mean":
            self.check_mean(alert, at)
        elif alert.metric in BAD and not alert.rule.endswith("single run"):
            self.check_share(alert, at)
        if "as of" in alert.message:
            assert f"as of {alert.timestamp:%Y-%m-%d %H:%M:%S} UTC" in alert.message
        if alert.state != "pending":
            self.check_since(alert)

    def check_mean(self, alert, at):
        last = self.known(alert, at)[-alert.sample_size :]
        field = "cost" if alert.metric == "cost_per_task" else "duration_ms"
        mean = sum(run[field] for run in last) / len(last)
        assert alert.current_value == pytest.approx(mean)
        assert "errors" not in (alert.recommendation or "")
        self.checked += 1

    def check_share(self, alert, at):
        bad = BAD[alert.metric]
        last = self.known(alert, at)[-alert.sample_size :]
        count = sum(map(bad, last))
        if alert.metric == "p95_latency_ms":
            assert "errors" not in (alert.recommendation or "")
        else:
            share = count / len(last)
            value = 1 - share if alert.metric == "success_rate" else share
            low, high = wilson(count, len(last))
            if alert.metric == "success_rate":
                low, high = 1 - high, 1 - low
            assert alert.current_value == pytest.approx(value)
            assert alert.interval == pytest.approx((low, high), abs=1e-9)
            for figure in (value, low, high):
                assert alert.state == "resolved" or f"{figure:.1%}" in alert.message
        if alert.state != "resolved":
            verb = VERBS[alert.metric]
            assert f"{count:,} of the last {len(last):,} runs {verb}" in alert.message, (
                count, len(last))  # fmt: skip
            self.check_classes(alert, [run for run in last if bad(run)])
            self.check_advice(alert, last, bad)
        self.check_details(alert, bad)
        self.checked += 1

    def check_classes(self, alert, bad):
        told = re.search(r"runs (?:did not succeed|failed|timed out) \(([^)]*)\)", alert.message)
        if told is None:
            return
        assert alert.metric != "timeout_rate"
        classes = counted(bad)
        left = len(classes)
        for part in told[1].split(", "):
            if match := re.fullmatch(r"(\d+) without a class", part):
                assert int(match[1]) == sum(run["error_type"] is None for run in bad)
                continue
            if match := re.fullmatch(r"(\d+) more class(?:es)?", part):
                assert int(match[1]) == left
                continue
            name, _, number = part.rpartition(" ")
            assert int(number) == classes[name]
            left -= 1
        assert sum(classes.values()) + sum(r["error_type"] is None for r in bad) == len(bad)

    def check_advice(self, alert, last, bad):
        text = alert.recommendation or ""
        own = [run for run in last if bad(run)]
        if match := re.match(r"Likely cause: (\w+) \((\d+) of (\d+) errors, (.*?)% of", text):
            assert alert.metric in ("success_rate", "error_rate")
            count = counted(own)[match[1]]
            assert (int(match[2]), int(match[3])) == (count, len(own))
            assert match[4] == f"{100 * count / len(last):.1f}"
        for pattern, field in ((ON_MODEL, "model"), (OF_AGENT, "agent_name")):
            if match := re.search(pattern, text):
                part, whole, name = (match[1], match[2], match[3]) if field == "model" else (
                    match[2], match[3], match[1])  # fmt: skip
                mine = sum(run[field] == name for run in own)
                of = sum(run[field] == name for run in last)
                assert (int(part), int(whole)) == (mine, len(own))
                assert (int(match[4]), int(match[5])) == (mine, of)

    def check_details(self, alert, bad):
        """They are all of the moment that they name."""
        details = alert.details
        at = micros(datetime.fromisoformat(details["as_of"]))
        known = self.known(alert, at)
        width = round(details["window_seconds"] * 1e6)
        last = [run for run in known if run["at"] > at - width]
        own = [run for run in last if bad(run)]
        if alert.metric != "p95_latency_ms":
            assert details["bad"] == len(own)
        if "runs" in details:
            assert details["runs"] == len(last)
        if "errors" in details and alert.metric in ("success_rate", "error_rate"):
            assert details["errors"] == counted(own)
        for field, name in (("models", "model"), ("agents", "agent_name")):
            for part in details.get(field, ()):
                of = [run for run in last if run[name] == part["name"]]
                assert (part["bad"], part["runs"]) == (sum(map(bad, of)), len(of))

    def check_since(self, alert):
        """When the first of the alert's rules to fire says that it began, among what was known."""
        began, fired = micros(alert.started_at), micros(alert.fired_at)
        assert began <= fired
        known = self.known(alert, fired)
        if alert.metric in ALLOWED:
            found = {since(known, BAD[name], allowed) for name, allowed in ALLOWED.items()}
            assert began in found, alert.message
        elif alert.metric in BAD:
            assert began in {run["at"] for run in known}
        if alert.state != "resolved":
            assert f"since {alert.started_at:%Y-%m-%d %H:%M} UTC" in alert.message


def since(runs, bad, allowed):
    """From the last bad run back to twenty in a row that were well; from there the worst sum."""
    flags = [bool(bad(run)) for run in runs]
    while flags and not flags[-1]:
        flags.pop()
    if not flags:
        return None
    first = 0
    for place in range(len(flags) - 20, -1, -1):
        if sum(flags[place : place + 20]) <= 0.7 * allowed * 20 + 1e-9:
            first = place
            break
    best, most, total = None, -math.inf, 0.0
    for place in range(len(flags) - 1, first - 1, -1):
        total += flags[place] - allowed
        if total >= most - 1e-9 and flags[place]:
            best, most = place, max(most, total)
    return runs[best]["at"]


def counted(runs):
    classes = {}
    for run in runs:
        if run["error_type"] is not None:
            classes[run["error_type"]] = classes.get(run["error_type"], 0) + 1
    return classes


def moment(clock):
    return datetime.fromtimestamp(clock(), UTC)


def micros(moment):
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds


@settings(max_examples=12)
@given(st.integers(0, 10**6), STEPS)
def test_every_number_is_of_the_moment_that_is_named(seed, steps):
    """In messages and in what is listed: of the runs that were known at that look."""
    world = World(seed)
    try:
        for gap, count, fails, duration, what in steps:
            world.clock.advance(gap)
            world.record(gap, count, fails, duration, late=what == "late")
            world.look(ask=what == "ask")
    finally:
        world.monitor.stop()


@pytest.mark.parametrize("seed", range(4))
def test_it_holds_through_restarts(seed, tmp_path):
    """What was said before a restart is of its own moment still."""
    world, chance = World(seed, f"sqlite:///{tmp_path}/perfmon.db"), random.Random(seed)
    try:
        live_through_restarts(world, chance)
    finally:
        world.monitor.stop()
    assert world.checked > 30


def live_through_restarts(world, chance):
    for number in range(40):
        gap = chance.choice([5, 60, 300])
        world.clock.advance(gap)
        fails = 0.9 if 8 <= number < 20 else 0.05
        world.record(gap, chance.randrange(15), fails, chance.choice([800, 9000]), late=False)
        world.look(ask=number % 3 == 0)
        if number % 7 == 6:
            world.monitor.stop()
            world.open()


WELL = {"status": "success", "duration_ms": 900.0, "cost": 0.1, "memory_mb": 10.0}
BEGAN = {
    "success_rate_min": {"status": "partial"},
    "error_rate_max": {"status": "failure", "error_type": "Odd"},
    "latency_p95_max_ms": {"duration_ms": 9000.0},
    "latency_p95_max_ms: single run": {"duration_ms": 90_000.0},
    "cost_per_task_max": {"cost": 4.0},
    "memory_max_mb": {"memory_mb": 5000.0},
}


@pytest.mark.parametrize("rule", BEGAN)
def test_since_is_when_it_began_and_not_when_it_was_noticed(rule):
    """The first bad run, though nobody looked for hours; `fired_at` is when it was noticed."""
    clock = ManualClock()
    config = Config.from_mapping({"alerts": {"for": "0s"}})
    monitor = PerformanceMonitor(config, storage_url="memory:", clock=clock)
    for number in range(400):
        clock.advance(30)
        # The last half of an hour, for what is looked at for five minutes; else of three hours.
        first = 396 if rule.endswith("single run") else 40
        bad = number >= first and number % 7
        own = BEGAN[rule] if bad else {}
        monitor.record_agent_run(f"r{number}", "a", None, **WELL | own)
        if number == first + (0 if first % 7 else 1):
            began = moment(clock)
    alert = next(one for one in monitor.get_alerts(state="firing", limit=100)
                 if rule in one.details.get("rules", [one.rule]) and one.agent_name == "a")  # fmt: skip
    assert alert.started_at == began
    assert alert.fired_at == moment(clock)
    assert f"since {alert.started_at:%Y-%m-%d %H:%M} UTC" in alert.message
    assert alert.message.endswith(f"as of {moment(clock):%Y-%m-%d %H:%M:%S} UTC")
    monitor.stop()


def test_silence_began_with_the_last_run():
    """Not when it was longer than the limit, nor when somebody looked."""
    clock = ManualClock()
    rules = [{"name": "quiet", "no_run_for": "15m", "level": "critical"}]
    config = Config.from_mapping({"alerts": {"rules": rules}})
    monitor = PerformanceMonitor(config, storage_url="memory:", clock=clock)
    monitor.record_agent_run("r", "a", None, **WELL)
    last = moment(clock)
    clock.advance(3600)
    alert = next(one for one in monitor.get_alerts(state="firing") if one.agent_name == "a")
    assert (alert.started_at, alert.fired_at) == (last, moment(clock))
    monitor.stop()


def test_classes_add_up_to_what_failed():
    """Failures without a class are said to be without one."""
    clock = ManualClock()
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock)
    for number in range(60):
        kind = {"status": "success"} if number % 2 else {"status": "failure"}
        kind["error_type"] = "RateLimit" if number % 10 == 0 else None
        monitor.record_agent_run(f"r{number}", "a", None, **WELL | kind)
    (alert, *_) = monitor.get_alerts("critical", "a")
    assert (
        "30 of the last 60 runs did not succeed (RateLimit 6, 24 without a class)" in alert.message
    )
    assert alert.recommendation is None  # 6 of 30 is nothing to begin with
    monitor.stop()
