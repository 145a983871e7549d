"""What a monitor takes while it holds a day of a million runs: memory, disk, CPU, the collector.

Memory is what the process really holds more than before. That of the window is measured without
storage, whose page cache has a bound of its own; a line for all of a monitor has it in.
"""

from __future__ import annotations

import gc
import multiprocessing
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.meters import median_ms, resident_bytes, seconds
from benchmarks.runs import batches, thirteen
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from benchmarks.yardsticks import INSERT, plain_database
from perfmon import Batch, PerformanceMonitor, Stored

DAY = 86_400.0
_WARM = 4_000
_DICTS = 100_000
Result = TypeVar("Result")


def measure(bench: Bench) -> Iterator[Figure]:
    count = bench.size(200_000, 1_000_000)
    # A process each: what one has allocated and freed would be the next one's to use.
    kept, walk = _apart(_kept_dicts)
    dicts = "dictionaries in a list"
    for kinds, name in (
        (1, f"memory a run, {count:,} runs in 24 h"),
        (2, "  of 200 kinds, not 50"),
    ):
        bench.say(f"filling a window with {count:,} runs")
        whole, counted = _apart(_window_bytes, count, kinds)
        target = 200 if kinds == 1 and not bench.quick else None
        yield Figure(name, whole / count, "B", target, yardstick=dicts, beside=kept)
        yield Figure("  of it arrays and objects", counted / count, "B",
                     yardstick=dicts, beside=kept)  # fmt: skip
    yield from _stored(bench, count, walk)


def _apart(work: Callable[..., Result], *arguments: Any) -> Result:
    """The work's result, done in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _kept_dicts() -> tuple[float, float]:
    """Bytes a run of dictionaries kept in a list, and seconds the collector walks a million."""
    gc.collect()
    before, bare = resident_bytes(), seconds(gc.collect)
    kept = [run for piece in batches(_DICTS, 0, DAY, "kept") for run in piece]
    for run in kept:
        run["metadata"] = dict(run["metadata"])
    took = (resident_bytes() - before) / len(kept)
    return took, (seconds(gc.collect) - bare) * 1_000_000 / len(kept)


class Nowhere:
    """Storage that keeps nothing; even `memory:` is a database, in memory."""

    def store(self, batch: Batch) -> Stored:
        rows = (batch.runs, batch.measurements, batch.amended)
        return Stored(*(np.ones(len(part), bool) for part in rows))


def _window_bytes(count: int, kinds: int) -> tuple[int, int]:
    """Bytes the process grew by, and those of the window's and the id memory's objects."""
    monitor = PerformanceMonitor(storage_url="memory:")
    monitor._parts.intake.storage = Nowhere()  # type: ignore[assignment]
    since = time.time() - DAY + 600
    # What is imported and allocated once is no part of a run's bytes.
    _record(monitor, batches(_WARM, since, DAY - 1200, "warm", kinds=kinds))
    gc.collect()
    before = resident_bytes()
    _record(monitor, batches(count, since, DAY - 1200, "run", kinds=kinds))
    gc.collect()
    return resident_bytes() - before, _held_bytes(monitor._parts.intake)


def _stored(bench: Bench, count: int, walk: float) -> Iterator[Figure]:
    path = bench.folder / "footprint.db"
    before = resident_bytes()
    with PerformanceMonitor(storage_url=f"sqlite:///{path}") as monitor:
        runs = batches(count, time.time() - DAY + 600, DAY - 1200, "run")
        _record(monitor, bench.track("footprint, storing", runs, total=-(-count // 2_000)))
        took = resident_bytes() - before
        monitor.get_alerts()  # what was recorded just now is looked at once, and then it rests
        idle = _cpu_share(bench)
        pause = _collecting_ms()
    del monitor
    pause -= _collecting_ms()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield Figure("memory a run, all of a monitor on SQLite", took / count, "B")
    disk, plain = path.stat().st_size / count, _plain_bytes(bench)
    yield Figure("disk a run", disk, "B", 250, yardstick="plain table, one index", beside=plain)
    thread, stop = _bare_thread()
    bare = _cpu_share(bench)
    stop.set()
    thread.join()
    yield Figure("idle, with all that in the window", idle * 100, "% of a core", 0.1,
                 yardstick="thread that wakes every second", beside=bare * 100)  # fmt: skip
    yield Figure("garbage collection, longer by", pause, "ms",
                 yardstick="1,000,000 dictionaries kept", beside=walk * 1e3)  # fmt: skip


def _collecting_ms() -> float:
    gc.collect()
    return median_ms(gc.collect, 5)


def _record(monitor: PerformanceMonitor, pieces: Iterable[list[dict[str, Any]]]) -> None:
    for piece in pieces:
        monitor.record_agent_runs(piece)


def _held_bytes(intake: Any) -> int:
    """Bytes of the arrays and containers that are reached from the window and the ids."""
    waiting, total = [intake.unstored.window, intake.unstored._seen_runs], 0
    met: set[int] = set()
    while waiting:
        found = waiting.pop()
        if id(found) in met or isinstance(found, type) or callable(found):
            continue
        met.add(id(found))
        if isinstance(found, np.ndarray) and isinstance(found.base, np.ndarray):
            waiting.append(found.base)  # a view keeps the whole array
        elif isinstance(found, np.ndarray):
            total += sys.getsizeof(found)
        else:
            total += sys.getsizeof(found)
            waiting += gc.get_referents(found)
    return total


def _plain_bytes(bench: Bench) -> float:
    path, rows = bench.folder / "plain.db", thirteen(50_000, "plain")
    with closing(plain_database(path)) as database:
        database.execute("BEGIN")
        database.executemany(INSERT, [(*row[:12], row[12]["task_type"]) for row in rows])
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(path).stat().st_size / len(rows)


def _cpu_share(bench: Bench) -> float:
    """The share of a core that this process takes while nobody asks anything of it."""
    time.sleep(1.5)
    length = bench.size(4, 20)
    began = time.process_time()
    time.sleep(length)
    return (time.process_time() - began) / length


def _bare_thread() -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()

    def wake() -> None:
        while not stop.wait(1):
            pass

    thread = threading.Thread(target=wake, daemon=True)
    thread.start()
    return thread, stop


if __name__ == "__main__":
    run_alone("footprint", measure)
