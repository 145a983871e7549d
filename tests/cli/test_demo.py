"""The made-up team: the same story for the same seed, with all that a story needs."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from perfmon import AgentRun, PerformanceMonitor
from perfmon.cli.demo import Simulation, simulate
from perfmon.cli.demo.command import StoryClock, demo_config, record, record_history
from perfmon.testing import ManualClock

NOON = 1_767_268_800.0
HOUR = 3600


@pytest.fixture(scope="module")
def history():
    return list(simulate(7, NOON))


@pytest.fixture(scope="module")
def runs(history):
    return [event for event in history if event["type"] == "run"]


def test_the_same_seed_tells_the_same_story(history):
    """Seed, end and length determine every event; another seed gives other ones."""
    assert list(simulate(7, NOON)) == history
    assert list(simulate(8, NOON, 1)) != list(simulate(7, NOON, 1))


def test_events_come_in_the_order_of_time(history):
    """Stamps never go back and never reach the end."""
    stamps = [event["timestamp"] for event in history]
    assert stamps == sorted(stamps)
    assert NOON - 24 * HOUR <= stamps[0] < stamps[-1] < NOON


def test_a_dozen_agents_on_several_models_make_a_few_ten_thousand_runs(runs):
    """The team is large enough to look at, and small enough to load in seconds."""
    assert 20_000 < len(runs) < 60_000
    assert len({run["agent_name"] for run in runs}) == 12
    assert len({run["model"] for run in runs}) == 4
    assert len({run["run_id"] for run in runs}) == len(runs)


def test_every_run_is_a_valid_run(runs):
    """Each event has the fields of `record_agent_run`, with values it allows."""
    for run in runs[:2000]:
        AgentRun(**{name: value for name, value in run.items() if name != "type"})


def test_latencies_have_heavy_tails(runs):
    """The slowest runs of a quiet agent take many times its median."""
    times = [run["duration_ms"] for run in runs if run["agent_name"] == "bug-fixer"]
    assert max(times) > 6 * median(times)


def test_days_are_busier_than_nights(runs):
    """Traffic follows the hours of the day."""
    hours = Counter(int(run["timestamp"]) // HOUR % 24 for run in runs)
    assert hours[14] > 2 * hours[2]


def test_the_outage_strikes_one_model_for_a_while(runs):
    """One provider is away: all of its runs fail then, none for that reason before or after."""
    lost = [run for run in runs if run.get("error_type") == "provider_unavailable"]
    stamps = [run["timestamp"] for run in lost]
    during = [run for run in runs if stamps[0] <= run["timestamp"] <= stamps[-1]]
    same = [run for run in during if run["model"] == lost[0]["model"]]
    assert len(lost) == len(same) > 20
    assert stamps[-1] - stamps[0] < HOUR


def test_one_agent_gets_slowly_worse(runs):
    """The last hours of one agent are slower than its first ones, by far."""
    times = [
        (r["timestamp"], r["duration_ms"]) for r in runs if r["agent_name"] == "invoice-extractor"
    ]
    early = median(ms for when, ms in times if when < NOON - 12 * HOUR)
    late = median(ms for when, ms in times if when > NOON - HOUR)
    assert late > 2 * early


def of_kind(history, kind):
    return [event for event in history if event["type"] == kind]


def test_predictions_come_first_and_outcomes_later(history):
    """Each belongs to a run that ended before it; some predictions are never answered."""
    ended = {run["run_id"]: run["timestamp"] for run in of_kind(history, "run")}
    predicted = {one["task_id"]: one["timestamp"] for one in of_kind(history, "prediction")}
    outcomes = of_kind(history, "outcome")
    assert len(outcomes) > 1000
    assert all(ended[task] <= at for task, at in predicted.items())
    assert all(predicted[outcome["task_id"]] < outcome["timestamp"] for outcome in outcomes)
    assert len(predicted) > 1.1 * len({outcome["task_id"] for outcome in outcomes})
    kinds = {type(outcome["actual_outcome"]).__name__ for outcome in outcomes}
    assert kinds == {"float", "str", "dict", "list"}


def test_auditors_come_after_users_and_disagree_now_and_then(history):
    """About a fifth of what they look at turns out another way."""
    told = {"user": {}, "audit": {}}
    for outcome in of_kind(history, "outcome"):
        told[outcome["feedback_source"]][outcome["task_id"]] = outcome
    pairs = [(told["user"][task], audit) for task, audit in told["audit"].items()]
    assert len(pairs) > 50
    assert all(user["timestamp"] < audit["timestamp"] for user, audit in pairs)
    differ = sum(user["actual_outcome"] != audit["actual_outcome"] for user, audit in pairs)
    assert 0.1 < differ / len(pairs) < 0.3


@pytest.fixture(scope="module")
def measured(history):
    """What a monitor makes of the history."""
    clock = ManualClock(NOON)
    with PerformanceMonitor(storage_url="memory:", clock=clock) as monitor:
        record(monitor, [dict(event) for event in history], wait=True)
        yield monitor.get_accuracy(24 * 60)


def test_one_agent_is_more_confident_than_right(measured):
    """By far; most of the others know themselves."""
    verdicts = {name: of.verdict for name, of in measured.calibration_by_agent.items()}
    gaps = {n: of.confidence - of.accuracy for n, of in measured.calibration_by_agent.items()}
    assert verdicts["web-researcher"] == "over-confident"
    assert max(gaps, key=gaps.get) == "web-researcher"
    assert gaps["web-researcher"] > 0.08
    assert abs(gaps["support-triage"]) < 0.04


def test_there_is_something_of_everything_to_look_at(measured):
    """Waiting predictions, sources that disagree, outcomes to be mapped, numbers that are off."""
    assert measured.waiting > 100
    assert measured.disagreeing > 10
    assert measured.unmapped == measured.by_agent["data-analyst"].unmapped > 20
    assert measured.suggestions[0].endswith(
        '[agents.data-analyst.outcomes.fields] actual_value = "estimated_value",'
        ' moved = "direction"'
    )
    assert measured.errors.count > 100
    assert measured.by_source.keys() == {"user", "audit", "automated"}


def test_live_traffic_goes_on_where_the_history_ends():
    """Advancing in small steps goes on in order, with outcomes of earlier runs."""
    simulation = Simulation(3, since=NOON - 2 * HOUR, incidents=NOON)
    list(simulation.advance(NOON))
    events = [event for second in range(1, 121) for event in simulation.advance(NOON + second)]
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    assert NOON <= stamps[0] < stamps[-1] < NOON + 120
    kinds = {event["type"] for event in events}
    assert kinds == {"run", "prediction", "outcome", "accuracy"}


def test_the_alerts_of_the_story_have_fired_and_are_over(tmp_path):
    """As they would have at the time, without a message to anybody; then the clock goes on."""
    url, clock = f"sqlite:///{tmp_path}/demo.db", StoryClock(NOON - 8 * HOUR)
    simulation = Simulation(7, since=NOON - 8 * HOUR, incidents=NOON)
    with PerformanceMonitor(demo_config(url, 8, 300.0), clock=clock) as monitor:
        record_history(monitor, simulation, clock, NOON, 300.0)
        assert clock() > NOON
        monitor.reload(demo_config(url, 8))
        over = monitor.get_alerts(state="resolved", limit=500)
        outage = [one for one in over if "provider_unavailable" in one.details["errors"]]
        assert outage
        assert all(NOON - 8 * HOUR < one.started_at.timestamp() < NOON for one in over)
        assert not any(monitor.get_deliveries(one.alert_id) for one in over)
        assert monitor.plugins.get("log") is not None
