"""What it takes to add a plugin: a file, and a line that names it; or the file alone in a folder.

A project is written as its author would write it, and used by a monitor as a user would.
"""

from __future__ import annotations

import sys
import textwrap
import time
import tomllib

import pytest

from perfmon import Config, PerformanceMonitor
from perfmon.testing import ManualClock

PYPROJECT = """\
[project]
name = "acme-plugins"
version = "1.0"

[project.entry-points.perfmon]
"""
SINK = """
import attrs
from perfmon import hookimpl
from perfmon.sinks import SinkTable, headline

@attrs.frozen(kw_only=True)
class PagerConfig(SinkTable):
    prefix: str = ""

class PagerSink:
    deadline = 10.0

    def __init__(self, config):
        self.config = config.table("acme_pager", PagerConfig)
        self.sent = []

    @hookimpl
    async def deliver_alert(self, message):
        wanted = self.config.wanted(message)
        if wanted is not None:
            self.sent.append(self.config.prefix + headline(wanted))
"""
SCORER = '''
from perfmon import hookimpl

@hookimpl
def score_outcome(predicted, actual):
    """Grades, a step apart each."""
    if {predicted, actual} <= set("ABCDEF"):
        return 1 - abs(ord(predicted) - ord(actual)) / 5
'''
DETECTOR = '''
from perfmon import hookimpl

@hookimpl
def detect_anomalies(series):
    """A last point far above the mean of the others."""
    *others, last = [point for point in series.points if point.count]
    usual = sum(point.value for point in others) / len(others)
    return [(last, last.value / usual)] if last.value > 3 * usual else []
'''


class Project:
    """A folder with a pyproject.toml, before and after it was installed."""

    def __init__(self, folder, patch):
        self.folder, self._patch = folder, patch
        (folder / "pyproject.toml").write_text(PYPROJECT)

    def add(self, name, code, value):
        """One file, and one line."""
        (self.folder / f"{name}.py").write_text(textwrap.dedent(code))
        with (self.folder / "pyproject.toml").open("a") as file:
            file.write(f'{name} = "{value}"\n')
        self._patch.delitem(sys.modules, name, raising=False)

    def install(self):
        """As an installer does: what pyproject.toml says is metadata beside the module."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        info = self.folder / "acme_plugins-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugins\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in project["entry-points"]["perfmon"].items()]
        (info / "entry_points.txt").write_text("\n".join(["[perfmon]", *lines]))
        self._patch.syspath_prepend(str(self.folder))

    def touched(self):
        """How many files there are beside pyproject.toml, and how many lines more are in it."""
        files = [file for file in self.folder.iterdir() if file.name != "pyproject.toml"]
        lines = len((self.folder / "pyproject.toml").read_text().splitlines())
        return len(files), lines - len(PYPROJECT.splitlines())


@pytest.fixture
def project(tmp_path, monkeypatch):
    return Project(tmp_path, monkeypatch)


def opened(mapping, clock=None):
    return PerformanceMonitor(Config.from_mapping(mapping), storage_url="memory:", clock=clock)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_sink_is_a_file_and_a_line(project):
    """It is delivered what fires, with its own table and that of any sink."""
    project.add("acme_pager", SINK, "acme_pager:PagerSink")
    assert project.touched() == (1, 1)
    project.install()
    config = {"plugins": {"acme_pager": {"prefix": "! ", "min_level": "warning"}}}
    with opened(config | {"alerts": {"for": "0s"}}) as monitor:
        for number in range(40):
            monitor.record_agent_run(f"r{number}", "planner", "react", "failure", duration_ms=5)
        sink = monitor.plugin("acme_pager")
        until(lambda: sink.sent)
    assert sink.sent[0].startswith("! ")
    assert len(sink.sent[0]) > len("! ")


def test_a_new_scorer_is_a_file_and_a_line(project):
    """It scores the outcomes it knows, and leaves the rest to others."""
    project.add("acme_grades", SCORER, "acme_grades")
    assert project.touched() == (1, 1)
    project.install()
    with opened({"plugins": {"acme_grades": {}}}) as monitor:
        assert monitor.record_accuracy("grader", "t1", "A", "B").accuracy_score == 0.8
        assert monitor.record_accuracy("grader", "t2", 9, 10).accuracy_score == 0.9
        monitor.flush()
        scorers = {m.task_id: m.scorer for m in monitor.get_measurements()}
    assert scorers == {"t1": "acme_grades", "t2": "scorers"}


def test_a_new_detector_is_a_file_and_a_line(project):
    """A rule that asks for anomalies fires on what it finds."""
    project.add("acme_spikes", DETECTOR, "acme_spikes")
    assert project.touched() == (1, 1)
    project.install()
    assert spikes({"plugins": {"acme_spikes": {}}}) == ["slow"]


def test_a_plugin_in_a_folder_is_a_file(tmp_path):
    """Without a project: monitor.toml names the folder."""
    folder = tmp_path / "my_plugins"
    folder.mkdir()
    (folder / "spikes.py").write_text(DETECTOR)
    assert spikes({"plugins": {"paths": [str(folder)]}}) == ["slow"]


def spikes(config):
    """The rules that fire after an hour of quick runs and a slow one."""
    rule = {"name": "slow", "metric": "avg_latency_ms", "is": "anomalous", "by": [], "for": "0s"}
    clock = ManualClock()
    monitor = opened(config | {"alerts": {"rules": [rule]}}, clock)
    try:
        for minute in range(60):
            monitor.record_agent_run(
                f"r{minute}", "a", "react", "success", duration_ms=9_000 if minute == 59 else 100
            )
            clock.advance(60)
        return [alert.rule for alert in monitor.get_alerts() if alert.rule == "slow"]
    finally:
        monitor.stop()
