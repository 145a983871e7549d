"""Where conflicts are told: the accounts, the log, an alert, the report, the page, `perfmon check`."""

from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner

from perfmon import PerformanceMonitor
from perfmon.alerts.rules.compile import CONFLICTS_RULE
from perfmon.cli import cli
from perfmon.testing import ManualClock

HOUR = 3600.0
RUN = {"run_id": "r", "agent_name": "bot", "agent_type": "react", "status": "success"}


def firing(monitor):
    return [a for a in monitor.get_alerts(state="firing") if a.rule == CONFLICTS_RULE]


def conflict(monitor, times, **fields):
    """One run, and so many others under its id."""
    runs = [RUN | fields | {"duration_ms": number} for number in range(times + 1)]
    assert len(monitor.record_agent_runs(runs).conflicts) >= times


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def opened(tmp_path, clock):
    """Opens monitors on one storage, none of them started."""
    made = []

    def open_one(url=f"sqlite:///{tmp_path}/perfmon.db"):
        made.append(PerformanceMonitor(storage_url=url, clock=clock))
        return made[-1]

    yield open_one
    for monitor in made:
        monitor.stop()


@pytest.mark.parametrize("url", ["memory:", "sqlite", "postgresql"])
def test_a_few_conflicts_are_an_alert_of_their_own(request, opened, clock, url):
    """Two are not; three are, until no other came for an hour, whoever of several looks."""
    url = request.getfixturevalue("postgres_url") if url == "postgresql" else url
    monitor = opened(url) if url != "sqlite" else opened()
    other = monitor if url == "memory:" else opened(url) if url != "sqlite" else opened()
    conflict(monitor, 2)
    assert firing(monitor) == []
    conflict(monitor, 1, agent_name="writer", tenant="acme")
    (alert,) = firing(monitor)
    assert alert.level == "warning"
    assert alert.current_value == 3
    assert "3 runs reused run IDs already stored with different content" in alert.message
    assert "agent bot 2, agent writer of tenant acme 1" in alert.message
    assert "unique ID" in alert.recommendation
    assert not alert.details.get("errors")
    clock.advance(HOUR / 2)
    conflict(other, 1)  # the first of them is a repeat, then
    clock.advance(HOUR - 1)
    assert len(firing(monitor)) == 1
    clock.advance(2)
    monitor.get_alerts()
    for _ in range(4):
        clock.advance(60)
        over = firing(monitor)
    assert over == []
    resolved = monitor.get_alerts(state="resolved")
    assert [a.rule for a in resolved if a.rule == CONFLICTS_RULE] == [CONFLICTS_RULE]


def test_the_alert_of_a_running_monitor_needs_nobody_to_ask(tmp_path):
    """Conflicts alone, which change no figure, make it look again."""
    import time

    from perfmon import Config

    config = Config.from_mapping(
        {
            "monitor": {"storage": f"sqlite:///{tmp_path}/p.db"},
            "alerts": {"evaluation_interval": "100ms"},
        }
    )
    with PerformanceMonitor(config) as monitor:
        monitor.record_agent_runs([RUN])
        deadline = time.monotonic() + 60
        while monitor._parts.evaluator.evaluated_at is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        monitor.record_agent_runs([RUN | {"cost": n} for n in range(5)])
        while not [a for a in monitor._parts.alerts.firing if a.rule == CONFLICTS_RULE]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_accounts_name_agents_of_every_process(opened, clock):
    """By agent, the most first, of the last 24 hours; the counter is the process's own."""
    one, two = opened(), opened()
    conflict(one, 1)
    conflict(two, 3, agent_name="writer")
    for monitor, own in ((one, 1), (two, 3)):
        stats = monitor.get_stats()
        assert stats["conflict"] == own
        told = [(c["agent_name"], c["runs"], c["run_id"], c["fields"]) for c in stats["conflicts"]]
        assert told == [("writer", 3, "r", ["duration_ms"]), ("bot", 1, "r", ["duration_ms"])]
    clock.advance(25 * HOUR)
    assert one.get_stats()["conflicts"] == []


def test_the_log_is_told_at_once_and_then_once_an_hour(opened, caplog):
    """What came meanwhile is told in the next line, at the latest when the monitor ends."""
    monitor = opened()
    with caplog.at_level(logging.WARNING, "perfmon"):
        for _ in range(3):
            conflict(monitor, 2)
        lines = [line for line in caplog.messages if "with different content" in line]
        assert len(lines) == 1
        assert lines[0].startswith("2 runs reused run IDs")
        assert "agent bot 2; most recently r, different duration_ms" in lines[0]
        monitor.stop()
    lines = [line for line in caplog.messages if "with different content" in line]
    assert len(lines) == 2
    assert lines[1].startswith("4 runs")


def test_a_report_does_not_say_that_all_is_well(opened, clock):
    """Where runs are in no figure, that is said first, of an empty window too."""
    monitor = opened()
    monitor.record_agent_runs([RUN | {"run_id": f"r{n}"} for n in range(100)])
    assert "No action needed" in monitor.generate_report()["recommendations"][0]
    clock.advance(30)
    conflict(monitor, 1)
    for _ in range(2):
        report = monitor.generate_report()
        assert [one["runs"] for one in report["conflicts"]] == [1]
        assert "Give every run of agent 'bot' a unique ID" in report["recommendations"][0]
        assert not any("No action needed" in text for text in report["recommendations"])
        clock.advance(HOUR - 30)  # the runs are not in the window any more
    clock.advance(HOUR)
    assert monitor.generate_report()["conflicts"] == []
    assert monitor.generate_report(tenant="acme", time_window_minutes=600)["conflicts"] == []


async def test_the_page_names_them(tmp_path):
    """With the agent and the run, and harmlessly."""
    from aiohttp.test_utils import TestClient, TestServer
    from perfmon_server import ServerConfig, make_app

    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db") as monitor:
        async with TestClient(TestServer(make_app(monitor, ServerConfig()))) as client:
            assert "Conflicts" not in await (await client.get("/")).text()
            conflict(monitor, 2, run_id="<b>7", agent_name="<i>bot")
            page = await (await client.get("/")).text()
            assert "2 runs in the last 24 hours reused run IDs" in page
            assert "&lt;i&gt;bot" in page
            assert "run &lt;b&gt;7, different duration_ms" in page
            stats = await (await client.get("/api/performance/stats")).json()
            assert stats["conflicts"][0]["run_id"] == "<b>7"


def test_check_warns(tmp_path, monkeypatch):
    """In a process of its own, from storage; it is no mistake of the configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitor.toml").write_text('[monitor]\nstorage = "sqlite:///p.db"\n')
    with PerformanceMonitor(storage_url="sqlite:///p.db") as monitor:
        monitor.record_agent_runs([RUN])
        assert "warning: in the last" not in CliRunner().invoke(cli, ["check"]).stdout
        conflict(monitor, 2)
        result = CliRunner().invoke(cli, ["check"])
        assert result.exit_code == 0
        assert "warning: in the last 24 hours, 3 runs reused run IDs" in result.stdout
        assert "agent bot 3" in result.stdout


def test_what_could_not_be_noted_is_noted_later(opened):
    """Storage may be away just then; nothing is counted twice."""
    from perfmon import StorageError

    monitor = opened()
    noted, storage = [], monitor._parts.conflicts._storage

    class Away:
        def note_conflicts(self, counts):
            if not noted:
                noted.append(len(counts))
                raise StorageError("away")
            storage.note_conflicts(counts)

    monitor._parts.conflicts._storage = Away()
    conflict(monitor, 2)
    assert noted == [1]
    conflict(monitor, 1, agent_name="writer")
    counts = {one.agent_name: one.runs for one in storage.read_conflicts(0)}
    assert counts == {"bot": 2, "writer": 1}
