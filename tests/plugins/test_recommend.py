"""Recommendations: each follows from figures, and none from chance."""

from __future__ import annotations

import perfmon_recommend
import pytest

from perfmon import PerformanceMetrics, jsonable


def metrics(runs=0, failed=0, **fields):
    rates = {"success_rate": (runs - failed) / runs, "error_rate": failed / runs} if runs else {}
    counts = {"total_tasks": runs, "failed_tasks": failed, "successful_tasks": runs - failed}
    return jsonable(PerformanceMetrics(**{**counts, **rates, **fields}))


def advise(system, agents=None, **parts):
    report = {"system_metrics": system, **parts}
    report["agent_metrics"] = {name: {"metrics": value} for name, value in (agents or {}).items()}
    return perfmon_recommend.recommend(report=report)


def test_without_runs_there_is_one_that_says_so():
    """Silence would look like praise."""
    (only,) = advise(metrics())
    assert "no runs" in only.text


def test_where_nothing_is_to_be_done_one_says_so():
    """With the figures it rests on."""
    (only,) = advise(metrics(1000, 30, avg_latency_ms=800.0, p95_latency_ms=1500.0))
    assert only.text == "All is well, nothing needs to be done: 970 of 1,000 runs (97 %) succeeded"
    assert "95.7 % to 97.9 %" in only.reason


def test_few_runs_are_too_early_for_praise():
    """Three failures in five runs prove nothing either way."""
    (only,) = advise(metrics(5, 3, errors={"RateLimitError": 3}))
    assert only.text.startswith("Nothing stands out yet")


def test_an_agent_that_fails_far_more_than_the_rest_comes_first():
    """With its dominant error, and what it would do to the whole."""
    bad = metrics(100, 60, errors={"RateLimitError": 50, "KeyError": 10})
    system = metrics(1000, 80, errors={"RateLimitError": 52, "KeyError": 28})
    first = advise(system, {"billing": bad, "search": metrics(900, 20)})[0]
    assert first.agent_name == "billing"
    assert "60 of 100 runs (60 %), the others in 2.2 %" in first.text
    assert "RateLimitError stands behind 50" in first.text
    assert "from 92 % to 97.8 %" in first.expected_effect


def test_an_agent_with_bad_luck_is_left_alone():
    """One failure in three runs is within its interval."""
    found = advise(metrics(103, 4), {"new": metrics(3, 1), "old": metrics(100, 3)})
    assert all(item.agent_name is None for item in found)


def test_one_error_class_that_makes_most_failures_is_named():
    """And where it happens, and what would be left without it."""
    system = metrics(1000, 150, errors={"RateLimitError": 120, "KeyError": 30})
    agents = {
        "a": metrics(500, 80, errors={"RateLimitError": 65, "KeyError": 15}),
        "b": metrics(500, 70, errors={"RateLimitError": 55, "KeyError": 15}),
    }
    first = advise(system, agents)[0]
    assert (
        "RateLimitError: it makes 120 of 150 errors (80 %), 65 of them in agent 'a'" in first.text
    )
    assert "15 %, could fall to 3 %" in first.expected_effect
    assert first.agent_name is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"timeout_rate": 0.2, "p95_latency_ms": 900.0},
            "a time limit ended 60 of 300 runs (20 %)",
        ),
        ({"retry_rate": 0.3}, "90 of 300 runs (30 %) needed more than one try"),
        (
            {"p95_latency_ms": 9000.0, "latency_count": 300},
            "p95 latency is 9.0 s, 5.0 s is the limit",
        ),
        (
            {"p50_latency_ms": 100.0, "p99_latency_ms": 4000.0, "latency_count": 300},
            "p99 is 4.0 s, 40 times the median of 100 ms",
        ),
        ({"tokens_per_task": 20_000.0, "tokens_count": 300}, "tokens per task is 20,000"),
        ({"cost_per_task": 2.5, "cost_count": 300}, "cost per task is $2.5, $1 is the limit"),
        ({"max_memory_mb": 4096.0}, "max memory mb is 4,096, 1,024 is the limit"),
        ({"avg_accuracy": 0.5, "accuracy_count": 100}, "accuracy is 50 %, 70 % is the limit"),
        (
            {"avg_accuracy": 0.72, "accuracy_count": 200, "avg_confidence": 0.95},
            "it is 95 % on average, and 72 % turned out right",
        ),
    ],
)
def test_a_figure_beyond_its_limit_is_worth_a_sentence(fields, words):
    """Each with the figure and the limit in it, a reason and an effect."""
    (only,) = advise(metrics(300, 6, **fields))
    assert words in only.text
    assert only.reason
    assert only.expected_effect


def test_the_same_figures_from_few_runs_are_worth_nothing():
    """The limits ask for enough samples each."""
    fields = {"timeout_rate": 0.5, "retry_rate": 0.5, "p95_latency_ms": 9e9, "latency_count": 4}
    few = metrics(
        4, 0, **fields, avg_accuracy=0.0, accuracy_count=2, cost_per_task=9.0, cost_count=4
    )
    assert len(advise(few)) == 1


def test_thresholds_come_from_the_report():
    """What is slow here may be quick there."""
    slow = metrics(300, 6, p95_latency_ms=9000.0, latency_count=300)
    (only,) = advise(slow, thresholds={"latency_p95_max_ms": 60_000})
    assert only.text.startswith("All is well")


def test_money_that_goes_into_failures_is_named():
    """An agent with most of the cost and little success."""
    costly = metrics(100, 50, total_cost=90.0, cost_count=100, cost_per_task=0.9)
    cheap = metrics(100, 45, total_cost=10.0, cost_count=100)
    system = metrics(200, 95, total_cost=100.0, cost_count=200)
    wasted = [i for i in advise(system, {"a": costly, "b": cheap}) if "paying" in i.text]
    assert "90 % of all cost ($90.00) and succeeds in 50 %" in wasted[0].text
    assert "$45.00" in wasted[0].expected_effect


def test_degrading_trends_ask_what_changed():
    """All of them in one sentence; improving ones in none."""
    trends = {
        "latency": {"direction": "degrading", "previous": 1000.0, "current": 1500.0, "change": 0.5},
        "cost": {"direction": "degrading", "previous": 0.0, "current": 0.5, "change": None},
        "success_rate": {"direction": "improving", "previous": 0.8, "current": 0.9},
    }
    (only,) = advise(metrics(300, 6), trends=trends)
    assert only.text.endswith("latency from 1,000 to 1,500 (+50 %), cost from 0 to 0.5")


def test_at_most_ten_are_given_most_important_first():
    """Twenty failing agents are not twenty recommendations."""
    agents = {f"bad-{i}": metrics(50, 25 + i) for i in range(20)}
    failed = sum(25 + i for i in range(20))
    found = advise(metrics(11_000, failed), agents)
    assert len(found) == 10
    assert found[0].agent_name == "bad-19"


def test_a_report_without_parts_is_read_too():
    """Reports with agents left out, or with nulls, are reports."""
    assert perfmon_recommend.recommend(report={})
    assert perfmon_recommend.recommend(
        report={"system_metrics": {"total_tasks": 50, "errors": None}, "agent_metrics": None}
    )
