"""Rounds of a task: ids that come again, in one order and another, in every storage."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys

import attrs
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import PerformanceMonitor
from perfmon.accuracy.rounds import repeats
from perfmon.accuracy.tasks import joined
from perfmon.cli import cli
from perfmon.records.content import AssumedTime
from perfmon.records.measurements import (
    MEASUREMENT_FIELDS,
    RowState,
    Scored,
    outcome_row,
    padded,
    prediction_row,
)
from perfmon.testing import ManualClock

HOUR = 3600.0
DAY = 24 * HOUR
START = 1_700_000_000.0
SUM = ("stored", "duplicate", "conflict", "rejected", "dropped", "pending")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request, tmp_path):
    """Each storage, empty."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/rounds.db"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def monitor(url, clock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monitor = PerformanceMonitor(storage_url=url, clock=clock)
    yield monitor
    assert_sums(monitor)
    monitor.stop()


def assert_sums(monitor):
    """What became of everything adds up to what came."""
    stats = monitor.get_stats()
    assert stats["recorded"] == sum(stats[name] for name in SUM), stats


def accuracy(monitor, days=30):
    return monitor.get_accuracy(days * 1440)


@pytest.mark.parametrize(
    "nights",
    [
        (["A", "B", "C"], ["B", "C", "A"], ["C", "A", "B"]),
        ([1, 2, 3], [2, 3, 1], [1, 2, 3]),
        ([{"x": 1}, [1], "a"], [{"x": 2}, [2], "b"], [{"x": 1}, [1], "a"]),
    ],
)
def test_row_ids_that_come_every_night(monitor, clock, nights):
    """Each night's predictions are measured by that night's outcomes, and every one is right."""
    ids = set()
    for number, labels in enumerate(nights, 1):
        ids |= {monitor.record_prediction("a", f"row-{i}", one) for i, one in enumerate(labels)}
        clock.advance(HOUR)
        for place, label in enumerate(labels):
            receipt = monitor.record_outcome(f"row-{place}", label)
            assert (receipt.status, receipt.round) == ("measured", number)
            (one,) = receipt.measurements
            assert (one.round, one.predicted_outcome) == (number, label)
            assert one.prediction_id in ids
        found = accuracy(monitor).by_agent["a"]
        assert (found.accuracy, found.count, found.coverage) == (1.0, 3 * number, 1.0)
        clock.advance(23.5 * HOUR)
    assert len(ids) == 9
    assert monitor.get_stats()["duplicate"] == 0
    assert {one.round for one in monitor.get_measurements(task_id="row-0", since=0)} == {1, 2, 3}


def test_another_answer_before_the_outcome_replaces_the_first(monitor, clock):
    """The last word is measured; those before it are kept, counted and measured by nobody."""
    for answer in ("wrong", "worse", "right"):
        monitor.record_prediction("a", "t", answer)
        clock.advance(5)
    receipt = monitor.record_outcome("t", "right")
    assert [one.accuracy_score for one in receipt.measurements] == [1.0]
    found = accuracy(monitor)
    assert (found.superseded, found.overall.predictions, found.waiting) == (2, 1, 0)
    assert found.overall.accuracy == 1.0
    stats = monitor.get_stats()
    assert (stats["superseded_predictions"], stats["duplicate"], stats["stored"]) == (2, 0, 4)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("after", "rounds"), [(0, 1), (5, 1), (DAY, 1), (DAY + 1, 2), (3 * DAY, 2)]
)
def test_the_same_again(monitor, clock, answered, after, rounds):
    """Within 24 hours of the first it is a repeat, outcome or not; later it is a new round."""
    monitor.record_prediction("a", "t", {"x": 1, "y": 2}, {"m": 1}, confidence=0.5)
    if answered:
        monitor.record_outcome("t", {"x": 1, "y": 2})
    clock.advance(after)
    again = dict(agent_name="a", task_id="t", predicted_outcome={"y": 2.0, "x": 1})
    (receipt,), counts = monitor.record_each_prediction(
        [again | dict(metadata={"m": 1}, confidence=0.5)]
    )
    assert (counts.accepted, counts.duplicates) == (rounds - 1, 2 - rounds)
    assert receipt.round == rounds
    assert receipt.status == ("answered" if answered and rounds == 1 else "waiting")
    assert accuracy(monitor).overall.predictions == rounds


def test_24_hours_are_from_the_first(monitor, clock):
    """A repeat does not make a round last longer."""
    for _ in range(4):
        monitor.record_prediction("a", "t", 1)
        clock.advance(20 * HOUR)
    assert accuracy(monitor).waiting == 2


def test_what_a_prediction_says_is_more_than_its_outcome(monitor, clock):
    """Another confidence, model, task type or metadata makes another prediction."""
    base = dict(agent_name="a", task_id="t", predicted_outcome=1)
    for other in (
        dict(confidence=0.5),
        dict(model="m"),
        dict(task_type="x"),
        dict(metadata={"a": 1}),
    ):
        monitor.record_predictions([base])
        clock.advance(1)
        (receipt,), counts = monitor.record_each_prediction([base | other])
        assert (counts.accepted, receipt.status) == (1, "waiting")
        clock.advance(1)
    monitor.record_outcome("t", 1)
    (one,) = monitor.get_measurements(since=0)
    assert one.metadata == {"a": 1}


def test_agents_and_tenants_have_rounds_of_their_own(monitor, clock):
    """An outcome is about the latest round of each agent that it is for."""
    for tenant in ("default", "acme"):
        monitor.record_prediction("x", "t", 1, tenant=tenant)
        monitor.record_prediction("y", "t", 2, tenant=tenant)
    clock.advance(1)
    monitor.record_outcome("t", 1, agent_name="x")
    clock.advance(1)
    monitor.record_prediction("x", "t", 3)
    monitor.record_prediction("y", "t", 3)  # which nobody has told anything of yet
    clock.advance(1)
    receipt = monitor.record_outcome("t", 3)
    assert {one.agent_name: (one.round, one.accuracy_score) for one in receipt.measurements} == {
        "x": (2, 1.0), "y": (1, 1.0),
    }  # fmt: skip
    found = accuracy(monitor)
    assert (found.superseded, found.waiting, found.by_agent["x"].accuracy) == (1, 2, 1.0)
    receipt = monitor.record_outcome("t", 2, tenant="acme")
    assert {one.round for one in receipt.measurements} == {1}


def test_sources_and_corrections_are_of_a_round(monitor, clock):
    """A source corrects what it said of this round, and repeats nothing of the one before."""
    for number in (1, 2):
        monitor.record_prediction("a", "t", 1)
        clock.advance(1)
        assert monitor.record_outcome("t", 1).status == "measured"
        duplicate = monitor.record_outcome("t", 1)
        assert (duplicate.status, duplicate.round) == ("duplicate", number)
        corrected = monitor.record_outcome("t", 0)
        assert (corrected.status, corrected.round) == ("measured", number)
        assert monitor.record_outcome("t", 1, "audit").status == "measured"
        clock.advance(2 * DAY)
    assert accuracy(monitor).overall.count == 2
    assert monitor.get_stats()["duplicate"] == 2


def test_an_outcome_may_still_come_first(monitor, clock):
    """It is of the first round; what is predicted otherwise after that is another one."""
    monitor.record_outcome("t", 5)
    clock.advance(1)
    monitor.record_prediction("a", "t", 5)
    clock.advance(1)
    monitor.record_prediction("a", "t", 7)
    found = accuracy(monitor)
    assert (found.overall.count, found.overall.accuracy, found.waiting) == (1, 1.0, 1)


def test_outcomes_that_are_dated_by_the_day(monitor, clock):
    """Of midnight, before their predictions: each is of the prediction that was there."""
    clock.advance(-clock() % DAY + 10 * HOUR)
    for number in range(1, 4):
        monitor.record_prediction("a", "t", number)
        clock.advance(HOUR)
        receipt = monitor.record_outcome("t", number, timestamp=clock() - 11 * HOUR)
        assert (receipt.status, receipt.round) == ("measured", number)
        assert monitor.record_outcome("t", number, timestamp=clock() - 11 * HOUR).status == (
            "duplicate"
        )
        clock.advance(23 * HOUR)
    assert accuracy(monitor).overall.accuracy == 1.0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("first", ["predictions", "outcomes", "mixed"])
def test_history_in_any_order(tmp_path, order, first):
    """Stamps decide: predictions in a pile, outcomes in a pile, nights in any order."""
    start = START
    clock = ManualClock(start + 10 * DAY)
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db", clock=clock) as monitor:
        predictions = [
            dict(agent_name="a", task_id="t", predicted_outcome=n, timestamp=start + n * DAY)
            for n in range(3)
        ]
        outcomes = [
            dict(task_id="t", actual_outcome=n, timestamp=start + n * DAY + HOUR) for n in range(3)
        ]
        calls = [lambda n=n: monitor.record_predictions([predictions[n]]) for n in order]
        told = [lambda n=n: monitor.record_outcomes([outcomes[n]]) for n in order]
        if first == "mixed":
            calls = [call for pair in zip(calls, told, strict=True) for call in pair]
        else:
            calls = calls + told if first == "predictions" else told + calls
        for call in calls:
            call()
        found = monitor.get_accuracy(since=0)
        assert (found.overall.count, found.overall.accuracy) == (3, 1.0)
        assert (found.waiting, found.superseded) == (0, 0)
        rounds = {one.round: one.predicted_outcome for one in monitor.get_measurements(since=0)}
        assert rounds == {1: 0, 2: 1, 3: 2}
        here = monitor.get_accuracy(20 * 1440).overall
        assert (here.count, here.labelled) == (3, 3)


@pytest.mark.parametrize("same_id", ["row-1", "joined:x", "é" * 200])
def test_ids_of_measurements_that_come_again(monitor, clock, same_id):
    """Other content counts, and so does the same after 24 hours; else it is a repeat."""

    def measured(value, **more):
        fields = dict(agent_name="a", task_id="t", predicted_outcome=value, actual_outcome=value)
        return monitor.record_accuracies([fields | dict(measurement_id=same_id) | more])[1]

    assert (measured(1).accepted, measured(1).duplicates) == (1, 1)
    assert [measured(value).accepted for value in (2, True, "1", [1])] == [1, 1, 1, 1]
    assert measured(1, tenant="acme").accepted == 1
    assert measured(1, agent_name="b").accepted == 1
    assert [measured(value).duplicates for value in (2, 1, True)] == [1, 1, 1]
    clock.advance(DAY + 1)
    assert [measured(value).accepted for value in (1, 2)] == [1, 1]
    assert [measured(value).duplicates for value in (1, 2)] == [1, 1]
    assert accuracy(monitor).overall.count == 9
    ids = [one.measurement_id for one in monitor.get_measurements(since=0)]
    assert len(set(ids)) == 9
    assert all(one.startswith(same_id) for one in ids)


def test_ids_of_outcomes_that_come_again(monitor, clock):
    """One id for every night's outcome of a row: each night counts, and a retry does not."""
    for number, value in enumerate((1, 2, 1), 1):
        monitor.record_prediction("a", "t", value)
        clock.advance(1)
        receipt = monitor.record_outcome("t", value, outcome_id="row-1")
        assert (receipt.status, receipt.round, receipt.outcome_id) == ("measured", number, "row-1")
        clock.advance(1)
        again = monitor.record_outcome("t", value, outcome_id="row-1")
        assert (again.status, again.round) == ("measured", number)
        clock.advance(DAY)
    assert monitor.get_stats()["duplicate"] == 3
    assert accuracy(monitor).overall.accuracy == 1.0
    clock.advance(1)
    other = monitor.record_outcome("t", 9, outcome_id="row-1")
    assert (other.status, other.round) == ("measured", 3)


def test_a_retry_of_what_was_corrected_since(monitor, clock):
    """Under its id a repeat changes nothing, though its source has said something else since."""
    monitor.record_prediction("a", "t", 1)
    monitor.record_outcome("t", 1, outcome_id="x")
    clock.advance(1)
    monitor.record_outcome("t", 0, outcome_id="y")
    clock.advance(1)
    assert monitor.record_outcome("t", 1, outcome_id="x").status == "corrected"
    assert accuracy(monitor).overall.accuracy == 0.0


def test_rows_without_a_clock_are_repeats_for_ever():
    """An import may give them another time than the one before."""
    one, other = (
        prediction_row(
            dict(agent_name="a", task_id="t", predicted_outcome=1, timestamp=AssumedTime(at)),
            10**16,
        )
        for at in (START, START + 10 * DAY)
    )
    assert one[0] == other[0]


def test_a_journal_of_an_older_version_is_read():
    """Rows of 15 and of 19 fields get what was added since."""
    row = prediction_row(dict(agent_name="a", task_id="t", predicted_outcome=1), 0)
    assert padded(row[:19]) == (*row[:19], 1, None, 0)
    assert len(padded(row[:15])) == len(MEASUREMENT_FIELDS)


_PREDICT_AND_DIE = """
import os, sys
from perfmon import PerformanceMonitor
from perfmon.testing import ManualClock
clock = ManualClock(1_700_000_000.0)
m = PerformanceMonitor(storage_url=sys.argv[1], clock=clock)
if sys.argv[2] == "started":
    m.start()
for value in (1, 1, 2, 2, 3):
    m.record_prediction("a", "t", value)
    m.record_prediction("b", "t", value, tenant="acme")
    m.record_accuracy("c", "t", value, value, measurement_id="row-1")
    clock.advance(1)
    if sys.argv[3] == "stored" and value == 2:
        m.flush()
if sys.argv[3] == "told":
    m.record_outcome("t", 3)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("started", "fate"), [("started", "pending"), ("not", "stored"), ("started", "told")]
)
def test_a_killed_process_counts_nothing_twice(url, started, fate, tmp_path, monkeypatch):
    """What its journal has, stored or not, is the same round, replacement or repeat again."""
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT_AND_DIE, url, started, fate], env=dict(os.environ),
        check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    with PerformanceMonitor(storage_url=url, clock=ManualClock(1_700_000_100.0)) as monitor:
        monitor.flush()
        found = monitor.get_accuracy(since=0)
        assert found.by_agent["c"].count == 3
        assert (found.waiting, found.superseded) == (1 if fate == "told" else 2, 4)
        for tenant in ("default", "acme"):
            monitor.record_outcome("t", 3, tenant=tenant)
        found = monitor.get_accuracy(since=0)
        assert (found.waiting, found.by_agent["a"].accuracy) == (0, 1.0)
        assert found.by_agent["a"].count == found.by_agent["b"].count == 1
        monitor.record_prediction("a", "t", 3)
        assert monitor.get_accuracy(since=0).waiting == 0
        assert_sums(monitor)


def test_history_that_is_forgotten_is_taken_for_no_other_round(tmp_path):
    """The outcome of a purged prediction stays the outcome of that one."""
    clock = ManualClock(START)
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db", clock=clock) as monitor:
        monitor.record_prediction("a", "t", 1)
        clock.advance(2 * HOUR)
        monitor.record_outcome("t", 1)
        cut = int((clock() - HOUR) * 1e6)
        monitor.storage.purge(cut, cut)
        clock.advance(DAY)
        monitor.record_prediction("a", "t", 2)
        monitor.flush()
        assert monitor.get_accuracy(since=0).waiting == 1
        receipt = monitor.record_outcome("t", 1)
        assert (receipt.status, receipt.round) == ("measured", 2)
        scores = {one.round: one.accuracy_score for one in monitor.get_measurements(since=0)}
        assert scores == {1: 1.0, 2: 0.0}


# What callers do, in the order of their clock: a small model of it, in a dozen lines.
@attrs.define
class Model:
    """Each agent's rounds of each task: content, since when, outcomes, what was replaced."""

    rounds: dict = attrs.Factory(dict)
    duplicates: int = 0
    superseded: int = 0
    early: dict = attrs.Factory(dict)

    def predict(self, key, value, at):
        mine = self.rounds.setdefault(key, [])
        now = mine[-1] if mine else None
        if now and now["value"] == value and at - now["at"] <= DAY:
            self.duplicates += 1
        elif now and now["value"] != value and now["actual"] is None:
            now |= {"value": value, "at": at}
            self.superseded += 1
        else:
            # What was told of everybody, before anything was predicted, is of the first round.
            early = None if now else self.early.get((key[0], key[2]))
            mine.append({"value": value, "at": at, "actual": early})

    def tell(self, tenant, task, agent, actual):
        """Whether there is somebody to tell it of."""
        told = [
            mine[-1]
            for key, mine in self.rounds.items()
            if (key[0], key[2]) == (tenant, task) and agent in (None, key[1])
        ]
        for one in told:
            one["actual"] = actual
        if told and agent is None:
            self.early[tenant, task] = actual
        return bool(told)

    def measured(self):
        return {
            (*key, number): one["value"]
            for key, mine in self.rounds.items()
            for number, one in enumerate(mine, 1)
            if one["actual"] is not None
        }

    def figures(self):
        every = [one for mine in self.rounds.values() for one in mine]
        answered = [one for one in every if one["actual"] is not None]
        right = sum(one["value"] == one["actual"] for one in answered)
        return len(answered), right, len(every) - len(answered)


steps = st.lists(
    st.tuples(
        st.sampled_from(("predict", "predict", "tell", "predictions")),
        st.sampled_from(("default", "acme")),
        st.sampled_from(("x", "y")),
        st.sampled_from(("t", "u")),
        st.sampled_from(("A", "B", "C")),
        st.sampled_from((0, 1, 3600, DAY - 1, DAY, DAY + 1, 3 * DAY)),
        st.booleans(),
    ),
    max_size=14,
)


def _play(monitor, clock, model, done, number):
    """Do the steps to a monitor and to the model; what one database has before is of other tasks."""
    for what, tenant, agent, task, value, after, everybody in done:
        key = (tenant, agent, f"{task}{number}")
        fields = dict(zip(("tenant", "agent_name", "task_id"), key, strict=True))
        if what == "tell":
            whose = None if everybody else agent
            if model.tell(tenant, key[2], whose, value):
                monitor.record_outcome(key[2], value, agent_name=whose, tenant=tenant)
        elif what == "predict":
            monitor.record_prediction(**fields, predicted_outcome=value)
            model.predict(key, value, clock())
        else:
            monitor.record_predictions([fields | dict(predicted_outcome=value)] * 2)
            model.predict(key, value, clock())
            model.predict(key, value, clock())
        clock.advance(after)


def test_rounds_are_those_of_a_small_model(monitor, clock):
    """Random ids, contents and times, in batches and alone: every number is the model's."""
    count = itertools.count()

    @given(steps)
    @settings(max_examples=20, deadline=None)
    def run(done):
        model, began, before = Model(), clock(), monitor.get_stats()
        _play(monitor, clock, model, done, next(count))
        found = monitor.get_accuracy(since=began)
        answered, right, waiting = model.figures()
        assert (found.overall.count, found.overall.labelled) == (answered, answered)
        assert round((found.overall.accuracy if answered else 0) * answered) == right
        assert found.overall.predictions - found.overall.labelled == waiting
        assert found.superseded == model.superseded
        stats = monitor.get_stats()
        replaced = "superseded_predictions"
        assert stats[replaced] - before[replaced] == model.superseded
        assert_sums(monitor)
        assert {
            (one.tenant, one.agent_name, one.task_id, one.round): one.predicted_outcome
            for one in monitor.get_measurements(since=began, limit=1000)
            if one.state == "measured"
        } == model.measured()
        clock.advance(10 * DAY)

    run()


def _row(kind, agent, value, at, number):
    if kind == "predict":
        fields = dict(agent_name=agent, task_id="t", predicted_outcome=value, timestamp=at)
        return prediction_row(fields, 10**16)
    fields = dict(
        agent_name=None if kind == "all" else agent, task_id="t", actual_outcome=value,
        timestamp=at, outcome_id=f"o{number}",
    )  # fmt: skip
    return outcome_row(fields, 10**16)


histories = st.lists(
    st.builds(
        _row,
        st.sampled_from(("predict", "predict", "one", "all")),
        st.sampled_from(("x", "y")),
        st.integers(0, 2),
        st.integers(0, 8).map(lambda n: START + n * DAY / 2 + n),
        st.integers(0, 99),
    ),
    max_size=10,
    unique_by=(lambda row: row[0], lambda row: row[6]),
)


def _compare(_agent, predicted, actual, confidence):
    return Scored(float(predicted == actual), "equal", confidence=confidence)


def _settled(parts):
    """What a table has in the end that gets these parts one after another."""
    rows = {}
    for part in parts:
        again = repeats(rows.values(), part)
        rows |= {row[0]: row for row in part if row[0] not in again and row[0] not in rows}
        for turn in range(2):
            made = joined(rows.values(), _compare, lambda _: ())
            assert not (turn and (made.new or made.amended)), "joining again changed something"
            rows |= {row[0]: row for row in made.new}
            rows |= {after[0]: after for _, after in made.amended}
    return rows


@given(histories)
@settings(max_examples=200, deadline=None)
def test_doing_it_again_changes_nothing(rows):
    """Rows that come in any parts, twice over as after a kill, are counted once."""
    rows.sort(key=lambda row: row[6])
    parts = [rows[n : n + 3] for n in range(0, len(rows), 3)]
    once = _settled(parts)
    assert _settled([*parts, *parts]) == once
    assert_counted_once(once)


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_in_any_order_a_round_counts_once(rows, chance):
    """And each measurement is of a prediction that counts."""
    chance.shuffle(rows)
    assert_counted_once(_settled([[row] for row in rows]))


def assert_counted_once(table):
    counted = [row for row in table.values() if row[15] == RowState.JOINED_MEASURED]
    assert len({(row[2], row[19]) for row in counted}) == len(counted)
    kept = {
        row[0]: row for row in table.values() if row[15] in (RowState.WAITING, RowState.ANSWERED)
    }
    assert all(kept[row[20]][8] == row[8] for row in counted)
    answered = {name for name, row in kept.items() if row[15] == RowState.ANSWERED}
    assert {row[20] for row in counted} == answered


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_of_arrival_does_not_matter_for_rounds(rows, chance):
    """As long as nobody says the same twice, stamps alone decide which outcome is of which."""
    rows = list({(row[8] and row[2], row[8], row[9]): row for row in rows}.values())
    rows = list({row[6]: row for row in rows}.values())

    def facts(parts):
        return sorted(
            (row[2], row[19], row[8], row[9], row[15])
            for row in _settled(parts).values()
            if RowState.JOINED_MEASURED <= row[15] <= RowState.CORRECTED
        )

    at_once = facts([rows])
    chance.shuffle(rows)
    assert facts([[row] for row in rows]) == at_once


def _history(nights, rows):
    """Nights of predictions and outcomes as lines of JSON, and some without a clock."""
    predictions, outcomes, timeless = [], [], []
    for night in range(nights):
        for row in range(rows):
            at, value = START + night * DAY + row, (night + row) % 3
            predictions.append(dict(type="prediction", agent_name="a", predicted_outcome=value)
                               | dict(task_id=f"r{row}", timestamp=at))  # fmt: skip
            outcomes.append(dict(type="outcome", actual_outcome=value)
                            | dict(task_id=f"r{row}", timestamp=at + HOUR))  # fmt: skip
    for row in range(rows):
        task = dict(task_id=f"n{row}")
        timeless += [
            dict(type="prediction", agent_name="b", predicted_outcome=row) | task,
            dict(type="outcome", actual_outcome=row, outcome_id="one for all") | task,
            dict(type="accuracy", agent_name="c", predicted_outcome=row, actual_outcome=row)
            | dict(measurement_id="one for all") | task,
        ]  # fmt: skip
    return predictions, outcomes, timeless


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_imports_that_are_repeated_count_nothing_twice(tmp_path, order):
    """Files of nights in any order, twice over, the second time under another default time."""
    files = [tmp_path / f"{number}.jsonl" for number in order]
    history = _history(3, 12)
    for number, file in zip(order, files, strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in history[number]))
    url = f"sqlite:///{tmp_path}/p.db"
    for turn, day in enumerate(("2024-01-01", "2024-05-01")):
        done = CliRunner().invoke(
            cli,
            ["import", *map(str, files), "--storage", url, "--default-time", day],
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        for number, file in zip(order, files, strict=True):
            accepted, duplicate = (len(history[number]), 0)[:: -1 if turn else 1]
            assert f"{file}: {accepted:,} accepted, {duplicate:,} duplicate" in done.output
    with PerformanceMonitor(storage_url=url) as monitor:
        found = monitor.get_accuracy(since=0)
        assert {name: (one.count, one.accuracy) for name, one in found.by_agent.items()} == {
            "a": (36, 1.0), "b": (12, 1.0), "c": (12, 1.0),
        }  # fmt: skip
        assert (found.waiting, found.superseded) == (0, 0)
