"""Verdicts from the window are those of plain rows, and are kept only while they are right."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import PerformanceMonitor
from perfmon.alerts.backtest.rows import Rows
from perfmon.alerts.evidence.judge import evaluate
from perfmon.alerts.evidence.verdicts import Verdict
from perfmon.alerts.live_samples import LiveSamples
from perfmon.alerts.live_targets import LiveTargets
from perfmon.alerts.live_verdicts import LiveVerdicts
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.rule import Kind
from perfmon.config import AlertsTable, Burn, Rule
from perfmon.config.config import Config
from perfmon.records import Scope
from perfmon.records.validation import RUN_FIELDS, checked_run
from perfmon.testing import ManualClock
from perfmon.window.cells import MINUTE, Stat

RULES = [
    Rule(name="slow here", metric="latency_p50_ms", above=900.0, agent="b*", window_minutes=120),
    Rule(name="hot", metric="memory_mb", above=500.0, critical_at=900.0, tenant="t*"),
    Rule(name="retried", metric="retry_rate", above=0.3),
    Rule(name="by model", metric="avg_quality_score", below=0.6, model="*", by=["tenant"]),
    Rule(name="objective", objective=0.9, burn=[Burn(factor=3.0, long=7200.0)], agent="a"),
]
CONFIG = Config(alerts=AlertsTable(rules=RULES))
KINDS = {Kind.SHARE, Kind.BEYOND, Kind.ANY, Kind.SINGLE, Kind.MEAN, Kind.BURN}
# A verdict that still holds keeps the moment that it is of, and the bounds of its stretch.
FIELDS = [
    field.name for field in attrs.fields(Verdict) if field.name not in ("watch", "at", "bounds")
]
OPTIONAL = (
    "agent_type", "model", "task_type", "duration_ms", "tokens_used", "input_tokens",
    "output_tokens", "cached_tokens", "cost", "memory_mb", "cpu_ms", "quality_score",
    "confidence", "error_type", "task_id", "metadata",
)  # fmt: skip


def some_run(chance, number, minute):
    """A run within a minute, all of whose runs count or do not: edges are whole minutes."""
    at = minute * 60 + chance.randrange(1, 60)
    failed = chance.random() < 0.25

    def maybe(value):
        return value if chance.random() < 0.8 else None

    return {
        "run_id": f"run-{number}",
        "agent_name": chance.choice("abc"),
        "agent_type": chance.choice((None, "react")),
        "tenant": chance.choice(("t1", "default")),
        "model": chance.choice((None, "large", "small")),
        "status": "failure" if failed else chance.choice(("success", "success", "partial")),
        "duration_ms": maybe(chance.choice((100.0, 700.0, 1200.0, 5600.0, 40_000.0))),
        "tokens_used": maybe(chance.choice((100, 4000, 9000))),
        "cost": maybe(chance.choice((0.1337, 0.9171, 2.5113))),
        "memory_mb": maybe(chance.choice((100.0, 600.0, 1100.0, 9000.0))),
        "quality_score": maybe(chance.choice((0.2173, 0.7331, 0.9119))),
        "retries": chance.choice((None, 0, 0, 1)),
        "timed_out": chance.random() < 0.1,
        "timestamp": at,
    }


def row_of(run, begin):
    """The run as storage keeps it."""
    whole = {
        **dict.fromkeys(OPTIONAL),
        "api_calls": 1,
        **run,
        "timestamp": begin + run["timestamp"],
    }
    row = dict(zip(RUN_FIELDS, checked_run(whole, now_us=None), strict=True))
    return tuple(row[name] for name in RUN_FIELDS)


def sampling_of(monitor):
    parts = monitor._parts
    samples = LiveSamples(
        parts.queries,
        parts.window,
        parts.storage,
        monitor.bus,
        in_flight=monitor.get_in_flight,
        since=0,
    )
    return LiveVerdicts(samples, parts.window)


def targets_of(config, monitor):
    return LiveTargets(watches(config), monitor._parts.window, monitor._parts.agents)


def figures(verdict):
    """All of it; sketches are exact here, but sums may differ in their last digits."""
    plain = {name: getattr(verdict, name) for name in FIELDS}
    for name, value in plain.items():
        if name == "since":  # to the minute, where cells stand for rows
            plain[name] = pytest.approx(value, abs=60_000_000)
        if isinstance(value, float):
            plain[name] = pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True)
    return plain


def is_same(one, other):
    return {name: getattr(one, name) for name in FIELDS} == figures(other)


def paired(found, expected):
    """Those of one target and watch side by side: who is looked at first is not the question."""

    def by_key(verdict):
        return verdict.key, verdict.watch.rule, verdict.watch.kind

    return zip(sorted(found, key=by_key), sorted(expected, key=by_key), strict=True)


def looked_at(monitor):
    return [
        target
        for target in targets_of(CONFIG, monitor).targets(monitor.now_us())
        if target.watch.kind in KINDS and target.watch.metric != "avg_accuracy"
    ]


@given(seed=st.integers(0, 2**32), hours=st.integers(1, 23), density=st.floats(0.02, 0.9))
@settings(max_examples=25)
def test_verdicts_are_those_of_plain_rows(seed, hours, density):
    """At whole minutes the window says what rows say, whatever came when and in which order."""
    chance = random.Random(seed)
    clock = ManualClock()
    begin = clock()
    minutes = [m for m in range(hours * 60) if chance.random() < density]
    runs = [some_run(chance, number, minute) for number, minute in enumerate(minutes)]
    chance.shuffle(runs)
    monitor = PerformanceMonitor(CONFIG, storage_url="memory:", clock=clock)
    clock.advance(timedelta(hours=hours))
    sampling = sampling_of(monitor)
    done = 0
    for part in range(1, 4):
        until = len(runs) * part // 3
        for run in runs[done:until]:
            monitor.record_agent_run(**run | {"timestamp": begin + run["timestamp"]})
        done = until
        monitor.flush()
        now = monitor.now_us()
        rows = Rows([row_of(run, begin) for run in runs[:done]])
        targets = looked_at(monitor)
        expected = evaluate(targets, rows, now)
        found = sampling.verdicts(targets, now)
        for one, other in paired(found, expected):
            assert is_same(one, other)
        clock.advance(60 * chance.choice((0, 1, 7)))
    monitor.stop()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def monitor(clock):
    monitor = PerformanceMonitor(Config(), storage_url="memory:", clock=clock)
    yield monitor
    monitor.stop()


NUMBERS = itertools.count()


def record(monitor, count=1, agent="a", **fields):
    for _ in range(count):
        given = {"agent_type": "react", "status": "success", **fields}
        monitor.record_agent_run(f"run-{next(NUMBERS)}", agent, **given)
    monitor._parts.intake.take_in()


def test_a_verdict_is_looked_for_again_when_something_came(monitor, clock, monkeypatch):
    """Only targets whose runs changed are looked at again."""
    sampling = sampling_of(monitor)
    aims = targets_of(Config(), monitor)
    for agent in "abc":
        record(monitor, 30, agent)
    sampling.verdicts(aims.targets(monitor.now_us()), monitor.now_us())
    asked = []
    monkeypatch.setattr(LiveSamples, "__call__", spied(LiveSamples.__call__, asked))
    sampling.verdicts(aims.targets(monitor.now_us()), monitor.now_us())
    assert asked == []
    record(monitor, 1, "b")
    clock.advance(1)
    sampling.verdicts(aims.targets(monitor.now_us()), monitor.now_us())
    assert {scope.agent_name for scope in asked} == {None, "b"}


def spied(call, asked):
    def spy(self, target, now):
        asked.append(target.scope)
        return call(self, target, now)

    return spy


def test_a_verdict_is_looked_for_again_when_its_oldest_minute_leaves(monitor, clock):
    """What is kept is what a look without any memory finds, at every moment."""
    chance = random.Random(5)
    sampling = sampling_of(monitor)
    aims = targets_of(Config(), monitor)
    for _ in range(400):
        if chance.random() < 0.3:
            record(monitor, chance.randrange(1, 4), chance.choice("ab"),
                   status=chance.choice(("success", "failure")),
                   duration_ms=chance.choice((100, 9000)))  # fmt: skip
        clock.advance(chance.choice((5, 50, 400, 4000, -30)))
        now, targets = monitor.now_us(), aims.targets(monitor.now_us())
        kept = sampling.verdicts(targets, now)
        anew = sampling_of(monitor).verdicts(targets, now)
        for one, other in paired(kept, anew):
            assert is_same(one, other)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_a_longer_tail_holds_the_newest_minutes(seed):
    """However long a tail is and whatever is counted, the newest minutes come first."""
    chance = random.Random(seed)
    clock = ManualClock()
    monitor = PerformanceMonitor(Config(), storage_url="memory:", clock=clock)
    begin = clock()
    clock.advance(timedelta(hours=20))
    for number in range(chance.randrange(1, 150)):
        minute = chance.randrange(20 * 60)
        cost = chance.choice((None, 1.0))
        monitor.record_agent_run(
            f"r{number}", chance.choice("ab"), None, "success", cost=cost,
            timestamp=begin + minute * 60 + 30,
        )  # fmt: skip
    monitor._parts.intake.take_in()
    window, now = monitor._parts.window, monitor.now_us()
    for scope in (Scope(), Scope(agent_name="a")):
        day = window.tail(now - 24 * 60 * MINUTE, now, scope)
        short = window.tail(now - chance.choice((5, 60, 300)) * MINUTE, now, scope)
        count = chance.randrange(1, 60)
        for counted in (Stat.RUNS, Stat.COST_N):
            if short.totals[counted] >= count:
                continue
            found = window.longer(short, now - 24 * 60 * MINUTE, scope, counted, count)
            held, first = 0.0, 0
            for place, start in enumerate(day.slices.tolist()):
                if held >= count and start < day.slices[place - 1]:
                    break
                held, first = held + day.stats[place, counted], place
            assert found.totals[counted] == held
            if held >= count:
                assert found.since == day.slices[first]
    monitor.stop()


@pytest.mark.parametrize("rule", ["error_rate_max", "success_rate_min", "latency_p95_max_ms"])
def test_what_alerts_are_compared_by_is_counted_as_in_plain_rows(monitor, clock, rule):
    """Of every target, since any time, by any limit: also by that of another target."""
    chance, begin = random.Random(7), clock()
    runs = [some_run(chance, number, 3 * number) for number in range(200)]
    clock.advance(timedelta(minutes=600))
    for run in runs:
        monitor.record_agent_run(**run | {"timestamp": begin + run["timestamp"]})
    monitor.flush()
    rows, now = Rows([row_of(run, begin) for run in runs]), monitor.now_us()
    sampling = sampling_of(monitor)
    targets = [one for one in looked_at(monitor) if one.watch.rule == rule]
    assert len(targets) > 1
    sampling.verdicts(targets, now)
    for target in targets:
        for minutes, limit in ((5, 1000.0), (77, 20_000.0), (599, 20_000.0)):
            since = now - minutes * 60_000_000
            expected = rows.track(target).count_since(since, now, limit)
            assert sampling.count(target.key, since, limit) == expected
    assert sampling.count("nothing", now, 1.0) is None
