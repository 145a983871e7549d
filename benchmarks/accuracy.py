"""What comparing predictions with outcomes costs, and whether the large files give their facts.

The files lie outside the repository, in `../shared/data`; without them that part is left out.
"""

from __future__ import annotations

import csv
import gzip
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.meters import Spread, clock, clock_overhead_us, seconds
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon import Config, PerformanceMonitor

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
PAIRS = {
    "plain numbers": (90.0, 100.0),
    "small dictionaries": (
        {"action": "sell", "price": 90, "symbol": "ABC"},
        {"action": "buy", "price": 100, "symbol": "ABC"},
    ),
    "short texts": ("the quick brown fox", "the slow brown fox"),
}
_TARGETS = {"plain numbers": 200_000, "small dictionaries": 50_000}
_AT_ONCE = 20_000
_AT = 1.6e9  # of rows without a clock of their own


def measure(bench: Bench) -> Iterator[Figure]:
    with ExitStack() as stack:
        monitors = {
            durability: stack.enter_context(_monitor(bench, durability))
            for durability in ("memory", "process")
        }
        yield from _scoring(bench, monitors["memory"])
        for durability, monitor in monitors.items():
            yield from _recording(bench, durability, monitor)
        yield from _joining(bench, monitors["process"])
    if not bench.quick and FOLDER.is_dir():
        yield from _probabilities(bench)
        yield from _typed(bench)


def _monitor(bench: Bench, durability: str, **plugins: Any) -> PerformanceMonitor:
    url = f"sqlite:///{bench.folder}/{durability}{'-'.join(plugins)}.db"
    settings = {
        "storage": url, "durability": durability,
        "keep_runs_days": 9_000, "keep_cells_days": 9_000,
    }  # fmt: skip
    return PerformanceMonitor(Config.from_mapping({"monitor": settings, "plugins": plugins}))


def _scoring(bench: Bench, monitor: PerformanceMonitor) -> Iterator[Figure]:
    """Asking the scorers, as `record_accuracy` does, beside comparing for equality."""
    count = bench.size(20_000, 100_000)
    score = monitor.scoring.score
    for name, (predicted, actual) in PAIRS.items():

        def asked(predicted: Any = predicted, actual: Any = actual) -> None:
            for _ in range(count):
                score("planner", predicted, actual)

        def compared(predicted: Any = predicted, actual: Any = actual) -> None:
            for _ in range(count):
                _same(predicted, actual)

        best, bare = (_median(work) for work in (asked, compared))
        yield Figure(f"scoring {name}, one core", count / best, "/s", _TARGETS.get(name), True,
                     "a function that compares", count / bare)  # fmt: skip


def _same(predicted: Any, actual: Any) -> float:
    return float(predicted == actual)


def _median(work: Callable[[], None]) -> float:
    return statistics.median(seconds(work) for _ in range(5))


def _recording(bench: Bench, durability: str, monitor: PerformanceMonitor) -> Iterator[Figure]:
    """`record_accuracy` in the caller, with the writer at work."""
    overhead = clock_overhead_us()
    for name, (predicted, actual) in PAIRS.items():
        spreads = []
        for turn in range(bench.size(3, 7)):
            spreads.append(Spread.of(_timed(monitor, f"{turn}", predicted, actual), overhead))
            monitor.flush()
        spread = Spread.typical(spreads)
        yield Figure(f"{durability}: record_accuracy, {name}, median", spread.median, "µs", 15)
        yield Figure(f"{durability}: record_accuracy, {name}, p99", spread.p99, "µs")


def _timed(monitor: PerformanceMonitor, turn: str, predicted: Any, actual: Any) -> Any:
    from array import array

    found = array("d")
    for number in range(5_000):
        began = clock()
        monitor.record_accuracy("planner", turn, predicted, actual, confidence=number % 100 / 100)
        found.append(clock() - began)
    return found


def _joining(bench: Bench, monitor: PerformanceMonitor) -> Iterator[Figure]:
    """Predictions first, then their outcomes by 1,000, stored and compared."""
    count = bench.size(5_000, 50_000)
    predictions = [
        {"agent_name": "planner", "task_id": f"t{n}", "predicted_outcome": n} for n in range(count)
    ]
    outcomes = [{"task_id": f"t{n}", "actual_outcome": n + 1} for n in range(count)]
    took = seconds(lambda: monitor.record_predictions(predictions))
    yield Figure("record_predictions, stored", count / took, "/s")
    parts = [outcomes[start : start + 1_000] for start in range(0, count, 1_000)]
    took = seconds(
        lambda: [monitor.record_outcomes(part) for part in bench.track("outcomes", parts)]
    )
    yield Figure("record_outcomes by 1,000, stored and compared", count / took, "/s")
    one = [seconds(lambda n=n: monitor.record_outcome(f"t{n}", n, "audit")) for n in range(50)]
    yield Figure("record_outcome, one that corrects another", statistics.median(one) * 1e3, "ms")


def _probabilities(bench: Bench) -> Iterator[Figure]:
    """All the 1.2 million real forecasts: the facts come out, at what speed."""
    facts = json.loads((FOLDER / "facts.json").read_text())["fivethirtyeight_forecasts"]
    path = FOLDER / "fivethirtyeight_forecasts" / "probabilities.csv.gz"
    with _monitor(bench, "memory", probability={}) as monitor:
        rows = _forecasts(path)
        took = seconds(lambda: _record_all(bench, monitor, rows, facts["rows"]))
        found = monitor.get_accuracy(since=0)
        again = _median(lambda: monitor.get_accuracy(since=0))
    trivial = found.by_task_type["trivial"]
    whole, plain = found.calibration, found.by_task_type["nontrivial"]
    yield Figure("fivethirtyeight: forecasts recorded", facts["rows"] / took, "/s")
    yield Figure("fivethirtyeight: get_accuracy of all of them", again * 1e3, "ms")
    for what, value, fact in (
        ("binary rows", plain.count + trivial.count, facts["binary_rows"]),
        ("nontrivial rows", plain.count, facts["nontrivial_rows"]),
        ("Brier, all", whole.brier_score, facts["brier_all_binary"]),
        ("Brier, nontrivial", 1 - plain.accuracy, facts["brier_nontrivial"]),
        ("calibration error, all", whole.expected_calibration_error, facts["ece10_all_binary"]),
        ("base rate", whole.accuracy, facts["base_rate"]),
    ):
        yield Figure(f"fivethirtyeight: {what}, off by", abs(value - fact), "", 5e-7)
    with _monitor(bench, "process", probability={}) as monitor:
        rows = _forecasts(path, nontrivial_only=True)
        _record_all(bench, monitor, rows, facts["nontrivial_rows"])
        bins = monitor.get_calibration(since=0).bins
    off = max(
        max(abs(one.confidence - said), abs(one.accuracy - happened), abs(one.count - count))
        for one, (_, count, said, happened) in zip(
            bins, facts["reliability_nontrivial"], strict=True
        )
    )
    yield Figure("fivethirtyeight: reliability bins, off by at most", off, "", 5e-7)


def _forecasts(path: Path, *, nontrivial_only: bool = False) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            probability, outcome = float(row["prob"]), float(row["outcome"])
            nontrivial = 0 < probability < 1
            if outcome in (0, 1) and (nontrivial or not nontrivial_only):
                yield {
                    "agent_name": row["project"], "task_id": str(number), "timestamp": _AT,
                    "predicted_outcome": probability, "actual_outcome": int(outcome),
                    "task_type": "nontrivial" if nontrivial else "trivial",
                }  # fmt: skip


def _typed(bench: Bench) -> Iterator[Figure]:
    """127,552 answers of six types: typed equality says right or wrong as their authors did."""
    facts = json.loads((FOLDER / "facts.json").read_text())["zeroeval_typed_predictions"]
    path = FOLDER / "zeroeval_typed_predictions" / "accuracy.jsonl.gz"
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    with _monitor(bench, "memory", exact={}) as monitor:
        items = (
            {
                "agent_name": row["agent_name"], "task_id": row["prediction_id"],
                "predicted_outcome": row["predicted"], "actual_outcome": row["actual"],
                "task_type": row["value_type"], "timestamp": _AT,
            }
            for row in rows
        )  # fmt: skip
        _record_all(bench, monitor, items, len(rows))
        found = monitor.get_accuracy(since=0)
    right = round(found.overall.accuracy * found.overall.count)
    yield Figure("zeroeval: rows, off by", abs(found.overall.count - facts["rows"]), "", 0)
    yield Figure("zeroeval: agents, off by", abs(len(found.by_agent) - facts["agents"]), "", 0)
    # Three LaTeX answers were normalised by the source, and one number compared with a tolerance.
    yield Figure("zeroeval: right by typed equality, off by", abs(right - facts["correct"]), "", 4)


def _record_all(
    bench: Bench, monitor: PerformanceMonitor, rows: Iterator[dict[str, Any]], count: int
) -> None:
    with bench.bar("recording outcomes", count) as advance:
        part: list[dict[str, Any]] = []
        for row in rows:
            part.append(row)
            if len(part) == _AT_ONCE:
                monitor.record_accuracies(part)
                advance(len(part))
                part = []
        monitor.record_accuracies(part)


if __name__ == "__main__":
    run_alone("accuracy", measure)
