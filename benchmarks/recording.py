"""What recording a run costs its caller, and the machine all in all.

`record_agent_run` with thirteen fields, by keyword, with validation, window and SQLite on and the
writer at work. Callers and yardsticks take turns, so that a machine that slows down slows all.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import attrs

from benchmarks.meters import Spread, clock, clock_overhead_us
from benchmarks.runs import Row, thirteen
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from benchmarks.yardsticks import COMMIT, COUNTERS, LOG_LINE, SPAN, Record, all_of_them
from perfmon import Config, PerformanceMonitor

MEMORY, PROCESS = "memory", "process"  # durability
_BURST = 5_000
_PENDING = 40_000  # the writer always has something to do, and nothing is ever dropped


class Caller(NamedTuple):
    """Somebody who records: a call, a wait for room before a burst, and a wait for the end."""

    record: Record
    make_room: Callable[[], None] = lambda: None
    settle: Callable[[], None] = lambda: None


def measure(bench: Bench) -> Iterator[Figure]:
    overhead = clock_overhead_us()
    with ExitStack() as stack:
        callers = stack.enter_context(_callers(bench))
        tight = _tight(bench, callers, overhead)
        cpu = {name: _cpu_us(bench, callers[name]) for name in (MEMORY, PROCESS, SPAN)}
        paced = {name: _paced(bench, callers[name], overhead) for name in (MEMORY, PROCESS, SPAN)}
    for name, target, beside in ((MEMORY, 3, SPAN), (PROCESS, 5, COMMIT)):
        yield Figure(f"{name}: median", tight[name].median, "µs", target,
                     yardstick=beside, beside=tight[beside].median)  # fmt: skip
        if name == MEMORY:
            yield Figure(f"{name}: share of an OpenTelemetry span",
                         tight[name].median / tight[SPAN].median, "", 0.1)  # fmt: skip
            for other in (COUNTERS, LOG_LINE):
                yield Figure(f"{name}: median", tight[name].median, "µs",
                             yardstick=other, beside=tight[other].median)  # fmt: skip
        yield from _tails(name, tight[name], tight[SPAN])
    for name in (MEMORY, PROCESS):
        yield Figure(f"{name}: paced, median", paced[name].spread.median, "µs",
                     yardstick=f"{SPAN}, paced", beside=paced[SPAN].spread.median)  # fmt: skip
        yield from _tails(f"{name}: paced", paced[name].spread, paced[SPAN].spread)
    for name in (MEMORY, PROCESS):
        yield Figure(f"{name}: CPU a run, writer included", cpu[name], "µs", 10,
                     yardstick=f"{SPAN}, exporter included", beside=cpu[SPAN])  # fmt: skip
        yield Figure(f"{name}: CPU a run, paced", paced[name].cpu_us, "µs",
                     yardstick=f"{SPAN}, paced", beside=paced[SPAN].cpu_us)  # fmt: skip
    yield Figure("reading the clock (subtracted)", overhead, "µs")


def _tails(name: str, mine: Spread, span: Spread) -> Iterator[Figure]:
    yield Figure(f"{name}: p99", mine.p99, "µs", 50, yardstick=f"{SPAN}, p99", beside=span.p99)
    yield Figure(
        f"{name}: p99.9", mine.p999, "µs", 150, yardstick=f"{SPAN}, p99.9", beside=span.p999
    )


@contextmanager
def _callers(bench: Bench) -> Iterator[dict[str, Caller]]:
    with ExitStack() as stack:
        others = stack.enter_context(all_of_them(bench.folder))
        callers = {name: Caller(record) for name, record in others.items()}
        for name, durability in ((MEMORY, "memory"), (PROCESS, "process")):
            url = f"sqlite:///{bench.folder}/{durability}.db"
            settings = {"storage": url, "durability": durability}
            config = Config.from_mapping({"monitor": settings})
            callers[name] = _caller(stack.enter_context(PerformanceMonitor(config)))
        yield callers


def _caller(monitor: PerformanceMonitor) -> Caller:
    def record(
        run_id: str, agent_name: str, agent_type: str, status: str, duration_ms: float,
        tokens_used: int, cost: float, memory_mb: float, cpu_ms: float, quality_score: float,
        confidence: float, error_type: str | None, metadata: Mapping[str, Any],
    ) -> None:  # fmt: skip
        # By keyword, as people write it; this frame costs the figure a tenth of a microsecond.
        monitor.record_agent_run(
            run_id=run_id, agent_name=agent_name, agent_type=agent_type, status=status,
            duration_ms=duration_ms, tokens_used=tokens_used, cost=cost, memory_mb=memory_mb,
            cpu_ms=cpu_ms, quality_score=quality_score, confidence=confidence,
            error_type=error_type, metadata=metadata,
        )  # fmt: skip

    def make_room() -> None:
        while monitor._parts.intake.pending > _PENDING:
            time.sleep(0.001)

    return Caller(record, make_room, monitor.flush)


def _tight(bench: Bench, callers: dict[str, Caller], overhead: float) -> dict[str, Spread]:
    """One call after the other, in turns."""
    spreads: dict[str, list[Spread]] = {name: [] for name in callers}
    turns = [(turn, name) for turn in range(bench.size(3, 9)) for name in callers]
    for turn, name in bench.track("recording, tight", turns):
        count = bench.size(5_000, 10_000) if name == COMMIT else bench.size(25_000, 100_000)
        rows = _rows(count, f"tight-{turn}")
        spreads[name].append(Spread.of(_timed(callers[name], rows), overhead))
        callers[name].settle()
    return {name: Spread.typical(found) for name, found in spreads.items()}


def _rows(count: int, prefix: str) -> list[Row]:
    """Fresh runs that the garbage collector leaves alone: they are not what is measured."""
    gc.unfreeze()
    rows = thirteen(count, prefix)
    gc.collect()
    gc.freeze()
    return rows


def _timed(caller: Caller, rows: list[Row]) -> array[int]:
    took = array("q", bytes(8 * len(rows)))
    record = caller.record
    for start in range(0, len(rows), _BURST):
        caller.make_room()
        for place in range(start, min(start + _BURST, len(rows))):
            row = rows[place]
            began = clock()
            record(*row)
            took[place] = clock() - began
    return took


def _cpu_us(bench: Bench, caller: Caller) -> float:
    """The process's CPU a run, until all of them are stored."""
    rows = _rows(bench.size(50_000, 300_000), "cpu")
    began = time.process_time()
    for start in range(0, len(rows), _BURST):
        caller.make_room()
        for row in rows[start : start + _BURST]:
            caller.record(*row)
    caller.settle()
    return (time.process_time() - began) / len(rows) * 1e6


@attrs.frozen
class Paced:
    spread: Spread
    cpu_us: float


def _paced(bench: Bench, caller: Caller, overhead: float, rate: int = 1_000) -> Paced:
    """A run every millisecond: caches are cold, and the writer sleeps in between."""
    rows = _rows(bench.size(2_000, 15_000), "paced")
    idle = _paced_cpu(bench, Caller(lambda *_: None), rows[: len(rows) // 4], rate)[0]
    cpu, took = _paced_cpu(bench, caller, rows, rate)
    return Paced(Spread.of(took, overhead), (cpu - idle) * 1e6)


def _paced_cpu(
    bench: Bench, caller: Caller, rows: list[Row], rate: int
) -> tuple[float, array[int]]:
    """CPU seconds a run, of the pacing too, and each call's nanoseconds."""
    took = array("q", bytes(8 * len(rows)))
    cpu, start = time.process_time(), clock()
    for place, row in enumerate(bench.track("recording, 1,000 runs/s", rows)):
        due = start + place * 1_000_000_000 // rate
        while (left := due - clock()) > 0:
            time.sleep(left / 1e9)
        began = clock()
        caller.record(*row)
        took[place] = clock() - began
    caller.settle()
    return (time.process_time() - cpu) / len(rows), took


if __name__ == "__main__":
    run_alone("recording", measure)
