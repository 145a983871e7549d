"""A backtest gives what live evaluation gave: the same episodes, to the look."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from perfmon import Config, PerformanceMonitor, Scope
from perfmon.alerts.backtest.backtest import backtest, looks_back
from perfmon.alerts.backtest.rows import Rows
from perfmon.alerts.rules.compile import watches

START = 1_767_225_600
HOURS = 8


def runs_of(rate, seed):
    """Runs of two agents, with an outage of two hours and a slow hour."""
    chance, at, number = random.Random(seed), START, 0
    while (at := at + chance.expovariate(rate / 3600)) < START + HOURS * 3600:
        hour = (at - START) / 3600
        fails = chance.random() < (0.7 if 2 <= hour < 4 else 0.05)
        slowest = 13_500 if 5 <= hour < 6 else 1_350
        yield {"run_id": f"r{number}", "agent_name": f"a{number % 2}", "timestamp": round(at, 3),
               "status": "failure" if fails else "success", "memory_mb": 100.0,
               "duration_ms": slowest * chance.random()}  # fmt: skip
        number += 1


@pytest.mark.parametrize(("rate", "seed"), [(300, 1), (30, 2)])
def test_a_backtest_gives_what_live_evaluation_gave(rate, seed):
    """Each alert at the same looks, with the same figures."""
    config = Config.from_mapping({"alerts": {"evaluation_interval": "1m"}})
    now, runs = [START], list(runs_of(rate, seed))
    clock = lambda: datetime.fromtimestamp(now[0], UTC)  # noqa: E731
    monitor = PerformanceMonitor(config, storage_url="memory:", clock=clock)
    end = START + HOURS * 3600 + 60
    for now[0] in range(START, end, 60):
        come = [run for run in runs if now[0] - 60 < run["timestamp"] <= now[0]]
        monitor.record_agent_runs(come, wait=True)
        monitor._parts.evaluator.evaluate()
    live = {
        (a.key, a.details.get("eased_from", a.level), a.started_at, a.resolved_at)
        for a, _ in monitor.storage.find_alerts(limit=None)
    }
    watched, first, last = watches(config), START * 10**6, end * 10**6
    chunks = monitor.storage.read_runs(first - looks_back(watched), last, Scope())
    rows = Rows([row for chunk in chunks for row in chunk], by_minute=24 * 3600 * 10**6)
    monitor.stop()
    found = backtest(config, watched, rows, first, last)
    assert len(live) > 4
    assert live == {
        (e.alert.key, e.level, e.alert.started_at, ended(e.ended_at)) for e in found.episodes
    }


def ended(micros):
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, UTC)
