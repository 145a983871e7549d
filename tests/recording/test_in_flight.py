"""Runs under way: each by its tenant, its id and its agent, and none forgotten in silence."""

from __future__ import annotations

import pytest

from perfmon import AgentRun, InvalidRun, PerformanceMonitor, hookimpl
from perfmon.testing import ManualClock


@pytest.fixture
def monitor():
    monitor = PerformanceMonitor(storage_url="memory:", clock=ManualClock())
    yield monitor
    monitor.stop()


def flying(monitor):
    return {(r["tenant"], r["run_id"], r["agent_name"]) for r in monitor.get_in_flight()}


def ended(run_id, agent_name, tenant="default", **more):
    fields = {"run_id": run_id, "agent_name": agent_name, "tenant": tenant, "status": "success"}
    return {**fields, "agent_type": None, **more}


START = [("default", "r", "a"), ("default", "r", "b"), ("acme", "r", "a")]


@pytest.mark.parametrize(
    "record",
    [
        lambda m, run: m.record_agent_run(**run),
        lambda m, run: (m.record_agent_run(**run, cost=1.0), m.record_agent_run(**run, cost=1.0)),
        lambda m, run: m.record_agent_runs([run]),
        lambda m, run: m.record_agent_runs([run], wait=False),
        lambda m, run: m.hook.run_finished(run=AgentRun(**run)),
    ],
    ids=["one", "again", "many", "many-later", "hook"],
)
def test_runs_of_one_id_do_not_hide_one_another(monitor, record):
    """Whichever way the run of one agent and tenant is recorded, the others are still under way."""
    for tenant, run_id, agent in START:
        monitor.run_started(run_id, agent, tenant=tenant)
    assert flying(monitor) == set(START)
    record(monitor, ended("r", "a"))
    assert flying(monitor) == {("default", "r", "b"), ("acme", "r", "a")}
    record(monitor, ended("r", "a", "acme"))
    assert flying(monitor) == {("default", "r", "b")}
    assert monitor.get_stats()["in_flight"] == 1


def test_the_hook_carries_the_tenant(monitor):
    """To the monitor and to who listens; not given, it is the default."""
    seen = []

    class Ear:
        @hookimpl
        def run_started(self, run_id, tenant):
            seen.append((run_id, tenant))

    monitor.bus.register(Ear(), "ear")
    monitor.hook.run_started(run_id="r", agent_name="a", agent_type=None, metadata=None)
    monitor.hook.run_started(run_id="r", agent_name="a", tenant="acme")
    assert flying(monitor) == {("default", "r", "a"), ("acme", "r", "a")}
    monitor.bus.close(5.0)
    assert seen == [("r", None), ("r", "acme")]


@pytest.mark.parametrize("tenant", ["", 0, False, {}, None, "a\0"])
def test_a_wrong_tenant_is_refused(monitor, tenant):
    """It is not taken for the default one."""
    with pytest.raises(InvalidRun, match="tenant"):
        monitor.run_started("r", "a", tenant=tenant)
    assert monitor.get_in_flight() == []


def test_what_there_is_no_room_for_is_counted():
    """And what is under way already may begin again."""
    from perfmon.recording.in_flight import InFlight

    flight = InFlight(limit=2)
    for moment, run_id in enumerate(["1", "2", "3", "1", "4"]):
        flight.begin(run_id, "a", None, None, "default", moment)
    assert [(run["run_id"], run["age_seconds"]) for run in flight.plain(10_000_000)] == [
        ("2", 9.999999),
        ("1", 9.999997),
    ]
    assert flight.dropped == 2


def test_the_limit_is_visible_in_the_accounts(monitor):
    """100,000 are known, and the rest is told by `get_stats()`."""
    for number in range(100_003):
        monitor.hook.run_started(run_id=str(number), agent_name="a")
    stats = monitor.get_stats()
    assert (stats["in_flight"], stats["in_flight_dropped"]) == (100_000, 3)
    assert not monitor.run_started("one more", "a")
    assert monitor.run_started("99999", "a")  # which begins again
