"""Real predictions with real outcomes: what is known about them comes out exactly.

The files are no part of the repository; they lie in `../shared/data`. The two largest are whole
in the benchmark `accuracy`.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perfmon import PerformanceMonitor
from perfmon.config.config import Config

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
if not FOLDER.is_dir() and not os.environ.get("CI"):
    pytest.skip(f"real outcomes are not here: no {FOLDER}", allow_module_level=True)

FACTS = json.loads((FOLDER / "facts.json").read_text())
KEPT = {"monitor": {"keep_runs_days": 9_000, "keep_cells_days": 9_000}}
NUMBERS = Config.from_mapping(KEPT)
PROBABILITY = Config.from_mapping(KEPT | {"plugins": {"probability": {}}})
ALL = {"since": 0}
LATER = 1.8e9  # some of it is resolved in 2026


def rows_of(*path):
    with gzip.open(FOLDER.joinpath(*path), "rt", newline="") as file:
        yield from csv.DictReader(file)


def at(day):
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/p.db"


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    """The market forecasts, predicted first; what was resolved is told in the wrong order."""
    facts, rows = (
        FACTS["forecastbench_markets"],
        list(rows_of("forecastbench_markets", "accuracy.csv.gz")),
    )
    url = f"sqlite:///{tmp_path_factory.mktemp('markets')}/p.db"
    with PerformanceMonitor(PROBABILITY, storage_url=url, clock=lambda: LATER) as monitor:
        predictions = [
            {
                "agent_name": row["agent_name"], "task_id": row["prediction_id"],
                "predicted_outcome": float(row["predicted_prob"]),
                "timestamp": datetime.fromisoformat(row["freeze_datetime"]),
            }
            for row in rows
        ]  # fmt: skip
        outcomes = [
            {
                "task_id": row["prediction_id"], "actual_outcome": int(row["actual"]),
                "agent_name": row["agent_name"], "timestamp": at(row["resolution_date"]),
            }
            for row in rows
            if row["resolved"] == "1"
        ]  # fmt: skip
        half = len(outcomes) // 2
        early, _ = monitor.record_outcomes(outcomes[:half])
        assert Counter(receipt.status for receipt in early) == {"waiting": half}
        assert monitor.record_predictions(predictions).accepted == facts["rows"]
        late, _ = monitor.record_outcomes(outcomes[half:][::-1])
        assert {receipt.status for receipt in late} == {"measured"}
        again, _ = monitor.record_outcomes(outcomes)
        assert {receipt.status for receipt in again} == {"duplicate"}
        assert monitor.record_predictions(predictions).duplicates == facts["rows"]
        yield facts, monitor.get_accuracy(**ALL)


def test_what_waits_and_what_is_covered(markets):
    """Each resolved forecast counts once, and the others wait."""
    facts, found = markets
    assert found.overall.count == facts["resolved"]
    assert found.waiting == facts["pending"]
    assert found.overall.labelled == facts["resolved"]
    assert found.overall.coverage == facts["resolved"] / facts["rows"]


def test_brier_score_and_calibration(markets):
    """The whole reliability diagram: counts to the one, means to six digits."""
    facts, found = markets
    calibration = found.calibration
    assert calibration.brier_score == pytest.approx(facts["brier"], abs=5e-7)
    assert calibration.expected_calibration_error == pytest.approx(facts["ece10"], abs=5e-7)
    assert calibration.accuracy == pytest.approx(facts["base_rate"], abs=5e-7)
    assert 1 - found.overall.accuracy == pytest.approx(facts["brier"], abs=5e-7)
    for place, count, said, happened in facts["reliability"]:
        found_bin = calibration.bins[place]
        assert found_bin.count == count
        assert found_bin.confidence == pytest.approx(said, abs=5e-7)
        assert found_bin.accuracy == pytest.approx(happened, abs=5e-7)


def test_brier_score_by_agent(markets):
    """Each market has its own."""
    facts, found = markets
    for agent, (count, brier) in facts["brier_by_source"].items():
        assert found.by_agent[agent].count == count
        assert 1 - found.by_agent[agent].accuracy == pytest.approx(brier, abs=5e-7)


def test_numbers(url):
    """Vote shares: bias, mean absolute error and root mean square error."""
    facts = FACTS["fivethirtyeight_voteshare"]
    with PerformanceMonitor(NUMBERS, storage_url=url) as monitor:
        rows = rows_of("fivethirtyeight_forecasts", "voteshare_numeric.csv.gz")
        _, receipt = monitor.record_accuracies(
            {
                "agent_name": row["project"], "task_id": f"{number}",
                "predicted_outcome": float(row["predicted_voteshare"]),
                "actual_outcome": float(row["actual_voteshare"]),
                "timestamp": at(row["election_date"]),
            }
            for number, row in enumerate(rows)
        )  # fmt: skip
        assert receipt.accepted == facts["rows"]
        errors = monitor.get_accuracy(**ALL).errors
    assert errors.count == facts["rows"]
    assert errors.mean_absolute_error == pytest.approx(facts["mae"], abs=5e-7)
    assert errors.root_mean_square_error == pytest.approx(facts["rmse"], abs=5e-7)
    assert errors.mean_error == pytest.approx(facts["bias"], abs=5e-7)


def test_games(url):
    """A season of four sports: real probabilities with real results."""
    facts = FACTS["fivethirtyeight_forecasts"]["games"]
    rows = [
        row
        for row in rows_of("fivethirtyeight_forecasts", "probabilities.csv.gz")
        if row["project"] in ("nfl_games", "nhl_games") and row["outcome"] in ("0", "1")
    ]
    with PerformanceMonitor(PROBABILITY, storage_url=url) as monitor:
        monitor.record_accuracies(
            {
                "agent_name": row["project"], "task_id": str(number),
                "predicted_outcome": float(row["prob"]), "actual_outcome": int(row["outcome"]),
                "timestamp": 1.6e9,
            }
            for number, row in enumerate(rows)
        )  # fmt: skip
        found = monitor.get_accuracy(**ALL).by_agent
    for project in ("nfl_games", "nhl_games"):
        count, brier = facts[project]
        assert found[project].count == count
        assert 1 - found[project].accuracy == pytest.approx(brier, abs=5e-7)
