"""The made-up team: the same story for the same seed, with all that a story needs."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from perfmon import AgentRun
from perfmon.demo import Simulation, simulate

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


def test_outcomes_arrive_after_their_runs(history):
    """Every measurement belongs to a run that ended before it."""
    ended = {event["run_id"]: event["timestamp"] for event in history if event["type"] == "run"}
    outcomes = [event for event in history if event["type"] == "accuracy"]
    assert len(outcomes) > 1000
    assert all(ended[outcome["task_id"]] < outcome["timestamp"] for outcome in outcomes)
    kinds = {type(outcome["actual_outcome"]).__name__ for outcome in outcomes}
    assert kinds == {"float", "str", "dict", "list"}


def test_live_traffic_goes_on_where_the_history_ends():
    """Advancing in small steps goes on in order, with outcomes of earlier runs."""
    simulation = Simulation(3, since=NOON - 2 * HOUR, incidents=NOON)
    list(simulation.advance(NOON))
    events = [event for second in range(1, 121) for event in simulation.advance(NOON + second)]
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    assert NOON <= stamps[0] < stamps[-1] < NOON + 120
    assert {event["type"] for event in events} == {"run", "accuracy"}
