"""`python -m benchmarks reliability`: nothing acknowledged is lost, nothing counts twice.

A program that records is killed while storage is away, the journal full, or the disk full; what it
had acknowledged, by a pipe, is looked for after a restart. And answers to COMMITs are lost. With no
failure in 40 trials the rate of failures is below 7.2 % (95 %).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from benchmarks.reliability.cuts import cut
from benchmarks.reliability.kills import SITUATIONS
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure


def measure(bench: Bench) -> Iterator[Figure]:
    logging.disable(logging.WARNING)  # that storage is away is what is measured
    for name, situation in SITUATIONS.items():
        kills = []
        for seed in bench.track(f"kill -9: {name}", range(bench.size(5, 40))):
            folder = bench.folder / f"{name}-{seed}"
            folder.mkdir()
            kills.append(situation(folder, seed))
        acknowledged = [kill.acknowledged for kill in kills]
        yield Figure(f"{name}: kills", len(kills))
        yield Figure(f"{name}: fewest acknowledged before one", min(acknowledged), "rows", 1,
                     at_least=True)  # fmt: skip
        yield Figure(f"{name}: acknowledged, all in all", sum(acknowledged), "rows")
        yield Figure(f"{name}: acknowledged and lost", sum(kill.lost for kill in kills), "rows", 0)
        yield Figure(
            f"{name}: in the window, more or fewer than stored",
            sum(kill.twice for kill in kills),
            "rows",
            0,
        )
    cuts = cut(
        bench.folder, bench.size(5, 50), seed=1,
        track=lambda turns: bench.track("answers to COMMIT lost", turns, bench.size(5, 50)),
    )  # fmt: skip
    yield Figure("answers to COMMIT lost", cuts.answers, "", bench.size(5, 50), at_least=True)
    yield Figure("rows recorded and not stored", cuts.missing, "rows", 0)
    yield Figure("rows in storage", cuts.rows, "rows")
    yield Figure("rows in the window, more or fewer", abs(cuts.in_window - cuts.rows), "rows", 0)
    yield Figure("rows taken for repeats", cuts.repeats, "rows", 0)


if __name__ == "__main__":
    run_alone("reliability", measure)
