"""The manual is true: its code runs, its commands exist, and its links lead somewhere."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import time
import tomllib

import click
import pytest
from click.testing import CliRunner
from manual import (
    BLOCK,
    DOCS,
    MANUAL,
    PAGES,
    PROJECT,
    README,
    ROOT,
    blocks,
    commands,
    page,
    section,
    shown,
)
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from perfmon import (
    AlertLevel,
    Config,
    MetricType,
    PerformanceAlert,
    PerformanceMonitor,
    Point,
    Series,
)
from perfmon.accuracy.scoring import Scoring
from perfmon.cli import cli

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def plugin_files():
    """The blocks that are files of their own, by name."""
    named = (re.match(r"# my_plugins/(\w+\.py)\n", text) for text in blocks("python"))
    return {match[1]: match.string for match in named if match}


# The code


@pytest.fixture
def secrets_there(monkeypatch):
    """The variables that the manual's tables name."""
    for name in re.findall(r'env = "(\w+)"', "".join(path.read_text() for path in MANUAL)):
        monkeypatch.setenv(name, "https://example.org/secret")
    monkeypatch.setenv("PERFMON_STORAGE", "memory:")


def run_page(path):
    """Run a page's Python as a reader types it in, and stop what it started."""
    document = Sybil([PythonCodeBlockParser()]).parse(path)
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        monitor = document.namespace.get("monitor")
        if monitor is not None:
            monitor.stop()


# What pages print, as their text and comments have it, in this order.
SAID = {
    "docs/tutorial.md": [
        "3 runs, 67% succeeded (21% to 94%)", "planner active 840.0 {'RateLimit': 1}", "0.9",
        "critical agent planner: success rate",
    ],
    "docs/guides/recording.md": ["quality_score = 1.5", "['run-19']"],
    "docs/guides/accuracy.md": ["measured", "measured", "waiting", "0% of 1, coverage 33%"],
    "docs/guides/configuration.md": ["30", "5", "0.9"],
    "docs/guides/costs.md": ["small-1: $0.004 in 2 runs", "large-1: 2 runs, $0.1"],
    "docs/guides/orchestrators.md": ["success "],
    "docs/plugins/detectors.md": ["15%"],
    "docs/plugins/testing.md": ["0"],
}  # fmt: skip


@pytest.mark.parametrize("path", [p for p in MANUAL if "```python" in p.read_text()], ids=shown)
def test_a_page_runs_from_top_to_bottom(path, tmp_path, monkeypatch, capsys):
    """Its Python is one program, and prints what the page says."""
    monkeypatch.chdir(tmp_path)
    run_page(path)
    lines = iter(capsys.readouterr().out.splitlines())
    for words in SAID.get(shown(path), ()):
        assert any(words in line for line in lines), words


def test_the_pages_that_print_are_there():
    """None was renamed."""
    assert SAID.keys() <= {shown(path) for path in MANUAL}


@pytest.fixture
def reader(tmp_path, monkeypatch, secrets_there):
    """A folder with the manual's monitor.toml and plugins."""
    (tmp_path / "my_plugins").mkdir()
    for name, text in plugin_files().items():
        (tmp_path / "my_plugins" / name).write_text(text)
    (toml,) = [text for text in blocks("toml") if "[agents.billing-assistant]  " in text
               and "my_plugins" in text and "max_runs_in_memory" not in text]  # fmt: skip
    (tmp_path / "monitor.toml").write_text(toml)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_plugins_of_the_manual_work(reader, capsys):
    """A scorer, a sink, a detector and prices, each of them one file."""
    assert len(plugin_files()) == 4
    with PerformanceMonitor("monitor.toml", storage_url="memory:") as monitor:
        measured = monitor.record_accuracy("a", "1", "ok", "yes")
        assert (measured.accuracy_score, measured.scorer) == (1.0, "yes_or_no")
        assert monitor.record_accuracy("a", "2", 90, 100).scorer == "scorers"
        points = (Point(0, 60, 100.0, 50), Point(60, 120, 115.0, 50))
        series = Series(metric="avg_latency_ms", higher_is_better=False, points=points)
        assert monitor.hook.detect_trend(series=series).direction == "stable"
        monitor.record_agent_run(
            "r-1", "a", None, "success", model="small-1", input_tokens=1e6, output_tokens=1e6
        )
        assert monitor.get_system_metrics().total_cost == pytest.approx(0.75)
        monitor.hook.deliver_alert(alert=an_alert())
        wait_for(lambda: monitor.get_stats()["plugins"]["to_stderr"]["calls"])
    assert "warning: too expensive" in capsys.readouterr().err


def an_alert():
    return PerformanceAlert(
        alert_id="1", level=AlertLevel.WARNING, metric_type=MetricType.COST,
        message="too expensive", current_value=2.0, threshold=1.0,
    )  # fmt: skip


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_monitor_toml_of_the_manual_is_well(reader):
    """`perfmon check` has nothing to say against it."""
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output
    assert "last_step" in result.output


def tables():
    """The TOML of the manual that is monitor.toml's, each block with its page."""
    for path in MANUAL:
        for number, text in enumerate(blocks("toml", path)):
            if not text.startswith("# pyproject.toml"):
                yield pytest.param(text, id=f"{shown(path)}-{number}")


@pytest.mark.parametrize("text", list(tables()))
def test_the_tables_of_the_manual_load(text, tmp_path, secrets_there):
    """Without a mistake, in their plugins as well; tests of rules pass."""
    values = tomllib.loads(text)
    if "tests" in values:
        (tmp_path / "rules.toml").write_text(text)
        result = CliRunner().invoke(cli, ["alerts", "test", str(tmp_path / "rules.toml")])
        assert result.exit_code == 0, result.output
        return
    if "paths" in values.get("plugins", {}):
        values["plugins"]["paths"] = []
    with PerformanceMonitor(Config.from_mapping(values), storage_url="memory:") as monitor:
        assert monitor.config.warnings == []


def test_the_scorers_of_the_manual_take_their_tables():
    """And answer as its comments say."""
    values = tomllib.loads(next(block for block in blocks("toml", DOCS / "plugins" / "scorers.md")))
    config = Config.from_mapping(values)
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


def test_the_thresholds_of_the_guide_are_the_defaults():
    """Each limit with its number."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page("guides/alerts.md"), re.MULTILINE)
    thresholds = Config().alerts.thresholds
    assert len(rows) == 7
    assert all(getattr(thresholds, name) == float(value) for name, value in rows)


def test_the_outcomes_of_the_manual_and_of_monitor_toml_are_well():
    """Those of the guide load with their scorers, and measure its example; so do the comments'."""
    (text,) = blocks("toml", DOCS / "guides" / "field-mapping.md")
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


def test_the_questions_in_sql_are_answered(tmp_path):
    """Each finds what was recorded, in the tables as they are."""
    path = tmp_path / "perfmon.db"
    with PerformanceMonitor(storage_url=f"sqlite:///{path}") as monitor:
        for number in range(30):
            monitor.record_agent_run(
                f"r-{number}", "writer", "chat", "failure", duration_ms=5, cost=0.1, model="small-1",
                error_type="RateLimit", metadata={"release": "1"},
            )  # fmt: skip
        monitor.flush()
        assert monitor.get_alerts(state="firing")
    questions = blocks("sql")
    assert len(questions) >= 5
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for question in questions:
            assert database.execute(question).fetchall(), question
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    rows = re.findall(r"^\| (`.+?) \|", section("The tables", page("guides/sql.md")), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 8
    assert named <= tables


# The commands


@pytest.mark.parametrize("words", commands("perfmon"), ids=" ".join)
def test_a_command_of_the_manual_exists(words):
    """With every option it is shown with."""
    path = words[:1]
    if len(words) > 1 and isinstance(group := cli.get_command(click.Context(cli), path[0]),
                                     click.Group) and words[1] in group.commands:  # fmt: skip
        path = words[:2]
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0, result.output
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(?<![\w-]){option}\b", result.output), option


def test_every_command_is_shown_at_work():
    """None is left for the reader to find out."""
    called = {words[0] for words in commands("perfmon")}
    assert called == {"serve", "import", "report", "alerts", "check", "plugins", "init", "demo"}
    group = cli.get_command(click.Context(cli), "alerts")
    called = {words[1] for words in commands("perfmon") if words[0] == "alerts"}
    assert set(group.commands) <= called


def test_two_commands_set_everything_up():
    """The section has two lines of shell; each works in the cloned folder, by itself."""
    lines = [text for kind, text in BLOCK.findall(section("Set up", README)) if kind == "sh"]
    assert [len(text.splitlines()) for text in lines] == [1, 1]
    assert all(text.startswith("python3 -m venv .venv && ") for text in lines)
    assert lines[0].rstrip().endswith("perfmon demo")
    assert lines[1].rstrip().endswith("pytest -n auto")


def test_ci_runs_the_line_of_the_readme():
    """What a reader is told to run is what a change must pass."""
    line = section("Set up", README).rpartition("```sh\n")[2].partition("\n")[0]
    assert line in (ROOT / ".ci" / "run").read_text().splitlines()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


# The pages


def slugs(path):
    """The anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=shown)
def test_links_lead_somewhere(path):
    """To a file that is there, and to a heading of it; examples are there, too."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            file, _, heading = target.partition("#")
            to = (path.parent / file).resolve() if file else path
            assert to.exists(), target
            assert not heading or heading in slugs(to), target
    for example in re.findall(r"`(examples/[\w./]+|plugins/[\w/]+)`", text):
        assert (ROOT / example.rstrip("/")).exists(), example


@pytest.mark.parametrize("path", MANUAL, ids=shown)
def test_a_page_can_be_found(path):
    """The index links to every page of the manual."""
    linked = {(DOCS / to).resolve() for to in re.findall(r"\]\(([\w/-]+\.md)\)", page("index.md"))}
    assert path in {*linked, DOCS / "index.md", ROOT / "README.md"}


def test_the_readme_is_read_in_two_minutes():
    """At most 120 lines, a small picture, and twelve questions each a click away."""
    assert len(README.splitlines()) <= 120
    (picture,) = re.findall(r"!\[.+\]\((.+)\)", README)
    assert (ROOT / picture).stat().st_size < 150_000
    questions = section("Questions", README)
    assert len(re.findall(r"^- \[.*\?\]\((docs/\S+)\)", questions, re.MULTILINE)) >= 12


@pytest.mark.parametrize("path", MANUAL, ids=shown)
def test_percent_is_written_in_one_way(path):
    """61.8%, where people wrote it."""
    text = re.sub(r"<!-- generated.*?<!-- end", "", path.read_text(), flags=re.DOTALL)
    assert not re.findall(r".*\d %.*", text)


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
