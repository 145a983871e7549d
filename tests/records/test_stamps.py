"""Numbers that are no seconds since 1970 are refused as times, on every way in."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from perfmon import InvalidRun, PerformanceMonitor
from perfmon.cli import cli
from perfmon.recording.importing import Columns, FileImport, Source

NO_TIMES = [45987.5, 44197, 2026, 1999, 202601, 20260131, 739_617, 2461071.5]
TIMES = [0, 5, 86_400, 1_767_268_800, 1_767_268_800.25]
RUN = ("r", "a", "t", "success")


@pytest.fixture
def monitor():
    with PerformanceMonitor(storage_url="memory:") as monitor:
        yield monitor


@pytest.mark.parametrize("number", NO_TIMES)
def test_python_refuses_them(monitor, number):
    """For runs, measurements, predictions, outcomes and questions; the word says what it is."""
    for call in (
        lambda: monitor.record_agent_run(*RUN, timestamp=number),
        lambda: monitor.record_accuracy("a", "t", 1, 1, timestamp=number),
        lambda: monitor.record_prediction("a", "t", 1, timestamp=number),
        lambda: monitor.record_outcome("t", 1, timestamp=number),
        lambda: monitor.get_system_metrics(since=number),
        lambda: monitor.get_alerts(since=number),
    ):
        with pytest.raises(InvalidRun, match=r"epoch seconds, and not (a|the) "):
            call()
    assert monitor.get_stats()["rejected"] == monitor.get_stats()["recorded"]


@pytest.mark.parametrize("number", TIMES)
def test_seconds_are_taken_as_ever(monitor, number):
    """Also those of the first day of 1970."""
    monitor.record_agent_run(*RUN, timestamp=number)
    assert monitor.get_system_metrics(since=number, until=number + 1).total_tasks == 1


@pytest.mark.parametrize("number", NO_TIMES)
def test_an_import_refuses_them(tmp_path, monitor, number):
    """As an end and as a start, in CSV and in JSON lines, with the number as it was written."""
    line = {"run_id": "r", "agent_name": "a", "status": "success", "duration_ms": 90_000_000}
    for name in ("timestamp", "started_at"):
        for text in (
            f"run_id,agent_name,status,duration_ms,{name}\nr,a,success,90000000,{number}\n",
            json.dumps(line | {name: number}),
            json.dumps(line | {name: str(number)}),
        ):
            (tmp_path / "runs").write_text(text)
            tally = FileImport(monitor, Source(tmp_path / "runs", Columns())).run()
            assert (tally.accepted, tally.rejected) == (0, 1)
            assert str(number) in tally.first[0].reason or number == 20260131


@pytest.mark.parametrize("number", NO_TIMES)
@pytest.mark.parametrize(
    "command",
    ["report --since", "report --until", "alerts --since", "import x --default-time",
     "alerts backtest --since", "alerts silence --level info --until"],
)  # fmt: skip
def test_the_command_line_refuses_them(tmp_path, monkeypatch, command, number):
    """One line, and the code of a usage error."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [*command.split(), str(number)])
    assert result.exit_code == 2
    assert f"'{number}' is not a time: must be ISO 8601" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "ago"), [("1h", 3600), ("1h30m", 5400), ("2d", 2 * 86_400), ("now", 0)]
)
def test_durations_and_dates_are_times_on_the_command_line(tmp_path, monkeypatch, given, ago):
    """`1h` is an hour ago, and a date its midnight; for a report and for an import."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("run_id,agent_name,status\nr,a,success\n")

    def perfmon(*arguments):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def runs_since(when):
        report = perfmon("report", "--format", "json", "--since", when, "--until", "2999-01-01")
        return json.loads(report)["system_metrics"]["total_tasks"]

    began = time.time()
    perfmon("import", "runs.csv", "--default-time", given)
    with closing(sqlite3.connect("perfmon.db")) as database:
        ((stamp,),) = database.execute("SELECT at FROM runs").fetchall()
    assert began - ago - 1 <= stamp / 1e6 <= time.time() - ago
    assert runs_since("2020-01-31") == runs_since("30d") == 1
    assert runs_since("2030-01-31") == 0
