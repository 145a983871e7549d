"""What is not as durable as configured is not recorded: it is dropped and counted, or answered 503."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from losing import LostAnswers

from benchmarks.reliability.proxy import PostgresProxy
from perfmon import Config, PerformanceMonitor, StorageError
from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.journal import Journal, Orphan
from perfmon.recording.journal_rows import MEASUREMENT_KINDS, RUN_KINDS, recovered
from perfmon.recording.queue import RecordQueue
from perfmon.records.measurements import MEASUREMENT_FIELDS
from perfmon.testing import make_measurements, make_rows
from perfmon.testing.stored import runs_of

SMALL = 8_192  # bytes in a journal's file
PAD = {"pad": "x" * 100}


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr("perfmon.recording.journal.SEGMENT", SMALL)


@pytest.fixture
def recorder(tmp_path):
    made = RecordQueue(Journal(tmp_path / "journal", 8 * SMALL))
    yield made
    made.close(keep=False)


def monitor_on(folder: Path, **settings: Any) -> PerformanceMonitor:
    table = {"storage": f"sqlite:///{folder}/perfmon.db", **settings}
    return PerformanceMonitor(Config.from_mapping({"monitor": table}))


def in_files(folder: Path) -> tuple[list[Any], list[Any]]:
    """The runs and measurements that a start after a kill would find."""
    records = list(Orphan(None, None, sorted(folder.glob("*.log"))).records())
    lengths = len(make_rows(1)[0]), len(MEASUREMENT_FIELDS)
    return tuple(
        recovered(records, kinds, length)[0]
        for kinds, length in zip((RUN_KINDS, MEASUREMENT_KINDS), lengths, strict=True)
    )


def enlarged(rows: list[Any], size: int) -> list[Any]:
    return [(*row[:-1], "x" * size) for row in rows]


@pytest.mark.parametrize("size", [0, 100, 1_500, 5_000])
def test_a_run_is_recorded_where_the_journal_has_it(recorder, monkeypatch, size):
    """Beyond the journal's bound runs are dropped and counted: none is in memory only."""
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    rows = enlarged(make_rows(1_000, seed=1), size)
    for row in rows:
        recorder.append_run(row)
    kept, _ = in_files(recorder.journal.folder)
    assert recorder.dropped > 0
    assert len(recorder) + recorder.dropped == len(rows)
    assert sorted(kept) == sorted(recorder.drain().runs)


def test_a_measurement_is_recorded_where_the_journal_has_it(recorder, monkeypatch):
    """The same for measurements."""
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    rows = make_measurements(1_000, seed=1)
    for row in rows:
        recorder.append_measurement(row)
    _, kept = in_files(recorder.journal.folder)
    assert recorder.dropped > 0
    assert sorted(kept) == sorted(recorder.drain().measurements)


@pytest.mark.parametrize("seed", range(3))
def test_many_callers_at_a_full_journal(tmp_path, monkeypatch, seed):
    """Those who are in the middle of recording when it becomes full have the reserve."""
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    recorder = RecordQueue(Journal(tmp_path / "journal", 16 * SMALL))
    rows = make_rows(4_000, seed=seed)
    before, sys_interval = sys.getswitchinterval(), 1e-6
    sys.setswitchinterval(sys_interval)
    try:
        threads = [
            threading.Thread(target=lambda part=part: [recorder.append_run(r) for r in part])
            for part in (rows[n::8] for n in range(8))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    kept, _ = in_files(recorder.journal.folder)
    given = []
    while len(recorder):
        given += recorder.drain().runs
    assert recorder.dropped > 0
    assert len(given) + recorder.dropped == len(rows)
    assert sorted(given) == sorted(kept)
    recorder.close(keep=False)


@pytest.mark.parametrize("kind", ["runs", "measurements", "spilled"])
def test_who_is_dropped_was_waited_with(tmp_path, kind):
    """A caller waits a bounded moment for room, and its run is taken where there is some."""
    most = 5 if kind == "spilled" else 100_000
    recorder = RecordQueue(Journal(tmp_path / "journal", 4 * SMALL), max_pending=most)
    append = recorder.append_measurement if kind == "measurements" else recorder.append_run
    rows = iter((make_measurements if kind == "measurements" else make_rows)(2_000, seed=1))
    while not recorder.dropped:
        started = time.monotonic()
        append(next(rows))
    assert 0.09 < time.monotonic() - started < 5
    while len(recorder):
        recorder.forget(recorder.drain().position or (0, 0))
    dropped = recorder.dropped
    append(next(rows))
    assert (recorder.dropped, len(recorder)) == (dropped, 1)
    recorder.close(keep=False)


def test_a_full_disk_stops_nobody_whose_storage_answers(tmp_path, monkeypatch):
    """The journal's files are used again when the disk has no room for another one."""
    from perfmon.recording import segments

    allocate, made = segments._allocate, []

    def allocated(file: Any, size: int) -> None:
        if len(made) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(size)
        allocate(file, size)

    monkeypatch.setattr("perfmon.recording.segments._allocate", allocated)
    monitor = monitor_on(tmp_path)
    for n in range(2_000):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success")
        if n % 20 == 19:
            monitor.flush()
    stats = monitor.get_stats()
    assert (stats["stored"], stats["dropped"]) == (2_000, 0)
    assert len(list((tmp_path / "perfmon.db.journal").glob("*.log"))) <= 3
    monitor.stop()


def test_a_file_that_is_used_again_is_read_as_new(tmp_path, monkeypatch):
    """Of what stood in it before nothing is recovered, and the order of files is that of use."""
    journal = Journal(tmp_path / "journal", 4 * SMALL)
    monkeypatch.setattr(
        "perfmon.recording.segments._allocate",
        lambda *_: (_ for _ in ()).throw(OSError(28, "full")),
    )
    for number in range(400):
        journal.append(1, b"%03d" % number * 40)
        if number % 50 == 49:
            journal.forget(journal.position())
    journal.close(keep=True)
    records = list(Orphan(None, None, sorted(journal.folder.glob("*.log"))).records())
    assert None not in records
    numbers = [int(record.payload[:3]) for record in records]
    assert numbers == list(range(numbers[0], 400))


def away(monitor: PerformanceMonitor) -> Callable[[], None]:
    """Storage refuses everything, until what is returned is called."""
    store = monitor.storage.store
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))

    def back() -> None:
        monitor.storage.store = store

    return back


def runs(monitor: PerformanceMonitor, prefix: str) -> Any:
    return monitor.record_agent_runs(
        [
            {"run_id": f"{prefix}-{n}", "agent_name": "a", "status": "success", "metadata": PAD}
            for n in range(20)
        ]
    )


def measured(monitor: PerformanceMonitor, prefix: str) -> Any:
    fields = {"agent_name": "a", "predicted_outcome": 1, "actual_outcome": 1}
    items = [{**fields, "task_id": f"{prefix}-{n}"} for n in range(20)]
    return monitor.record_accuracies(items)[1]


def predicted(monitor: PerformanceMonitor, prefix: str) -> Any:
    fields = {"agent_name": "a", "predicted_outcome": 1}
    return monitor.record_predictions([{**fields, "task_id": f"{prefix}-{n}"} for n in range(20)])


def outcomes(monitor: PerformanceMonitor, prefix: str) -> Any:
    told, receipt = monitor.record_outcomes(
        [{"task_id": f"{prefix}-{n}", "actual_outcome": 1} for n in range(20)]
    )
    said = "dropped" if receipt.dropped else "waiting" if receipt.stored else "pending"
    assert {one.status for one in told} == {said}
    return receipt


@pytest.mark.parametrize("record", [runs, measured, predicted, outcomes])
def test_a_batch_is_accepted_where_the_journal_has_it(tmp_path, record):
    """While storage is unavailable: receipts, accounts, window and files say the same of every batch."""
    monitor = monitor_on(tmp_path, journal_max_mb=1).start()
    monitor._parts.queue.journal._max_segments = 4
    back, taken, refused = away(monitor), 0, 0
    for number in range(20):
        receipt = record(monitor, f"b{number}")
        assert receipt.accepted + receipt.dropped == 20
        assert not receipt.stored
        taken, refused = taken + receipt.accepted, refused + receipt.dropped
    assert taken
    assert refused
    kept = in_files(tmp_path / "perfmon.db.journal")
    assert max(len(rows) for rows in kept) == taken
    stats = monitor.get_stats()
    assert (stats["dropped"], stats["pending"], stats["recorded"]) == (refused, taken, 400)
    if record is runs:
        assert monitor.get_system_metrics(60).total_tasks == taken
    back()
    monitor.flush(60)
    assert monitor.get_stats()["stored"] == taken
    receipt = record(monitor, "b19")  # the last one was refused, and is sent again
    assert (receipt.accepted, receipt.duplicates) == (20, 0)
    monitor.stop()


@pytest.mark.parametrize("lost", [True, False])
def test_a_batch_that_storage_may_have_is_not_taken_back(tmp_path, lost):
    """Its caller is told to send it again; what became of it shows when storage answers."""
    monitor = monitor_on(tmp_path)
    journal = monitor._parts.queue.journal
    journal._max_segments = 0
    if lost:
        back = contextlib.nullcontext
        LostAnswers(monitor.storage._database).lose_answers(1)
    else:
        back = away(monitor)
    bulk = Bulk(make_rows(20, seed=1), [])
    monitor._parts.queue.append_bulk(bulk)
    with pytest.raises(StorageError):
        monitor.flush()
    assert (bulk.accepted, bulk.dropped, bulk.stored) == (0, 20, False)
    stats = monitor.get_stats()
    assert (stats["pending"], stats["dropped"]) == ((20, 0) if lost else (0, 20))
    back()
    monitor.flush()
    assert monitor.get_stats()["stored"] == len(runs_of(monitor.storage)) == (20 if lost else 0)
    journal._max_segments = 4
    monitor.stop()


@pytest.mark.parametrize("synced", [True, False])
def test_with_power_the_journal_is_written_before_it_is_acknowledged(tmp_path, monkeypatch, synced):
    """A batch that waits for storage survives the loss of power, or is not accepted."""
    monitor = monitor_on(tmp_path, durability="power").start()
    away(monitor)
    calls = []

    def sync() -> None:
        calls.append(len(in_files(tmp_path / "perfmon.db.journal")[0]))
        if not synced:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(monitor._parts.queue.journal, "sync", sync)
    receipt = runs(monitor, "b")
    assert calls == [20]
    assert (receipt.accepted, receipt.dropped) == ((20, 0) if synced else (0, 20))
    monitor.stop(timeout=0.1)


def test_the_loss_of_power_costs_no_synced_record(tmp_path):
    """Syncing goes through all files since the last time, those that were forgotten meanwhile too."""
    journal = Journal(tmp_path / "journal", 16 * SMALL)
    for number in range(300):
        journal.append(1, b"x" * 100)
        if number % 40 == 0:
            journal.sync()
        if number % 100 == 0:
            journal.forget(journal.position())
    journal.sync()
    journal.close(keep=False)


def test_a_disk_full_of_journals_is_no_dead_end(tmp_path, monkeypatch):
    """What dead processes left is stored first, which makes room for the next journal."""
    from perfmon.recording import segments

    folder, allocate = tmp_path / "perfmon.db.journal", segments._allocate
    monitor = monitor_on(tmp_path)
    away(monitor)
    for n in range(30):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success")
    monitor.stop(timeout=0.1)
    left = list(folder.glob("*.log"))

    def allocated(file: Any, size: int) -> None:
        if any(path.exists() for path in left):
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(file, size)

    monkeypatch.setattr("perfmon.recording.segments._allocate", allocated)
    with monitor_on(tmp_path) as again:
        assert again._parts.queue.journal is not None
        assert again.get_system_metrics(60).total_tasks == 30


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
        path.write_bytes(b"")


def restored(folder: Path) -> None:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


@pytest.mark.parametrize("take_away", [removed, moved, replaced, restored])
@pytest.mark.parametrize("most", [30, 100_000])
def test_a_journal_that_is_taken_away_is_made_again(tmp_path, take_away, most):
    """Within a second all that waits for storage is where the next start looks, and stored once."""
    monitor = monitor_on(tmp_path)
    monitor._parts.queue._max_pending = most
    back = away(monitor)
    monitor.start()
    folder = tmp_path / "perfmon.db.journal"
    for n in range(100):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success")
    take_away(folder)
    deadline = time.monotonic() + 60
    journal = monitor._parts.queue.journal
    while journal.is_gone or len({row[0] for row in in_files(folder)[0]}) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for n in range(100, 130):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success")
    assert {row[0] for row in in_files(folder)[0]} == {f"r{n}" for n in range(130)}
    back()
    monitor.flush(60)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["duplicate"], stats["dropped"]) == (130, 0, 0)
    monitor.stop()
    assert list(folder.glob("*.log")) == []


def test_a_journal_that_cannot_be_made_again_takes_nothing(tmp_path, monkeypatch):
    """Until it can, what is recorded is dropped and counted."""
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    recorder = RecordQueue(Journal(tmp_path / "journal", 16 * SMALL))
    rows = make_rows(30, seed=1)
    for row in rows[:10]:
        recorder.append_run(row)
    removed(tmp_path / "journal")
    (tmp_path / "journal").write_text("a file in its place")
    recorder.look_after_journal()
    for row in rows[10:20]:
        recorder.append_run(row)
    assert (len(recorder), recorder.dropped) == (10, 10)
    (tmp_path / "journal").unlink()
    recorder.look_after_journal()
    for row in rows[20:]:
        recorder.append_run(row)
    assert in_files(tmp_path / "journal")[0] == rows[:10] + rows[20:]
    recorder.close(keep=False)


def test_what_is_dropped_is_in_the_log(tmp_path, monkeypatch, caplog):
    """Once a minute, with its number."""
    monkeypatch.setattr("perfmon.recording.queue._PATIENCE", 0.0)
    monitor = monitor_on(tmp_path)
    monitor._parts.queue.journal._max_segments = 1
    away(monitor)
    monitor.start()
    for n in range(200):
        monitor.record_agent_run(f"r{n}", "planner", "react", "success")
    deadline = time.monotonic() + 60
    while "no room left in the journal" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monitor.stop(timeout=0.1)


CHILD = """
import os, sys
from perfmon import Config, PerformanceMonitor
url, journal, ends = sys.argv[1:]
table = {"storage": url, "journal": journal}
monitor = PerformanceMonitor(Config.from_mapping({"monitor": table})).start()
monitor.record_agent_run("parent", "a", "t", "success")
monitor.flush(60)
print("ready", flush=True)
sys.stdin.readline()  # storage is unavailable from now on
pid = os.fork()
if pid == 0:
    for n in range(10):
        monitor.record_agent_run(f"child-{n}", "a", "t", "success")
    if ends == "stopped":
        monitor.stop(0.1)
    os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_a_forked_child_without_storage_has_a_journal(tmp_path, postgres_url, ends):
    """What it records while it cannot open its storage is found by the next start."""
    proxy = PostgresProxy(postgres_url)
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD, proxy.url, str(tmp_path / "j"), ends],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "ready\n"
    proxy.go_away()
    child.communicate("go\n", timeout=240)
    proxy.come_back()
    table = {"storage": proxy.url, "journal": str(tmp_path / "j")}
    with PerformanceMonitor(Config.from_mapping({"monitor": table})) as monitor:
        assert monitor.get_system_metrics(60).total_tasks == 11
    assert list((tmp_path / "j").iterdir()) == []
    proxy.close()
