"""Rules about what detectors and forecasters say, from the hook to the alert."""

from __future__ import annotations

import math

import pytest

from perfmon import Config, PerformanceMonitor, Point, Trend, hookimpl
from perfmon.records import AlertLevel
from perfmon.records.catalog import NUMBERS
from perfmon.testing import ManualClock

METRICS = (*NUMBERS, "sample_size")
TRENDS = ("success_rate_trend", "latency_trend", "cost_trend", "accuracy_trend")
QUIET = {"for": "0s", "single_run": {"enabled": False}}


class LastIsOdd:
    """Finds the last point anomalous, as it was given."""

    @hookimpl
    def detect_anomalies(self, series):
        return [(series.points[-1], 4.5)]


class LastIsOddAnew:
    """The same, with a point of its own making."""

    @hookimpl
    def detect_anomalies(self, series):
        last = series.points[-1]
        return [(Point(last.start, last.end, last.value, last.count), 4.5)]


class FirstIsOdd:
    """Finds something else anomalous."""

    @hookimpl
    def detect_anomalies(self, series):
        return [(series.points[0], 4.5), (series.points[-1], math.nan)]


class Broken:
    """Answers something that is no answer."""

    @hookimpl
    def detect_anomalies(self, series):
        return [series.points[-1]]


@pytest.fixture
def opened():
    """Makes monitors on rules and a plugin, with one run and one measurement of every value."""
    monitors = []

    def open_one(rules, plugin):
        clock = ManualClock()
        alerts = {"rules": [{"by": [], **rule} for rule in rules], **QUIET}
        config = Config.from_mapping({"alerts": alerts})
        monitor = PerformanceMonitor(config, storage_url="memory:", clock=clock)
        monitors.append(monitor)
        monitor.bus.register(plugin, "detector")
        for number, status in enumerate(("success", "failure", "partial")):
            monitor.record_agent_run(
                f"r{number}", "a", "react", status, duration_ms=100, tokens_used=30, cost=0.01,
                memory_mb=50, cpu_ms=5, quality_score=0.5, confidence=0.5, input_tokens=20,
                output_tokens=10, api_calls=2, retries=1, timed_out=status == "failure",
            )  # fmt: skip
        monitor.record_accuracy("a", "t", "yes", "yes")
        monitor.record_prediction("a", "later", "yes")
        clock.advance(1)
        return monitor

    yield open_one
    for monitor in monitors:
        monitor.stop()


def fired(monitor):
    monitor._parts.evaluator.evaluate()
    return {alert.rule: alert for alert in monitor.get_alerts(limit=100, state="firing")}


@pytest.mark.parametrize("plugin", [LastIsOdd(), LastIsOddAnew()], ids=["the same", "equal"])
def test_an_anomaly_fires_for_every_metric(opened, plugin):
    """Whether the metric has an interval or none, and by whichever point the detector names it."""
    rules = [{"name": f"odd {m}", "metric": m, "is": "anomalous"} for m in METRICS]
    found = fired(opened(rules, plugin))
    assert sorted(name for name in found if name.startswith("odd ")) == sorted(
        f"odd {metric}" for metric in METRICS
    )
    assert "is anomalous: score 4.5" in found["odd cost_per_task"].message


@pytest.mark.parametrize("plugin", [FirstIsOdd(), Broken()], ids=["first", "broken"])
def test_what_is_not_the_last_point_fires_nothing(opened, plugin):
    """A point of long ago, a score that is none, and an answer that is none (which is counted)."""
    rules = [{"name": "odd", "metric": "cost_per_task", "is": "anomalous"}]
    monitor = opened(rules, plugin)
    assert "odd" not in fired(monitor)
    failures = monitor.get_stats()["plugins"]["detector"]["failures"]
    assert failures == (1 if isinstance(plugin, Broken) else 0)


class Growing:
    """Forecasts values that are high in between; with an interval, with None or without one."""

    def __init__(self, nothing):
        self.nothing = nothing

    @hookimpl
    def forecast(self, series, horizon):
        values = [1e9 if place == horizon // 2 else 1e-9 for place in range(horizon)]
        if self.nothing == "interval":
            return [(value * 0.9, value, value * 1.1) for value in values]
        return [(self.nothing, value, self.nothing) for value in values]


@pytest.mark.parametrize("nothing", ["interval", None, math.nan])
def test_a_forecast_fires_for_every_metric(opened, nothing):
    """Beyond the limit at any time within the horizon, by its interval or by its value alone."""
    shares = ("_rate", "quality_score", "confidence", "accuracy", "coverage")
    rules = [
        {"name": f"soon {m}", "metric": m, "within": "6h", "above": 1.0 if m.endswith(shares) else 5.0}
        for m in METRICS
    ]  # fmt: skip
    found = fired(opened(rules, Growing(nothing)))
    assert {name for name in found if name.startswith("soon ")} == {r["name"] for r in rules}


def test_a_forecast_below_a_limit_fires(opened):
    """The lowest of what is forecast counts where below is bad."""
    rules = [{"name": "low", "metric": "runs_per_minute", "within": "6h", "below": 0.5},
             {"name": "never", "metric": "runs_per_minute", "within": "6h", "below": 1e-12}]  # fmt: skip
    found = fired(opened(rules, Growing("interval")))
    assert "low" in found
    assert "never" not in found


class FromNothing:
    """Says that everything grew from nothing: a change without a figure."""

    @hookimpl
    def detect_trend(self, series):
        return Trend(metric=series.metric, direction="degrading", previous=0.0, current=2.5)


@pytest.mark.parametrize(
    ("name", "words"),
    list(
        zip(
            TRENDS,
            ("0.0% to 250.0%", "0 ms to 2.5 ms", "$0.00 to $2.50", "0.0% to 250.0%"),
            strict=True,
        )
    ),
)
def test_a_trend_without_a_relative_change_fires_and_says_how(opened, name, words):
    """A change from 0 has no percentage; the alert tells both values."""
    rules = [{"name": "worse", "metric": name, "is": "degrading", "level": "critical"}]
    alert = fired(opened(rules, FromNothing()))["worse"]
    assert alert.level is AlertLevel.CRITICAL
    assert words in alert.message


def test_metrics_have_their_good_direction_or_none(opened):
    """What failed is better low; how many runs told their cost is neither good nor bad."""
    monitor = opened([], LastIsOdd())
    ways = {name: monitor.get_timeseries(name).higher_is_better for name in NUMBERS}
    assert ways["success_rate"] is ways["successful_tasks"] is ways["avg_accuracy"] is True
    assert ways["failed_tasks"] is ways["partial_tasks"] is ways["error_rate"] is False
    assert ways["predictions_waiting"] is ways["p95_latency_ms"] is ways["total_cost"] is False
    neither = {name for name, way in ways.items() if way is None}
    assert neither == {
        "total_tasks", "runs_per_minute", "total_api_calls", "latency_count", "tokens_count",
        "cost_count", "accuracy_count", "failed_cost_count", "api_calls_count", "retries_count",
    }  # fmt: skip
