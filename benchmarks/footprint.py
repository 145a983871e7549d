"""What a monitor takes while it holds a day of a million runs: memory, disk, CPU, the collector.

Memory is what the process really holds more than before. It is measured with nothing stored, since
SQLite's page cache (64 MB at most) is no part of the window; a line of its own has it in.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.meters import resident_bytes, seconds
from benchmarks.runs import batches
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from benchmarks.yardsticks import INSERT, plain_database
from perfmon import PerformanceMonitor

DAY = 86_400.0
_WARM = 4_000
_DICTS = 100_000


def measure(bench: Bench) -> Iterator[Figure]:
    count = bench.size(200_000, 1_000_000)
    runs = f"{count:,} runs of 50 agents in 24 h"
    kept, walk = _kept_dicts()
    dicts = "dictionaries in a list"
    yield from _memory(bench, count, 1, f"memory a run, {runs}", 200, dicts, kept)
    yield from _memory(bench, count, 2, "  two models, two task types each", None, dicts, kept)
    yield from _stored(bench, count, walk)


def _kept_dicts() -> tuple[float, float]:
    """Bytes a run of dictionaries kept in a list, and seconds the collector walks a million."""
    gc.collect()
    before = resident_bytes()
    kept = [run for piece in batches(_DICTS, 0, DAY, "kept") for run in piece]
    for run in kept:
        run["metadata"] = dict(run["metadata"])
    took = (resident_bytes() - before) / len(kept)
    return took, seconds(gc.collect) * 1_000_000 / len(kept)


def _memory(
    bench: Bench, count: int, kinds: int, name: str, target: float | None, dicts: str, kept: float
) -> Iterator[Figure]:
    monitor = PerformanceMonitor(storage_url="memory:")
    since = time.time() - DAY + 600
    # What is imported and allocated once is no part of a run's bytes.
    _record(monitor, bench, _WARM, kinds, since, "warm")
    gc.collect()
    before = resident_bytes()
    _record(monitor, bench, count, kinds, since, "run")
    gc.collect()
    took = resident_bytes() - before
    held = _held_bytes(monitor.intake, set())
    yield Figure(name, took / count, "B", target, yardstick=dicts, beside=kept)
    yield Figure("  of it counted object by object", held / count, "B")
    monitor.stop()


def _stored(bench: Bench, count: int, walk: float) -> Iterator[Figure]:
    gc.collect()
    path = bench.folder / "footprint.db"
    before, without = resident_bytes(), seconds(gc.collect)
    with PerformanceMonitor(storage_url=f"sqlite:///{path}") as monitor:
        _record(monitor, bench, count, 1, time.time() - DAY + 600, "run")
        took = resident_bytes() - before
        pause = seconds(gc.collect) - without
        idle = _cpu_share(bench, "footprint, an idle monitor")
    yield Figure("memory a run, all of a monitor on SQLite", took / count, "B")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    disk, plain = path.stat().st_size / count, _plain_bytes(bench)
    yield Figure("disk a run", disk, "B", 250, yardstick="plain table, one index", beside=plain)
    thread, stop = _bare_thread()
    bare = _cpu_share(bench, "footprint, a bare thread")
    stop.set()
    thread.join()
    yield Figure("idle, with all that in the window", idle * 100, "% of a core", 0.1,
                 yardstick="thread that wakes every second", beside=bare * 100)  # fmt: skip
    yield Figure("garbage collection, longer by", pause * 1e3, "ms", 10,
                 yardstick="1,000,000 dictionaries kept", beside=walk * 1e3)  # fmt: skip


def _record(
    monitor: PerformanceMonitor, bench: Bench, count: int, kinds: int, since: float, prefix: str
) -> None:
    pieces = batches(count, since, DAY - 1200, prefix, kinds=kinds)
    for piece in bench.track("footprint, filling", pieces, total=-(-count // 2_000)):
        monitor.record_agent_runs(piece)


def _held_bytes(thing: Any, met: set[int]) -> int:
    """Bytes of the arrays and containers that are reached from the window's owner."""
    waiting, total = [thing.window, thing._seen_runs], 0
    while waiting:
        found = waiting.pop()
        if id(found) in met or isinstance(found, type) or callable(found):
            continue
        met.add(id(found))
        if isinstance(found, np.ndarray):
            whole = found if found.base is None else found.base
            if id(whole) not in met or whole is found:
                met.add(id(whole))
                total += getattr(whole, "nbytes", 0) or sys.getsizeof(whole)
        else:
            total += sys.getsizeof(found)
            waiting += gc.get_referents(found)
    return total


def _plain_bytes(bench: Bench) -> float:
    from benchmarks.runs import thirteen

    path, rows = bench.folder / "plain.db", thirteen(50_000, "plain")
    with closing(plain_database(path)) as database:
        database.execute("BEGIN")
        database.executemany(INSERT, [(*row[:12], row[12]["task_type"]) for row in rows])
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(path).stat().st_size / len(rows)


def _cpu_share(bench: Bench, what: str) -> float:
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
