"""What asking costs, with few and with many runs in a window of 24 hours.

The clock is moved by a second before each question, so that no answer can be a kept one; a line of
its own shows questions while runs come in. numpy answers the same from sorted columns, exactly.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from benchmarks.meters import seconds
from benchmarks.runs import batches
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon import PerformanceMonitor
from perfmon.testing import ManualClock

DAY = 86_400.0
FEW = 10_000
Question = Callable[[PerformanceMonitor], Any]
QUESTIONS: dict[str, tuple[Question, float]] = {
    "get_system_metrics(60)": (lambda monitor: monitor.get_system_metrics(60), 2),
    "get_system_metrics(1440)": (lambda monitor: monitor.get_system_metrics(1440), 2),
    "get_agent_metrics(60)": (lambda monitor: monitor.get_agent_metrics("agent-07", 60), 2),
    "get_agent_metrics(1440)": (lambda monitor: monitor.get_agent_metrics("agent-07", 1440), 2),
    "get_all_agent_metrics(60)": (lambda monitor: monitor.get_all_agent_metrics(60), 50),
    "get_all_agent_metrics(1440)": (lambda monitor: monitor.get_all_agent_metrics(1440), 50),
}


@attrs.frozen
class Asked:
    """Milliseconds of the first call, and of the middle one of many, at rest and under load."""

    first: float
    warm: float
    busy: float


def measure(bench: Bench) -> Iterator[Figure]:
    many = bench.size(100_000, 1_000_000)
    with _filled(bench, FEW) as (monitor, clock):
        small = _ask_all(bench, monitor, clock)
    with _filled(bench, many) as (monitor, clock):
        large = _ask_all(bench, monitor, clock)
    exact = {minutes: _numpy_ms(many, minutes) for minutes in (60, 1440)}
    runs = f"{many:,} runs"
    for name, (_, target) in QUESTIONS.items():
        minutes = 60 if "(60)" in name else 1440
        scan = f"numpy, exact, {minutes} min"
        yield Figure(f"{name}, {runs}", large[name].warm, "ms", target,
                     yardstick=scan, beside=exact[minutes])  # fmt: skip
        yield Figure("  over 10,000 runs", large[name].warm / small[name].warm, "x", 3,
                     yardstick="runs, many over few", beside=many / FEW)  # fmt: skip
        yield Figure("  after 100 new runs", large[name].busy, "ms",
                     yardstick=scan, beside=exact[minutes])  # fmt: skip
        yield Figure("  first call", large[name].first, "ms",
                     yardstick=scan, beside=exact[minutes])  # fmt: skip


@contextmanager
def _filled(bench: Bench, count: int) -> Iterator[tuple[PerformanceMonitor, ManualClock]]:
    """A monitor on SQLite that holds a day of runs, as if it were the end of that day."""
    clock = ManualClock()
    since = clock()
    clock.advance(DAY)
    url = f"sqlite:///{bench.folder}/queries-{count}.db"
    with PerformanceMonitor(storage_url=url, clock=clock) as monitor:
        pieces = batches(count, since, DAY, "run")
        for piece in bench.track(f"queries, {count:,} runs", pieces, total=-(-count // 2_000)):
            monitor.record_agent_runs(piece)
        yield monitor, clock


def _ask_all(bench: Bench, monitor: PerformanceMonitor, clock: ManualClock) -> dict[str, Asked]:
    repeats = bench.size(15, 101)
    return {
        name: _ask(monitor, clock, question, repeats) for name, (question, _) in QUESTIONS.items()
    }


def _ask(
    monitor: PerformanceMonitor, clock: ManualClock, question: Question, repeats: int
) -> Asked:
    def once() -> float:
        clock.advance(1)
        return seconds(lambda: question(monitor)) * 1e3

    def after_news() -> float:
        clock.advance(1)
        for run in next(batches(100, clock(), 0, f"new-{clock():.0f}", size=100)):
            monitor.record_agent_run(**run)
        return seconds(lambda: question(monitor)) * 1e3

    first = once()
    warm = statistics.median(once() for _ in range(repeats))
    busy = statistics.median(after_news() for _ in range(min(repeats, 30)))
    monitor.flush()
    return Asked(first, warm, busy)


def _numpy_ms(count: int, minutes: int) -> float:
    """Counts, means, sums and three quantiles from the raw columns of the same window."""
    chance = np.random.default_rng(3)
    at = np.linspace(0, DAY, count)
    columns = chance.lognormal(6.5, 1.2, (5, count))
    work = lambda: _scan(at, columns, DAY - minutes * 60)  # noqa: E731
    return statistics.median(seconds(work) for _ in range(9)) * 1e3


def _scan(
    at: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], since: float
) -> list[float]:
    first = int(np.searchsorted(at, since))
    found = [float(column[first:].sum()) for column in columns]
    return [*found, *np.percentile(columns[0, first:], (50, 95, 99)).tolist()]


if __name__ == "__main__":
    run_alone("queries", measure)
