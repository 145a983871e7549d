"""From the caller to storage: bounds, overload, outages, kills; and the accounts of all of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfmon import Config, InvalidRun, PerformanceMonitor, StorageError, hookimpl
from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.journal import Journal, Orphan
from perfmon.recording.journal_rows import RUN_KINDS, recovered
from perfmon.recording.queue import RecordQueue
from perfmon.testing import make_rows


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def balanced(stats: dict[str, Any]) -> bool:
    """recorded is counted where rows come in, the others where they end."""
    parts = ("stored", "duplicate", "conflict", "rejected", "dropped", "pending")
    return stats["recorded"] == sum(stats[part] for part in parts)


def monitor_on(folder: Path, **settings: Any) -> PerformanceMonitor:
    table = {"storage": f"sqlite:///{folder}/perfmon.db", **settings}
    return PerformanceMonitor(Config.from_mapping({"monitor": table}))


def record(monitor: PerformanceMonitor, run_id: str) -> None:
    monitor.record_agent_run(run_id, "planner", "react", "success", 12.5, 100, 0.01)


@pytest.mark.parametrize("durability", ["memory", "process"])
def test_many_threads_lose_nothing(tmp_path, durability):
    """What eight threads record at once is stored, each run once."""
    monitor = monitor_on(tmp_path, durability=durability).start()

    def work(number: int) -> None:
        for n in range(2_000):
            record(monitor, f"{number}-{n}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monitor.flush(60)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"], stats["pending"]) == (16_000, 0, 0)
    assert monitor.get_system_metrics(60).total_tasks == 16_000
    monitor.stop()


def test_a_full_queue_without_journal_drops_and_counts():
    """Nobody takes: the caller waits a moment, then its run is dropped and counted."""
    recorder = RecordQueue(None, max_pending=5)
    rows = make_rows(7, seed=1)
    for row in rows:
        recorder.append_run(row)
    assert len(recorder) == 5
    assert recorder.dropped == 2
    assert recorder.drain().runs == rows[:5]


def test_a_full_queue_spills_to_the_journal_in_order(tmp_path):
    """Beyond the queue's bound runs stay on disk, and come back in order."""
    recorder = RecordQueue(Journal(tmp_path / "journal", 64 * 2**20), max_pending=5)
    rows = make_rows(12, seed=1)
    for row in rows:
        recorder.append_run(row)
    assert len(recorder) == 12
    assert recorder.dropped == 0
    taken = []
    while len(recorder):
        taken += recorder.drain().runs
    assert taken == rows
    recorder.journal.close(keep=False)


def test_a_bulk_knows_what_became_of_it():
    """Its caller is told when the last of its rows is settled."""
    bulk = Bulk(make_rows(3, seed=1), [])
    bulk.settle(accepted=1, duplicates=1)
    assert not bulk.done.is_set()
    bulk.settle(accepted=1, duplicates=0)
    assert bulk.done.is_set()
    assert (bulk.accepted, bulk.duplicates) == (2, 1)


def test_storage_away_keeps_everything_and_says_so(tmp_path):
    """While storage refuses, reading and recording go on; afterwards all is stored once."""
    monitor = monitor_on(tmp_path).start()
    record(monitor, "before")
    monitor.flush(60)
    away = threading.Event()
    away.set()
    store = monitor.storage.store

    def refusing(batch: Any) -> Any:
        if away.is_set():
            raise StorageError("the disk is full")
        return store(batch)

    monitor.storage.store = refusing
    for n in range(50):
        record(monitor, f"r{n}")
    receipt = monitor.record_agent_runs(
        [{"run_id": "bulk", "agent_name": "a", "agent_type": "t", "status": "success"}]
    )
    assert (receipt.accepted, receipt.stored) == (1, False)
    assert monitor.get_system_metrics(60).total_tasks == 52
    stats = monitor.get_stats()
    assert stats["pending"] == 51
    assert stats["storage_error"] == "the disk is full"
    assert balanced(stats)
    with pytest.raises(StorageError, match="the disk is full"):
        monitor.flush(0.2)
    away.clear()
    monitor.flush(60)
    assert monitor.get_stats()["stored"] == 52
    monitor.stop()


def test_stopped_while_storage_is_away_nothing_is_lost(tmp_path):
    """The journal keeps what could not be stored, and the next start stores it."""
    monitor = monitor_on(tmp_path).start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    for n in range(20):
        record(monitor, f"r{n}")
    monitor.stop(timeout=0.5)
    with monitor_on(tmp_path) as again:
        assert again.get_stats()["recovered"] == 20
        assert again.get_system_metrics(60).total_tasks == 20


def test_storage_decides_what_is_a_repeat(tmp_path):
    """A repeat of what memory has long forgotten is counted in the window for a moment only."""
    monitor = monitor_on(tmp_path, max_runs_in_memory=10)
    for n in range(100):
        record(monitor, f"r{n}")
    monitor.flush()
    record(monitor, "r0")
    monitor.flush()
    assert monitor.get_stats()["duplicate"] == 1
    assert monitor.get_system_metrics(60).total_tasks == 100
    monitor.stop()


def test_a_plugin_that_raises_changes_nothing_for_others(tmp_path):
    """Observers get every batch; the failure is counted on its plugin alone."""

    class Bad:
        @hookimpl
        def runs_recorded(self, runs: list[Any]) -> None:
            raise RuntimeError("no")

    class Good:
        def __init__(self) -> None:
            self.seen: list[str] = []

        @hookimpl
        def runs_recorded(self, runs: list[Any]) -> None:
            self.seen += [run.run_id for run in runs]

    monitor, good = monitor_on(tmp_path), Good()
    monitor.bus.register(good, "good")
    monitor.bus.register(Bad(), "bad")
    with monitor:
        record(monitor, "one")
        monitor.flush(60)
        wait_for(lambda: good.seen == ["one"])
        wait_for(lambda: monitor.get_stats()["plugins"]["bad"]["failures"] == 1)
        assert monitor.get_stats()["plugins"]["good"]["failures"] == 0


def test_prices_and_error_classes_come_from_plugins(tmp_path, monkeypatch):
    """`price_run` and `classify_error` fill what the caller left out, before anything is summed."""
    monkeypatch.setattr("perfmon.recording.enrichment._PLUGIN_DEADLINE", 60.0)

    class Prices:
        @hookimpl
        def price_run(self, run: Any) -> float | None:
            return run.tokens_used / 1000 if run.tokens_used else None

        @hookimpl
        def classify_error(self, run: Any) -> str:
            return "unclear"

    monitor = monitor_on(tmp_path)
    monitor.bus.register(Prices(), "prices")
    monitor.record_agent_run("a", "x", "t", "failure", tokens_used=500)
    monitor.record_agent_run("b", "x", "t", "success", tokens_used=500, cost=7.0)
    metrics = monitor.get_system_metrics(60)
    assert metrics.total_cost == 7.5
    assert metrics.errors == {"unclear": 1}
    monitor.stop()


CHILD = """
import sys
from perfmon import Config, PerformanceMonitor
monitor = PerformanceMonitor(Config.from_mapping({"monitor": {"storage": sys.argv[1]}})).start()
n = 0
while True:
    for _ in range(50):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success", 1.0, 10, 0.01)
        n += 1
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
"""


def _killed_after(url: str, lines: int) -> int:
    """How many runs a child had recorded, as far as it told, when it was killed."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True)
    told = [int(child.stdout.readline()) for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    told += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    child.stdout.close()
    return told[-1]


@pytest.mark.parametrize("lines", [1, 20, 200, 1500])
def test_kill_9_loses_nothing_and_counts_nothing_twice(tmp_path, lines):
    """What `record_agent_run` returned for is there after the kill, once."""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    recorded = _killed_after(url, lines)
    assert recorded >= 50 * lines
    with PerformanceMonitor(storage_url=url) as monitor:
        total = monitor.get_system_metrics(60).total_tasks
        monitor.flush(60)
    found = sqlite3.connect(tmp_path / "perfmon.db")
    ids = {row[0] for row in found.execute("SELECT run_id FROM runs")}
    rows = found.execute("SELECT count(*) FROM runs").fetchone()[0]
    assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found.close()
    assert {f"r{n}" for n in range(recorded)} <= ids
    assert rows == len(ids) == total


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_records_on_its_own(tmp_path):
    """After a fork both processes go on recording; nothing is lost or counted twice."""
    code = """
import os, sys
from perfmon import PerformanceMonitor
monitor = PerformanceMonitor(storage_url=sys.argv[1]).start()
monitor.record_agent_run("parent-1", "a", "t", "success", 1.0)
pid = os.fork()
name = "child" if pid == 0 else "parent"
for n in range(100):
    monitor.record_agent_run(f"{name}-after-{n}", "a", "t", "success", 1.0)
monitor.stop()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, url], check=True, timeout=240)
    with PerformanceMonitor(storage_url=url) as monitor:
        assert monitor.get_system_metrics(60).total_tasks == 201


@pytest.mark.parametrize("durability", ["memory", "process"])
def test_a_forked_child_that_cannot_open_its_storage_loses_nothing(
    tmp_path, monkeypatch, durability
):
    """It sleeps on, nothing half open, and stores all of it as soon as it can."""
    monitor = monitor_on(tmp_path, durability=durability)
    parents = [monitor.storage, monitor._parts.queue]
    monitor._forks.before()
    monitor._forks.after(in_child=True)
    with monkeypatch.context() as patch:
        tried = []

        def fail(agents: Any) -> None:
            tried.append(agents._storage)
            raise StorageError("away")

        patch.setattr("perfmon.metrics.known_agents.KnownAgents.learn", fail)
        for n in range(5):
            record(monitor, f"r{n}")
            monitor._forks.wake_not_before = 0.0
        with pytest.raises(StorageError, match="away"):
            monitor.flush()
        with pytest.raises(StorageError, match="closed"):
            tried[0].check()
    monitor._forks.wake_not_before = 0.0
    monitor.flush()
    stats = monitor.get_stats()
    assert (stats["recorded"], stats["stored"], stats["dropped"]) == (5, 5, 0)
    assert balanced(stats)
    monitor.stop()
    parents[0].close()
    parents[1].close(keep=False)


def test_the_log_file_tells_of_a_storage_that_is_away(tmp_path):
    """What perfmon has to say is in the configured file, and the file is let go at the end."""
    path = tmp_path / "logs" / "perfmon.log"
    monitor = monitor_on(tmp_path, log_file=str(path)).start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    record(monitor, "one")
    wait_for(lambda: "storage is unavailable" in path.read_text())
    monitor.stop(timeout=0.1)
    assert "perfmon started" in path.read_text()


def test_what_is_recorded_after_the_end_is_dropped_and_counted(tmp_path):
    """The host goes on without an exception, and the accounts say what was lost."""
    monitor = monitor_on(tmp_path).start()
    record(monitor, "one")
    monitor.stop()
    record(monitor, "late")
    monitor.record_accuracy("planner", "t", 1, 1)
    receipt = monitor.record_agent_runs(
        [{"run_id": "x", "agent_name": "a", "agent_type": "t", "status": "success"}]
    )
    assert (receipt.accepted, receipt.dropped) == (0, 1)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"]) == (1, 3)
    assert balanced(stats)


@pytest.mark.parametrize("durability", ["memory", "process"])
def test_what_storage_refused_before_a_stop_is_there_after_the_next_start(tmp_path, durability):
    """A monitor that is started again goes on where it stopped."""
    monitor = monitor_on(tmp_path, durability=durability).start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    record(monitor, "one")
    monitor.stop(timeout=0.2)
    monitor.start()
    monitor.flush(60)
    assert monitor.get_system_metrics(60).total_tasks == 1
    stats = monitor.get_stats()
    assert stats["stored"] == 1
    monitor.stop()


def test_refused_rows_are_in_the_accounts(tmp_path):
    """Whatever is wrong with them, one by one or in a batch."""
    monitor = monitor_on(tmp_path)
    monitor.record_agent_runs([1, "x", {"run_id": "a"}])
    monitor.record_accuracies([{"agent_name": "a"}, 5])
    with pytest.raises(ValueError, match="status"):
        monitor.record_agent_run("a", "b", "c", "no")
    record(monitor, "good")
    stats = monitor.get_stats()
    assert (stats["recorded"], stats["rejected"]) == (7, 6)
    assert balanced(stats)
    monitor.stop()


def test_stop_returns_in_time_while_storage_hangs(tmp_path):
    """Its deadline holds, and the journal keeps what storage did not take."""
    monitor = monitor_on(tmp_path).start()
    hanging = threading.Event()
    monitor.storage.store = lambda batch: hanging.wait(20) and None
    record(monitor, "one")
    wait_for(lambda: monitor._parts.intake.is_behind)
    started = time.monotonic()
    monitor.stop(timeout=0.5)
    assert time.monotonic() - started < 10
    hanging.set()
    with monitor_on(tmp_path) as again:
        assert again.get_system_metrics(60).total_tasks == 1


def test_flush_waits_for_everything_recorded_before(tmp_path, monkeypatch):
    """Also for what could not be taken in at once."""
    monkeypatch.setattr("perfmon.recording.intake.MAX_UNSTORED", 2_000)
    monkeypatch.setattr("perfmon.recording.intake.BATCH", 500)
    monitor = monitor_on(tmp_path).start()
    for n in range(20_000):
        record(monitor, f"r{n}")
    monitor.flush(60)
    stats = monitor.get_stats()
    assert (stats["pending"], stats["stored"] + stats["dropped"]) == (0, 20_000)
    assert balanced(stats)
    monitor.stop()


def test_bulks_are_refused_when_there_is_no_room(tmp_path, monkeypatch):
    """While storage is unavailable and memory full, their caller learns it and may send them again."""
    monkeypatch.setattr("perfmon.recording.intake.MAX_UNSTORED", 10)
    monitor = monitor_on(tmp_path, durability="memory").start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    runs = [
        {"run_id": f"r{n}", "agent_name": "a", "agent_type": "t", "status": "success"}
        for n in range(20)
    ]
    first = monitor.record_agent_runs(runs)
    assert (first.accepted, first.stored) == (20, False)
    second = monitor.record_agent_runs([run | {"run_id": f"s{run['run_id']}"} for run in runs])
    assert (second.accepted, second.dropped) == (0, 20)
    assert balanced(monitor.get_stats())
    monitor.stop(timeout=0.1)


def test_a_bulk_that_another_caller_is_storing_is_waited_for(monkeypatch):
    """Nothing runs in the background, and another thread took it in: the receipt is exact."""
    monitor = PerformanceMonitor(storage_url="memory:")
    intake, store_now = monitor._parts.intake, monitor._parts.intake.store_now

    def store_soon():
        wait_for(lambda: len(monitor._parts.queue))
        store_now()

    others = threading.Thread(target=store_soon)
    monkeypatch.setattr(intake, "store_now", lambda: None)
    others.start()
    run = dict(run_id="a", agent_name="planner", agent_type="react", status="success")
    assert monitor.record_agent_runs([run]).accepted == 1
    monkeypatch.setattr(intake, "store_now", store_now)
    others.join()
    monitor.stop()


def test_spilled_rows_and_held_bulks_keep_apart(tmp_path):
    """Rows of a bulk in the journal are not read as what was spilled there."""
    recorder = RecordQueue(Journal(tmp_path / "journal", 64 * 2**20), max_pending=5)
    rows = make_rows(12, seed=1)
    for row in rows[:8]:
        recorder.append_run(row)
    recorder.hold(make_rows(3, seed=2), [])
    for row in rows[8:]:
        recorder.append_run(row)
    taken = []
    while len(recorder):
        taken += recorder.drain().runs
    assert taken == rows
    recorder.close(keep=False)


def test_what_was_given_away_under_load_leaves_the_journal(tmp_path, monkeypatch):
    """Also while the queue is never empty; what is still to be given away stays in its files."""
    monkeypatch.setattr("perfmon.recording.queue._AT_ONCE", 30)
    monkeypatch.setattr("perfmon.recording.journal.SEGMENT", 8_192)
    recorder = RecordQueue(Journal(tmp_path, 64 * 2**20), max_pending=200)
    rows, given, most = make_rows(2_000, seed=1), 0, 0
    for start in range(0, len(rows), 32):
        for row in rows[start : start + 32]:
            recorder.append_run(row)
        drained = recorder.drain()
        given += len(drained.runs)
        recorder.journal.forget(drained.position or (0, 0))
        files = sorted(tmp_path.glob("*.log"))
        kept, _ = recovered(Orphan(None, None, files).records(), RUN_KINDS, len(rows[0]))
        assert set(rows[given : start + 32]) <= set(kept)
        most = max(most, len(kept))
    assert most < 500
    recorder.close(keep=False)


def test_a_new_recorder_takes_over_all_that_waits(monkeypatch):
    """Also more than is given away at once."""
    monkeypatch.setattr("perfmon.recording.queue._AT_ONCE", 10)
    before, after = RecordQueue(None, max_pending=35), RecordQueue(None)
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    before.append_many(make_rows(40, seed=1), [])
    after.take_over(before)
    assert (len(after), after.dropped, after.entered) == (35, 5, 35)


def test_a_full_journal_is_no_dead_end(tmp_path):
    """When room is made again, recording goes on."""
    recorder = RecordQueue(Journal(tmp_path / "journal", 16 * 2**20), max_pending=1)
    journal, row = recorder.journal, make_rows(1, seed=1)[0]
    big = (*row[:-1], "x" * 3_000_000)
    for _ in range(8):
        recorder.append_run(big)
    assert recorder.dropped
    while len(recorder):
        journal.forget(recorder.drain().position or (0, 0))
    dropped = recorder.dropped
    recorder.append_run(row)
    assert (recorder.dropped, recorder.drain().runs) == (dropped, [row])
    recorder.close(keep=False)


def test_a_bad_price_costs_nobody_a_run(tmp_path, monkeypatch):
    """A plugin's answer that is no amount is counted on the plugin; the run stays unpriced."""
    monkeypatch.setattr("perfmon.recording.enrichment._PLUGIN_DEADLINE", 60.0)

    class Free:
        @hookimpl
        def price_run(self, run: Any) -> Any:
            return "free"

    monitor = monitor_on(tmp_path)
    monitor.bus.register(Free(), "free")
    record(monitor, "priced")
    monitor.record_agent_run("a", "x", "t", "success", tokens_used=500)
    metrics = monitor.get_system_metrics(60)
    assert (metrics.total_tasks, metrics.cost_count) == (2, 1)
    assert monitor.get_stats()["plugins"]["free"]["failures"] == 1
    monitor.stop()


def test_a_row_that_storage_cannot_take_holds_up_no_other(tmp_path):
    """It is looked for, dropped and counted; its neighbours are stored."""
    monitor = monitor_on(tmp_path)
    store = monitor.storage.store

    def picky(batch: Any) -> Any:
        if any(row[0] == "r7" for row in batch.runs):
            raise RuntimeError("not this one")
        return store(batch)

    monitor.storage.store = picky
    for n in range(20):
        record(monitor, f"r{n}")
    monitor.flush()
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"]) == (19, 1)
    assert balanced(stats)
    monitor.stop()


def test_journals_in_one_folder_belong_to_their_storage(tmp_path):
    """What one storage's process left is not taken for another's."""
    shared = str(tmp_path / "journals")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monitor = monitor_on(tmp_path / "one", journal=shared).start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    record(monitor, "mine")
    monitor.stop(timeout=0.1)
    with monitor_on(tmp_path / "two", journal=shared) as other:
        assert other.get_system_metrics(60).total_tasks == 0
    with monitor_on(tmp_path / "one", journal=shared) as same:
        assert same.get_system_metrics(60).total_tasks == 1


def test_a_program_that_just_ends_loses_nothing(tmp_path):
    """Without `stop()`, and without a journal."""
    code = """
import sys
from perfmon import Config, PerformanceMonitor
table = {"storage": sys.argv[1], "durability": "memory"}
monitor = PerformanceMonitor(Config.from_mapping({"monitor": table})).start()
for n in range(100):
    monitor.record_agent_run(f"r{n}", "a", "t", "success", 1.0)
"""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=240)
    with PerformanceMonitor(storage_url=url) as monitor:
        assert monitor.get_system_metrics(60).total_tasks == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_threads_that_fork_at_once_hang_nobody(tmp_path):
    """Children that do not record leave nothing behind; the parent goes on."""
    code = """
import os, sys, threading
from perfmon import PerformanceMonitor
monitor = PerformanceMonitor(storage_url=sys.argv[1]).start()
def work():
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            monitor.stop()
            os._exit(0)
        os.waitpid(pid, 0)
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
monitor.record_agent_run("after", "a", "t", "success", 1.0)
monitor.stop()
"""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, url], check=True, timeout=240)
    assert list((tmp_path / "perfmon.db.journal").iterdir()) == []
    with PerformanceMonitor(storage_url=url) as monitor:
        assert monitor.get_system_metrics(60).total_tasks == 1


@pytest.mark.parametrize("field", ["run_id", "task_id"])
def test_a_known_agent_cannot_record_a_blank_id_either(field):
    """What the slow way refuses the quick way refuses."""
    monitor = PerformanceMonitor(storage_url="memory:")
    run = {"run_id": "r", "agent_name": "a", "agent_type": "t", "status": "success"}
    monitor.record_agent_run(**run)
    with pytest.raises(InvalidRun, match=field):
        monitor.record_agent_run(**{**run, field: " "})
    monitor.record_agent_run(**{**run, "run_id": "s", "metadata": {1: "x"}})
    assert monitor.get_system_metrics().total_tasks == 2
    monitor.stop()


def test_with_power_what_is_acknowledged_is_synced(tmp_path):
    """`flush()` and a batch that waits make their rows survive the loss of power."""
    monitor = monitor_on(tmp_path, durability="power")
    synced = []
    sync = monitor.storage.sync
    monitor.storage.sync = lambda: synced.append(monitor.get_stats()["stored"]) or sync()
    record(monitor, "one")
    monitor.flush()
    monitor.record_agent_runs(
        [{"run_id": "two", "agent_name": "a", "agent_type": "t", "status": "success"}]
    )
    assert synced == [1, 2]
    monitor.stop()


def test_a_journal_goes_with_its_process_to_another_folder(tmp_path, monkeypatch):
    """A host that changes its folder later loses nothing by it."""
    monkeypatch.chdir(tmp_path)
    journal = Journal(Path("journal"), 64 * 2**20)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for _ in range(7):
        journal.append(1, b"x" * 3_000_000)
    assert len(journal.read((0, 16), 100)[0]) == 7
    journal.close(keep=False)
    assert list((tmp_path / "journal").iterdir()) == []
