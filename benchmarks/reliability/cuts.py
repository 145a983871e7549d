"""COMMITs that reach PostgreSQL and whose answers do not come back: each row counts once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from benchmarks.reliability.kills import postgres
from benchmarks.reliability.proxy import PostgresProxy
from perfmon import Config, PerformanceMonitor
from perfmon.testing.stored import measurements_of, runs_of

EACH = 100  # rows in a transaction
_PATIENCE = 120.0


@attrs.frozen
class Cuts:
    """What came of them.

    Attributes:
        answers: how many answers were lost.
        rows: what storage has.
        missing: how many rows that were recorded it has not.
        in_window: what the window has.
        repeats: how many rows were taken for repeats.
    """

    answers: int
    rows: int
    missing: int
    in_window: int
    repeats: int


def cut(
    folder: Path, times: int, seed: int, track: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Cuts:
    """Lose the answer to a COMMIT so many times, while runs and measurements are recorded."""
    chance = random.Random(seed)
    with postgres() as url:
        proxy = PostgresProxy(url)
        table = {"storage": proxy.url, "journal": str(folder / "journal")}
        with PerformanceMonitor(Config.from_mapping({"monitor": table})) as monitor:
            for turn in track(range(times)):
                # Now and then while the server has not committed yet.
                proxy.lose_answers(1, delay=chance.choice((0.0, 0.0, 0.0, 0.3)))
                chance.choice((_one_by_one, _together, _measured))(monitor, turn)
                monitor.flush(_PATIENCE)
            found = _counted(monitor, proxy.lost, times * EACH)
        proxy.close()
    return found


def _one_by_one(monitor: PerformanceMonitor, turn: int) -> None:
    for n in range(EACH):
        monitor.record_agent_run(f"c{turn}-{n}", "a", None, "success", cost=1.0)


def _together(monitor: PerformanceMonitor, turn: int) -> None:
    monitor.record_agent_runs(
        [{"run_id": f"c{turn}-{n}", "agent_name": "a", "status": "success"} for n in range(EACH)]
    )


def _measured(monitor: PerformanceMonitor, turn: int) -> None:
    for n in range(EACH):
        monitor.record_accuracy("a", f"t{turn}-{n}", 1, 1)


def _counted(monitor: PerformanceMonitor, answers: int, recorded: int) -> Cuts:
    rows = len(runs_of(monitor.storage)) + len(measurements_of(monitor.storage))
    metrics, stats = monitor.get_system_metrics(60), monitor.get_stats()
    return Cuts(
        answers=answers,
        rows=rows,
        missing=recorded - rows,
        in_window=metrics.total_tasks + metrics.accuracy_count,
        repeats=stats["duplicate"] + stats["conflict"],
    )
