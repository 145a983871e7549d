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

from perfmon import Config, PerformanceMonitor, StorageError, hookimpl
from perfmon.journal import Journal
from perfmon.recorder import Bulk, Recorder
from perfmon.testing import make_rows


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def balanced(stats: dict[str, Any]) -> bool:
    parts = ("stored", "duplicate", "rejected", "dropped", "pending")
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
    monitor.flush(30)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"], stats["pending"]) == (16_000, 0, 0)
    assert monitor.get_system_metrics(60).total_tasks == 16_000
    monitor.stop()


def test_a_full_queue_without_journal_drops_and_counts():
    """Nobody takes: the caller waits a moment, then its run is dropped and counted."""
    recorder = Recorder(None, max_pending=5)
    rows = make_rows(7, seed=1)
    for row in rows:
        recorder.append_run(row)
    assert len(recorder) == 5
    assert recorder.dropped == 2
    assert recorder.drain().runs == rows[:5]


def test_a_full_queue_spills_to_the_journal_in_order(tmp_path):
    """Beyond the queue's bound runs stay on disk, and come back in order."""
    recorder = Recorder(Journal(tmp_path / "journal", 64 * 2**20), max_pending=5)
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
    bulk.settle(1, 1)
    assert not bulk.done.is_set()
    bulk.settle(1, 0)
    assert bulk.done.is_set()
    assert (bulk.accepted, bulk.duplicates) == (2, 1)


def test_storage_away_keeps_everything_and_says_so(tmp_path):
    """While storage refuses, reading and recording go on; afterwards all is stored once."""
    monitor = monitor_on(tmp_path).start()
    record(monitor, "before")
    monitor.flush(10)
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
    monitor.flush(30)
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
        monitor.flush(10)
        wait_for(lambda: good.seen == ["one"])
        wait_for(lambda: monitor.get_stats()["plugins"]["bad"]["failures"] == 1)
        assert monitor.get_stats()["plugins"]["good"]["failures"] == 0


def test_prices_and_error_classes_come_from_plugins(tmp_path):
    """`price_run` and `classify_error` fill what the caller left out, before anything is summed."""

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
        monitor.flush(10)
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
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, url], check=True, timeout=60)
    with PerformanceMonitor(storage_url=url) as monitor:
        assert monitor.get_system_metrics(60).total_tasks == 201


def test_the_log_file_tells_of_a_storage_that_is_away(tmp_path):
    """What perfmon has to say is in the configured file, and the file is let go at the end."""
    path = tmp_path / "logs" / "perfmon.log"
    monitor = monitor_on(tmp_path, log_file=str(path)).start()
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    record(monitor, "one")
    wait_for(lambda: "storage is away" in path.read_text())
    monitor.stop(timeout=0.1)
    assert "perfmon started" in path.read_text()
