"""Accuracy in a report: the same figures as asked for alone, from cells that are read once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import PerformanceMonitor, StorageError, jsonable
from perfmon.accuracy import queries as accuracy_queries
from perfmon.accuracy.queries import MOST_SEARCHED, _newest
from perfmon.testing import ManualClock
from perfmon.window.cells import HOUR as HOUR_US
from perfmon.window.cells import STATS, Cells, Stat
from perfmon.window.ragged import Ragged
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Answer

NOW = 1_767_225_600.0 + 40 * 3600
MINUTE, HOUR = 60, 3600
PARTS = ("overall", "by_agent", "by_source", "by_model", "unmapped", "waiting", "errors",
         "calibration", "calibration_by_agent", "compared_sources", "disagreeing",
         "disagreements", "suggestions", "oldest_waiting")  # fmt: skip


@pytest.fixture
def monitor():
    with PerformanceMonitor(storage_url="memory:", clock=ManualClock(NOW)) as monitor:
        yield monitor


def told(monitor, tasks, actual, source="user", minutes_ago=0.0):
    """The outcome of each task, told some time ago."""
    return monitor.record_outcomes(
        dict(task_id=f"t{n}", actual_outcome=actual, feedback_source=source,
             timestamp=NOW - minutes_ago * MINUTE)
        for n in tasks
    )  # fmt: skip


@pytest.fixture
def known(monitor):
    """A hundred predictions of two agents over ten hours, with something of everything."""
    monitor.record_predictions(
        dict(agent_name=f"agent-{n % 2}", task_id=f"t{n}", confidence=0.9, model=f"m{n % 3}",
             predicted_outcome={"guess": n} if n % 10 == 9 else n % 3,
             timestamp=NOW - 10 * HOUR + n * 6 * MINUTE)
        for n in range(100)
    )  # fmt: skip
    told(monitor, range(60), 1, minutes_ago=5)
    told(monitor, range(20), 2, "audit", minutes_ago=4)
    told(monitor, range(69, 100, 10), {"truth": "it was so"}, minutes_ago=3)
    return monitor


@pytest.mark.parametrize("asked", [{"time_window_minutes": 900}, {"since": NOW - 40 * HOUR}])
def test_a_report_says_what_get_accuracy_says(known, asked):
    """Over a window, over history, and for a part; every value is JSON."""
    for scope in ({}, {"model": "m1"}, {"tenant": "nobody"}):
        report = known.generate_report(**asked, **scope)
        summary = jsonable(known.get_accuracy(**asked, **scope))
        assert {part: report["accuracy"][part] for part in PARTS} == {
            part: summary[part] for part in PARTS
        }
        assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert known.generate_report(**asked)["accuracy"]["waiting"] == 36


def test_calibration_by_agent_is_that_of_each_agent(known):
    """As if each were asked for alone."""
    summary = known.get_accuracy(900)
    assert summary.calibration_by_agent.keys() == {"agent-0", "agent-1"}
    for name, figures in summary.calibration_by_agent.items():
        alone = known.get_calibration(900, agent_name=name)
        assert figures.sentence == alone.sentence
        assert figures.count == alone.count
        assert figures.brier_score == pytest.approx(alone.brier_score)
        assert figures.expected_calibration_error == pytest.approx(alone.expected_calibration_error)


def test_unmapped_outcomes_are_counted_by_agent(known):
    """With the lines for each; all of these are of one."""
    summary = known.get_accuracy(900)
    assert {name: of.unmapped for name, of in summary.by_agent.items()} == {
        "agent-0": 0, "agent-1": 4
    }  # fmt: skip
    assert summary.overall.predictions == 100
    assert len(summary.suggestions) == 1
    assert "[agents.agent-1.outcomes.fields]" in summary.suggestions[0]


def test_a_report_reads_its_cells_once(known, monkeypatch):
    """The accuracy is made of those of everything else."""
    asked = []
    queries = known._parts.queries
    answer = queries.answer
    monkeypatch.setattr(
        queries, "answer", lambda *given, **how: asked.append(given) or answer(*given, **how)
    )
    known.generate_report(since=NOW - 40 * HOUR)
    assert len(asked) == 1


def test_a_report_without_agents_has_none_here_either(known):
    """For whoever has too many of them."""
    found = known.generate_report(include_agents=False, time_window_minutes=900)["accuracy"]
    assert (found["by_agent"], found["calibration_by_agent"]) == ({}, {})
    assert found["overall"]["count"] == 60


def test_a_report_sees_the_prediction_that_was_just_recorded(monitor):
    """Read your writes."""
    monitor.record_prediction("planner", "t", 1)
    assert monitor.generate_report()["accuracy"]["waiting"] == 1


def test_a_report_comes_without_storage_too(known, monkeypatch):
    """What waits is then what the window knows of it, and there are no examples."""

    def away(*_given, **_how):
        raise StorageError("away")

    monkeypatch.setattr(known.storage, "waiting", away)
    found = known.generate_report(time_window_minutes=900)["accuracy"]
    assert (found["waiting"], found["oldest_waiting"]) == (36, None)
    assert (found["overall"]["count"], found["disagreements"]) == (60, [])
    with pytest.raises(StorageError, match="away"):
        known.get_accuracy(900)


def test_a_report_has_a_few_short_examples(monitor):
    """However large outcomes are, and however many are disputed."""
    for n in range(40):
        monitor.record_prediction("planner", f"t{n}", "x" * 5_000, timestamp=NOW - HOUR)
    told(monitor, range(40), {"long": ["y" * 5_000]})
    told(monitor, range(40), 7, "audit")
    found = monitor.generate_report()["accuracy"]
    assert (found["compared_sources"], found["disagreeing"]) == (40, 40)
    assert len(found["disagreements"]) == 20
    assert found["disagreements"][0]["sources"]["user"].startswith('{"long":["yyy')
    assert len(json.dumps(found["disagreements"])) < 50_000
    assert monitor.get_accuracy().disagreements[0].predicted_outcome == "x" * 5_000


def test_what_is_looked_through_is_bounded(known, monkeypatch):
    """Of very many measurements the newest; the notes of an agent are looked for near its own."""
    monkeypatch.setattr(accuracy_queries, "MOST_SEARCHED", 30)
    searched = []
    read = known.storage.read_disputed
    monkeypatch.setattr(
        known.storage, "read_disputed", lambda *given: searched.append(given[:2]) or read(*given)
    )
    found = known.generate_report(time_window_minutes=900)["accuracy"]
    ((since, until),) = searched
    assert (NOW - 3 * HOUR) * 1e6 < since < until <= NOW * 1e6 + 1
    assert found["compared_sources"] <= 20
    assert len(found["suggestions"]) == 1


def _cells(measurements):
    """A cell for each hour with so many measurements."""
    hours = len(measurements)
    stats = np.zeros((hours, STATS))
    stats[:, Stat.MEASUREMENTS] = measurements
    empty = (Ragged.empty(hours),) * 3
    return Cells(Vocabulary(), np.arange(hours) * HOUR_US, np.zeros(hours, np.int64), stats, *empty)


@given(
    measurements=st.lists(st.integers(0, 30_000), min_size=1, max_size=30),
    wanted=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_the_newest_part_ends_with_what_is_wanted_and_is_bounded(measurements, wanted):
    """Cells of hours, evenly filled: as many measurements as may be searched, not many more."""
    cells = _cells(measurements)
    mask = np.array(wanted[: len(measurements)])
    until = len(measurements) * HOUR_US
    start, end = _newest(Answer(cells, 0, until), mask)
    if not mask.any():
        assert start == end
        return
    newest = int(np.flatnonzero(mask)[-1])
    assert end == (newest + 1) * HOUR_US
    inside = sum(
        many * max(0, min(end, (hour + 1) * HOUR_US) - max(start, hour * HOUR_US)) / HOUR_US
        for hour, many in enumerate(measurements)
    )
    assert inside <= MOST_SEARCHED + 1 + max(measurements) / HOUR_US
    assert start == 0 or inside >= MOST_SEARCHED - 1
