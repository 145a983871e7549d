"""A commit that succeeded and whose answer was lost: every row counts once, everywhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from losing import LostAnswers
from perfmon_sql import open_storage

from benchmarks.reliability.proxy import PostgresProxy
from perfmon import AgentRun, Config, PerformanceMonitor, StorageError, hookimpl
from perfmon.testing import make_measurements, make_rows
from perfmon.testing.stored import assert_same_cells, cells_of, expected_cells, runs_of
from perfmon.window.batch import Batch
from perfmon.window.vocabulary import Vocabulary

ROUNDS, EACH = 4, 25


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def monitor_on(url: str, folder: Path) -> PerformanceMonitor:
    table = {"storage": url, "journal": str(folder / "journal")}
    return PerformanceMonitor(Config.from_mapping({"monitor": table}))


@pytest.fixture
def losing_postgres(postgres_url):
    with contextlib.closing(PostgresProxy(postgres_url)) as proxy:
        yield proxy


@pytest.fixture(params=["sqlite", "postgresql"])
def losing(request, tmp_path):
    """A started monitor, and who loses the answers to its commits."""
    if request.param == "postgresql":
        proxy = request.getfixturevalue("losing_postgres")
        with monitor_on(proxy.url, tmp_path) as monitor:
            yield monitor, proxy
    else:
        with monitor_on(f"sqlite:///{tmp_path}/runs.db", tmp_path) as monitor:
            yield monitor, LostAnswers(monitor.storage._database)


def run_of(run_id: str) -> dict[str, Any]:
    return {"run_id": run_id, "agent_name": "planner", "status": "success", "cost": 1.0}


def one_by_one(monitor: PerformanceMonitor, prefix: str) -> None:
    for n in range(EACH):
        monitor.record_agent_run(f"{prefix}-{n}", "planner", None, "success", cost=1.0)


def together(monitor: PerformanceMonitor, prefix: str) -> None:
    receipt = monitor.record_agent_runs([run_of(f"{prefix}-{n}") for n in range(EACH)])
    assert (receipt.accepted, receipt.duplicates, receipt.dropped) == (EACH, 0, 0)


def unwaited(monitor: PerformanceMonitor, prefix: str) -> None:
    monitor.record_agent_runs([run_of(f"{prefix}-{n}") for n in range(EACH)], wait=False)


@pytest.mark.parametrize("record", [one_by_one, together, unwaited])
def test_the_retry_knows_its_own_runs(losing, record):
    """The window, the accounts, the rows and the observers have each run once, and no repeat."""
    monitor, line = losing
    seen: list[AgentRun] = []

    class Observer:
        @hookimpl
        def runs_recorded(self, runs: list[AgentRun]) -> None:
            seen.extend(runs)

    monitor.bus.register(Observer(), "observer")
    for number in range(ROUNDS):
        line.lose_answers(1)
        record(monitor, f"r{number}")
        monitor.flush(60)
    wanted = ROUNDS * EACH
    stats, metrics = monitor.get_stats(), monitor.get_system_metrics(60)
    assert line.lost == ROUNDS
    assert (stats["stored"], stats["duplicate"], stats["pending"]) == (wanted, 0, 0)
    assert (metrics.total_tasks, metrics.total_cost) == (wanted, wanted)
    assert len(runs_of(monitor.storage)) == wanted
    wait_for(lambda: len(seen) >= wanted)
    assert len({run.run_id for run in seen}) == len(seen) == wanted


def test_real_repeats_stay_repeats(losing):
    """A batch whose answer was lost still says which of its rows had been there before."""
    monitor, line = losing
    together(monitor, "a")
    line.lose_answers(1)
    items = [run_of(f"a-{n}") | {"timestamp": time.time()} for n in range(5)]
    monitor.record_agent_runs([*items, *(run_of(f"b-{n}") for n in range(5))], wait=False)
    monitor.flush(60)
    stats = monitor.get_stats()
    assert line.lost == 1
    assert (stats["stored"], stats["duplicate"] + stats["conflict"]) == (EACH + 5, 5)
    assert monitor.get_system_metrics(60).total_tasks == EACH + 5


def test_a_comparison_whose_answer_was_lost_counts_once(losing):
    """Predictions that met their outcomes in that transaction are in the window."""
    monitor, line = losing
    for number in range(ROUNDS):
        monitor.record_prediction("planner", f"t{number}", 5)
        monitor.flush(60)
        line.lose_answers(1, after=1)  # not of the outcome, but of what came of it
        monitor.record_outcome(f"t{number}", 5)
        monitor.flush(60)
    assert line.lost == ROUNDS
    assert monitor.get_system_metrics(60).accuracy_count == ROUNDS
    assert monitor.get_stats()["accuracy_measurements"] == ROUNDS


def test_a_commit_that_is_still_on_its_way_is_waited_for(losing_postgres, tmp_path):
    """The server commits only after the retry has begun."""
    with monitor_on(losing_postgres.url, tmp_path) as monitor:
        together(monitor, "a")
        losing_postgres.lose_answers(1, delay=1.5)
        one_by_one(monitor, "b")
        monitor.flush(60)
        stats = monitor.get_stats()
        wait_for(lambda: losing_postgres.lost == 1)
        assert (stats["stored"], stats["duplicate"]) == (2 * EACH, 0)
        assert monitor.get_system_metrics(60).total_tasks == 2 * EACH


@pytest.mark.parametrize("others", [0, 3])
def test_a_batch_given_again_is_answered_as_the_first_time(tmp_path, others):
    """Also after other batches; and its cells count once."""
    storage = open_storage(f"sqlite:///{tmp_path}/runs.db")
    line = LostAnswers(storage._database)
    rows, measured = make_rows(200), make_measurements(20)
    batch = Batch([*rows, *rows[:9]], measured, Vocabulary())
    line.lose_answers(1)
    with pytest.raises(StorageError):
        storage.store(batch)
    for number in range(others):
        storage.store(Batch(make_rows(5, seed=100 + number), [], batch.vocabulary))
    again = storage.store(batch)
    assert again.runs.tolist() == [True] * 200 + [False] * 9
    assert again.measurements.all()
    if not others:
        assert_same_cells(cells_of(storage), expected_cells(rows, measured))
    storage.close()


@pytest.mark.parametrize("fails_at", [1, 2, 3, 5])
def test_rows_stored_in_parts_are_no_repeats_of_themselves(tmp_path, fails_at):
    """Storage cannot take one row and goes away while the others are stored part by part."""
    monitor = monitor_on(f"sqlite:///{tmp_path}/runs.db", tmp_path)
    store, tries = monitor.storage.store, [0]

    def picky(batch: Any) -> Any:
        if any(row[0] == "r-7" for row in batch.runs):
            raise RuntimeError("not this one")
        tries[0] += 1
        if tries[0] == fails_at:
            raise StorageError("away")
        return store(batch)

    monitor.storage.store = picky
    one_by_one(monitor, "r")
    with pytest.raises(StorageError, match="away"):
        monitor.flush()
    monitor.flush()
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"], stats["duplicate"]) == (EACH - 1, 1, 0)
    monitor.stop()
    with monitor_on(f"sqlite:///{tmp_path}/runs.db", tmp_path) as again:
        assert again.get_system_metrics(60).total_tasks == EACH - 1
