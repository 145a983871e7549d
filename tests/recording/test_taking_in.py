"""Taking in while the writer stores: whatever comes in between, no row and no answer is lost."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from perfmon import Config, PerformanceMonitor, StorageError
from perfmon.recording.awaited_rows import Bulk


class EagerWriter:
    """The lock of what is unstored; whenever a taker lets it go, another thread stores all of it."""

    def __init__(self, monitor: PerformanceMonitor) -> None:
        self._intake = monitor._parts.intake
        self._lock = self._intake.unstored.lock
        self._taker, self._depth = threading.current_thread(), 0
        self._intake.unstored.lock = self

    def acquire(self, *arguments: Any) -> bool:
        taken = self._lock.acquire(*arguments)
        self._depth += taken and threading.current_thread() is self._taker
        return taken

    def release(self) -> None:
        mine = threading.current_thread() is self._taker
        self._depth -= mine
        is_free = self._depth == 0
        self._lock.release()
        if mine and is_free:
            writer = threading.Thread(target=self._store)
            writer.start()
            writer.join()

    def _store(self) -> None:
        with suppress(StorageError):  # the taker itself may be writing
            self._intake.store_all(time.monotonic())

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def monitor_on(folder: Path) -> PerformanceMonitor:
    settings = {"storage": f"sqlite:///{folder}/runs.db"}
    return PerformanceMonitor(Config.from_mapping({"monitor": settings}))


def runs(monitor: PerformanceMonitor) -> None:
    for n in range(30):
        monitor.record_agent_run(f"r{n}", "planner", "react", "failure", error_type="Timeout")


def measurements(monitor: PerformanceMonitor) -> None:
    for n in range(30):
        monitor.record_accuracy("planner", f"t{n}", 1, 2)


def both(monitor: PerformanceMonitor) -> None:
    runs(monitor)
    measurements(monitor)


@pytest.mark.parametrize("record", [runs, measurements, both])
@pytest.mark.parametrize("ask", ["get_alerts", "get_system_metrics", "flush"])
def test_a_writer_that_is_quicker_than_who_takes_in(tmp_path, record, ask):
    """It stores what came in before who took it in has gone on: every row is there, once."""
    monitor = monitor_on(tmp_path)
    EagerWriter(monitor)
    record(monitor)
    getattr(monitor, ask)()
    stats = monitor.get_stats()
    wanted = 60 if record is both else 30
    assert (stats["stored"], stats["dropped"], stats["pending"]) == (wanted, 0, 0)
    if record is not measurements:
        assert monitor.get_system_metrics(60).total_tasks == 30
        assert monitor.get_alerts(), "an evaluation was lost"
    monitor.stop()


def test_the_journal_of_what_is_stored_at_once_is_forgotten(tmp_path, monkeypatch):
    """However quick the writer is, it knows up to where the journal is stored."""
    monkeypatch.setattr("perfmon.recording.journal.SEGMENT", 8_192)
    monitor = monitor_on(tmp_path)
    EagerWriter(monitor)
    for _ in range(10):
        runs(monitor)
        monitor.get_system_metrics(60)
    assert len(list((tmp_path / "runs.db.journal").glob("*.log"))) < 6
    monitor.stop()


@pytest.mark.parametrize(
    "where", ["perfmon.recording.intake.completed", "perfmon.window.window.Window.add"]
)
def test_rows_that_cannot_be_taken_in_are_counted_and_hold_up_nobody(tmp_path, monkeypatch, where):
    """A bug in the middle: single runs and those of a bulk are dropped, and their caller hears."""
    monitor = monitor_on(tmp_path)
    runs(monitor)
    bulk = Bulk([("b", "default", "a", *[None] * 21)], [])
    monitor._parts.queue.append_bulk(bulk)

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        monitor._parts.intake.take_in()
    assert bulk.done.is_set()
    assert (bulk.dropped, bulk.stored) == (1, False)
    stats = monitor.get_stats()
    assert (stats["recorded"], stats["dropped"], stats["pending"]) == (31, 31, 0)
    monitor.record_agent_run("later", "planner", "react", "success")
    assert monitor.get_system_metrics(60).total_tasks == 1
    monitor.stop()


def test_eight_askers_beside_the_writer(tmp_path):
    """Nobody who asks while others record and the writer stores meets an exception."""
    problems: list[BaseException] = []
    with monitor_on(tmp_path) as monitor:
        until = time.monotonic() + 1.0

        def ask(number: int) -> None:
            try:
                n = 0
                while time.monotonic() < until:
                    monitor.record_agent_run(f"{number}-{n}", "planner", "react", "success")
                    monitor.get_system_metrics(60)
                    n += 1
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monitor.flush(60)
        stats = monitor.get_stats()
        assert not problems
        assert stats["recorded"] == stats["stored"] == monitor.get_system_metrics(60).total_tasks
