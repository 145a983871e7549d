"""A changed monitor.toml for a monitor that runs: all of it, or nothing."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from perfmon import ConfigError, PerformanceMonitor, PluginError, hookimpl

BASE = """
[monitor]
storage = "sqlite:///runs.db"
[alerts.thresholds]
latency_p95_max_ms = 5000
"""
SINK = """
import attrs
from perfmon import hookimpl

@attrs.frozen
class Table:
    word: str = "none"

heard = []

@hookimpl
def monitor_started(monitor):
    heard.append(monitor.config.table("shouter", Table).word)

@hookimpl
def deliver_alert(alert):
    pass
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes monitor.toml in a folder of its own, and gives its path."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "monitor.toml").write_text(text)
        return tmp_path / "monitor.toml"

    return write


def record(monitor, count=50, first=0, **fields):
    run = {"agent_name": "a", "agent_type": "t", "status": "success", "duration_ms": 900.0}
    monitor.record_agent_runs(
        [run | {"run_id": f"r{n}"} | fields for n in range(first, first + count)], wait=True
    )


def rules_of(monitor):
    return {alert.rule for alert in monitor.get_alerts(state="firing")}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_rules_and_thresholds_go_over_at_once(written):
    """What is beyond a new limit fires, and an alert of a rule that is gone is resolved."""
    with PerformanceMonitor(written(BASE)) as monitor:
        record(monitor)
        assert rules_of(monitor) == set()
        assert monitor.reload(written(BASE.replace("5000", "500"))) == []
        assert rules_of(monitor) == {"latency_p95_max_ms"}
        assert monitor.thresholds["latency_p95_max_ms"] == 500
        slow = '[[alerts.rules]]\nname = "slow"\nmetric = "avg_latency_ms"\nabove = 100\n'
        monitor.reload(written(BASE + slow))
        record(monitor, 10, first=100)
        assert "slow" in rules_of(monitor)
        monitor.reload(written(BASE))
        record(monitor, 1, first=200)
        assert "slow" not in rules_of(monitor)
        reasons = {a.rule: a.details["reason"] for a in monitor.get_alerts(state="resolved")}
        assert reasons["slow"] == "the rule was removed"


def test_a_file_with_mistakes_changes_nothing(written):
    """All of them are told, those of plugins too; rules, plugins and scorers stay."""
    with PerformanceMonitor(written(BASE)) as monitor:
        before = (monitor.config, monitor.plugins, monitor.bus.implementations("score_outcome"))
        with pytest.raises(ConfigError) as caught:
            monitor.reload(written('[alerts]\nfor = "soon"\n[alerts.thresholds]\naccuracy_min = 7'))
        assert len(caught.value.mistakes) == 2
        with pytest.raises(PluginError, match="min_level"):
            monitor.reload(
                written(BASE.replace("5000", "500") + '[plugins.log]\nmin_level = "loud"\n')
            )
        with pytest.raises(PluginError, match="no such plugin"):
            monitor.reload(written(BASE + "[plugins.slak]\n"))
        after = (monitor.config, monitor.plugins, monitor.bus.implementations("score_outcome"))
        assert before == after
        assert monitor.thresholds["latency_p95_max_ms"] == 5000


def test_what_takes_a_restart_is_told_and_stays(written):
    """Storage, the journal and the server's address; the rest of the file is taken up."""
    with PerformanceMonitor(written(BASE + "[plugins.server]\nport = 8787\n")) as monitor:
        later = monitor.reload(
            written(
                '[monitor]\nstorage = "sqlite:///other.db"\njournal = "elsewhere"\n'
                "window_size_minutes = 5\n[plugins.server]\nport = 9\n"
            )
        )
        assert later == ["[monitor] storage", "[monitor] journal", "[plugins.server]"]
        assert monitor.config.monitor.storage == "sqlite:///runs.db"
        assert monitor.config.plugins["server"] == {"port": 8787}
        assert monitor.plugin("server").settings.port == 8787
        assert monitor.window_size_minutes == 5
        assert len(monitor.reload()) == 3  # the file is still another one


def test_a_plugin_is_made_anew_where_its_table_changed(written, tmp_path):
    """It hears that the monitor runs; the others are the same objects, in the same order."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shouter.py").write_text(SINK)
    base = BASE + '[plugins]\npaths = ["plugins"]\n'
    with PerformanceMonitor(written(base)) as monitor:
        log, old = monitor.plugin("log"), monitor.plugin("shouter")
        order = [name for name, _ in monitor.bus.implementations("deliver_alert")]
        until(lambda: old.heard == ["none"])
        monitor.reload(written(base + '[plugins.shouter]\nword = "hey"\n'))
        new = monitor.plugin("shouter")
        until(lambda: new.heard == ["hey"])
        assert monitor.plugin("log") is log
        assert [name for name, _ in monitor.bus.implementations("deliver_alert")] == order
        assert monitor.bus.find("deliver_alert", "shouter").function is new.deliver_alert
        monitor.reload(written(base + "[plugins.shouter]\nenabled = false\n"))
        assert monitor.bus.find("deliver_alert", "shouter") is None
        monitor.reload(written(base))
        assert monitor.bus.find("deliver_alert", "shouter") is not None


def test_a_secret_in_a_file_is_read_again(written, tmp_path):
    """Its table is as it was, and the plugin has the new secret all the same."""
    secret = tmp_path / "url"
    secret.write_text("https://example.org/one")
    secret.chmod(0o600)
    text = BASE + '[plugins.webhook]\nurl = { file = "url" }\n'
    with PerformanceMonitor(written(text)) as monitor:
        secret.write_text("https://example.org/two")
        old = monitor.plugin("webhook")
        monitor.reload()
        assert monitor.plugin("webhook") is not old


def test_outcomes_compare_by_the_new_rules(written):
    """Scorers, fields and whose word counts are those of the new file."""
    with PerformanceMonitor(written(BASE)) as monitor:
        assert monitor.record_accuracy("a", "1", 90, 100).accuracy_score == pytest.approx(0.9)
        monitor.reload(
            written(BASE + '[agents.a.outcomes]\nscorer = "exact"\nsource_priority = ["user"]\n')
        )
        assert monitor.record_accuracy("a", "2", 90, 100).accuracy_score == 0
        assert monitor._parts.intake.matcher._priority("a") == ["user"]
        monitor.reload(written(BASE))
        assert monitor.record_accuracy("a", "3", 90, 100).accuracy_score == pytest.approx(0.9)


def test_keywords_win_after_a_reload_too(written):
    """What the monitor was made with is not undone by the file."""
    with PerformanceMonitor(
        written(BASE), alert_thresholds={"cost_per_task_max": 7}, enable_auto_alerts=False
    ) as monitor:
        monitor.reload(written(BASE.replace("5000", "500")))
        assert monitor.thresholds["cost_per_task_max"] == 7
        assert monitor.thresholds["latency_p95_max_ms"] == 500
        record(monitor)
        assert rules_of(monitor) == set()


def test_alerts_can_be_turned_on_later(written):
    """The background evaluation starts then."""
    with PerformanceMonitor(written(BASE + "[alerts]\nenabled = false\n")) as monitor:
        record(monitor, status="failure")
        assert rules_of(monitor) == set()
        monitor.reload(written(BASE + '[alerts]\nevaluation_interval = "50ms"\n'))
        until(lambda: monitor.get_stats()["active_alerts"] > 0)


def test_without_a_file_there_is_nothing_to_reload():
    """A monitor that came from no file says so in one line."""
    with (
        PerformanceMonitor(storage_url="memory:") as monitor,
        pytest.raises(ConfigError, match="from a file"),
    ):
        monitor.reload()


def test_a_replaced_plugin_finishes_what_waits_for_it():
    """Nothing that was published before is lost, and its thread ends."""
    import threading

    from perfmon.plugins.bus import Bus

    bus, heard, go = Bus(), [], threading.Event()

    class Slow:
        def __init__(self, name):
            self.name = name

        @hookimpl
        def runs_recorded(self, runs):
            go.wait(60)
            heard.append((self.name, runs))

    bus.register(Slow("old"), "slow")
    for n in range(3):
        bus.publish("runs_recorded", runs=[n])
    bus.replace(Slow("new"), "slow")
    bus.publish("runs_recorded", runs=[3])
    go.set()
    until(lambda: len(heard) == 4)
    assert sorted(heard) == [("new", [3]), ("old", [0]), ("old", [1]), ("old", [2])]
    bus.close()


# A real process, and a real signal


@pytest.fixture
def server(written, tmp_path):
    """`perfmon serve` on a free port, with what it says."""
    written(BASE + "[plugins.server]\nport = 0\n")
    process = subprocess.Popen(
        [sys.executable, "-c", "from perfmon.cli import main; main()", "serve"], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    process.url = process.stdout.readline().split()[2]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(server, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{server.url}/api/performance/{path}", data) as answer:
        return json.load(answer)


def test_sighup_takes_up_the_file(server, written):
    """One with mistakes is told on stderr, each of them; a good one counts from then on."""
    run = {"agent_name": "a", "status": "success", "duration_ms": 900}
    asked(server, "runs", [run | {"run_id": f"r{n}"} for n in range(50)])
    assert asked(server, "alerts?state=firing")["total_count"] == 0
    written(BASE.replace("5000", '"soon"') + "[alerts]\nevery = 3\n[plugins.server]\nport = 0\n")
    server.send_signal(signal.SIGHUP)
    lines = [server.stderr.readline() for _ in range(3)]
    assert "latency_p95_max_ms" in "".join(lines[:2])
    assert "every" in "".join(lines[:2])
    assert "not reloaded" in lines[2]
    written(BASE.replace("5000", "500") + "[plugins.server]\nport = 1\n")
    server.send_signal(signal.SIGHUP)
    assert "[plugins.server]: takes effect after a restart" in server.stderr.readline()
    assert "monitor.toml: reloaded" in server.stderr.readline()
    found = asked(server, "alerts?state=firing")["alerts"]
    assert {alert["rule"] for alert in found} == {"latency_p95_max_ms"}
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0


# The link and the heartbeat


def test_messages_link_to_the_dashboard(written, caplog):
    """To the configured one, else to where the server is."""
    caplog.set_level(logging.INFO)
    with PerformanceMonitor(written(BASE)) as monitor:
        assert monitor._parts.evaluator._state.groups.grouping.link is None
        monitor.show_at("http://127.0.0.1:8787")
        assert monitor._parts.evaluator._state.groups.grouping.link == "http://127.0.0.1:8787"
        monitor.reload(written(BASE + '[alerts]\nlink = "https://perfmon.example.org"\n'))
        assert monitor._parts.evaluator._state.groups.grouping.link == "https://perfmon.example.org"
        record(monitor, status="failure")
        assert monitor.get_alerts()
        until(lambda: any(d.state == "delivered" for a in monitor.get_alerts()
                          for d in monitor.get_deliveries(a.alert_id)))  # fmt: skip
