"""What alerts say, and what they advise."""

from __future__ import annotations

import attrs
import pytest

from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.wording.advice import Details, Part, recommendation
from perfmon.alerts.wording.sentences import Situation, sentence, whom

SHARE = Situation(
    kind=Kind.SHARE, rule="success_rate_min", metric="success_rate", unit="share", above=False,
    labels={"agent": "billing"}, value=0.618, threshold=0.8, low=0.486, high=0.735,
    sample_size=55, bad=21, started_at=1_800_000_000_000_000,
    errors={"RateLimit": 15, "Timeout": 4, "Auth": 1, "Parse": 1},
)  # fmt: skip
COST = attrs.evolve(SHARE, kind=Kind.MEAN, metric="cost_per_task", unit="$")


def test_a_sentence_says_what_how_sure_since_when_and_why():
    """Value and limit with units, interval, runs, the most frequent error classes."""
    assert sentence(SHARE) == (
        "agent billing: success rate 61.8% (48.6% to 73.5%) is below 80.0%: 21 of the last 55 runs"
        " did not succeed (RateLimit 15, Timeout 4, Auth 1, 1 more class);"
        " since 2027-01-15 08:00 UTC"
    )


def test_an_end_says_how_long_it_was_and_how_it_is():
    """And why, where it did not just become well."""
    ended = attrs.evolve(
        SHARE, state="resolved", reason="clear", value=0.97, low=0.9, high=0.99,
        resolved_at=SHARE.started_at + 7_980_000_000,
    )  # fmt: skip
    assert sentence(ended) == (
        "agent billing: resolved after 2 h 13 min: success rate is back to 97.0%"
        " (90.0% to 99.0%, limit: at least 80.0%)"
    )
    # A window that still holds its failures is not back; its newest runs are why it is resolved.
    held = sentence(attrs.evolve(ended, kind=Kind.SHARE, value=0.67, low=0.63, high=0.72))
    assert "success rate is now 67.0% (63.0% to 72.0%, limit: at least 80.0%)" in held
    assert held.endswith("; the latest runs are within the limit")
    closed = attrs.evolve(ended, reason="no_data")
    assert sentence(closed) == (
        "agent billing: success rate: closed after 2 h 13 min, no more runs to evaluate"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": Kind.BEYOND, "metric": "p95_latency_ms", "unit": "ms", "above": True, "value": 6200.0,
          "threshold": 5000.0}, "p95 latency 6.2 s"),
        ({"kind": Kind.ANY, "metric": "max_memory_mb", "unit": "MiB", "above": True, "value": 2048.0,
          "threshold": 1024.0}, "peak memory 2,048 MiB"),
        ({"kind": Kind.SINGLE, "metric": "max_latency_ms", "unit": "ms", "value": 70_000.0, "bad": 1,
          "threshold": 50_000.0}, "a run took up to 1 min 10 s, far beyond the limit (50 s)"),
        ({"kind": Kind.MEAN, "metric": "cost_per_task", "unit": "$", "above": True, "value": 1.5,
          "threshold": 1.0}, "cost per task $1.50 ("),
        ({"kind": Kind.NUMBER, "metric": "runs_per_minute", "unit": "runs/min", "value": 0.5,
          "threshold": 2.0}, "runs per minute 0.5 runs/min is below 2 runs/min"),
        ({"kind": Kind.BUDGET, "unit": "$", "value": 51.5, "threshold": 50.0, "rule": "daily"},
         "$51.50 spent of a budget of $50.00 in this period (daily)"),
        ({"kind": Kind.BURN, "unit": "x", "value": 20.0, "threshold": 14.4, "low": 15.0, "high": 26.0},
         "the error budget is burning at 20 times (15 times to 26 times) the allowed rate"),
        ({"kind": Kind.NO_RUNS, "unit": "s", "value": 1200.0, "threshold": 900.0},
         "no run for 20 min, longer than 15 min"),
        ({"kind": Kind.UNFINISHED, "unit": "s", "value": 2000.0, "threshold": 1800.0, "bad": 2},
         "2 runs have been in progress for up to 33 min 20 s, longer than 30 min"),
        ({"kind": Kind.UNFINISHED, "unit": "s", "value": 2000.0, "threshold": 1800.0, "bad": 1,
          "words": "run r1 of agent a"},
         "a run has been in progress for up to 33 min 20 s (run r1 of agent a), longer than 30 min"),
        ({"kind": Kind.TREND, "metric": "latency_trend", "word": "degrading", "words": "+30%"},
         "latency trend is degrading (+30%)"),
        ({"kind": Kind.ANOMALY, "metric": "cost_per_task", "unit": "$", "value": 9.0, "low": 1.0,
          "high": 2.0}, "cost per task $9.00 is anomalous (expected $1.00 to $2.00)"),
        ({"kind": Kind.FORECAST, "metric": "total_cost", "unit": "$", "value": 120.0, "above": True,
          "threshold": 100.0, "low": 110.0, "high": 130.0, "seconds": 21_600.0},
         "cost is forecast to be $120.00 ($110.00 to $130.00), above $100.00, within 6 h"),
        ({"evidence": "no_data"}, "no runs since then, so recovery is unknown"),
        ({"evidence": "failed"}, "its evaluation is failing"),
        ({"starts": 5}, "fired 5 times in 24 hours"),
    ],
)  # fmt: skip
def test_every_kind_has_its_sentence(changes, words):
    """With the figures that matter to it."""
    assert words in sentence(attrs.evolve(SHARE, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": 0.98, "bad": 1},
         ("success rate is recovering: 98.0% (48.6% to 73.5%), 1 of the last 55 runs did not"
          " succeed; resolves once it stays above 80.0%;")),
        ({"kind": Kind.MEAN, "metric": "cost_per_task", "unit": "$", "above": True, "value": 0.5,
          "threshold": 1.0}, "; resolves once it stays below $1.00"),
        ({"kind": Kind.NUMBER, "metric": "predictions_waiting", "unit": "predictions", "above": True,
          "value": 0.0, "threshold": 3.0}, "recovering: 0 predictions; resolves once it stays below 3 predictions"),
        ({"kind": Kind.BURN, "unit": "x", "value": 2.0, "threshold": 14.4}, "rate, back below 14.4"),
        ({"kind": Kind.NO_RUNS, "unit": "s", "value": 120.0, "threshold": 900.0},
         "the last run was 2 min ago, after a gap of more than 15 min"),
        ({"kind": Kind.UNFINISHED, "unit": "s", "value": 2000.0, "threshold": 1800.0,
          "evidence": "clear"}, "no run has been in progress for longer than 30 min"),
        ({"kind": Kind.UNFINISHED, "unit": "s", "value": 2000.0, "threshold": 1800.0,
          "state": "resolved", "reason": "clear", "metric": "", "rule": "hung"},
         "agent billing: resolved: hung"),
        ({"kind": Kind.BUDGET, "unit": "$", "value": 0.0, "threshold": 50.0}, "$0.00 spent of a"),
        ({"kind": Kind.SINGLE, "metric": "max_latency_ms", "unit": "ms", "value": 900.0, "bad": 0,
          "threshold": 50_000.0, "breached": False},
         "no recent run took more than 50 s; at most 900 ms"),
        ({"kind": Kind.TREND, "metric": "latency_trend", "word": "degrading", "words": "9 to 9",
          "breached": False}, "latency trend is no longer degrading (9 to 9)"),
        ({"kind": Kind.ANOMALY, "metric": "cost_per_task", "unit": "$", "value": 1.0,
          "breached": False}, "cost per task $1.00 is no longer anomalous"),
        ({"kind": Kind.FORECAST, "metric": "total_cost", "unit": "$", "value": 20.0, "above": True,
          "threshold": 100.0, "low": 10.0, "high": 30.0, "seconds": 60.0}, "back below $100.00"),
    ],
)  # fmt: skip
def test_what_is_back_while_it_still_fires_is_not_said_to_be_beyond(changes, words):
    """An alert fires until it has been well for a while; its figures are of now."""
    said = sentence(attrs.evolve(SHARE, **changes))
    assert words in said
    assert "now 33 min" not in said


def test_the_moment_is_said():
    """That of the figures, to the second; of what is over, that of the last ones."""
    of = attrs.evolve(SHARE, at=1_800_000_005_000_000)
    assert sentence(of).endswith("; since 2027-01-15 08:00 UTC; as of 2027-01-15 08:00:05 UTC")
    ended = attrs.evolve(of, state="resolved", reason="clear", resolved_at=of.at, value=0.9)
    assert sentence(ended).endswith("limit: at least 80.0%, as of 2027-01-15 08:00:05 UTC)")


def test_a_class_is_compared_with_all_that_failed():
    """Also with what has no class, so that its parts are those of the message."""
    details = Details(errors={"RateLimit": 9}, bad=12, unclassed=3, runs=18)
    assert "Likely cause: RateLimit (9 of 12 errors, 50.0% of runs)" in recommendation(
        SHARE, details
    )


def test_classes_that_do_not_fit_the_count_are_not_told():
    """Runs that succeeded have classes too, and those of the first look may be of another hour."""
    assert "21 of the last 55 runs did not succeed (RateLimit 15" in sentence(SHARE)
    said = sentence(attrs.evolve(SHARE, bad=20))
    assert "20 of the last 55 runs did not succeed;" in said


def test_whose_runs_it_is_about_is_said():
    """One agent, an agent of a tenant, or the whole system."""
    assert whom({}) == "the whole system"
    assert whom({"tenant": "acme", "agent": "a"}) == "agent a (tenant acme)"


@pytest.mark.parametrize(
    ("situation", "details", "words"),
    [
        (SHARE, {"errors": {"RateLimit": 15}, "runs": 55, "errors_before": {"RateLimit": 1},
                 "runs_before": 60},
         "RateLimit (15 of 15 errors, 27.3% of runs, 1.7% in the previous window). Reduce concurrency"),
        (SHARE, {"models": (Part("gpt-x", 19, 20), Part("qwen", 2, 35))},
         "19 of 21 affected runs use model gpt-x (19 of its 20): use another model"),
        (attrs.evolve(SHARE, labels={}), {"agents": (Part("a", 19, 30), Part("b", 2, 70))},
         "Check agent a first: it has 19 of 21 affected runs"),
        (COST, {"retry_rate": 0.4, "retry_rate_before": 0.1}, "40.0% of runs were retried, 10.0%"),
        (COST, {"prompt_tokens": 2900.0, "prompt_tokens_before": 1200.0, "retry_rate": 0.5},
         "Prompts grew from 1,200 to 2,900 tokens per run"),
    ],
)  # fmt: skip
def test_advice_follows_from_the_figures(situation, details, words):
    """A class that rises, one model, one agent, retries, prompts that grow."""
    assert words in recommendation(situation, Details(**details))


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"errors": {"RateLimit": 15}, "runs": 55, "errors_before": {"RateLimit": 14}, "runs_before": 55},
        {"errors": {"A": 5, "B": 5, "C": 5}, "runs": 55},
        {"models": (Part("gpt-x", 10, 20), Part("qwen", 9, 20))},
        {"models": (Part("gpt-x", 20, 20),)},
        {"retry_rate": 0.2, "retry_rate_before": 0.19},
        {"prompt_tokens": 1210.0, "prompt_tokens_before": 1200.0},
        {"prompt_tokens": 0.0, "prompt_tokens_before": 0.0},
        {"prompt_tokens": 1210.0, "prompt_tokens_before": 0.0},
    ],
)  # fmt: skip
def test_where_the_figures_say_nothing_nothing_is_advised(details):
    """No fixed sentence for a metric."""
    assert recommendation(SHARE, Details(**details)) is None


FAILURES = {
    "errors": {"RateLimit": 40}, "runs": 60,
    "agents": (Part("a", 30, 60), Part("b", 0, 300)),
    "models": (Part("m", 30, 60), Part("n", 0, 300)),
}  # fmt: skip


@pytest.mark.parametrize(
    "situation",
    [
        COST,
        attrs.evolve(COST, metric="tokens_per_task", unit="tokens"),
        attrs.evolve(COST, metric="avg_accuracy", unit="share", above=False),
        attrs.evolve(COST, kind=Kind.ANY, metric="max_memory_mb", unit="MiB"),
        attrs.evolve(COST, metric="avg_latency_ms", unit="ms"),
        attrs.evolve(COST, kind=Kind.SINGLE, metric="max_latency_ms", unit="ms"),
    ],
)
def test_failures_are_no_advice_on_anything_else(situation):
    """Fewer rate limits make no prompt shorter, and an agent that fails is not one that is dear."""
    assert recommendation(attrs.evolve(situation, labels={}), Details(**FAILURES)) is None


def test_details_survive_json():
    """What is not known is left out of what is shown."""
    details = Details(errors={"A": 2}, agents=(Part("a", 1, 2),), retry_rate=0.5)
    assert details.figures() == {
        "errors": {"A": 2}, "retry_rate": 0.5, "agents": [{"name": "a", "bad": 1, "runs": 2}],
    }  # fmt: skip
    plain = attrs.asdict(details)
    plain["prompt_tokens"] = None
    assert Details.of(plain).figures() == details.figures()
