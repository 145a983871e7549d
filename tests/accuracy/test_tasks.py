"""Predictions meet outcomes: any order, any split, repeats, restarts, several sources."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import (
    FoundBy,
    InvalidRun,
    PerformanceMonitor,
    Scope,
    Score,
    StorageError,
    hookimpl,
)
from perfmon.accuracy.tasks import joined
from perfmon.records.measurements import (
    MEASUREMENT_FIELDS,
    RowState,
    Scored,
    outcome_row,
    prediction_row,
)

PRIORITY = ("audit", "user")
_ID, _STATE = 0, MEASUREMENT_FIELDS.index("state")
_AT = MEASUREMENT_FIELDS.index("timestamp")


def compare(_agent, predicted, actual, confidence):
    return Scored(float(predicted == actual), "equal", confidence=confidence)


class Table:
    """What storage does with what is joined."""

    def __init__(self):
        self.rows = {}

    def put(self, *rows):
        for row in rows:
            self.rows.setdefault(row[_ID], row)
        self.join()

    def join(self):
        made = joined(
            sorted(self.rows.values(), key=lambda row: (row[_AT], row[_ID])),
            compare,
            lambda _agent: PRIORITY,
        )
        self.rows |= {after[_ID]: after for _, after in made.amended}
        for row in made.new:
            assert row[_ID] not in self.rows
            self.rows[row[_ID]] = row
        return made

    def facts(self):
        """What counts: agent, source, score, state; without the rows that only carry it."""
        return sorted(
            (row[2], row[11], row[10], RowState(row[_STATE]).word)
            for row in self.rows.values()
            if row[_STATE] >= RowState.JOINED_MEASURED and row[_STATE] != RowState.KNOWN
        )


def prediction(agent="planner", predicted=1, at=0):
    return prediction_row(
        dict(agent_name=agent, task_id="t", predicted_outcome=predicted, timestamp=at), 10**15
    )


def outcome(number, actual=1, source="user", agent=None, at=None):
    at = number if at is None else at
    fields = dict(agent_name=agent, task_id="t", actual_outcome=actual, feedback_source=source)
    return outcome_row(fields | dict(timestamp=at, outcome_id=f"o{number:03}"), 10**15)


told = st.builds(
    outcome,
    number=st.integers(1, 40),
    actual=st.integers(0, 2),
    source=st.sampled_from(("user", "audit", "automated", "system")),
    agent=st.sampled_from((None, "planner", "writer", "nobody")),
)
events = st.lists(
    st.one_of(told, st.builds(prediction, st.sampled_from(("planner", "writer")))),
    max_size=9,
    unique_by=lambda row: row[_ID],
)


def expected(rows):
    """By brute force: who counts of all that was told of what was predicted."""
    found = []
    for made in (row for row in rows if row[_STATE] == RowState.WAITING):
        mine = [r for r in rows if r[_STATE] == RowState.TOLD and r[2] in ("", made[2])]
        kept, last = [], {}
        for row in sorted(mine, key=lambda row: (row[_AT], row[_ID])):
            kept.append(row)
            last[row[11]] = row
        order = [last[s] for s in PRIORITY if s in last]
        others = [row for source, row in last.items() if source not in PRIORITY]
        order += sorted(others, key=lambda row: -row[_AT])
        for row in kept:
            if last[row[11]] is not row:
                word = "corrected"
            else:
                word = "measured" if row is order[0] else "superseded"
            found.append((made[2], row[11], float(made[8] == row[9]), word))
    return sorted(found)


@given(events)
@settings(max_examples=300)
def test_what_counts_is_what_brute_force_says(rows):
    """Everything at once; outcomes that repeat their source are left out of both."""
    table = Table()
    table.rows = {row[_ID]: row for row in rows}
    table.join()
    repeated = {r[_ID] for r in table.rows.values() if r[_STATE] == RowState.REPEATED}
    assert table.facts() == expected([row for row in rows if row[_ID] not in repeated])


@given(events, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_one_measurement_counts_for_an_agent(rows, chance):
    """In any order and any split, and joining again changes nothing."""
    table, left = Table(), list(rows)
    chance.shuffle(left)
    while left:
        size = chance.randint(1, 3)
        table.put(*left[:size])
        left = left[size:]
        again = table.join()
        assert (again.new, again.amended) == ([], [])
    counted = [agent for agent, _, _, word in table.facts() if word == "measured"]
    assert len(counted) == len(set(counted))
    predicted = {row[2] for row in rows if row[_STATE] == RowState.WAITING}
    applying = [row for row in rows if row[_STATE] == RowState.TOLD]
    assert set(counted) == {
        agent for agent in predicted if any(row[2] in ("", agent) for row in applying)
    }


@given(events, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_order_of_arrival_does_not_matter(rows, chance):
    """As long as no source says the same twice, the outcomes' own times decide."""
    distinct = {(row[2], row[11], row[9]): row for row in rows if row[_STATE] == RowState.TOLD}
    rows = [row for row in rows if row[_STATE] == RowState.WAITING] + list(
        {(key[1]): row for key, row in distinct.items()}.values()
    )
    at_once, one_by_one = Table(), Table()
    at_once.put(*rows)
    chance.shuffle(rows)
    for row in rows:
        one_by_one.put(row)
    assert at_once.facts() == one_by_one.facts()


words_of_two = st.lists(
    st.builds(
        outcome,
        number=st.integers(1, 20),
        actual=st.integers(0, 1),
        source=st.sampled_from(PRIORITY),
        agent=st.sampled_from((None, "planner", "writer")),
    ),
    max_size=9,
    unique_by=lambda row: row[_ID],
)


@given(words_of_two, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_the_last_word_of_the_best_source_counts(rows, chance):
    """Whatever was repeated, whoever it was about, and in whatever order it arrived."""
    rows = [*rows, prediction("planner"), prediction("writer")]
    words = {}
    for row in sorted((r for r in rows if r[_STATE] == RowState.TOLD), key=lambda row: row[_AT]):
        for agent in ("planner", "writer"):
            if row[2] in ("", agent):
                words[agent, row[11]] = row[9]
    best = {
        agent: next(words[agent, source] for source in PRIORITY if (agent, source) in words)
        for agent in {agent for agent, _ in words}
    }
    table = Table()
    chance.shuffle(rows)
    for row in rows:
        table.put(row)
    assert {agent: score for agent, _, score, word in table.facts() if word == "measured"} == {
        row[2]: float(row[8] == best[row[2]])
        for row in rows
        if row[_STATE] == RowState.WAITING and row[2] in best
    }


def test_of_sources_not_named_the_last_one_counts_at_one_time_too():
    """Outcomes of one moment are in the order in which they were stored."""
    table = Table()
    table.put(prediction(), outcome(1, 0, "system", at=5), outcome(2, 1, "automated", at=5))
    assert ("planner", "automated", 1.0, "measured") in table.facts()


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        (1, 1.0, "duplicate"),
        (0.0, -0.0, "duplicate"),
        ({"a": [1, 2], "b": None}, {"b": None, "a": [1.0, 2]}, "duplicate"),
        (2**70, 2**70 + 1, "measured"),
        (1, True, "measured"),
        ("1", 1, "measured"),
        ([1, 2], [2, 1], "measured"),
        ("é", "é", "measured"),
    ],
)
def test_what_is_the_same_outcome(one, other, status):
    """Equal in value and kind, however it is written."""
    monitor = PerformanceMonitor(storage_url="memory:")
    monitor.record_prediction("planner", "t", one)
    assert monitor.record_outcome("t", one).status == "measured"
    assert monitor.record_outcome("t", other).status == status
    monitor.record_outcome("t", one if status == "measured" else other, "audit")
    assert len(monitor.get_accuracy().disagreements) == (status == "measured")
    monitor.stop()


def test_a_source_may_change_its_mind_and_back():
    """Thumbs up, down, up again: the last one counts, and the history is there."""
    table = Table()
    table.put(prediction(), outcome(1, 1), outcome(2, 0), outcome(3, 1), outcome(4, 1))
    assert table.facts() == [
        ("planner", "user", 0.0, "corrected"),
        ("planner", "user", 1.0, "corrected"),
        ("planner", "user", 1.0, "measured"),
    ]
    assert table.rows["o004"][_STATE] == RowState.REPEATED


@pytest.fixture
def monitor(tmp_path):
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db") as monitor:
        yield monitor


def test_each_outcome_gets_a_clear_answer(monitor):
    """Before its prediction, after it, twice, of another source, of another tenant."""
    monitor.record_prediction("planner", "t", 90, confidence=0.8)
    first = monitor.record_outcome("t", 100)
    assert (first.status, first.measurements[0].accuracy_score) == ("measured", 0.9)
    assert monitor.record_outcome("t", 100).status == "duplicate"
    assert monitor.record_outcome("t", 120, "automated").status == "superseded"
    audit = monitor.record_outcome("t", 90, "audit")
    assert (audit.status, audit.measurements[0].accuracy_score) == ("measured", 1.0)
    assert monitor.record_outcome("t", 90, tenant="acme").status == "other_tenant"
    early = monitor.record_outcome("later", 5)
    assert (early.status, early.measurements) == ("waiting", ())
    assert "kept until one arrives" in early.message
    assert monitor.get_system_metrics().accuracy_count == 1
    monitor.record_prediction("planner", "later", 5)
    monitor.record_prediction("planner", "later", 7)  # an agent predicts a task once
    metrics = monitor.get_system_metrics()
    monitor.flush()
    metrics = monitor.get_system_metrics()
    assert (metrics.accuracy_count, metrics.avg_accuracy) == (2, 1.0)
    stats = monitor.get_stats()
    assert stats["duplicate"] == 1
    assert stats["recorded"] == stats["stored"] + stats["duplicate"]


def test_a_question_sees_what_was_predicted_before_it(monitor):
    """Also where the outcome came first, and waited in storage."""
    monitor.record_outcome("t", 1)
    monitor.record_prediction("planner", "t", 1, confidence=0.9)
    assert monitor.get_calibration().count == 1
    monitor.record_outcome("u", 1)
    monitor.record_prediction("planner", "u", 1, confidence=0.9)
    assert len(monitor.get_measurements()) == 2


@pytest.mark.parametrize("limit", [0, -1, True, 2.5])
def test_a_limit_that_is_none_is_refused(monitor, limit):
    """Databases read some of them as no limit at all."""
    with pytest.raises(InvalidRun, match="limit"):
        monitor.get_measurements(limit=limit)


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [((1, 2), [1, 2]), ({1: 2}, {"1": 2}), ({"a": (1,)}, {"a": [1]}), ({True: 1}, {"true": 1})],
)
def test_told_at_once_or_later_is_the_same_score(monitor, predicted, actual):
    """What Python has and JSON has not is compared as it is kept."""
    at_once = monitor.record_accuracy("a", "t1", predicted, actual)
    monitor.record_prediction("a", "t2", predicted)
    (later,) = monitor.record_outcome("t2", actual).measurements
    assert at_once.accuracy_score == later.accuracy_score == 1.0


def test_outcomes_of_several_agents(monitor):
    """An outcome without an agent is everybody's who predicted the task."""
    for agent, predicted in (("planner", "yes"), ("writer", "no")):
        monitor.record_prediction(agent, "t", predicted)
    receipt = monitor.record_outcome("t", "yes")
    assert {m.agent_name: m.accuracy_score for m in receipt.measurements} == {
        "planner": 1.0, "writer": 0.0,
    }  # fmt: skip
    assert receipt.status == "measured"
    assert set(monitor.get_all_agent_metrics()) == {"planner", "writer"}


def test_months_and_restarts_lie_between(tmp_path):
    """A prediction waits in storage; what is asked then is right at once and after a restart."""
    url, day = f"sqlite:///{tmp_path}/p.db", 86_400
    now = [1_700_000_000.0]
    for step in range(3):
        with PerformanceMonitor(storage_url=url, clock=lambda: now[0]) as monitor:
            if step == 0:
                monitor.record_prediction("planner", "t", True, confidence=0.7)
                monitor.record_prediction("planner", "open", True)
            if step == 1:
                assert monitor.record_outcome("t", True).status == "measured"
            summary = monitor.get_accuracy(since=now[0] - 200 * day)
            assert summary.waiting == (2, 1, 1)[step]
            assert summary.overall.coverage == (0.0, 0.5, 0.5)[step]
            assert summary.overall.count == (0, 1, 1)[step]
            monitor.purge()
        now[0] += 90 * day * (step == 0) + 60
    assert summary.oldest_waiting.timestamp() == 1_700_000_000
    assert summary.calibration.count == 1


def test_told_and_not_compared_is_compared_at_the_next_start(tmp_path, monkeypatch):
    """As after a kill between the two transactions."""
    url = f"sqlite:///{tmp_path}/p.db"
    monkeypatch.setattr("perfmon.accuracy.matching.tasks_of", lambda _: [])
    with PerformanceMonitor(storage_url=url) as monitor:
        monitor.record_prediction("planner", "t", 90)
        assert monitor.record_outcome("t", 100).status == "pending"
        assert monitor.record_outcome("u", 1).status == "pending"
        monitor.record_prediction("planner", "u", 1)
    monkeypatch.undo()
    with PerformanceMonitor(storage_url=url) as monitor:
        assert monitor.get_system_metrics().accuracy_count == 2
        assert monitor.get_accuracy().waiting == 0


def test_the_window_and_storage_agree(tmp_path):
    """What was superseded and answered counts the same in memory and in history."""
    url = f"sqlite:///{tmp_path}/p.db"
    with PerformanceMonitor(storage_url=url) as monitor:
        for number in range(40):
            monitor.record_prediction("planner", f"t{number}", number, confidence=number / 40)
        for number in range(30):
            monitor.record_outcome(f"t{number}", number + 1, "user")
        monitor.record_outcomes(
            [dict(task_id=f"t{n}", actual_outcome=n, feedback_source="audit") for n in range(10)]
        )
        monitor.flush()
        now, past = monitor.get_accuracy(60), monitor.get_accuracy(since=0)
        assert now.overall.accuracy == pytest.approx(past.overall.accuracy)
        assert now.overall.interval == pytest.approx(past.overall.interval)
        assert (now.overall.count, now.overall.coverage, now.waiting) == (30, 0.75, 10)
        assert now.by_source["audit"].count == 10
        assert now.by_source["user"].count == 30
        assert now.calibration.count == past.calibration.count == 30
        assert (now.compared_sources, now.disagreeing, len(now.disagreements)) == (10, 10, 10)
        assert now.disagreements[0].sources == {"user": 10, "audit": 9}
    with PerformanceMonitor(storage_url=url) as monitor:
        again = monitor.get_accuracy(60)
        assert again.overall.accuracy == pytest.approx(now.overall.accuracy)
        assert again.overall.coverage == 0.75


class Odd:
    """A scorer that quotes anything, and counts with numpy."""

    @hookimpl
    def score_outcome(self, predicted, actual):
        half = np.float64(0.5)
        return Score(half, confidence=half, correct=True, note="\0 and \ud800", cost=half)


def test_what_a_scorer_quotes_is_never_refused_by_storage(postgres_url, tmp_path, monkeypatch):
    """NUL and halves of pairs, in its note and in the names of fields, hold nothing up."""
    monkeypatch.chdir(tmp_path)
    with PerformanceMonitor(storage_url=postgres_url) as monitor:
        fields = {"x\0\ud800": 1}, {"y\0\ud800": "one"}
        assert monitor.record_accuracy("planner", "t", *fields).state == "unmapped"
        monitor.record_prediction("planner", "u", fields[0])
        assert monitor.record_outcome("u", fields[1]).status == "unmapped"
        monitor.bus.register(Odd(), "odd")
        monitor.record_prediction("planner", "v", 1)
        (measured,) = monitor.record_outcome("v", 2).measurements
        assert (measured.correct, measured.scoring_cost, measured.confidence) == (1.0, 0.5, 0.5)
        assert measured.note == "\ufffd and ?"
        assert monitor.get_accuracy().overall.count == 1


@pytest.fixture
def two_monitors(tmp_path):
    """Two processes' monitors over one database, on a clock that the test sets."""
    url, now = f"sqlite:///{tmp_path}/p.db", [1_700_000_000.0]
    one, other = (PerformanceMonitor(storage_url=url, clock=lambda: now[0]) for _ in range(2))
    with one, other:
        yield one, other, now


def test_two_that_compare_one_task_at_once(two_monitors, monkeypatch):
    """Each has told an outcome, and has read the task before the other stored: one counts."""
    one, other, _ = two_monitors
    one.record_prediction("planner", "t", 1)
    one.flush()
    both, reads = [threading.Event(), threading.Event()], []

    def hold(monitor, mine, until):
        read = monitor.storage.read_tasks

        def read_and_wait(tasks):
            rows = read(tasks)
            if not mine.is_set():
                mine.set()
                until()
            return rows

        monkeypatch.setattr(monitor.storage, "read_tasks", read_and_wait)

    first = threading.Thread(target=lambda: reads.append(one.record_outcome("t", 1)))
    hold(one, both[0], both[1].wait)
    hold(other, both[1], first.join)
    first.start()
    both[0].wait()
    assert other.record_outcome("t", 2, "audit").status == "measured"
    assert other.get_accuracy(since=0).overall.count == 1
    assert {m.feedback_source: m.state for m in other.get_measurements()} == {
        "user": "superseded", "audit": "measured",
    }  # fmt: skip


def test_the_window_of_who_did_not_predict(two_monitors):
    """Another process predicted: each prediction is in this window once."""
    one, other, _ = two_monitors
    for task in "abc":
        one.record_prediction("planner", task, 1)
    one.flush()
    for task in "ab":
        assert other.record_outcome(task, 1).status == "measured"
    assert other.sync_with_database() > 0
    here = other.get_accuracy(60).overall
    assert (here.count, here.labelled, here.coverage) == (2, 2, 2 / 3)


def test_what_another_process_amended_is_loaded(two_monitors):
    """Answers and audits told elsewhere change minutes that this window has already."""
    one, other, now = two_monitors
    for task in "abc":
        one.record_prediction("planner", task, 1)
    now[0] += 120
    one.record_outcome("a", 1)
    now[0] += 120
    assert other.record_outcome("a", 2, "audit").status == "measured"
    other.record_outcome("b", 1)
    assert one.sync_with_database() == 4
    here, past = one.get_accuracy(60).overall, one.get_accuracy(since=0).overall
    assert (here.count, here.accuracy, here.coverage) == (2, 0.75, 2 / 3)
    assert (past.count, past.accuracy, past.coverage) == (2, 0.75, 2 / 3)
    assert one.sync_with_database() == 0
    now[0] += 120
    assert other.record_outcome("a", 5).status == "superseded"
    one.sync_with_database()
    assert one.get_accuracy(60).by_source["user"].count == 2  # and the first one is corrected


def test_what_waits_for_storage_stays_where_history_is_loaded(two_monitors):
    """Another process stored more of this minute than this one, which has runs in hand."""
    one, other, _ = two_monitors
    for number in range(5):
        other.record_agent_run(f"r{number}", "planner", "react", "success")
    other.flush()
    with one._parts.intake.writing:
        one.record_agent_run("mine", "planner", "react", "success")
        one.record_accuracy("planner", "t", 1, 1)
        one._parts.intake.take_in()
        held = one._parts.intake.unstored.contents()
        loaded = [row for chunk in one.storage.read_runs(0, 2**60, Scope()) for row in chunk]
        assert one._parts.intake.reconcile(0, 2**60, loaded, []) == 5
    assert [len(rows) for rows in held] == [1, 1]
    for _ in range(2):
        metrics = one.get_system_metrics()
        assert (metrics.total_tasks, metrics.accuracy_count) == (6, 1)
        one.flush()


def test_what_a_later_process_amended_counts_for_its_agent(tmp_path):
    """Predictions of one process that are answered in another's time: all groups agree."""
    url, now = f"sqlite:///{tmp_path}/p.db", [1_700_000_000.0]
    for _ in range(2):
        with PerformanceMonitor(storage_url=url, clock=lambda: now[0]) as monitor:
            monitor.record_prediction("planner", f"t{now[0]}", 1)
            monitor.flush()
            if now[0] > 1_700_000_000:
                monitor.record_outcome("t1700000000.0", 1)
            found = monitor.get_accuracy(since=0)
            (planner,) = found.by_agent.values()
            assert planner.labelled == found.overall.labelled
        now[0] += 86_400 * 3
    assert (planner.labelled, planner.predictions, planner.accuracy) == (1, 2, 1.0)


def test_sources_with_long_names():
    """As long as they may be, in letters of three bytes, and as many as are told apart."""
    monitor = PerformanceMonitor(storage_url="memory:")
    common = dict(agent_name="planner", task_id="t", predicted_outcome=1, actual_outcome=1)
    sources = [dict(common, feedback_source=f"{n:03}" + "一" * 253) for n in range(100)]
    assert monitor.record_accuracies(sources)[1].accepted == 100
    assert len(monitor.get_accuracy(since=0).by_source) == 100
    assert monitor.get_stats()["dropped"] == 0
    monitor.stop()


def test_an_id_of_an_outcome_is_its_tasks_own(monitor):
    """One audit may tell of many tasks, and tenants number theirs alike; repeats are harmless."""
    for tenant in ("default", "acme"):
        for task in "ab":
            monitor.record_prediction("planner", task, 1, tenant=tenant)
            told = monitor.record_outcome(task, 1, tenant=tenant, outcome_id="audit 7")
            assert (told.outcome_id, told.status) == ("audit 7", "measured")
    again = dict(task_id="a", actual_outcome=1, outcome_id="audit 7")
    receipts, receipt = monitor.record_outcomes([again, {}])
    assert (receipts[0].outcome_id, receipts[0].status) == ("audit 7", "measured")
    assert (receipt.duplicates, receipts[1]) == (1, None)
    assert monitor.get_accuracy().overall.count == 4


def test_an_outcome_that_is_told_after_the_end(monitor):
    """It is not kept, and the receipt does not say so."""
    monitor.stop()
    assert monitor.record_outcome("t", 1).status == "dropped"
    assert monitor.get_stats()["dropped"] == 1


def test_what_is_asked_next_sees_what_was_compared(monitor, monkeypatch):
    """Also where the background thread has stored the prediction, and is still comparing."""
    join, comparing = monitor._parts.intake.matcher.join, threading.Event()

    def slow():
        if monitor._parts.intake.matcher.is_behind:
            comparing.set()
            time.sleep(0.2)
        join()

    for ask in (monitor.flush, monitor.get_accuracy):
        task = ask.__name__
        monitor.record_outcome(task, 1)
        monkeypatch.setattr(monitor._parts.intake.matcher, "join", slow)
        monitor.record_prediction("planner", task, 1)
        assert comparing.wait(60)
        ask()
        assert len(monitor.storage.find_measurements(0, 2**60, Scope(), FoundBy(task_id=task))) == 1
        monkeypatch.setattr(monitor._parts.intake.matcher, "join", join)
        comparing.clear()


def test_without_a_background_a_flush_compares_what_was_left(tmp_path, monkeypatch):
    """Storage took the rows, and was away when they were to be compared."""
    monitor = PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db")
    monitor.record_outcome("t", 1)
    read, away = monitor.storage.read_tasks, [True, True, True]

    def sometimes(tasks):
        if away and away.pop():
            raise StorageError("away")
        return read(tasks)

    monkeypatch.setattr(monitor.storage, "read_tasks", sometimes)
    monitor.record_prediction("planner", "t", 1)
    while away:
        with pytest.raises(StorageError):
            monitor.flush()
    monitor.flush()
    assert monitor.get_system_metrics().accuracy_count == 1
    monitor.stop()


def test_a_task_that_cannot_be_compared_holds_up_no_other(monitor, monkeypatch):
    """A bug with one is logged, and whoever waits gets an answer."""
    compare = monitor._parts.intake.matcher._compare

    def broken(agent, predicted, *rest):
        if predicted == "bad":
            raise KeyError("a bug")
        return compare(agent, predicted, *rest)

    monkeypatch.setattr(monitor._parts.intake.matcher, "_compare", broken)
    for task in ("good", "bad", "fine"):
        monitor.record_prediction("planner", task, task)
    items = [dict(task_id=task, actual_outcome=1) for task in ("good", "bad", "fine")]
    statuses = [receipt.status for receipt in monitor.record_outcomes(items)[0]]
    assert statuses == ["measured", "pending", "measured"]
    monitor.flush()


def test_history_from_the_middle_of_a_minute(two_monitors):
    """What this window has of the minute's beginning stays, and what others have of it comes."""
    one, other, now = two_monitors
    start = now[0] = 1_700_000_040.0  # a minute begins
    one.record_agent_run("mine", "planner", "react", "success")
    one.flush()
    now[0] = start + 30
    for number in range(2):
        other.record_agent_run(f"theirs-{number}", "planner", "react", "success")
    other.flush()
    now[0] = start + 3_610
    assert one.sync_with_database(1) == 2
    assert one.get_system_metrics(120).total_tasks == 3
    assert one.sync_with_database(1) == 0
