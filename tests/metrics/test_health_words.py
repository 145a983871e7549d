"""Health: its words never contradict the alerts, and what pulls the score down is said."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from perfmon import Config, MonitoredOrchestrator, PerformanceMonitor, render_report
from perfmon.cli import cli
from perfmon.metrics.health_words import FEW
from perfmon.testing import ManualClock

FINE = {"duration_ms": 100.0, "cost": 0.01}
CRITICAL = {
    "accuracy": lambda m: [m.record_accuracy("a", f"t{n}", "yes", "no") for n in range(30)],
    "memory": lambda m: [record(m, 1, agent="big", memory_mb=4096.0) for _ in range(5)],
    "an agent that fails among many": lambda m: record(m, 30, agent="small", status="failure"),
    "a budget": lambda m: record(m, 1, cost=500.0),
}
GOOD_WORDS = (
    "healthy",
    "Healthy",
    "Excellent",
    "Good",
    "excellent",
    "No action needed",
    "all is well",
)
NUMBER = iter(range(10**9))


def record(monitor, count=1, agent="a", status="success", **fields):
    for _ in range(count):
        given = {"status": status, **FINE, **fields}
        monitor.record_agent_run(f"r{next(NUMBER)}", agent, "react", **given)


@pytest.fixture
def monitor(tmp_path):
    rules = [{"name": "dear", "budget": 100.0, "level": "critical"}]
    config = Config.from_mapping({"alerts": {"rules": rules}})
    with_storage = f"sqlite:///{tmp_path}/perfmon.db"
    made = PerformanceMonitor(config, storage_url=with_storage, clock=ManualClock())
    yield made
    made.stop()


@pytest.mark.parametrize("breach", CRITICAL.values(), ids=CRITICAL)
def test_nothing_is_well_while_a_critical_alert_fires(monitor, breach):
    """Whatever it is about and however high the score: in every form, until it is over."""
    record(monitor, 500)
    assert monitor.get_health()["status"] == "healthy"
    assert monitor.generate_report()["health_status"] == "Excellent"
    breach(monitor)
    monitor.clock.advance(40)
    assert any(alert.level == "critical" for alert in monitor.get_alerts(state="firing"))
    health, report = monitor.get_health(), monitor.generate_report()
    assert health["status"] == "degraded"
    assert health["health_score"] > 70  # the formula stays
    assert report["health_status"] == "Fair"
    assert report["health_score"] == health["health_score"]
    assert health["alerts"][0]["level"] == "critical"
    for form in ("text", "markdown", "html"):
        written = render_report(report, form)
        assert not [word for word in GOOD_WORDS if word in written]
        assert "critical alert: " in written
    summary = MonitoredOrchestrator(agents={"x": lambda _: 1}, monitor=monitor)
    assert summary.get_performance_summary()["health_status"] == "Fair"


def test_a_warning_takes_the_best_word_away(monitor):
    """Good, not Excellent."""
    record(monitor, 500)
    record(monitor, 40, agent="dear", cost=1.5)
    assert {alert.level for alert in monitor.get_alerts(state="firing")} == {"warning"}
    assert monitor.generate_report()["health_status"] == "Good"
    assert monitor.get_health()["status"] == "healthy"


def test_a_tenant_is_as_well_as_its_own_runs(monitor):
    """An alert about another tenant's agent says nothing of it; about its own, it does."""
    for tenant, agent, status in (("a", "x", "failure"), ("a", "w", "failure"),
                                  ("b", "y", "success"), ("b", "z", "success")):  # fmt: skip
        record(monitor, 100, agent=agent, status=status, tenant=tenant, model=f"m-{tenant}")
    assert monitor.get_health()["status"] != "healthy"
    assert monitor.get_health(tenant="b")["status"] == "healthy"
    assert monitor.get_health(tenant="b")["alerts"] == []
    assert monitor.get_health(model="m-b")["status"] == "healthy"
    named = monitor.get_health(tenant="a")["alerts"]
    assert {alert["level"] for alert in named} == {"critical"}
    # An agent of two tenants that fails for one of them.
    record(monitor, 100, agent="y", status="failure", tenant="c")
    assert monitor.get_health(tenant="c")["status"] == "unhealthy"
    assert monitor.get_health(tenant="b")["status"] == "healthy"


def test_a_past_range_heeds_what_fired_at_its_end(monitor):
    """Yesterday's report is not excellent where an alert fired when yesterday ended."""
    began = monitor.now_us() / 1e6
    record(monitor, 500)
    CRITICAL["memory"](monitor)
    monitor.get_alerts()
    monitor.clock.advance(600)
    middle = monitor.now_us() / 1e6
    monitor.clock.advance(5 * 3600)
    record(monitor, 500)
    record(monitor, 50, agent="big", memory_mb=10.0)
    for _ in range(5):
        monitor.clock.advance(60)
        monitor.get_alerts()
    assert monitor.get_alerts(state="firing") == []
    assert monitor.get_health()["status"] == "healthy"
    past = monitor.generate_report(since=began - 60, until=middle)
    assert past["health_status"] == "Fair"
    later = monitor.generate_report(since=middle, until=monitor.now_us() / 1e6)
    assert later["health_status"] == "Excellent"


def test_the_parts_say_what_was_lost(monitor):
    """They sum to the score, and to a hundred with what they lost, without a latency too."""
    for fields in ({}, {"duration_ms": None}):
        record(monitor, 30, status="failure", **fields)
        record(monitor, 70, **fields)
        health = monitor.get_health()
        parts = {part["part"]: part for part in health["parts"]}
        assert sum(part["points"] for part in parts.values()) == pytest.approx(
            health["health_score"], abs=0.06
        )
        assert sum(part["most"] for part in parts.values()) == pytest.approx(100)
        assert parts["errors"]["points"] == 0
        assert "errors costs 20.0 of 20.0 points" in health["reasons"]


def test_few_runs_are_said_to_be_few(monitor):
    """As long as there are fewer than twenty."""
    record(monitor, 3)
    health = monitor.get_health()
    assert (health["few_runs"], health["runs"]) == (True, 3)
    assert "only 3 runs: too few to be meaningful" in render_report(
        monitor.generate_report(), "text"
    )
    record(monitor, FEW - 3)
    assert monitor.get_health()["few_runs"] is False
    assert "only" not in render_report(monitor.generate_report(), "text")


def test_the_command_says_the_same(monitor, tmp_path):
    """`perfmon report` of the same storage, as text and as JSON."""
    record(monitor, 500)
    CRITICAL["memory"](monitor)
    assert monitor.get_health()["status"] == "degraded"
    report = monitor.generate_report(since=0, until=monitor.now_us() / 1e6 + 1)
    monitor.stop()
    assert report["health_status"] == "Fair"
    url, until = f"sqlite:///{tmp_path}/perfmon.db", report["until"]
    arguments = ["report", "--storage", url, "--since", report["since"], "--until", until]
    written = CliRunner().invoke(cli, arguments).output
    assert "of 100, Fair" in written, written
    plain = CliRunner().invoke(cli, [*arguments, "--format", "json"]).output
    assert json.loads(plain)["health_status"] == "Fair"
