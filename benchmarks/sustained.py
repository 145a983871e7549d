"""Eight threads that record for a minute: what arrives, what is lost, what memory does.

Paced, each thread records a small burst every 5 ms, as many callers together would. Unpaced, the
threads starve the writer of the interpreter's lock: what cannot be stored is bounded and counted.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from benchmarks.meters import resident_bytes, seconds
from benchmarks.runs import thirteen
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from benchmarks.yardsticks import INSERT, SPAN, plain_database, spans
from perfmon import Config, PerformanceMonitor

THREADS = 8
RATE = 80_000
ALONE = "SQLite executemany, no monitor"
_TICK = 0.005
_POOL = 4_096
Ids = Callable[[int], Iterator[str]]


def ordered_ids(thread: int) -> Iterator[str]:
    """Ids that grow with time, as UUID version 7 does."""
    begin, count = f"{time.time_ns():016x}-{thread}", 0
    while True:
        count += 1
        yield f"{begin}-{count:010x}"


def random_ids(thread: int) -> Iterator[str]:
    """Ids in no order, as UUID version 4 (which takes longer to make)."""
    bits = random.Random(time.time_ns() + thread).getrandbits
    while True:
        yield f"{bits(128):032x}"


@attrs.define
class Stretch:
    """What came of some seconds of recording."""

    seconds: float
    calls: int
    stored_by_then: int
    drain_seconds: float
    stats: dict[str, Any]
    rows: int
    memory: list[int]
    most_pending: int

    @property
    def rate(self) -> float:
        """Runs a second that were in the database when the last call returned."""
        return self.stored_by_then / self.seconds

    @property
    def unaccounted(self) -> int:
        """Calls that are neither in the database nor in the accounts."""
        told: int = sum(self.stats[name] for name in ("duplicate", "dropped", "rejected"))
        return abs(self.calls - self.rows - told)

    def memory_mb(self, share: float) -> float:
        return self.memory[int(share * (len(self.memory) - 1))] / 2**20


def measure(bench: Bench) -> Iterator[Figure]:
    plain = _plain_rate(bench)
    ordered = _stretch(bench, "paced", ordered_ids, bench.size(5, 60), RATE, "memory")
    yield from _paced(ordered, f"{RATE // 1000} k/s", plain)
    journaled = _stretch(bench, "paced-journal", ordered_ids, bench.size(5, 60), RATE)
    yield from _paced(journaled, "with the journal", plain)
    unordered = _stretch(bench, "paced-random", random_ids, bench.size(5, 20), RATE)
    yield from _paced(unordered, "random ids", plain)
    free = _stretch(bench, "unpaced", ordered_ids, bench.size(3, 15), None)
    spans_a_second, spans_lost = _spans(bench.size(2, 5))
    yield Figure("unpaced: calls", free.calls / free.seconds, "calls/s",
                 yardstick=f"{SPAN}s, 8 threads", beside=spans_a_second)  # fmt: skip
    yield Figure("unpaced: stored", free.rate, "runs/s", yardstick=ALONE, beside=plain)
    yield Figure("unpaced: stored after the last call", free.drain_seconds, "s")
    yield Figure("unpaced: dropped, counted", free.stats["dropped"] / free.calls * 100, "%",
                 yardstick=f"{SPAN}s dropped", beside=spans_lost * 100)  # fmt: skip
    yield Figure("unpaced: unaccounted for", free.unaccounted, "runs", 0)
    yield Figure("unpaced: most waiting at once", free.most_pending, "runs")
    yield Figure("unpaced: memory at the end", free.memory_mb(1), "MB",
                 yardstick="paced", beside=ordered.memory_mb(1))  # fmt: skip


def _paced(found: Stretch, name: str, plain: float) -> Iterator[Figure]:
    yield Figure(f"{name}: recorded", found.calls / found.seconds, "runs/s", 0.99 * RATE,
                 at_least=True)  # fmt: skip
    yield Figure(f"{name}: stored", found.rate, "runs/s", 0.99 * RATE, at_least=True,
                 yardstick=ALONE, beside=plain)  # fmt: skip
    yield Figure(f"{name}: stored after the last call", found.drain_seconds, "s", 3)
    yield Figure(f"{name}: lost", found.unaccounted, "runs", 0)
    yield Figure(f"{name}: dropped", found.stats["dropped"], "runs", 0)
    yield Figure(f"{name}: most waiting at once", found.most_pending, "runs")
    for place, share in (("start", 0.0), ("a third", 1 / 3), ("two thirds", 2 / 3)):
        yield Figure(f"{name}: memory at {place}", found.memory_mb(share), "MB")
    # Until a third the window fills; from there on it must hold still.
    yield Figure(f"{name}: memory at the end", found.memory_mb(1), "MB",
                 round(found.memory_mb(1 / 3) * 1.1), yardstick="at a third",
                 beside=found.memory_mb(1 / 3))  # fmt: skip


def _stretch(
    bench: Bench,
    name: str,
    ids: Ids,
    length: float,
    rate: int | None,
    durability: str = "process",
) -> Stretch:
    path = bench.folder / f"{name}.db"
    window = bench.size(100_000, 1_000_000)
    settings = {
        "storage": f"sqlite:///{path}",
        "max_runs_in_memory": window,
        "durability": durability,
    }
    monitor = PerformanceMonitor(Config.from_mapping({"monitor": settings}))
    memory, most, stopping = [resident_bytes()], 0, threading.Event()
    counts = [0] * THREADS
    threads = [
        threading.Thread(target=_record, args=(monitor, thread, ids, rate, stopping, counts))
        for thread in range(THREADS)
    ]
    with monitor, bench.bar(f"sustained, {name}", length) as advance:
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        while time.perf_counter() - began < length:
            time.sleep(0.25)
            advance(0.25)
            memory.append(resident_bytes())
            most = max(most, monitor._parts.intake.pending)
        stopping.set()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        stored = monitor._parts.intake.counts.stored
        drained = seconds(lambda: _drain(monitor))
        stats = monitor.get_stats()
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT count(*) FROM runs").fetchone()[0]
    for file in bench.folder.glob(f"{name}.db*"):
        _remove(file)
    return Stretch(took, sum(counts), stored, drained, stats, rows, memory, most)


def _drain(monitor: PerformanceMonitor) -> None:
    while monitor._parts.intake.pending:
        monitor.flush()


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            inner.unlink()
        path.rmdir()
    else:
        path.unlink()


def _record(
    monitor: PerformanceMonitor, thread: int, ids: Ids, rate: int | None,
    stopping: threading.Event, counts: list[int],
) -> None:  # fmt: skip
    runs = [row[1:] for row in thirteen(_POOL, "", thread)]
    record, fresh = monitor.record_agent_run, ids(thread)
    burst = 100 if rate is None else round(rate / THREADS * _TICK)
    began, tick, count = time.perf_counter(), 0, 0
    while not stopping.is_set():
        for _ in range(burst):
            record(next(fresh), *runs[count % _POOL])
            count += 1
        if rate is not None:
            tick += 1
            left = began + tick * _TICK - time.perf_counter()
            if left > 0:
                time.sleep(left)
    counts[thread] = count


def _plain_rate(bench: Bench) -> float:
    """Rows a second into a plain table with an index, a transaction every 1,000."""
    rows = [(*row[:12], row[12]["task_type"]) for row in thirteen(bench.size(50_000, 300_000), "p")]
    with closing(plain_database(bench.folder / "plain.db")) as database:

        def insert() -> None:
            for start in range(0, len(rows), 1_000):
                database.execute("BEGIN")
                database.executemany(INSERT, rows[start : start + 1_000])
                database.execute("COMMIT")

        return len(rows) / seconds(insert)


def _spans(length: float) -> tuple[float, float]:
    """OpenTelemetry under the same threads, unpaced: spans a second, and the share not exported."""
    runs = thirteen(_POOL, "span")
    stopping, counts, exported = threading.Event(), [0] * THREADS, [0]

    def work(record: Callable[..., None], thread: int) -> None:
        while not stopping.is_set():
            record(*runs[counts[thread] % _POOL])
            counts[thread] += 1

    with spans(exported) as record:
        threads = [threading.Thread(target=work, args=(record, n)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        time.sleep(length)
        stopping.set()
        for thread in threads:
            thread.join()
    return sum(counts) / length, 1 - exported[0] / sum(counts)


if __name__ == "__main__":
    run_alone("sustained", measure)
