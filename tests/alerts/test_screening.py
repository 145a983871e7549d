"""The first look at many agents: the harmless are told apart, the rest is spread, none is missed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import Config, PerformanceMonitor, Scope
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.live_samples import LiveSamples
from perfmon.alerts.live_verdicts import LiveVerdicts
from perfmon.alerts.screening import harmless
from perfmon.testing import ManualClock
from perfmon.window.keys import Keys
from perfmon.window.vocabulary import Vocabulary

RULES = [
    {"name": "late", "metric": "timeout_rate", "above": 0.1},
    {"name": "fast", "metric": "p50_latency_ms", "below": 20},
    {"name": "quality", "metric": "avg_quality_score", "below": 0.6},
    {"name": "burning", "objective": 0.9, "burn": [{"factor": 3, "long": "1h"}]},
    {"name": "mean", "metric": "avg_latency_ms", "above": 900, "by": ["model"]},
    {"name": "of a tenant", "metric": "error_rate", "above": 0.05, "by": ["tenant"]},
]
CONFIG = Config.from_mapping({"alerts": {"rules": RULES}})


def runs_of(chance, agents):
    """Runs of the last hours; some agents are bad in one way or another."""
    for agent in range(agents):
        way, often = chance.choice(["", "", "", *"flcmtq"]), chance.choice([0.1, 0.5, 1.0])
        for number in range(chance.choice([3, 20, 45])):
            bad = chance.random() < often
            yield {
                "run_id": f"{agent}-{number}", "agent_name": f"a{agent}", "agent_type": None,
                "status": "failure" if bad and way == "f" else "success",
                "duration_ms": 8000 if bad and way == "l" else chance.choice([10, 400]),
                "cost": 3.0 if bad and way == "c" else 0.01, "timed_out": bad and way == "t",
                "memory_mb": 2000 if bad and way == "m" else 50, "model": f"m{agent % 3}",
                "quality_score": 0.1 if bad and way == "q" else 0.9, "tenant": f"t{agent % 2}",
                "timestamp": ManualClock()() + 86_400 - chance.uniform(0, 6 * 3600) * number / 45,
            }  # fmt: skip


@pytest.fixture(scope="module")
def opened():
    monitors = []

    def open_one(runs):
        clock = ManualClock()
        clock.advance(86_400)
        monitors.append(PerformanceMonitor(CONFIG, storage_url="memory:", clock=clock))
        monitors[-1].record_agent_runs(list(runs), wait=True)
        return monitors[-1]

    yield open_one
    for monitor in monitors:
        monitor.stop()


def sampling_of(monitor):
    parts, now = monitor._parts, monitor.now_us()
    samples = LiveSamples(
        parts.queries, parts.window, parts.storage, monitor.bus, in_flight=list, since=now
    )
    return LiveVerdicts(samples, parts.window)


@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_many_at_once_are_judged_as_few_are(opened, seed):
    """The same breaches, with the same figures, whether targets are screened or not."""
    monitor = opened(runs_of(random.Random(seed), 70))
    now, targets = monitor.now_us(), monitor._parts.evaluator._targets.targets(monitor.now_us())
    assert len(targets) > 500
    whole, apart = sampling_of(monitor).verdicts(targets, now), []
    for place in range(0, len(targets), 100):
        apart += sampling_of(monitor).verdicts(targets[place : place + 100], now)
    assert len(whole) == len(targets)

    def breaches(verdicts):
        return {(v.key, v.level, v.value, v.bad, v.sample_size)
                for v in verdicts if v.state is State.BREACH}  # fmt: skip

    assert breaches(whole) == breaches(apart)


def test_agents_that_are_well_are_harmless(opened):
    """All but what no sum tells: ten thousand agents that are well cost a look at their sums."""
    runs = [{"run_id": f"{a}-{n}", "agent_name": f"a{a}", "status": "success", "duration_ms": 100,
             "cost": 0.01, "tokens_used": 10, "memory_mb": 10}
            for a in range(100) for n in range(5)]  # fmt: skip
    monitor = opened(runs)
    targets = [
        target for target in monitor._parts.evaluator._targets.targets(monitor.now_us())
        if target.watch.is_default and target.scope.agent_name
    ]  # fmt: skip
    assert len(targets) >= 700
    assert harmless(targets, monitor._parts.window) == {target.key for target in targets}


def test_what_there_is_no_time_for_is_looked_at_next(opened):
    """What fires has its verdict every time; the others have had theirs after a few looks."""
    monitor = opened(runs_of(random.Random(5), 150))
    now, targets = monitor.now_us(), monitor._parts.evaluator._targets.targets(monitor.now_us())
    sampling, first = sampling_of(monitor), {target.key for target in targets[-40:]}
    everything, seen = {v.key for v in sampling_of(monitor).verdicts(targets, now)}, set()
    for _look in range(10_000):
        found = {v.key for v in sampling.verdicts(targets, now, first=first, seconds=0.002)}
        assert found >= first
        assert found >= seen
        assert len(found) + sampling.waiting == len(targets)
        seen = found
        if not sampling.waiting:
            break
    assert seen == everything


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_the_keys_of_a_scope_are_found_by_its_rarest_value(seed):
    """Those that a look at each key finds, also as keys come in."""
    chance, vocabulary = random.Random(seed), Vocabulary()
    keys = Keys(vocabulary)
    for _ in range(4):
        for _ in range(20):
            vocabulary.key_number(
                (chance.choice("tu"), chance.choice("abc"), chance.choice(["x", None]),
                 chance.choice(["m", "n", None]), chance.choice(["k", None]))
            )  # fmt: skip
        for _ in range(10):
            scope = Scope(
                tenant=chance.choice(["t", None, "z"]), agent_name=chance.choice(["a", "b", None]),
                agent_type=chance.choice(["x", None]), model=chance.choice(["m", None]),
                task_type=chance.choice(["k", None]),
            )  # fmt: skip
            wanted = [n for n, key in enumerate(vocabulary.keys.values) if scope.matches(key)]
            assert keys.of(scope).tolist() == wanted
