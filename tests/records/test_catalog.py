"""The catalogue of metrics: complete, consistent, and the only place a new metric is told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from perfmon import METRICS, Nature, PerformanceMetrics
from perfmon.records.catalog import NUMBERS, OTHER_NAMES, TRENDS, counted_by, label_of
from perfmon.window.cells import Stat

ROOT = Path(__file__).parent.parent.parent
FIELDS = attrs.fields_dict(PerformanceMetrics)
NO_METRICS = {"errors", "window_start", "window_end", "sample_size"}


def test_every_field_of_metrics_has_its_entry():
    """In the same order; an interval belongs to its metric, and `sample_size` counts the runs."""
    intervals = {metric.interval for metric in METRICS.values()}
    fields = [name for name in FIELDS if name not in NO_METRICS | intervals]
    assert list(METRICS) == fields
    assert intervals - {""} <= FIELDS.keys()
    assert OTHER_NAMES["sample_size"] == "total_tasks"


def test_an_entry_is_of_the_kind_of_its_field():
    """Numbers are whole or not, trends are words."""
    kinds = {name: str(FIELDS[name].type) for name in METRICS}
    assert {name for name, kind in kinds.items() if kind == "str"} == set(TRENDS)
    counts = [name for name in NUMBERS if METRICS[name].nature is Nature.COUNT]
    assert {kinds[name] for name in counts} == {"int"}
    assert set(NUMBERS) | set(TRENDS) == METRICS.keys()


def test_metrics_are_made_of_statistics_that_there_are():
    """A trend is made of another metric, one that has a good direction."""
    for metric in METRICS.values():
        if metric.nature is Nature.TREND:
            assert METRICS[metric.of].higher_is_better is not None
        else:
            known = Stat.__members__.keys() | {""}
            assert {metric.of, metric.among, metric.squares} <= known
        assert not metric.squares or metric.squares == f"{metric.of}_SQ"


def test_quantiles_say_which_one():
    """And nothing else does."""
    quantiles = {name for name in NUMBERS if METRICS[name].nature is Nature.QUANTILE}
    assert {name for name, metric in METRICS.items() if 0 < metric.quantile < 1} == quantiles
    assert all(name.startswith(f"p{METRICS[name].quantile:.0%}"[:-1]) for name in quantiles)


def test_names_for_people_tell_metrics_apart():
    """No two have the same; one that is not in the catalogue is named by itself."""
    labels = [metric.label for metric in METRICS.values()]
    assert len(set(labels)) == len(labels)
    assert not [label for label in labels if "_" in label or "avg" in label]
    assert label_of("tool_calls") == "tool calls"
    assert set(OTHER_NAMES).isdisjoint(METRICS)


@pytest.mark.parametrize(
    ("metric", "field"),
    [("total_cost", "cost_count"), ("retry_rate", "retries_count"), ("success_rate", "total_tasks"),
     ("failed_cost", "failed_cost_count"), ("p95_latency_ms", "latency_count"),
     ("avg_accuracy", "accuracy_count"), ("total_api_calls", "api_calls_count")],
)  # fmt: skip
def test_a_metric_says_of_how_many_runs_it_is(metric, field):
    """By the count of the runs that have the value."""
    assert counted_by(metric) == field


# A new metric: its field, its entry, and nothing else.

_FIELD = "    partial_rate: float = NAN\n"
_ENTRY = (
    '    Metric("partial_rate", "partial rate", _S, "share", _A.ERROR_RATE, _LOW, of="PARTIAL",\n'
    '           done="ended in part"),\n'
)
_ASKED = """
import asyncio
import perfmon, perfmon_server
from aiohttp.test_utils import TestClient, TestServer
from perfmon import Config, PerformanceMonitor, render_report
from perfmon_server import ServerConfig, make_app

rule = {"name": "half done", "metric": "partial_rate", "above": 0.2, "by": []}
config = Config.from_mapping({"alerts": {"rules": [rule], "for": "0s"}})
monitor = PerformanceMonitor(config, storage_url="memory:")
kinds = ("partial", "success") * 20
monitor.record_agent_runs(
    [{"run_id": str(n), "agent_name": "a", "status": kind} for n, kind in enumerate(kinds)]
)
print("home", perfmon.__file__, perfmon_server.__file__)
print("metrics", monitor.get_system_metrics().partial_rate)
series = monitor.get_timeseries("partial_rate")
print("series", series.higher_is_better, series.points[-1].value, series.points[-1].count)
monitor._parts.evaluator.evaluate()
print("alert", *(one.message for one in monitor.get_alerts() if one.rule == "half done"))
report = monitor.generate_report()
print("report", report["system_metrics"]["partial_rate"])
for line in render_report(report, "text").splitlines():
    print("text", line)


async def ask():
    async with TestClient(TestServer(make_app(monitor, ServerConfig()))) as client:
        answer = await client.get("/api/performance/timeseries?metric=partial_rate")
        print("rest", (await answer.json())["points"][-1]["value"])
        document = await (await client.get("/api/openapi.json")).json()
        print("openapi", "partial_rate" in str(document))


asyncio.run(ask())
monitor.stop()
"""


def _added(path: Path, before: str, text: str) -> None:
    """A line put in before another one."""
    whole = path.read_text()
    assert whole.count(before) == 1
    path.write_text(whole.replace(before, text + before))


def test_a_new_metric_is_a_field_and_an_entry(tmp_path):
    """Two files; then it has a series, a rule that fires, a place in REST and in reports."""
    for tree in ("perfmon", "plugins"):
        shutil.copytree(ROOT / tree, tmp_path / tree, ignore=shutil.ignore_patterns("__pycache__"))
    _added(tmp_path / "perfmon/records/metrics.py", "    runs_per_minute: float = NAN\n", _FIELD)
    _added(tmp_path / "perfmon/records/catalog.py", '    Metric("runs_per_minute", ', _ENTRY)
    changed = [
        path.relative_to(tmp_path)
        for path in tmp_path.rglob("*.py")
        if path.read_text() != (ROOT / path.relative_to(tmp_path)).read_text()
    ]
    assert len(changed) == 2
    done = subprocess.run(
        [sys.executable, "-c", _ASKED],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{tmp_path / 'plugins'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = dict(line.partition(" ")[::2] for line in done.stdout.splitlines() if line[:4] != "text")
    assert told["home"].count(str(tmp_path)) == 2
    assert told["metrics"] == told["report"] == told["rest"] == "0.5"
    assert told["series"] == "False 0.5 40"
    assert "partial rate 50.0%" in told["alert"]
    assert "20 of the last 40 runs ended in part" in told["alert"]
    assert told["openapi"] == "True"
    assert re.search(r"text Partial rate +50\.0%", done.stdout)
