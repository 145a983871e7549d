"""Rules: what a configuration watches, for whom, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from shapes import config, key, watch

from perfmon import AlertLevel, ConfigError
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.rules.targets import labels, targets
from perfmon.config import Rule, Thresholds
from perfmon.config.config import Config
from perfmon.records import MetricType
from perfmon.records.catalog import METRICS, NUMBERS, OTHER_NAMES
from perfmon.records.measurements import ANY_AGENT

SLOW = {"name": "slow", "metric": "latency_p95_ms", "above": 2000}


def watched(made, *keys):
    """Rule and labels of every target, of latency alone."""
    latency = [w for w in watches(made) if w.metric == "p95_latency_ms"]
    return {(t.watch.rule, *labels(t.scope).values()) for t in targets(latency, keys)}


def refused(**rule):
    with pytest.raises(ConfigError) as found:
        config({"name": "r", **rule})
    (line,) = found.value.mistakes
    return line


def test_every_threshold_is_watched_for_all_and_for_each():
    """Seven limits with the levels they have always had, twice each."""
    found = [w for w in watches(Config()) if w.kind is not Kind.SINGLE]
    assert len(found) == 14
    levels = {w.rule: w.limits[0].level for w in found}
    critical = {rule for rule, level in levels.items() if level is AlertLevel.CRITICAL}
    assert critical == {"success_rate_min", "accuracy_min", "memory_max_mb"}
    assert levels.keys() == attrs.fields_dict(Thresholds).keys()
    assert {w.by for w in found} == {(), ("agent",)}


@pytest.mark.parametrize("metric", NUMBERS)
def test_every_number_of_metrics_can_be_watched(metric):
    """By its own name, in its unit and about its subject; what it is made of says how."""
    (found,) = watches_of({"metric": metric, "above": 0.5})
    entry = METRICS[metric]
    assert (found.metric, found.unit, found.metric_type) == (metric, entry.unit, entry.about)


@pytest.mark.parametrize(("other", "metric"), OTHER_NAMES.items())
def test_other_names_of_metrics_are_the_same_rule(other, metric):
    """`accuracy` is `avg_accuracy`, and the number of samples that of runs."""
    assert [w.metric for w in watches_of({"metric": other, "above": 0.5})] == [metric]


def watches_of(rule):
    """The watches of a rule about the whole system."""
    made = config({"name": "x", "by": [], **rule}, single_run={"enabled": False})
    return [w for w in watches(made) if w.rule == "x"]


def test_a_given_threshold_is_the_limit():
    """That of the file, and of `alert_thresholds=`."""
    made = Config().with_overrides(alert_thresholds={"error_rate_max": 0.5})
    assert next(w for w in watches(made) if w.rule == "error_rate_max").limits[0].value == 0.5


def test_a_narrower_rule_replaces_the_threshold_of_its_metric():
    """For the agents it names; others, and the whole system, keep the default."""
    made = config({**SLOW, "agent": "b-*"})
    assert watched(made, key("b-1"), key("other")) == {
        ("latency_p95_max_ms",), ("latency_p95_max_ms", "other"), ("slow", "b-1"),
    }  # fmt: skip


def test_a_rule_that_names_nothing_comes_beside_the_threshold():
    """It is no narrower; the default itself is changed in `[alerts.thresholds]`."""
    assert watched(config(SLOW), key("a")) == {
        ("latency_p95_max_ms",), ("latency_p95_max_ms", "a"), ("slow",), ("slow", "a"),
    }  # fmt: skip


def test_a_threshold_stays_where_the_rule_is_about_some_runs_only():
    """An agent that also runs on another model is still watched as a whole."""
    made = config({**SLOW, "model": "gpt-*"})
    only, both = key("only", model="gpt-5"), key("both", model="gpt-5")
    found = watched(made, only, both, key("both", model="qwen"))
    assert ("slow", "only", "gpt-5") in found
    assert ("slow", "both", "gpt-5") in found
    assert ("latency_p95_max_ms", "only") not in found
    assert ("latency_p95_max_ms", "both") in found


def test_a_rule_of_the_other_side_replaces_nothing():
    """Too fast is not about too slow."""
    made = config({"name": "fast", "metric": "latency_p95_ms", "below": 10, "agent": "a"})
    assert ("latency_p95_max_ms", "a") in watched(made, key("a"))


def test_what_is_named_is_watched_apart():
    """Each agent of each tenant that fits; what has no such value does not."""
    made = config({**SLOW, "tenant": "t*", "agent_type": "react"})
    keys = [
        key("a", "t1", "react"),
        key("a", "t2", "react"),
        key("a", "t2"),
        key("a", "x", "react"),
    ]
    found = {names for names in watched(made, *keys) if names[0] == "slow"}
    assert found == {("slow", "a", "react", "t1"), ("slow", "a", "react", "t2")}


def test_a_rule_may_be_watched_for_more_or_for_less():
    """`by` says so, and an empty one is the whole system alone."""
    assert watch("slow", {**SLOW, "by": []}).by == ()
    assert watch("slow", {**SLOW, "by": ["tenant"]}).by == ("tenant",)
    assert watch("slow", {**SLOW, "by": ["tenant"], "agent": "a"}, by=("agent", "tenant")).globs


def test_keys_are_the_same_for_ever():
    """They go by rule and scope, and not by the limit."""
    first, second = (
        targets(watches(config({**SLOW, "above": limit})), [key("a")]) for limit in (1, 2)
    )
    assert [t.key for t in first] == [t.key for t in second]
    assert len({t.key for t in first}) == len(first)


def test_outcomes_of_nobody_are_no_agent():
    """A measurement without an agent makes no target."""
    assert len(targets(watches(Config()), [key(ANY_AGENT)])) == 9


def test_a_budget_is_of_all_that_is_named():
    """Not of each agent, unless agents are named."""
    assert watch("b", {"name": "b", "budget": 50, "tenant": "*"}, by=("tenant",)).by == ("tenant",)
    assert watch("b", {"name": "b", "budget": 50}, by=()).stretches[0].period == "day"


def test_a_rule_may_rise():
    """`critical_at` is a second limit, looked at first."""
    limits = watch("slow", {**SLOW, "critical_at": 9000}).limits
    assert limits == ((AlertLevel.CRITICAL, 9000.0), (AlertLevel.WARNING, 2000.0))


def test_an_objective_is_a_page_and_a_ticket():
    """The workbook's three rates, by level, with a twelfth of the window beside each."""
    made = config({"name": "slo", "objective": 0.99})
    found = {w.rule: w for w in watches(made) if w.kind is Kind.BURN and not w.by}
    page, ticket = found["slo: critical"], found["slo: warning"]
    assert [limit.value for limit in page.limits] == [14.4, 6.0]
    assert [s.seconds for s in page.stretches] == [3600, 300, 21_600, 1800]
    assert [limit.value for limit in ticket.limits] == [1.0]


def test_a_single_run_far_beyond_is_watched_of_every_latency_and_memory_limit():
    """INFO and ten times the limit, unless configured."""
    single = watch("slow: single run", SLOW)
    assert (single.limits, single.metric) == (((AlertLevel.INFO, 20_000.0),), "max_latency_ms")
    louder = watch("slow: single run", SLOW, single_run={"times": 3, "level": "warning"})
    assert louder.limits == ((AlertLevel.WARNING, 6000.0),)
    silent = watches(config(single_run={"enabled": False}))
    assert not [w for w in silent if w.kind is Kind.SINGLE]


def test_each_condition_has_its_kind():
    """Any metric, trends, anomalies, forecasts, budgets, silence, and runs that never end."""
    rules = [
        {"name": "a", "metric": "success_rate_trend", "is": "degrading"},
        {"name": "b", "metric": "cost_per_task", "is": "anomalous"},
        {"name": "c", "metric": "total_cost", "above": 100, "within": "6h"},
        {"name": "d", "budget": 50, "per": "week"},
        {"name": "e", "no_run_for": "15m"},
        {"name": "f", "started_and_not_ended_for": "30m"},
        {"name": "g", "metric": "avg_cpu_ms", "above": 9},
    ]
    kinds = {w.rule: (w.kind, w.metric_type) for w in watches(config(*rules))}
    assert [kinds[name] for name in "abcdefg"] == [
        (Kind.TREND, MetricType.SUCCESS_RATE), (Kind.ANOMALY, MetricType.COST),
        (Kind.FORECAST, MetricType.COST), (Kind.BUDGET, MetricType.COST),
        (Kind.NO_RUNS, MetricType.API_CALLS), (Kind.UNFINISHED, MetricType.LATENCY),
        (Kind.MEAN, MetricType.CPU),
    ]  # fmt: skip


def test_what_is_not_the_same_is_of_another_family():
    """So that no dear, slow or wrong run keeps quiet a budget, one that hangs, or what waits."""
    rules = [
        {"name": "spent", "budget": 50},
        {"name": "hung", "started_and_not_ended_for": "30m"},
        {"name": "waiting", "metric": "predictions_waiting", "above": 9},
    ]
    families = {watch.rule: watch.family for watch in watches(config(*rules))}
    assert families["success_rate_min"] == families["error_rate_max"]
    others = ("cost_per_task_max", "latency_p95_max_ms", "accuracy_min")
    for rule, other in zip(("spent", "hung", "waiting"), others, strict=True):
        assert families[rule] != families[other]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"objective": 0.9}, "14.4 can never be exceeded with an objective of 0.9: it would take 1.44"),
        ({"objective": 0.9}, "at most 10; set burn = [...] with lower factors (5 means that half"),
        ({"objective": 1.5}, "must be a number above 0 and below 1"),
        ({"objective": 0.99, "metric": "error_rate"}, "metric must be success_rate"),
        ({"objective": 0.99, "burn": []}, "burn must have at least one rate"),
        ({"objective": 0.99, "burn": [{"factor": 2, "long": "1h", "short": "2h"}]}, "short must be"),
        ({"metric": "error_rate"}, "exactly one condition (one of above, below, is, budget"),
        ({"metric": "error_rate", "above": 0.1, "budget": 5}, "found above and budget"),
        ({"above": 5}, "metric is missing"),
        ({"metric": "error_rate", "above": 15}, "can never fire: error_rate is at most 1; write 15%"),
        ({"metric": "success_rate", "below": 80}, "would always fire: success_rate is at most 1; write 80"),
        ({"metric": "latency_trend", "above": 5}, 'use is = "degrading" instead of a limit'),
        ({"metric": "latency_trend", "is": "degradin"}, "did you mean 'degrading'?"),
        ({"metric": "latency_trend", "is": "anomalous"}, "metric must be a trend"),
        ({"metric": "error_rate", "is": "degrading"}, "success_rate_trend"),
        ({"is": "degrading"}, "metric is missing; is requires it"),
        ({"metric": "error_rate", "above": 0.2, "critical_at": 0.1}, "critical_at = 0.1 must be above"),
        ({"metric": "success_rate", "below": 0.8, "critical_at": 0.9}, "must be below 0.8"),
        (
            {"metric": "error_rate", "above": 0.1, "critical_at": 0.2, "level": "critical"},
            "critical_at needs a level below critical",
        ),
        ({"budget": 5, "critical_at": 4}, "must be above the budget of 5"),
        ({"budget": 0}, "must be a number above 0, in dollars"),
        ({"budget": 5, "metric": "total_cost"}, "metric does not go with budget"),
        ({"budget": 5, "per": "yaer"}, 'must be one of "hour"'),
        ({"no_run_for": "15m", "per": "day"}, "per goes with budget, not with no_run_for"),
        ({"no_run_for": "0s"}, "must be a duration above 0"),
        ({"budget": 5, "within": "6h"}, "within goes with above or below"),
        ({"metric": "error_rate", "above": 0.1, "burn": []}, "burn goes with objective"),
        ({"metric": "error_rate", "above": 0.1, "by": ["agnet"]}, "did you mean 'agent'?"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused(rule, words):
    """With its place, and the reason."""
    line = refused(**rule)
    assert line.startswith("configuration: [[alerts.rules]] 1")
    assert words in line


def test_a_rule_has_no_name_of_a_threshold():
    """Its alerts would be taken for those."""
    with pytest.raises(ConfigError, match="must not be named like a threshold"):
        config({**SLOW, "name": "accuracy_min"})


def test_groups_name_each_dimension_once():
    """And dimensions that there are."""
    for names, words in (
        (["tenant", "tenant"], "repeat a name"),
        (["tenent"], "did you mean 'tenant'"),
    ):
        with pytest.raises(ConfigError, match=words):
            config(group_by=names)


def test_every_key_of_a_rule_is_in_the_shipped_file():
    """If only as a comment."""
    text = (Path(__file__).parent.parent.parent / "monitor.toml").read_text()
    keys = [field.name.rstrip("_") for field in attrs.fields(Rule)]
    assert [name for name in keys if f"{name} = " not in text] == []
