"""Retries and calls that nobody told are unknown on every way in, and in every answer."""

from __future__ import annotations

import json
import math

import pytest

from perfmon import AgentRun, MonitoredOrchestrator, PerformanceMonitor, Scope
from perfmon.config.config import Config
from perfmon.recording.importing import Columns, FileImport, Source
from perfmon.testing import ManualClock

SAYS = {"retries": 1, "api_calls": 3}
NONE = {"retries": 0, "api_calls": 0}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def monitor(request, tmp_path, clock):
    url = "memory:"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/perfmon.db"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    monitor = PerformanceMonitor(storage_url=url, clock=clock)
    yield monitor
    monitor.stop()


def stored(monitor):
    monitor.flush()
    chunks = monitor.storage.read_runs(0, 2**60, Scope())
    runs = [AgentRun.from_row(row) for chunk in chunks for row in chunk]
    return [
        (run.run_id, run.retries, run.api_calls) for run in sorted(runs, key=lambda r: r.run_id)
    ]


def by_call(monitor, runs, _):
    for run in runs:
        monitor.record_agent_run(**run)


def by_bulk(monitor, runs, _):
    assert monitor.record_agent_runs(runs).accepted == len(runs)


def by_bytes(monitor, runs, _):
    for _again in range(2):  # the quick way knows the words the second time
        monitor.record_agent_runs(json.dumps(runs).encode())


def by_hook(monitor, runs, _):
    for run in runs:
        monitor.hook.run_finished(run=AgentRun(**run))


def by_json_lines(monitor, runs, folder):
    file = folder / "runs.jsonl"
    file.write_text("\n".join(json.dumps({"type": "run", **run}) for run in runs))
    assert FileImport(monitor, Source(file, Columns())).run().rejected == 0


def by_csv(monitor, runs, folder):
    file = folder / "runs.csv"
    names = ("run_id", "agent_name", "agent_type", "status", "timestamp", "retries", "api_calls")
    lines = [",".join("" if run.get(n) is None else str(run[n]) for n in names) for run in runs]
    file.write_text("\n".join((",".join(names), *lines)))
    assert FileImport(monitor, Source(file, Columns())).run().rejected == 0


@pytest.mark.parametrize(
    "way",
    [by_call, by_bulk, by_bytes, by_hook, by_json_lines, by_csv],
    ids=lambda way: way.__name__,
)
def test_what_is_not_said_is_unknown_on_every_way_in(monitor, clock, tmp_path, way):
    """It is None in storage, no part of the rate and of the sum, from memory and from history."""
    named = {"agent_name": "a", "agent_type": "t", "status": "success"}
    named["timestamp"] = clock() - 1
    runs = [{**named, "run_id": f"silent {n}"} for n in range(6)]
    runs += [{**named, "run_id": "says"} | SAYS, {**named, "run_id": "says 0"} | NONE]
    runs[0] |= {"retries": None, "api_calls": None}
    way(monitor, runs, tmp_path)
    silent = [(f"silent {n}", None, None) for n in range(6)]
    assert stored(monitor) == [("says", 1, 3), ("says 0", 0, 0), *silent]
    past = {"since": clock() - 60, "until": clock() + 1}
    for metrics in (monitor.get_system_metrics(), monitor.get_system_metrics(**past)):
        assert (metrics.retry_rate, metrics.retries_count) == (0.5, 2)
        assert (metrics.total_api_calls, metrics.api_calls_count) == (3, 2)
        assert metrics.total_tasks == 8


def test_with_nothing_said_there_is_no_rate(monitor):
    """Neither in Python nor in the report, which shows no sum of calls either."""
    for number in range(30):
        monitor.record_agent_run(f"r{number}", "a", "t", "failure")
    metrics = monitor.get_agent_metrics("a").metrics
    assert math.isnan(metrics.retry_rate)
    assert (metrics.retries_count, metrics.api_calls_count) == (0, 0)
    report = monitor.generate_report()
    assert report["system_metrics"]["retry_rate"] is None
    assert math.isnan(monitor.get_timeseries("retry_rate").points[-1].value)
    (pattern,) = [p["share"] for p in report["error_patterns"]] or [0]
    assert pattern == 0


def test_an_alert_about_retries_is_about_the_runs_that_say_them(clock):
    """20 of 20 that say so are retried, among 200 that say nothing; nothing said fires nothing."""
    rules = [
        {"name": "retried", "metric": "retry_rate", "above": 0.5},
        {"name": "few calls", "metric": "total_api_calls", "below": 5},
    ]
    config = Config.from_mapping({"alerts": {"rules": rules}})
    monitor = PerformanceMonitor(config, storage_url="memory:", clock=clock)
    for number in range(200):
        monitor.record_agent_run(f"silent {number}", "a", "t", "success")
    assert monitor.get_alerts(state="firing") == []
    for number in range(20):
        monitor.record_agent_run(f"says {number}", "a", "t", "success", retries=1)
    alerts = {alert.rule: alert for alert in monitor.get_alerts(state="firing")}
    assert alerts.keys() == {"retried"}
    assert (alerts["retried"].current_value, alerts["retried"].sample_size) == (1.0, 20)
    monitor.stop()


def test_the_orchestrator_knows_its_tries_and_not_the_agents_calls(monitor):
    """0 at the first try, 1 at the second; calls are the agent's to tell."""
    tries = []

    def sometimes(task):
        tries.append(task)
        if len(tries) == 1:
            raise LookupError
        return {"output": 1, "api_calls": 4}

    MonitoredOrchestrator(agents={"a": sometimes}, monitor=monitor, retries=2).run("t")
    assert sorted(known[1:] for known in stored(monitor)) == [(0, None), (1, 4)]


def test_the_cost_of_failures_is_of_those_that_have_one(monitor):
    """Others take no share of it, and how many had one is said."""
    for number, (status, cost) in enumerate(
        [("success", 1.0), ("failure", 0.5), ("failure", None), ("failure", 0.0), ("partial", 2.0)]
    ):
        monitor.record_agent_run(f"r{number}", "a", "t", status, cost=cost)
    metrics = monitor.get_system_metrics()
    assert (metrics.failed_cost, metrics.failed_cost_count, metrics.failed_tasks) == (0.5, 2, 3)
    assert (metrics.total_cost, metrics.cost_count) == (3.5, 4)
