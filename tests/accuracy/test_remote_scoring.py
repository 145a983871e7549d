"""Remote scorers answer later: the measurement waits in storage, and is updated."""

from __future__ import annotations

import contextlib
import math
import threading
import time

import pytest
from perfmon_sql import open_storage

from perfmon import PerformanceMonitor, StorageError
from perfmon.config.config import Config
from perfmon.records.measurements import RowState

SCORER = """
import asyncio
from perfmon import Score, hookimpl

deadline = 60.0
asked = []

@hookimpl
async def score_outcome(predicted, actual):
    if not isinstance(actual, str):
        return None
    asked.append(actual)
    await asyncio.sleep(0)
    if actual == "fail":
        raise RuntimeError("the judge is away")
    return Score(0.25, note="a quarter", cost=0.002)
"""


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "far.py").write_text(SCORER)
    storage = f"sqlite:///{tmp_path}/p.db"
    return Config.from_mapping(
        {"monitor": {"storage": storage}, "plugins": {"paths": [str(folder)]}}
    )


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)


def test_the_score_comes_later(config):
    """At once it is `scoring`, without a number; then it counts, with its note and its cost."""
    with PerformanceMonitor(config) as monitor:
        measured = monitor.record_accuracy("writer", "t", "a text", "another")
        assert (measured.state, measured.scorer) == ("scoring", "far")
        assert math.isnan(measured.accuracy_score)
        # Whether it takes numbers only the remote scorer knows; it passes, and the next one answers.
        assert monitor.record_accuracy("writer", "n", 90, 100).state == "scoring"
        until(lambda: monitor.get_system_metrics().accuracy_count == 2)
        (number,) = monitor.get_measurements(task_id="n")
        assert (number.accuracy_score, number.scorer) == (0.9, "scorers")
        (scored,) = monitor.get_measurements(task_id="t")
        assert (scored.accuracy_score, scored.state) == (0.25, "measured")
        assert (scored.note, scored.scoring_cost) == ("a quarter", 0.002)
        assert monitor.get_accuracy().scoring_cost == pytest.approx(0.002)
        assert scored.measurement_id == measured.measurement_id
        assert monitor.get_stats()["accuracy_measurements"] == 2


def test_an_answer_that_never_comes_is_no_score(config):
    """It is `failed`, says why, and is left out of the means."""
    with PerformanceMonitor(config) as monitor:
        monitor.record_accuracy("writer", "t", "a text", "fail")
        until(lambda: monitor.get_measurements(state="failed"))
        (failed,) = monitor.get_measurements(task_id="t")
        assert "the judge is away" in failed.note
        assert monitor.get_system_metrics().accuracy_count == 0


def test_joined_predictions_are_scored_later_too(config):
    """Whoever told the outcome is told that it is being scored."""
    with PerformanceMonitor(config) as monitor:
        monitor.record_prediction("writer", "t", "a text")
        assert monitor.record_outcome("t", "another").status == "scoring"
        until(lambda: monitor.get_system_metrics().accuracy_count == 1)
        assert monitor.record_outcome("t", "another").status == "duplicate"


def test_what_waits_for_a_scorer_survives_the_process(config):
    """A monitor that is not started leaves it in storage; the next one asks."""
    waiting = PerformanceMonitor(config)
    waiting.record_accuracy("writer", "t", "a text", "another")
    waiting.stop()
    with PerformanceMonitor(config) as monitor:
        until(lambda: monitor.get_system_metrics().accuracy_count == 1)


def test_without_a_background_flush_asks(config):
    """Nothing runs by itself there: `flush` returns when the scorers have answered."""
    monitor = PerformanceMonitor(config)
    monitor.record_accuracy("writer", "t", "a text", "another")
    monitor.flush()
    assert monitor.get_system_metrics().accuracy_count == 1
    monitor.stop()


def test_observers_hear_of_a_measurement_with_its_score(config, tmp_path):
    """Once, when it has one."""
    (tmp_path / "plugins" / "ear.py").write_text(
        "from perfmon import hookimpl\nheard = []\n"
        "@hookimpl\ndef accuracy_recorded(measurements):\n    heard.extend(measurements)\n"
    )
    with PerformanceMonitor(config) as monitor:
        monitor.record_accuracy("writer", "t", "a text", "another")
        heard = monitor.plugins.get("ear").heard
        until(lambda: heard)
        monitor.flush()
        assert [one.accuracy_score for one in heard] == [0.25]


def test_what_went_wrong_is_tried_again(config, monkeypatch):
    """Without anything new that would set it going."""
    monkeypatch.setattr("perfmon.accuracy.remote_scoring._PAUSE", 0.0)
    with PerformanceMonitor(config) as monitor:
        matcher, problems = monitor._parts.intake.matcher, [KeyError("a bug"), StorageError("away")]
        score_some = matcher.score_some

        def broken(*arguments):
            if problems:
                raise problems.pop()
            return score_some(*arguments)

        monkeypatch.setattr(matcher, "score_some", broken)
        monitor.record_accuracy("writer", "t", "a text", "another")
        until(lambda: monitor.get_system_metrics().accuracy_count == 1)


@pytest.mark.parametrize("waits", ["await asyncio.sleep(600)", "time.sleep(600)"])
def test_a_scorer_that_the_end_cuts_off_is_asked_again(config, tmp_path, waits):
    """It did not fail: the measurement still waits, and no thread is left to wait for it."""
    slow = SCORER.replace("await asyncio.sleep(0)", waits).replace("= 60.0", "= 600.0")
    slow = slow.replace("import asyncio", "import asyncio, time")
    (tmp_path / "plugins" / "far.py").write_text(slow)
    monitor = PerformanceMonitor(config).start()
    monitor.record_accuracy("writer", "t", "a text", "another")
    until(lambda: monitor.plugins.get("far").asked)
    monitor.stop(timeout=0.2)
    until(lambda: not any(t.name.startswith("perfmon-score") for t in threading.enumerate()))
    with contextlib.closing(open_storage(config.monitor.storage)) as storage:
        (row,) = storage.read_unscored(10)
        assert (row[7], row[15]) == ("t", RowState.SCORING)
