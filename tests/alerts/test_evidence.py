"""Evidence: what is a breach, what is chance, and what cannot be told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import SECOND, T0, tallies, target

from perfmon import AlertLevel, wilson
from perfmon.alerts.evidence.judge import evaluate, judge
from perfmon.alerts.evidence.shares import is_below, is_beyond, quantile_levels
from perfmon.alerts.evidence.verdicts import Finding, Sample, State, Tally

SUCCESS, LATENCY = "success_rate_min", "latency_p95_max_ms"


def share(name, runs, bad, **values):
    own = target(name)
    return judge(own, Sample(tallies(own.watch, runs, bad, **values)), T0)


def of(own, *parts, **sample):
    return judge(own, Sample(parts, **sample), T0)


def mean(name, *values, **rule):
    own = target(name, *([{"name": name, **rule}] if rule else []))
    tally = Tally(len(values), (), sum(values), sum(v * v for v in values))
    return of(own, tally)


@given(st.integers(1, 400), st.data(), st.sampled_from([0.05, 0.2, 0.5, 0.8]))
def test_the_score_test_is_wilsons_bound(runs, data, allowed):
    """Both ends of the interval, without computing it."""
    bad = data.draw(st.integers(0, runs))
    low, high = wilson(bad, runs)
    z = 1.959963984540054
    if abs(low - allowed) > 1e-9:
        assert is_beyond(runs, bad, allowed, z) == (low > allowed)
    if abs(high - allowed) > 1e-9:
        assert is_below(runs, bad, allowed, z) == (high < allowed)


@pytest.mark.parametrize(
    ("runs", "bad", "state"),
    [
        (1, 1, State.INSUFFICIENT), (2, 2, State.INSUFFICIENT), (3, 3, State.BREACH),
        (5, 3, State.BREACH), (6, 3, State.INSUFFICIENT), (20, 7, State.CLEAR),
        (20, 8, State.BREACH), (0, 0, State.NO_DATA), (5, 0, State.INSUFFICIENT),
        (40, 1, State.CLEAR),
    ],
)  # fmt: skip
def test_a_share_needs_three_bad_runs_and_wilsons_bound(runs, bad, state):
    """At 20%: one of one is chance, eight of twenty are not."""
    assert share(SUCCESS, runs, bad).state is state


def test_a_verdict_has_its_figures():
    """In the metric's own direction, with interval and sample size."""
    found = share(SUCCESS, 55, 21)
    assert (found.level, found.threshold) == (AlertLevel.CRITICAL, 0.8)
    assert (found.sample_size, found.bad) == (55, 21)
    assert found.value == pytest.approx(34 / 55)
    assert (found.low, found.high) == pytest.approx(wilson(34, 55))


def test_p95_is_the_share_of_runs_beyond_the_limit():
    """With five of them at least: below 10% Wilson's bound is too sure of a few."""
    assert share(LATENCY, 20, 4, value=6000.0).state is State.CLEAR
    found = share(LATENCY, 20, 5, value=6000.0, low=4000.0, high=9000.0)
    assert (found.state, found.value, found.high) == (State.BREACH, 6000.0, 9000.0)


def test_a_share_near_its_limit_neither_fires_nor_settles():
    """Between the two limits an alert stays what it is."""
    assert (share(SUCCESS, 100, 20).state, share(SUCCESS, 100, 20).settled) == (State.CLEAR, False)
    assert share(SUCCESS, 100, 9).settled
    assert not share(SUCCESS, 20, 3).settled


def test_what_is_over_does_not_begin_to_fire():
    """The window still remembers an outage, the last minutes do not."""
    own = target(SUCCESS)
    newest, *rest = tallies(own.watch, 100, 60)
    assert of(own, newest, *rest).state is State.BREACH
    assert of(own, Tally(25, (1,)), *rest).state is State.CLEAR


def test_the_end_of_a_window_needs_a_stricter_bound():
    """Many looks at short stretches would find something by chance."""
    own = target(SUCCESS)
    calm = Tally(300, (18,))
    found = [of(own, Tally(25, (bad,)), calm, calm, calm).state for bad in (11, 13)]
    assert found == [State.CLEAR, State.BREACH]


def test_a_level_rises_with_its_own_limit():
    """The most urgent limit that is proven."""
    rule = {"name": "r", "metric": "error_rate", "above": 0.1, "critical_at": 0.5}
    own = target("r", rule)
    levels = [judge(own, Sample(tallies(own.watch, 100, bad)), T0).level for bad in (5, 30, 70)]
    assert levels == [None, AlertLevel.WARNING, AlertLevel.CRITICAL]


def test_three_runs_beyond_a_maximum_are_a_breach():
    """Whatever their share; and it is over when there is none."""
    own = target("memory_max_mb")
    states = [of(own, Tally(1000, (bad,), worst=2000.0)) for bad in (3, 2, 0)]
    assert [v.state for v in states] == [State.BREACH, State.CLEAR, State.CLEAR]
    assert [v.settled for v in states] == [False, False, True]


def test_one_run_far_beyond_is_an_alert_of_its_own():
    """INFO, with what it took; nothing lately is over and not no data."""
    own = target(f"{LATENCY}: single run")
    assert of(own, Tally(9, (1,), worst=70_000.0)).level is AlertLevel.INFO
    assert (of(own, Tally()).state, of(own, Tally()).settled) == (State.CLEAR, True)


def test_a_mean_is_beyond_by_its_interval():
    """Not by one dear run; three equal ones prove it."""
    assert mean("cost_per_task_max", 2.0, 2.0, 2.0).state is State.BREACH
    assert mean("cost_per_task_max", *[0.1] * 9, 40.0).state is State.CLEAR
    assert mean("cost_per_task_max", 2.0, 2.0).state is State.INSUFFICIENT
    assert mean("cost_per_task_max", 0.9, 0.9, 0.9).settled
    assert of(target("cost_per_task_max"), Tally()).state is State.NO_DATA


def test_a_mean_of_rights_and_wrongs_is_a_share():
    """Accuracy of 0 and 1 has Wilson's interval."""
    found = mean("accuracy_min", *[0.0] * 12, *[1.0] * 8)
    assert found.state is State.BREACH
    assert (found.low, found.high) == pytest.approx(wilson(8, 20))


def test_a_mean_without_squares_needs_twenty_values():
    """Where nothing says how much the values differ."""
    own = target("m", {"name": "m", "metric": "avg_memory_mb", "above": 100})
    few, many = (of(own, Tally(n, (), 200.0 * n)).state for n in (19, 20))
    assert (few, many) == (State.INSUFFICIENT, State.BREACH)


def test_numbers_are_what_they_are():
    """A count needs no evidence, and nothing counted is below a limit."""
    own = target("n", {"name": "n", "metric": "total_tasks", "below": 10})
    assert of(own, Tally(0, value=0.0)).state is State.BREACH
    assert [of(own, Tally(n, value=n)).settled for n in (11.0, 15.0)] == [False, True]


def test_a_budget_is_spent_or_not():
    """No evidence, no hysteresis."""
    own = target("b", {"name": "b", "budget": 50, "critical_at": 60}, agent=None)
    found = [of(own, Tally(5, (), spent)) for spent in (49.99, 50.0, 61.0)]
    assert [v.level for v in found] == [None, AlertLevel.WARNING, AlertLevel.CRITICAL]
    assert found[0].settled


def test_a_burn_rate_needs_both_windows():
    """The short one says that it still burns, and is held to the same evidence."""
    rule = {"name": "o", "objective": 0.99, "burn": [{"factor": 14.4, "long": "1h"}]}
    own = target("o", rule)
    burning = of(own, Tally(100, (40,)), Tally(20, (12,)))
    assert (burning.state, burning.value) == (State.BREACH, pytest.approx(40))
    assert of(own, Tally(100, (40,)), Tally(20, (5,))).state is State.CLEAR
    assert of(own, Tally(100, (40,)), Tally(20, (1,))).settled


def test_silence_counts_from_the_last_run_while_somebody_watched():
    """After a restart it cannot be told for as long again."""
    own = target("s", {"name": "s", "no_run_for": "15m"})
    old = {"last_run": T0 - 1000 * SECOND}
    assert of(own, **old).state is State.BREACH
    assert of(own, **old, watched_since=T0 - 60 * SECOND).state is State.INSUFFICIENT
    assert of(own, last_run=T0 - 60 * SECOND).settled
    assert of(own, watched_since=T0 - 1000 * SECOND).state is State.BREACH


def test_a_run_that_does_not_end_is_a_breach():
    """One is enough."""
    own = target("u", {"name": "u", "started_and_not_ended_for": "30m"})
    assert of(own, Tally(4, (1,), worst=2000.0)).state is State.BREACH
    assert of(own, Tally(4, (0,), worst=90.0)).settled


def test_detectors_are_believed():
    """Found, not found, cannot tell, and no answer at all."""
    own = target("t", {"name": "t", "metric": "latency_trend", "is": "degrading"})
    findings = [Finding(found=True), Finding(found=False), Finding(), None]
    assert [of(own, finding=one).state for one in findings] == [
        State.BREACH, State.CLEAR, State.INSUFFICIENT, State.NO_DATA,
    ]  # fmt: skip


def test_a_forecast_is_a_breach_with_its_whole_interval():
    """Not by its middle alone."""
    own = target("f", {"name": "f", "metric": "total_cost", "above": 100, "within": "6h"})
    findings = [Finding(None, 120, 105, 140), Finding(None, 120, 90, 140), Finding(None, 120)]
    assert [of(own, finding=one).state for one in findings] == [
        State.BREACH, State.CLEAR, State.INSUFFICIENT,
    ]  # fmt: skip


def test_a_sample_that_cannot_be_had_is_a_failed_evaluation():
    """One target's failure is nobody else's."""

    def sampler(own, _now):
        if own.watch.rule == LATENCY:
            raise ZeroDivisionError("no")
        return Sample(tallies(own.watch, 10, 10))

    failed, breach = evaluate([target(LATENCY), target(SUCCESS)], sampler, T0)
    assert (failed.state, failed.words) == (State.FAILED, "ZeroDivisionError: no")
    assert breach.state is State.BREACH


@given(st.integers(1, 10**6), st.floats(0.01, 0.99))
def test_the_levels_of_a_quantile_hold_it(runs, quantile):
    """And come closer with more runs."""
    low, high = quantile_levels(runs, quantile)
    assert 0 <= low <= quantile <= high <= 1
    assert high - low <= 4 / math.sqrt(runs)
