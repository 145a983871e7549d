"""The documents are true: their code runs, their commands exist, and nothing public is missing."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import time
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from test_layers import PUBLIC

from perfmon import (
    AlertLevel,
    Config,
    MetricType,
    PerformanceAlert,
    PerformanceMonitor,
    Point,
    Series,
    hookspecs,
)
from perfmon.accuracy.scoring import Scoring
from perfmon.cli import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROUTE = re.compile(r"`(GET|POST|DELETE) (/\S*?)`")


def blocks(language):
    return [text for kind, text in BLOCK.findall(README) if kind == language]


def section(title):
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def plugin_files():
    """The blocks that are files of their own, by name."""
    named = (re.match(r"# my_plugins/(\w+\.py)\n", text) for text in blocks("python"))
    return {match[1]: match.string for match in named if match}


def commands(program):
    """The lines of shell blocks that call a program, each of `a && b` apart."""
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part)[1:] for part in parts if part.split()[0].endswith(program)]


# The code


def test_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    """Its Python is one program, as a reader types it in."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for text in blocks("python"):
        if not text.startswith("# my_plugins/"):
            exec(compile(text, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "0.9\n3 runs, 67% succeeded (21% to 94%)\n" in printed
    assert "planner active 840.0 {'RateLimit': 1}" in printed
    assert "quality_score = 1.5" in printed
    assert not namespace["monitor"].get_stats()["monitoring_active"]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with the README's monitor.toml and plugins."""
    (tmp_path / "my_plugins").mkdir()
    for name, text in plugin_files().items():
        (tmp_path / "my_plugins" / name).write_text(text)
    (tmp_path / "monitor.toml").write_text(blocks("toml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_plugins_of_the_readme_work(reader, capsys):
    """A scorer, a sink and a detector, each of them one file."""
    assert len(plugin_files()) == 3
    with PerformanceMonitor("monitor.toml", storage_url="memory:") as monitor:
        measured = monitor.record_accuracy("a", "1", "ok", "yes")
        assert (measured.accuracy_score, measured.scorer) == (1.0, "yes_or_no")
        assert monitor.record_accuracy("a", "2", 90, 100).scorer == "scorers"
        points = (Point(0, 60, 100.0, 50), Point(60, 120, 115.0, 50))
        series = Series(metric="avg_latency_ms", higher_is_better=False, points=points)
        assert monitor.hook.detect_trend(series=series).direction == "stable"
        monitor.hook.deliver_alert(alert=an_alert())
        wait_for(lambda: monitor.get_stats()["plugins"]["to_stderr"]["calls"])
    assert "warning: too dear" in capsys.readouterr().err


def an_alert():
    return PerformanceAlert(
        alert_id="1", level=AlertLevel.WARNING, metric_type=MetricType.COST,
        message="too dear", current_value=2.0, threshold=1.0,
    )  # fmt: skip


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_monitor_toml_of_the_readme_is_well(reader):
    """`perfmon check` has nothing to say against it."""
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 0, result.output
    assert "all is well" in result.output
    assert "warning" not in result.output
    assert "last_step" in result.output


def test_the_scorers_of_the_readme_take_their_tables():
    """And answer as its comments say."""
    tables = tomllib.loads(next(block for block in blocks("toml") if "[plugins.labels]" in block))
    config = Config.from_mapping(tables)
    with PerformanceMonitor(config, storage_url="memory:") as monitor:
        first = monitor.record_accuracy("a", "1", "Yes", "approve")
        assert (first.accuracy_score, first.scorer) == (1.0, "labels")
        orders = {"price": 100.5, "id": 1}, {"price": 100, "id": 2}
        assert monitor.record_accuracy("a", "2", *orders).accuracy_score == 1.0


def test_the_whole_monitor_toml_loads_without_a_word():
    """It has no mistakes, no warnings, and a table of every plugin that takes one."""
    config = Config.load(ROOT / "monitor.toml")
    with PerformanceMonitor(config, storage_url="memory:"):
        assert config.warnings == []
    assert {"trend", "server"} <= config.plugins.keys()


def test_the_whole_monitor_toml_states_the_defaults():
    """What it does not call an example is what perfmon does without it."""
    config, defaults = Config.load(ROOT / "monitor.toml"), Config()
    assert config.monitor == defaults.monitor
    assert config.alerts.thresholds == defaults.alerts.thresholds
    assert config.scores == defaults.scores


def test_the_outcomes_of_the_readme_and_of_monitor_toml_are_well():
    """Those of the section load with their scorers, and measure its example; so do the comments'."""
    (text,) = [text for kind, text in BLOCK.findall(section("Field mapping")) if kind == "toml"]
    mapped = (ROOT / "monitor.toml").read_text().partition("# [agents.approver.outcomes]")[2]
    comment = "[agents.approver.outcomes]" + mapped.partition("\n\n")[0].replace("\n# ", "\n")
    for tables in (text, comment):
        config = Config.from_mapping(tomllib.loads(tables))
        with PerformanceMonitor(config, storage_url="memory:") as monitor:
            assert {"name": "exact", "state": "named"}.items() <= {
                plugin["name"]: plugin for plugin in monitor.plugins.describe()
            }["exact"].items()
            scored = Scoring(monitor.bus, config).score(
                "approver",
                {"recommendation": "approve", "estimated_value": 100_000, "certainty": 0.8},
                {"result": "approved", "actual_value": 95_000},
            )
        assert scored.score == pytest.approx((1 + 2 * (1 - 5 / 95)) / 3)
        assert scored.confidence == 0.8


# The commands


@pytest.mark.parametrize("words", commands("perfmon"), ids=" ".join)
def test_a_command_of_the_readme_exists(words):
    """With every option it is shown with."""
    path = words[:1]
    if len(words) > 1 and isinstance(group := cli.get_command(click.Context(cli), path[0]),
                                     click.Group) and words[1] in group.commands:  # fmt: skip
        path = words[:2]
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0, result.output
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(?<![\w-]){option}\b", result.output), option


def test_every_command_is_in_the_readme():
    """None is left for the reader to find out."""
    shown = {words[0] for words in commands("perfmon")}
    assert shown == {"serve", "import", "report", "alerts", "check", "plugins", "init", "demo"}
    group = cli.get_command(click.Context(cli), "alerts")
    called = {words[1] for words in commands("perfmon") if words[0] == "alerts"}
    assert set(group.commands) <= called


def test_two_commands_set_everything_up():
    """The section has two lines of shell; each works in the cloned folder, by itself."""
    lines = [text for kind, text in BLOCK.findall(section("Set up")) if kind == "sh"]
    assert [len(text.splitlines()) for text in lines] == [1, 1]
    assert all(text.startswith("python3 -m venv .venv && ") for text in lines)
    assert lines[0].rstrip().endswith("perfmon demo")
    assert lines[1].rstrip().endswith("pytest -n auto")


def test_ci_runs_the_line_of_the_readme():
    """What a reader is told to run is what a change must pass."""
    line = section("Set up").rpartition("```sh\n")[2].partition("\n")[0]
    assert line in (ROOT / ".ci" / "run").read_text().splitlines()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


# The surface


def test_every_route_is_in_the_readme():
    """The table has what the server answers, no more and no less."""
    from perfmon_server.app import ROUTES

    table = "".join(line for line in section("REST").splitlines(True) if line.startswith("|"))
    assert set(ROUTE.findall(table)) == {(route.method, route.path) for route in ROUTES}


def test_the_curl_lines_ask_for_routes():
    """Each calls one that exists."""
    from perfmon_server.app import ROUTES

    asked = {re.search(r"8787(/[^?'\s]*)", " ".join(words))[1] for words in commands("curl")}
    patterns = [re.sub(r"\{\w+\}", "[^/]+", route.path) for route in ROUTES]
    assert len(asked) == 3
    for path in asked:
        assert any(re.fullmatch(pattern, path) for pattern in patterns), path


def hooks():
    specs = inspect.getmembers(hookspecs, inspect.isfunction)
    return [(name, list(inspect.signature(f).parameters)) for name, f in specs
            if f.__module__ == hookspecs.__name__]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), hooks())
def test_every_hook_is_in_the_readme(name, arguments):
    """With its arguments, in their order."""
    assert f"`{name}({', '.join(arguments)})`" in section("Plugins")


@pytest.mark.parametrize("name", [n for module in PUBLIC for n in import_module(module).__all__])
def test_every_public_name_is_in_the_readme(name):
    """At least by its name; docstrings say the rest."""
    assert re.search(rf"\b{name}\b", README)


def test_the_walk_has_ten_steps_and_enters_no_room_twice():
    """Each names a file, and something in it that does what the step says."""
    steps = re.findall(r"^\d+\. `([\w/]+\.py)`: (.*)$", section("How a run travels"), re.MULTILINE)
    rooms = [room for room, _ in steps]
    assert len(steps) == len(set(rooms)) == 10
    for room, words in steps:
        named = re.findall(r"`(\w+)`", words)
        text = (ROOT / room).read_text()
        assert any(re.search(rf"^\s*(def|class) {name}\b", text, re.MULTILINE) for name in named)


def test_every_dependency_is_in_the_readme():
    """Why it is here, its licence and its weight; and every extra."""
    rows = re.findall(
        r"^\| (\S+) \| (.+) \| (.+) \| ([\d.]+) \|$", section("Dependencies"), re.MULTILINE
    )
    needed = [re.match(r"[\w-]+", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert [row[0] for row in rows] == needed
    for extra in PROJECT["optional-dependencies"]:
        assert f"| `{extra}` |" in README


def test_links_lead_somewhere():
    """Those within the README to a heading, those beside it to a file."""
    headings = {
        re.sub(r"\W+", "-", title.lower())
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert (ROOT / target).exists()
    for example in re.findall(r"`(examples/[\w./]+|\w+_example\.py|start_with\w+\.py)`", README):
        assert (ROOT / example).exists() or (ROOT / "examples" / example).exists()


def test_the_changelog_has_this_version():
    """Its newest entry is the version of pyproject.toml."""
    assert re.search(r"^## (\S+)", CHANGELOG, re.MULTILINE)[1] == PROJECT["version"]


def test_the_licence_is_what_pyproject_says():
    """The whole text of Apache-2.0, with its appendix."""
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright The perfmon authors" in text
