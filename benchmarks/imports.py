"""How fast files of runs are imported, and how long `import perfmon` takes.

The files lie outside the repository, in `../shared/data`; without them that part is left out.
"""

from __future__ import annotations

import csv
import gzip
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from benchmarks.meters import seconds
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon import Config, PerformanceMonitor
from perfmon.recording.importing import Columns, FileImport, ImportTally, Source

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
# Enough to tell a slow reader by; the facts in their rows are held by the tests.
_RUN_FILES = 3
_PREDICTIONS = FOLDER / "zeroeval_typed_predictions" / "accuracy.jsonl.gz"
_PROBABILITIES = FOLDER / "fivethirtyeight_forecasts" / "probabilities.csv.gz"
_PREDICTED = {
    "task_id": "prediction_id", "predicted_outcome": "predicted", "actual_outcome": "actual",
}  # fmt: skip
# Without its dates: a third of them are moments of a game, "2016|p1|1200".
_FORECASTS = {
    "agent_name": "project", "task_id": "event", "predicted_outcome": "prob",
    "actual_outcome": "outcome", "confidence": "prob",
}  # fmt: skip


def measure(bench: Bench) -> Iterator[Figure]:
    yield from _imports_of_perfmon(bench)
    files = sorted(FOLDER.glob("*/runs.csv.gz"), key=lambda path: -path.stat().st_size)
    if not files:
        bench.say(f"files of runs left out: {FOLDER} is not there")
    for path in files[: bench.size(1, _RUN_FILES)]:
        yield from _import(bench, path, {})
    if not bench.quick and _PREDICTIONS.exists():
        yield from _import(bench, _PREDICTIONS, _PREDICTED)
    if not bench.quick and _PROBABILITIES.exists():
        yield from _import(bench, _PROBABILITIES, _FORECASTS)


def _import(bench: Bench, path: Path, mapping: dict[str, str]) -> Iterator[Figure]:
    """The file into a new SQLite database, beside reading its lines and no more."""
    source = Source(path, Columns(mapping, default_time=time.time()))
    url = f"sqlite:///{bench.folder}/{path.parent.name}.db"
    settings = {"storage": url, "durability": "memory"}
    monitor = PerformanceMonitor(Config.from_mapping({"monitor": settings}))
    tallies: list[ImportTally] = []
    with bench.bar(f"imports, {path.parent.name}", source.size) as advance:
        done = 0

        def progress(read: int) -> None:
            nonlocal done
            advance(read - done)
            done = read

        importing = FileImport(monitor, source, progress=progress)
        took = seconds(lambda: tallies.append(importing.run()))
    monitor.stop()
    tally = tallies[0]
    lines = tally.accepted + tally.duplicates + tally.rejected
    read = _reading_seconds(path)
    yield Figure(f"{path.parent.name}, {lines:,} rows", lines / took, "rows/s", at_least=True,
                 yardstick="reading its lines", beside=lines / read)  # fmt: skip
    if tally.rejected:
        bench.say(f"{path.parent.name}: {tally.rejected:,} rows refused: {tally.first[0].reason}")


def _reading_seconds(path: Path) -> float:
    """Unpacking a file and splitting its lines, and nothing else."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return seconds(lambda: deque(csv.reader(text), maxlen=0))


def _imports_of_perfmon(bench: Bench) -> Iterator[Figure]:
    """Wall time of a fresh interpreter, beyond that of one that imports nothing; files cached."""
    repeats = bench.size(5, 15)
    names = ("pass", "import perfmon", "import numpy", "import sqlalchemy")
    turns = [name for _ in range(repeats + 1) for name in names]
    found: dict[str, list[float]] = {name: [] for name in names}
    for name in bench.track("imports, import perfmon", turns):
        found[name].append(_interpreter_seconds(name))
    bare, perfmon, numpy, alchemy = (
        statistics.median(found[name][1:]) * 1e3 for name in names
    )  # the first of each filled the caches
    yield Figure("import perfmon", perfmon - bare, "ms", 150,
                 yardstick="import numpy", beside=numpy - bare)  # fmt: skip
    yield Figure("import perfmon", perfmon - bare, "ms",
                 yardstick="import sqlalchemy", beside=alchemy - bare)  # fmt: skip


def _interpreter_seconds(program: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-c", program], check=True))


if __name__ == "__main__":
    run_alone("imports", measure)
