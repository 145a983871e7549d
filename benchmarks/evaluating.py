"""What watching costs: one look at all defaults, for many runs and for many agents.

The clock is moved by five seconds before each look, as it is live. What was recorded before the
window began is read once; a look is at what came since, and at what leaves.
"""

from __future__ import annotations

import statistics
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.meters import seconds
from benchmarks.runs import AGENTS, batches
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon import PerformanceMonitor
from perfmon.testing import ManualClock

DAY, INTERVAL = 86_400.0, 5.0
FEW, MANY = AGENTS, 1_000


def measure(bench: Bench) -> Iterator[Figure]:
    runs = bench.size(100_000, 1_000_000)
    with _filled(bench, runs, FEW) as (monitor, clock):
        yield from _looks(bench, monitor, clock, FEW, f"{FEW} agents, {runs:,} runs", 50)
        yield from _beside(bench, monitor, clock)
    with _filled(bench, 100_000, MANY) as (monitor, clock):
        yield from _looks(bench, monitor, clock, MANY, f"{MANY:,} agents, 100,000 runs", 1_000)


@contextmanager
def _filled(
    bench: Bench, count: int, agents: int
) -> Iterator[tuple[PerformanceMonitor, ManualClock]]:
    """A monitor on SQLite that holds a day of runs; nothing evaluates in the background."""
    clock = ManualClock()
    since = clock()
    clock.advance(DAY)
    url = f"sqlite:///{bench.folder}/evaluating-{agents}.db"
    monitor = PerformanceMonitor(storage_url=url, clock=clock)
    pieces = batches(count, since, DAY, "run")
    for piece in bench.track(f"evaluating, {agents:,} agents", pieces, total=-(-count // 2_000)):
        monitor.record_agent_runs([_of(run, agents) for run in piece])
    monitor.flush()
    yield monitor, clock
    monitor.stop()


def _of(run: dict[str, Any], agents: int) -> dict[str, Any]:
    """The run as one of so many agents, of one type each."""
    if agents == AGENTS:
        return run
    number = zlib.crc32(run["run_id"].encode()) % agents
    return {**run, "agent_name": f"agent-{number:04d}", "agent_type": "react", "metadata": None}


def _looks(
    bench: Bench,
    monitor: PerformanceMonitor,
    clock: ManualClock,
    agents: int,
    what: str,
    most: float,
) -> Iterator[Figure]:
    repeats = bench.size(12, 60)
    first = _look(monitor, clock)
    # As many as there would be in five seconds of the fuller day.
    busy = [_look(monitor, clock, 58, agents) for _ in range(repeats)]
    idle = [_look(monitor, clock) for _ in range(repeats)]
    yield Figure(f"a look, {what}, 58 new", statistics.median(busy), "ms", most)
    yield Figure("  nothing new", statistics.median(idle), "ms", most / 10)
    yield Figure("  the first look", first, "ms")


def _look(monitor: PerformanceMonitor, clock: ManualClock, new: int = 0, agents: int = 1) -> float:
    _news(monitor, clock, new, agents)
    return seconds(monitor._parts.evaluator.evaluate) * 1e3


def _news(monitor: PerformanceMonitor, clock: ManualClock, count: int, agents: int) -> None:
    clock.advance(INTERVAL)
    if count:
        for run in next(batches(count, clock(), 0, f"new-{clock():.0f}", size=count)):
            monitor.record_agent_run(**_of(run, agents))


def _beside(bench: Bench, monitor: PerformanceMonitor, clock: ManualClock) -> Iterator[Figure]:
    """Questions while a look is under way."""

    def ask() -> float:
        return seconds(lambda: monitor.get_system_metrics(60)) * 1e3

    alone = statistics.median(ask() for _ in range(50))
    during = []
    for _ in range(bench.size(12, 60)):
        _news(monitor, clock, 58, FEW)
        thread = threading.Thread(target=monitor._parts.evaluator.evaluate)
        thread.start()
        while thread.is_alive():
            during.append(ask())
        thread.join()
    yield Figure("get_system_metrics(60) during a look", statistics.median(during), "ms", 10,
                 yardstick="alone", beside=alone)  # fmt: skip


if __name__ == "__main__":
    run_alone("evaluating", measure)
