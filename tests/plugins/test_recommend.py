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


def test_without_runs_what_fires_is_still_said():
    """An agent that is gone has no runs for just that reason."""
    alerts = [{"message": "agent a: no run for 1 h", "level": "critical"}] * 3
    (only,) = advise(metrics(), health={"alerts": alerts})
    assert only.text == "Handle the firing alert first: agent a: no run for 1 h (2 more fire)"


def test_errors_that_succeeding_runs_name_are_no_failures():
    """A success may carry an error class; nothing that it says would lower the error rate."""
    (only,) = advise(metrics(200, 0, errors={"Warned": 200}))
    assert only.text.startswith("No action needed")
    found = advise(metrics(60, 30, errors={"Slow": 45, "Broken": 15}))
    (slow,) = (one for one in found if "Slow" in one.text)
    assert slow.text == "Fix Slow: it causes 45 of 60 named errors (75.0%)"
    assert slow.expected_effect.endswith("now 50.0%, could fall by its share of the failures")


def test_where_nothing_is_to_be_done_one_says_so():
    """With the figures it rests on."""
    (only,) = advise(metrics(1000, 30, avg_latency_ms=800.0, p95_latency_ms=1500.0))
    assert only.text == "No action needed: 970 of 1,000 runs (97.0%) succeeded"
    assert "95.7% to 97.9%" in only.reason


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
    assert "60 of 100 runs (60.0%), the others in 2.2%" in first.text
    assert "50 of them are RateLimitError" in first.text
    assert "overall success would be 97.8% (+5.8 points)" in first.expected_effect


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
        "RateLimitError: it causes 120 of 150 errors (80.0%), 65 of them in agent 'a'" in first.text
    )
    assert "15.0%, could fall to 3.0%" in first.expected_effect
    assert first.agent_name is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"timeout_rate": 0.2, "p95_latency_ms": 900.0},
            "a time limit ended 60 of 300 runs (20.0%)",
        ),
        (
            {"retry_rate": 0.3, "retries_count": 300},
            "90 of 300 runs (30.0%) needed more than one attempt",
        ),
        (
            {"retry_rate": 0.5, "retries_count": 60},
            "30 of 60 runs that report retries (50.0%) needed more than one attempt",
        ),
        (
            {"p95_latency_ms": 9000.0, "latency_count": 300},
            "p95 latency is 9 s, the limit is 5 s",
        ),
        (
            {"p50_latency_ms": 100.0, "p99_latency_ms": 4000.0, "latency_count": 300},
            "p99 is 4 s, 40 times the median of 100 ms",
        ),
        ({"tokens_per_task": 20_000.0, "tokens_count": 300}, "tokens per task is 20,000"),
        ({"cost_per_task": 2.5, "cost_count": 300}, "cost per task is $2.50, the limit is $1.00"),
        ({"max_memory_mb": 4096.0}, "peak memory is 4,096 MiB, the limit is 1,024 MiB"),
        ({"avg_accuracy": 0.5, "accuracy_count": 100}, "accuracy is 50.0%, the limit is 70.0%"),
        (
            {"avg_accuracy": 0.72, "accuracy_count": 200, "avg_confidence": 0.95},
            "it is 95.0% on average, and 72.0% turned out right",
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
    assert only.text.startswith("No action needed")


def test_money_that_goes_into_failures_is_named():
    """An agent with most of the cost and little success."""
    costly = metrics(
        100, 50, total_cost=90.0, cost_count=100, cost_per_task=0.9, failed_cost=40.0,
        failed_cost_count=50,
    )  # fmt: skip
    cheap = metrics(100, 45, total_cost=10.0, cost_count=100)
    system = metrics(200, 95, total_cost=100.0, cost_count=200)
    wasted = [i for i in advise(system, {"a": costly, "b": cheap}) if "paying" in i.text]
    assert "90.0% of all cost ($90.00) and succeeds in 50.0%" in wasted[0].text
    assert wasted[0].expected_effect == "$40.00 went into 50 failed runs"


def test_failures_without_known_cost_take_no_share_of_it():
    """What they took is not known, and is said to be; with none known there is nothing to say."""
    fields = {"total_cost": 90.0, "cost_count": 60, "cost_per_task": 1.5}
    cheap = metrics(100, 45, total_cost=10.0, cost_count=100)
    system = metrics(200, 95, total_cost=100.0, cost_count=160)
    for known, expected in ((10, 9.0), (0, 0.0)):
        some = metrics(100, 50, **fields, failed_cost=expected, failed_cost_count=known)
        found = [i for i in advise(system, {"a": some, "b": cheap}) if "paying" in i.text]
        assert len(found) == (1 if known else 0)
        if known:
            assert "90.0% of all known cost ($90.00)" in found[0].text
            assert "60 runs of known cost" in found[0].reason
            assert found[0].expected_effect == (
                "$9.00 went into 10 failed runs; the cost of 40 more is unknown"
            )


def test_degrading_trends_ask_what_changed():
    """All of them in one sentence; improving ones in none."""
    trends = {
        "avg_latency_ms": {
            "direction": "degrading",
            "previous": 1000.0,
            "current": 1500.0,
            "change": 0.5,
        },
        "cost_per_task": {
            "direction": "degrading",
            "previous": 0.0,
            "current": 0.5,
            "change": None,
        },
        "success_rate": {"direction": "improving", "previous": 0.8, "current": 0.9},
    }
    (only,) = advise(metrics(300, 6), trends=trends)
    assert only.text.endswith(
        "mean latency from 1 s to 1.5 s (+50.0%), cost per task from $0.00 to $0.50"
    )


NOON, A_MONTH_BEFORE = "2026-03-01T12:00:00Z", "2026-02-01T12:00:00Z"


def of_agent(verdict, said, right, count):
    return {
        "verdict": verdict, "confidence": said, "accuracy": right, "count": count,
        "expected_calibration_error": abs(said - right),
        "sentence": f"says {said:.0%} and is right {right:.0%} of the time ({verdict})",
    }  # fmt: skip


def advise_on(agents=None, **accuracy):
    """What an unremarkable month with these outcomes gives rise to."""
    system = metrics(300, 6)
    return advise(system, agents, generated_at=NOON, accuracy=accuracy)


def test_an_agent_that_is_surer_than_right_is_named():
    """Clearly so, with its sentence; a small gap, or too few outcomes, is worth nothing."""
    (only,) = advise_on(
        calibration_by_agent={
            "bold": of_agent("over-confident", 0.96, 0.8, 110),
            "near": of_agent("over-confident", 0.96, 0.94, 9000),
            "new": of_agent("not enough outcomes", 0.9, 0.1, 7),
            "shy": of_agent("under-confident", 0.5, 0.9, 200),
        }
    )
    assert only.agent_name == "bold"
    assert "Do not rely on the confidence of agent 'bold': says 96% and is right" in only.text
    assert "16.0%" in only.reason


def test_stated_confidence_of_runs_counts_where_predictions_had_none():
    """Where they had one, it is not compared with what runs said of themselves."""
    fields = {"avg_accuracy": 0.72, "accuracy_count": 200, "avg_confidence": 0.95}
    (only,) = advise(metrics(300, 6, **fields), accuracy={"calibration": {"count": 200}})
    assert only.text.startswith("No action needed")


def test_unmapped_outcomes_say_which_lines_would_map_them():
    """With whose they are, and what it would be good for."""
    lines = '[agents.a.outcomes.fields] result = "recommendation"'
    note = f"they share no field; if these mean the same, add to monitor.toml: {lines}"
    (only,) = advise_on(
        {"a": metrics(100, unmapped_count=30), "b": metrics(200, accuracy_count=500)},
        overall={"count": 500}, unmapped=30, suggestions=[note],
    )  # fmt: skip
    assert only.text == (
        "Map the fields of 30 outcomes of agent 'a', which have none in common with their predictions: "
        f"if these mean the same, add to monitor.toml: {lines}"
    )
    assert only.agent_name == "a"
    assert "530 outcomes instead of 500" in only.expected_effect


@pytest.mark.parametrize(("unmapped", "count"), [(2, 3), (5, 1000)])
def test_a_few_unmapped_outcomes_are_left_alone(unmapped, count):
    """Two, or five among a thousand, may be odd ones."""
    (only,) = advise_on(overall={"count": count}, unmapped=unmapped)
    assert only.text.startswith("No action needed")


def test_an_accuracy_that_speaks_for_few_is_no_comfort():
    """Many predictions that have waited for long, where most have no outcome."""
    overall = {"count": 30, "labelled": 30, "predictions": 400}
    (only,) = advise_on(overall=overall, waiting=370, oldest_waiting=A_MONTH_BEFORE)
    assert "accuracy covers only 30 of 400 predictions (7.5%)" in only.text
    assert "370 predictions await outcomes, the oldest for 28 d" in only.reason


@pytest.mark.parametrize(
    "accuracy",
    [
        {"overall": {"labelled": 30, "predictions": 400}, "waiting": 370, "oldest_waiting": "2026-03-01T09:00:00Z"},
        {"overall": {"labelled": 300, "predictions": 400}, "waiting": 100, "oldest_waiting": A_MONTH_BEFORE},
        {"overall": {"labelled": 1, "predictions": 9}, "waiting": 8, "oldest_waiting": A_MONTH_BEFORE},
        {"overall": {"labelled": 30, "predictions": 400}, "waiting": 370, "oldest_waiting": None},
    ],
)  # fmt: skip
def test_what_waits_for_hours_or_beside_many_answers_is_left_alone(accuracy):
    """Outcomes take their time."""
    (only,) = advise_on(**accuracy)
    assert only.text.startswith("No action needed")


def test_sources_that_disagree_often_are_to_be_looked_at():
    """With the newest task as an example; now and then is human."""
    example = {"task_id": "t-9", "sources": {"user": 1, "audit": 2}}
    (only,) = advise_on(compared_sources=50, disagreeing=20, disagreements=[example])
    assert "20 of 50 tasks (40.0%) with several sources" in only.text
    assert "task 't-9', 'user' and 'audit'" in only.reason
    (only,) = advise_on(compared_sources=50, disagreeing=5, disagreements=[example])
    assert only.text.startswith("No action needed")


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
