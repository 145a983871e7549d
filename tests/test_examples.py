"""The examples run, as they stand, and do what they say."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from perfmon_server.app import ROUTES

from perfmon import AlertLevel, Config, MetricType, PerformanceAlert, PerformanceMonitor
from perfmon.cli import cli
from perfmon.testing import check_scorer

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(example, folder):
    """The example's output, run as a program in an empty folder."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / example)],
        cwd=folder, capture_output=True, text=True, timeout=240, check=True,
    ).stdout  # fmt: skip


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def plugin_folder(tmp_path):
    folder = tmp_path / "my_plugins"
    folder.mkdir()
    return folder


def monitor_with(folder, **tables):
    config = Config.from_mapping(
        {"monitor": {"storage": "memory:"}, "plugins": {"paths": [str(folder)], **tables}}
    )
    return PerformanceMonitor(config)


def test_the_complete_integration(tmp_path):
    """It orchestrates, measures, reports, and leaves nothing behind."""
    output = run("performance_monitor_example.py", tmp_path)
    assert "50 runs, 100% succeeded" in output
    assert "accuracy 0." in output
    assert "0 dropped" in output
    assert not any(tmp_path.iterdir())


def test_starting_with_monitoring(tmp_path):
    """Three agents of a program that was there before."""
    output = run("start_with_monitoring.py", tmp_path)
    assert "nothing to search for" in output
    assert "searcher   2 runs, 50% succeeded" in output
    assert not any(tmp_path.iterdir())


def test_predictions_and_outcomes(tmp_path):
    """Predictions outlive their process, outcomes come in any order, and the audit overrules."""
    output = run("predictions_and_outcomes.py", tmp_path)
    assert "waiting: task 'house-100'" in output
    assert "81 of 101 predictions have an outcome, 20 wait" in output
    assert re.search(r"accuracy 5\d% \(\d\d% to \d\d%, 81 outcomes\)", output)
    assert re.search(r"^  audit  \d\d% of 10$", output, re.MULTILINE)
    assert "sources disagree in 5 of 10 tasks" in output
    assert "the appraiser: stated confidence 73% on average" in output
    assert "(over-confident by " in output
    worst = re.findall(r"^  (\d+)% house-\d+: ", output, re.MULTILINE)
    assert worst == sorted(worst, key=int)
    assert len(worst) == 3
    assert not any(tmp_path.iterdir())


def test_every_example_is_run_here():
    """None is left out of this file."""
    tests = Path(__file__).read_text()
    assert all(file.name in tests for file in EXAMPLES.rglob("*.py"))


def test_a_scorer_of_ones_own(plugin_folder):
    """In fifteen lines: it goes before the built-in ones for dates, and passes on all else."""
    file = EXAMPLES / "own_scorer.py"
    assert len(file.read_text().splitlines()) <= 15
    shutil.copy(file, plugin_folder)
    with monitor_with(plugin_folder) as monitor:
        near = monitor.record_accuracy("a", "t1", "2026-03-01", "2026-03-04")
        other = monitor.record_accuracy("a", "t2", 90, 100)
        words = monitor.record_accuracy("a", "t3", "in March", "in April")
        check_scorer(monitor.plugin("own_scorer").score_outcome)
    assert (near.accuracy_score, near.scorer) == (0.5, "own_scorer")
    assert (other.accuracy_score, other.scorer) == (0.9, "scorers")
    assert (words.accuracy_score, words.scorer) == (0.5, "scorers")


def test_perfmon_plugins_shows_a_scorer_of_ones_own(plugin_folder, tmp_path, monkeypatch):
    """With its state and its hook."""
    shutil.copy(EXAMPLES / "own_scorer.py", plugin_folder)
    (tmp_path / "monitor.toml").write_text('[plugins]\npaths = ["my_plugins"]\n')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["plugins"])
    assert result.exit_code == 0, result.output
    assert re.search(r"^own_scorer\s+on\b.*score_outcome", result.output, re.MULTILINE)


def test_a_sink_of_ones_own(plugin_folder, tmp_path):
    """It takes its own table, and gets every alert."""
    shutil.copy(EXAMPLES / "own_sink.py", plugin_folder)
    lines = tmp_path / "alerts.txt"
    alert = PerformanceAlert(
        alert_id="1", level=AlertLevel.WARNING, metric_type=MetricType.COST,
        message="too dear", current_value=2.0, threshold=1.0,
    )  # fmt: skip
    with monitor_with(plugin_folder, own_sink={"file": str(lines)}) as monitor:
        monitor.hook.deliver_alert(alert=alert)
        wait_for(lambda: lines.exists() and "warning firing: too dear\n" in lines.read_text())
        assert monitor.outbox.send_test("own_sink").delivered
        monitor.record_agent_runs(
            [
                {"run_id": f"r{n}", "agent_name": f"agent-{n % 2}", "status": "failure"}
                for n in range(100)
            ],
            wait=True,
        )
        # Both are in one message.
        wait_for(lambda: {"agent-0", "agent-1"} <= set(re.findall(r"agent-\d", lines.read_text())))


def test_a_plugin_as_a_distribution_of_its_own():
    """Its entry point's class is made with the configuration and sees what is recorded."""
    file = EXAMPLES / "own_plugin" / "perfmon_budget.py"
    spec = importlib.util.spec_from_file_location("perfmon_budget", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with PerformanceMonitor(storage_url="memory:") as monitor:
        budget = module.Budget(monitor.config)
        monitor.bus.register(budget, "budget")
        monitor.record_agent_run("r1", "spender", "chat", "success", cost=12.5)
        monitor.flush()
        wait_for(lambda: budget.spent["spender"])
        sentences = monitor.generate_report()["recommendations"]
    assert "Agent 'spender' has spent $12.50 of its $10.00" in sentences


# Deploying

DEPLOY = EXAMPLES / "deploy"


def served_by(file):
    """The words after `perfmon` with which a deployment starts it."""
    text = (DEPLOY / file).read_text()
    if file == "Dockerfile":
        return json.loads(re.search(r"^CMD (\[\"serve.*)$", text, re.MULTILINE)[1])
    return shlex.split(re.search(r"^ExecStart=\S+/perfmon (.*)$", text, re.MULTILINE)[1])


@pytest.mark.parametrize("file", ["perfmon.service", "Dockerfile"])
def test_what_a_deployment_starts_is_a_command(file):
    """With options that it has, and the configuration that the guide installs."""
    words = served_by(file)
    shown = CliRunner().invoke(cli, [words[0], "--help"]).output
    assert words[0] == "serve"
    assert words[words.index("--config") + 1] == "/etc/perfmon/monitor.toml"
    assert all(word in shown for word in words if word.startswith("--"))


def test_the_configuration_of_a_deployment(monkeypatch):
    """It loads, keeps everything in one folder, and may be listened to beyond loopback."""
    monkeypatch.setenv("PERFMON_API_KEY", "k" * 20)
    config = Config.load(DEPLOY / "monitor.toml")
    assert config.monitor.storage == "sqlite:////var/lib/perfmon/perfmon.db"
    assert config.monitor.journal.startswith("/var/lib/perfmon/")
    with PerformanceMonitor(
        attrs.evolve(config, monitor=Config().monitor), storage_url="memory:"
    ) as m:
        server = m.plugin("server")
        attrs.evolve(server.settings, host="0.0.0.0").refuse_open_door()
    assert config.warnings == []


def test_the_routes_of_a_deployment_exist():
    """What the proxy does not buffer, and what says that the container is well."""
    paths = {route.path for route in ROUTES}
    named = set(re.findall(r"location = (\S+)", (DEPLOY / "nginx.conf").read_text()))
    named |= set(re.findall(r"8787(/\w+)", (DEPLOY / "Dockerfile").read_text()))
    assert len(named) == 2
    assert named <= paths
