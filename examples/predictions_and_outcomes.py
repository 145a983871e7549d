"""Predict now, learn the truth later: outcomes in any order, from two sources, with other names.

Runs in a few seconds without network; everything it stores goes to a temporary folder.

    python examples/predictions_and_outcomes.py
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from perfmon import PerformanceMonitor

rng = random.Random(7)

# What the appraiser calls `recommendation` and `estimated_value`, the books call `result` and
# `sold_for`. An audit's word counts more than a user's.
MONITOR_TOML = """
[accuracy]
source_priority = ["audit", "user"]

[agents.appraiser.outcomes]
synonyms = { buy = ["bought", "yes"], pass = ["passed", "no"] }

[agents.appraiser.outcomes.fields]
result = "recommendation"
sold_for = { predicted = "estimated_value", weight = 2.0 }
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "monitor.toml"
        config.write_text(MONITOR_TOML)
        url = f"sqlite:///{Path(folder) / 'perfmon.db'}"
        with PerformanceMonitor(config, storage_url=url) as monitor:
            houses = predict(monitor)
        # Weeks later, in another process: the predictions have waited in storage.
        with PerformanceMonitor(config, storage_url=url) as monitor:
            learn(monitor, houses)
            show(monitor)


def predict(monitor) -> dict[str, dict]:
    """A hundred houses, valued now; what they really sell for is not known to the agent."""
    houses = {}
    for number in range(100):
        value, chance = rng.randint(80, 400) * 1000, rng.uniform(0.5, 0.95)
        right = rng.random() < chance - 0.3  # it thinks more of itself than it should
        houses[f"house-{number}"] = {
            "result": rng.choice(("bought", "passed")),
            "sold_for": value,
            "agency": "Elm & Sons",  # a field that nobody predicted counts for nothing
        }
        wanted = "buy" if houses[f"house-{number}"]["result"] == "bought" else "pass"
        monitor.record_prediction(
            "appraiser",
            f"house-{number}",
            {
                "recommendation": wanted if right else "pass" if wanted == "buy" else "buy",
                "estimated_value": round(value * (1 if right else rng.uniform(0.1, 0.5))),
                "confidence": round(chance, 2),
            },
        )
    return houses


def learn(monitor, houses) -> None:
    """Outcomes of eighty, in no order, from the user; and an audit of ten, which overrules."""
    known = rng.sample(sorted(houses), 80)
    for task_id in known:
        receipt = monitor.record_outcome(task_id, houses[task_id], "user")
        assert receipt.status == "measured", receipt
    for number, task_id in enumerate(known[:10]):
        price = houses[task_id]["sold_for"] * (1.25 if number % 2 else 1)
        monitor.record_outcome(task_id, {**houses[task_id], "sold_for": price}, "audit")
    early = monitor.record_outcome("house-100", {"result": "bought"})
    print(f"{early.status}: {early.message}")
    monitor.record_prediction("appraiser", "house-100", {"recommendation": "buy"})


def show(monitor) -> None:
    """How right, of how many, how sure of itself, who disagrees, and what went most wrong."""
    summary = monitor.get_accuracy()
    overall, (low, high) = summary.overall, summary.overall.interval
    print(f"accuracy {overall.accuracy:.0%} ({low:.0%} to {high:.0%}, {overall.count} outcomes)")
    print(f"{overall.labelled} of {overall.predictions} predictions have an outcome,", end=" ")
    print(f"{summary.waiting} wait")
    for source, figures in summary.by_source.items():
        print(f"  {source:6} {figures.accuracy:.0%} of {figures.count}")
    print(f"sources disagree in {summary.disagreeing} of {summary.compared_sources} tasks")
    print(f"the appraiser: {summary.calibration_by_agent['appraiser'].sentence}")
    for one in monitor.get_measurements(worst=True, limit=3):
        print(f"  {one.accuracy_score:.0%} {one.task_id}: {one.predicted_outcome}", end=" ")
        print(f"became {one.actual_outcome} ({one.feedback_source})")


if __name__ == "__main__":
    main()
