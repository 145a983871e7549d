"""Runs of real agents, imported as a user would: the facts known about them come out exactly.

The files are no part of the repository; they lie in `../shared/data`.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfmon import PerformanceMonitor
from perfmon.cli import cli

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data"
if not FOLDER.is_dir() and not os.environ.get("CI"):
    pytest.skip(f"real runs are not here: no {FOLDER}", allow_module_level=True)

FACTS = json.loads((FOLDER / "facts.json").read_text())
RUNS = (
    "mcpmark_agents", "terminal_bench_agents", "metr_agent_runs",
    "alibaba_genai_requests", "autogpt_benchmarks", "azure_llm_2023",
)  # fmt: skip
EVER = {"since": "2023-01-01", "until": "2026-01-01"}
UNCLOCKED = "2025-01-01T00:00:00Z"
# What a success with a limit hit, or an answer cut off, is known by in each source.
MAPPINGS = {
    "terminal_bench_agents": ["--map", "timed_out=meta_timed_out"],
    "autogpt_benchmarks": ["--map", "timed_out=meta_reached_cutoff"],
}


def run(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


class Imported:
    """One source: its file, its facts, and what perfmon says after the import."""

    def __init__(self, name, folder):
        self.name = name
        self.facts = FACTS[name]
        self.file = FOLDER / name / "runs.csv.gz"
        self.url = f"sqlite:///{folder}/{name}.db"
        self.said = self.load()
        since, until = EVER.values()
        written = run("report", "--storage", self.url, "--since", since, "--until", until,
                      "--format", "json")  # fmt: skip
        self.report = json.loads(written)
        self.metrics = self.report["system_metrics"]
        self.agents = {a: found["metrics"] for a, found in self.report["agent_metrics"].items()}

    def load(self):
        return run("import", self.file, "--storage", self.url, "--default-time", UNCLOCKED,
                   *MAPPINGS.get(self.name, ()))  # fmt: skip

    def rows(self):
        with gzip.open(self.file, "rt", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=RUNS)
def source(request, tmp_path_factory):
    return Imported(request.param, tmp_path_factory.mktemp("real"))


def test_every_row_is_accepted_once(source):
    """The import accepts every row, and a second one nothing."""
    rows = source.facts["rows"]
    assert f"{rows:,} accepted, 0 duplicate, 0 rejected" in source.said
    assert f"0 accepted, {rows:,} duplicate, 0 rejected" in source.load()


def test_statuses_and_rates_are_exact(source):
    """Successes, failures and partials to the one, rates over all runs."""
    status, metrics = source.facts["status"], source.metrics
    assert metrics["total_tasks"] == source.facts["rows"]
    assert metrics["successful_tasks"] == status.get("success", 0)
    assert metrics["failed_tasks"] == status.get("failure", 0)
    assert metrics["partial_tasks"] == status.get("partial", 0)
    assert metrics["success_rate"] == pytest.approx(source.facts["success_rate"], abs=1e-6)
    assert metrics["error_rate"] == pytest.approx(source.facts["failure_rate"], abs=1e-6)


def test_error_classes_are_exact(source):
    """Each class of error has its count, and there are no others."""
    assert source.metrics["errors"] == source.facts["error_types"]
    patterns = {p["error_type"]: p["count"] for p in source.report["error_patterns"]}
    assert patterns == source.facts["error_types"]


def test_latencies_are_right(source):
    """Known durations only, zeros among them; the mean exact, quantiles within 1%."""
    facts, metrics = source.facts.get("duration_ms"), source.metrics
    if facts is None:
        assert metrics["latency_count"] == 0
        assert metrics["avg_latency_ms"] is None
        return
    assert metrics["latency_count"] == facts["n"] == metrics["total_tasks"] - facts["missing"]
    assert metrics["avg_latency_ms"] == pytest.approx(facts["mean"], abs=6e-4)
    assert metrics["max_latency_ms"] == facts["max"]
    for quantile in ("p50", "p95", "p99"):
        expected = facts[f"{quantile}_linear"]
        assert metrics[f"{quantile}_latency_ms"] == pytest.approx(expected, rel=0.01)


def test_tokens_are_exact(source):
    """Sums to the one, beyond 32 bits too; a zero counts as a value, a blank does not."""
    facts, metrics = source.facts.get("tokens"), source.metrics
    if facts is None:
        assert metrics["tokens_count"] == metrics["total_tokens"] == 0
        return
    assert metrics["tokens_count"] == facts["rows_with"]
    assert metrics["total_tokens"] == facts["sum"]
    assert metrics["total_input_tokens"] == facts["input"]
    assert metrics["total_output_tokens"] == facts["output"]
    assert metrics["tokens_per_task"] == pytest.approx(facts["sum"] / facts["rows_with"])


def test_costs_are_exact(source):
    """Sums to what floats allow, the mean over the runs that have a cost, the dearest agent."""
    facts, metrics = source.facts.get("cost_usd"), source.metrics
    if facts is None:
        assert metrics["cost_count"] == metrics["total_cost"] == 0
        return
    assert metrics["cost_count"] == facts["rows_with"]
    assert metrics["total_cost"] == pytest.approx(facts["sum"], abs=6e-5)
    assert metrics["cost_per_task"] == pytest.approx(facts["mean"], abs=1e-8)
    dearest, cost = facts["most_expensive_agent"]
    assert max(source.agents, key=lambda name: source.agents[name]["total_cost"]) == dearest
    assert source.agents[dearest]["total_cost"] == pytest.approx(cost, abs=6e-5)


def test_quality_is_the_mean_of_what_was_scored(source):
    """The mean quality is right, and null where the source scores nothing."""
    expected = source.facts.get("quality_score_mean")
    found = source.metrics["avg_quality_score"]
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-6)


def test_agents_are_complete_and_the_best_and_worst_right(source):
    """Every agent is there, and those the facts name have their runs and successes."""
    assert len(source.agents) == source.facts["agents"]
    for fact in ("best_agent", "worst_agent"):
        name, runs, successes, rate = source.facts[fact]
        assert source.agents[name]["total_tasks"] == runs
        assert source.agents[name]["successful_tasks"] == successes
        assert source.agents[name]["success_rate"] == pytest.approx(rate, abs=1e-6)


def test_each_agent_agrees_with_its_rows(source):
    """Runs, successes and tokens of every single agent, counted again from the file."""
    counted = defaultdict(lambda: [0, 0, 0.0])
    for row in source.rows():
        entry = counted[row["agent_name"]]
        entry[0] += 1
        entry[1] += row["status"] == "success"
        entry[2] += float(row["tokens_used"] or 0)
    assert source.agents.keys() == counted.keys()
    for name, (runs, successes, tokens) in counted.items():
        metrics = source.agents[name]
        assert [metrics["total_tasks"], metrics["successful_tasks"]] == [runs, successes]
        assert metrics["total_tokens"] == pytest.approx(tokens, abs=0.5)


def test_timeouts_count_by_flag_or_by_error(source):
    """A run timed out if its row says so, a success too, or if its error is a timeout."""
    column = {
        "terminal_bench_agents": "meta_timed_out",
        "autogpt_benchmarks": "meta_reached_cutoff",
    }
    flag = column.get(source.name)
    late = sum(
        (flag is not None and row[flag] in ("1", "True")) or "timeout" in row["error_type"]
        for row in source.rows()
    )
    assert source.metrics["timeout_rate"] == pytest.approx(late / source.facts["rows"])


def test_the_text_report_prints_the_facts(source):
    """What a terminal shows has the counts and sums in full, in eighty columns."""
    since, until = EVER.values()
    written = run("report", "--storage", source.url, "--since", since, "--until", until)
    assert f"{source.facts['rows']:,}" in written
    assert f"{source.facts['status']['success']:,}" in written
    assert f"Agents ({source.facts['agents']})" in written
    for error, count in list(source.facts["error_types"].items())[:3]:
        assert any(error in line and f"{count:,}" in line for line in written.splitlines())
    assert max(map(len, written.splitlines())) <= 80


def test_rows_without_a_clock_are_refused_without_a_default_time(tmp_path):
    """Every run of a source without a clock is refused, and the command says what to give."""
    file = FOLDER / "mcpmark_agents" / "runs.csv.gz"
    result = CliRunner().invoke(
        cli, ["import", str(file), "--storage", f"sqlite:///{tmp_path}/x.db"]
    )
    assert result.exit_code == 1
    assert "0 accepted, 0 duplicate, 19,431 rejected" in result.output
    assert "line 2: timestamp is missing" in result.output
    assert "--default-time" in result.output


def test_typed_predictions_are_scored(tmp_path):
    """Real predictions of six types, null among them, are all measured with a score in [0, 1]."""
    url, part = f"sqlite:///{tmp_path}/typed.db", tmp_path / "part.jsonl"
    with gzip.open(FOLDER / "zeroeval_typed_predictions" / "accuracy.jsonl.gz", "rt") as whole:
        lines = [line for number, line in enumerate(whole) if number % 40 == 0]
    part.write_text("".join(lines))
    arguments = ["import", part, "--storage", url, "--default-time", UNCLOCKED]
    for pair in ("task_id=prediction_id", "predicted_outcome=predicted", "actual_outcome=actual"):
        arguments += ["--map", pair]
    assert f"{len(lines):,} accepted, 0 duplicate, 0 rejected" in run(*arguments)
    assert f"0 accepted, {len(lines):,} duplicate" in run(*arguments)
    correct = sum(json.loads(line)["correct"] for line in lines) / len(lines)
    with PerformanceMonitor(storage_url=url) as monitor:
        found = monitor.get_system_metrics(since=1704067200.0, until=1767225600.0)
    # Three predicted dictionaries have no key of the real one.
    assert (found.accuracy_count, found.unmapped_count) == (len(lines) - 3, 3)
    # Partly right answers earn a part, so that no answer counts for less than by equality.
    assert correct <= found.avg_accuracy <= 1


# A probability is right when it comes to pass: its own scorer says so, and calibration follows.
FORECASTS_SCORER = """
from perfmon import Score, hookimpl

@hookimpl
def score_outcome(predicted, actual):
    return Score(1 - (predicted - actual) ** 2, confidence=predicted, correct=actual)
"""


@pytest.fixture(scope="module", params=[("--type", "prediction"), ()], ids=["typed", "by row"])
def forecasts(request, tmp_path_factory):
    """Forecasts of which two thirds still wait, imported in one command, twice."""
    folder = tmp_path_factory.mktemp("forecasts")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "forecasts.py").write_text(FORECASTS_SCORER)
    config = folder / "monitor.toml"
    config.write_text(
        f'[monitor]\nstorage = "sqlite:///{folder}/forecasts.db"\n'
        "keep_runs_days = 9000\nkeep_cells_days = 9000\n"
        f'[plugins]\npaths = ["{folder}/plugins"]\n'
    )
    arguments = ["import", FOLDER / "forecastbench_markets" / "accuracy.csv.gz", *request.param,
                 "--config", config]  # fmt: skip
    for pair in ("task_id=prediction_id", "predicted_outcome=predicted_prob",
                 "actual_outcome=actual", "timestamp=freeze_datetime"):  # fmt: skip
        arguments += ["--map", pair]
    said = [run(*arguments) for _ in range(2)]
    with PerformanceMonitor(config) as monitor:
        yield monitor, said, bool(request.param)


def test_forecasts_wait_or_are_measured(forecasts):
    """5,590 predictions, of which 2,015 have an outcome; the second import adds nothing."""
    monitor, (first, again), typed = forecasts
    facts = FACTS["forecastbench_markets"]
    accepted = facts["rows"] + (facts["resolved"] if typed else 0)
    assert f"{accepted:,} accepted, 0 duplicate, 0 rejected" in first
    assert f"0 accepted, {accepted:,} duplicate, 0 rejected" in again
    found = monitor.get_accuracy(since=0)
    assert (found.overall.count, found.waiting) == (facts["resolved"], facts["pending"])
    assert found.overall.labelled == facts["resolved"]
    assert found.overall.coverage == pytest.approx(facts["resolved"] / facts["rows"])
    assert found.overall.accuracy == pytest.approx(1 - facts["brier"], abs=1e-6)
    assert found.calibration.accuracy == pytest.approx(facts["base_rate"], abs=1e-6)


def test_forecasts_are_calibrated_as_known(forecasts):
    """Brier score, expected calibration error, every bin, and each crowd by itself."""
    monitor, _, _ = forecasts
    facts = FACTS["forecastbench_markets"]
    found = monitor.get_calibration(since=0)
    assert found.brier_score == pytest.approx(facts["brier"], abs=1e-6)
    assert found.expected_calibration_error == pytest.approx(facts["ece10"], abs=1e-6)
    for made, (place, count, said, so) in zip(found.bins, facts["reliability"], strict=True):
        assert (made.low, made.count) == (place / 10, count)
        assert (made.confidence, made.accuracy) == pytest.approx((said, so), abs=1e-6)
    for crowd, (count, brier) in facts["brier_by_source"].items():
        found = monitor.get_calibration(since=0, agent_name=crowd)
        assert (found.count, found.brier_score) == (count, pytest.approx(brier, abs=1e-6))
