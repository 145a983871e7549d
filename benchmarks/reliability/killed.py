"""A program that records until it is killed, and says on stdout what was acknowledged.

    python killed.py URL JOURNAL JOURNAL_MB SEED [LARGEST_FILE_MB]

It says `ready`, `full` when something was refused for the first time, and the id of each run and
measurement that was taken: in a pipe, which outlives it.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import sys

from perfmon import Config, PerformanceMonitor

TOGETHER = 20


def main(url: str, journal: str, journal_mb: int, seed: int) -> None:
    logging.disable()
    table = {"storage": url, "journal": journal, "journal_max_mb": journal_mb}
    monitor = PerformanceMonitor(Config.from_mapping({"monitor": table})).start()
    say("ready")
    chance = random.Random(seed)
    number, was_full = 0, False
    while True:
        ids = [f"k{number + place}" for place in range(chance.choice((1, 1, 1, TOGETHER)))]
        number += len(ids)
        pad = {"pad": "x" * chance.choice((10, 300, 1_500, 1_500, 5_000))}
        if record(monitor, ids, pad, measures=chance.random() < 0.2):
            say(*ids)
        elif not was_full:
            was_full = True
            say("full")


def record(monitor: PerformanceMonitor, ids: list[str], pad: dict, *, measures: bool) -> bool:
    """Whether all of them were taken."""
    if len(ids) > 1:
        items = [
            {"run_id": one, "agent_name": "a", "status": "success", "metadata": pad} for one in ids
        ]
        return monitor.record_agent_runs(items).dropped == 0
    before = monitor._parts.queue.dropped
    if measures:
        monitor.record_accuracy("a", "task", 1, 1, metadata=pad, measurement_id=ids[0])
    else:
        monitor.record_agent_run(ids[0], "a", None, "success", metadata=pad)
    return monitor._parts.queue.dropped == before


def say(*words: str) -> None:
    os.write(1, "".join(f"{word}\n" for word in words).encode())


if __name__ == "__main__":
    if len(sys.argv) > 5:
        most = int(sys.argv[5]) * 2**20
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
