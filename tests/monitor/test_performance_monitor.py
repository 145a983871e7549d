"""What a performance monitor does, from the first run to the report.

Reads like its documentation: each part shows one thing that `from perfmon import ...` offers.
Time is a `ManualClock`, so nothing here depends on when or how fast it runs.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from perfmon import (
    AccuracyMeasurement,
    AgentRun,
    ConfigError,
    InvalidRun,
    PerformanceMonitor,
    get_performance_monitor,
    hookimpl,
    init_performance_monitor,
)
from perfmon.testing import ManualClock

MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def monitor(clock):
    """A monitor that was not started: everything happens when it is asked."""
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock)
    yield monitor
    monitor.stop()


@pytest.fixture
def started(clock):
    """A monitor that stores in the background, with a plugin that keeps what it is told."""
    with PerformanceMonitor(storage_url="memory:", clock=clock) as monitor:
        monitor.observer = Observer()
        monitor.bus.register(monitor.observer, "observer")
        yield monitor


class Observer:
    """A plugin that keeps what it is told."""

    def __init__(self):
        self.runs, self.measurements = [], []

    @hookimpl
    def runs_recorded(self, runs):
        self.runs += runs

    @hookimpl
    def accuracy_recorded(self, measurements):
        self.measurements += measurements


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


_ids = iter(range(10**9))


def record(monitor, status="success", *, times=1, agent="planner", agent_type="react", **fields):
    for _ in range(times):
        monitor.record_agent_run(f"run-{next(_ids)}", agent, agent_type, status, **fields)


# Starting


def test_one_call_makes_the_process_monitor(clock, tmp_path, monkeypatch):
    """`get_performance_monitor` returns it from anywhere, until another one takes its place."""
    monkeypatch.chdir(tmp_path)  # no ./monitor.toml
    first = init_performance_monitor(storage_url="memory:", window_size_minutes=15, clock=clock)
    assert get_performance_monitor() is first
    assert first.window_size_minutes == 15
    second = init_performance_monitor(storage_url="memory:", clock=clock)
    assert get_performance_monitor() is second
    assert not first.get_stats()["monitoring_active"]
    second.stop()


def test_the_defaults_are_attributes(monitor):
    """An hour's window, alerts and trends on."""
    assert monitor.window_size_minutes == 60
    assert monitor.enable_auto_alerts
    assert monitor.enable_trend_analysis


def test_a_file_configures_it_and_keywords_win(tmp_path, clock):
    """Everything else in `monitor.toml` stays as the file says."""
    file = tmp_path / "monitor.toml"
    file.write_text(
        '[monitor]\nstorage = "memory:"\nwindow_size_minutes = 5\nretention_hours = 2\n'
        "[alerts.thresholds]\nlatency_p95_max_ms = 700\n"
    )
    monitor = PerformanceMonitor(str(file), window_size_minutes=7, clock=clock)
    assert monitor.window_size_minutes == 7
    assert monitor.config.monitor.retention_hours == 2
    assert monitor.generate_report()["thresholds"]["latency_p95_max_ms"] == 700


def test_mistakes_in_the_configuration_are_told_at_once():
    """All of them, each with its place."""
    with pytest.raises(ConfigError) as refused:
        PerformanceMonitor(storage_url="memory:", alert_thresholds={"success_rate_mim": 0.8})
    assert "success_rate_min" in str(refused.value)


def test_it_works_without_being_started(monitor):
    """Nothing runs in the background, and every query sees every run."""
    record(monitor)
    assert monitor.get_system_metrics().total_tasks == 1
    assert monitor.get_stats()["monitoring_active"] is False


def test_it_can_be_stopped_twice_and_started_again(clock):
    """What was recorded is stored before `stop` returns."""
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock).start()
    record(monitor, times=3)
    monitor.stop()
    monitor.stop()
    assert monitor.get_stats()["stored"] == 3
    monitor.start()
    record(monitor)
    assert monitor.get_system_metrics().total_tasks >= 1
    monitor.stop()


# Recording runs


def test_a_run_needs_four_things(monitor):
    """An id, an agent, its type, and how it ended; the rest is unknown, not 0."""
    monitor.record_agent_run("run-a", "planner", "react", "success")
    metrics = monitor.get_system_metrics()
    assert (metrics.total_tasks, metrics.success_rate) == (1, 1.0)
    assert math.isnan(metrics.avg_latency_ms)
    assert math.isnan(metrics.cost_per_task)
    assert (metrics.total_tokens, metrics.tokens_count) == (0, 0)


def test_zero_is_a_value(monitor):
    """A duration, a cost or a token count of 0 is known, and counts."""
    record(monitor, duration_ms=0, cost=0, tokens_used=0)
    record(monitor, duration_ms=10, cost=1, tokens_used=8)
    metrics = monitor.get_system_metrics()
    assert (metrics.avg_latency_ms, metrics.cost_per_task, metrics.tokens_per_task) == (5, 0.5, 4)


def test_tokens_are_input_plus_output_where_only_those_are_known(monitor):
    """What is given as `tokens_used` wins."""
    record(monitor, input_tokens=30, output_tokens=12)
    record(monitor, input_tokens=5)
    record(monitor, input_tokens=30, output_tokens=12, tokens_used=50)
    metrics = monitor.get_system_metrics()
    assert (metrics.total_tokens, metrics.tokens_count) == (42 + 5 + 50, 3)


def test_a_second_run_of_the_same_id_is_a_duplicate_or_a_conflict(monitor):
    """Counted, not added; another agent's or tenant's run may have the id."""
    monitor.record_agent_run("one", "planner", "react", "success")
    monitor.record_agent_run("one", "planner", "react", "success")
    monitor.record_agent_run("one", "planner", "react", "failure")
    monitor.record_agent_run("one", "writer", "react", "success")
    monitor.record_agent_run("one", "planner", "react", "success", tenant="acme")
    monitor.flush()
    assert monitor.get_system_metrics().total_tasks == 3
    assert monitor.get_system_metrics().failed_tasks == 0
    stats = monitor.get_stats()
    assert (stats["duplicate"], stats["conflict"]) == (1, 1)


@pytest.mark.parametrize("form", ["seconds", "utc", "elsewhere"])
def test_a_stamp_says_when_the_run_ended(monitor, clock, form):
    """Epoch seconds or an aware datetime, in any time zone."""
    moment = clock.now - timedelta(hours=2)
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    given = {
        "seconds": moment.timestamp(),
        "utc": moment,
        "elsewhere": moment.astimezone(elsewhere),
    }
    record(monitor, timestamp=given[form])
    assert monitor.get_system_metrics(60).total_tasks == 0
    assert monitor.get_system_metrics(180).total_tasks == 1
    assert monitor.get_agent_metrics("planner", 180).last_run == moment


def test_a_stamp_a_little_ahead_is_now(monitor, clock):
    """Clocks differ; beyond five minutes it is a mistake."""
    record(monitor, timestamp=clock() + 4 * MINUTE)
    assert monitor.get_agent_metrics("planner").last_run == clock.now
    with pytest.raises(InvalidRun, match="5 minutes"):
        record(monitor, timestamp=clock() + 6 * MINUTE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_id", ""),
        ("run_id", "   "),
        ("run_id", None),
        ("run_id", 7),
        ("run_id", "x" * 513),
        ("agent_name", ""),
        ("agent_name", "nul\0"),
        ("agent_type", 3),
        ("status", "timeout"),
        ("status", "Success"),
        ("status", None),
        ("duration_ms", -1),
        ("duration_ms", math.nan),
        ("duration_ms", math.inf),
        ("duration_ms", "fast"),
        ("duration_ms", True),
        ("tokens_used", -5),
        ("input_tokens", -5),
        ("output_tokens", math.inf),
        ("cached_tokens", "1"),
        ("cost", -0.01),
        ("cost", math.nan),
        ("memory_mb", -1),
        ("cpu_ms", -1),
        ("quality_score", 1.01),
        ("quality_score", -0.01),
        ("confidence", 85),
        ("api_calls", -1),
        ("api_calls", 1.5),
        ("retries", -1),
        ("timed_out", "yes"),
        ("model", ""),
        ("task_id", ""),
        ("tenant", " "),
        ("error_type", ""),
        ("metadata", "notes"),
        ("metadata", ["notes"]),
        ("timestamp", datetime(2026, 1, 1)),  # noqa: DTZ001 - naive on purpose
        ("timestamp", "yesterday"),
        ("timestamp", math.nan),
    ],
)
def test_bad_input_is_refused(monitor, field, value):
    """With the field, the value and what is allowed; nothing is half recorded."""
    run = {"run_id": "r", "agent_name": "a", "agent_type": "t", "status": "success", field: value}
    with pytest.raises(InvalidRun) as refused:
        monitor.record_agent_run(**run)
    assert refused.value.field == field
    assert refused.value.allowed in str(refused.value)
    assert monitor.get_system_metrics(1440).total_tasks == 0
    assert monitor.get_stats()["rejected"] == 1


def test_bad_input_is_a_value_error(monitor):
    """So that code which knows nothing of perfmon catches it."""
    with pytest.raises(ValueError, match="duration_ms = -1"):
        record(monitor, duration_ms=-1)


def test_many_runs_at_once_are_refused_one_by_one(monitor):
    """The good ones are kept, and the receipt tells of the others."""
    runs = [
        {"run_id": "1", "agent_name": "a", "agent_type": "t", "status": "success"},
        {"run_id": "2", "agent_name": "a", "agent_type": "t", "status": "lost"},
        {"run_id": "1", "agent_name": "a", "agent_type": "t", "status": "success"},
        AgentRun(run_id="3", agent_name="a", agent_type="t", status="partial"),
        {"run_id": "4", "agent_name": "a", "agent_type": "t", "status": "success", "costs": 1},
    ]
    receipt = monitor.record_agent_runs(runs)
    assert (receipt.accepted, receipt.duplicates, receipt.stored) == (2, 1, True)
    assert [(bad.index, bad.field) for bad in receipt.rejected] == [(1, "status"), (4, "costs")]
    assert monitor.get_system_metrics().total_tasks == 2


# Metrics


def test_every_metric_of_a_small_team(monitor, clock):
    """Rates are over all runs, means over the runs that have the value."""
    record(
        monitor, duration_ms=100, tokens_used=10, cost=0.1, memory_mb=50, cpu_ms=5,
        quality_score=0.9, confidence=0.8, api_calls=3, input_tokens=6, output_tokens=4,
    )  # fmt: skip
    record(monitor, duration_ms=300, tokens_used=30, cost=0.3, memory_mb=150, quality_score=0.7)
    record(monitor, "failure", duration_ms=200, error_type="KeyError", retries=2, api_calls=0)
    record(monitor, "failure", error_type="ReadTimeout")
    record(monitor, "partial", timed_out=True)
    found = monitor.get_system_metrics(30)
    assert (found.total_tasks, found.sample_size) == (5, 5)
    assert (found.successful_tasks, found.failed_tasks, found.partial_tasks) == (2, 2, 1)
    assert (found.success_rate, found.error_rate) == (0.4, 0.4)
    assert (found.timeout_rate, found.retry_rate, found.retries_count) == (0.4, 1.0, 1)
    assert found.runs_per_minute == pytest.approx(5 / 30)
    assert (found.avg_latency_ms, found.max_latency_ms, found.latency_count) == (200, 300, 3)
    assert (found.p50_latency_ms, found.p95_latency_ms) == (200, pytest.approx(290))
    assert found.p99_latency_ms == pytest.approx(298)
    assert (found.total_tokens, found.tokens_count, found.tokens_per_task) == (40, 2, 20)
    assert (found.total_input_tokens, found.total_output_tokens) == (6, 4)
    assert found.total_cost == pytest.approx(0.4)
    assert (found.cost_count, found.cost_per_task) == (2, pytest.approx(0.2))
    assert (found.avg_memory_mb, found.max_memory_mb, found.avg_cpu_ms) == (100, 150, 5)
    assert (found.avg_quality_score, found.avg_confidence) == (pytest.approx(0.8), 0.8)
    assert (found.total_api_calls, found.api_calls_count) == (3 + 0, 2)
    assert found.errors == {"KeyError": 1, "ReadTimeout": 1}
    assert found.success_rate_interval == pytest.approx((0.118, 0.769), abs=1e-3)
    assert (found.window_start, found.window_end) == (clock.now - timedelta(minutes=30), clock.now)


def test_without_runs_everything_is_unknown(monitor):
    """A mean over nothing is NaN, which formats and compares, and is never 0."""
    metrics = monitor.get_system_metrics()
    assert metrics.total_tasks == 0
    assert math.isnan(metrics.success_rate)
    assert math.isnan(metrics.p95_latency_ms)
    assert f"{metrics.avg_accuracy:.2f}" == "nan"
    assert not metrics.error_rate > 0.1


def test_the_window_moves_with_the_clock(monitor, clock):
    """It is `(now - w, now]`: its older edge is outside."""
    record(monitor)
    clock.advance(60 * MINUTE - 1)
    assert monitor.get_system_metrics().total_tasks == 1
    clock.advance(1)
    assert monitor.get_system_metrics().total_tasks == 0
    assert monitor.get_system_metrics(61).total_tasks == 1


def test_since_and_until_ask_for_any_time(monitor, clock):
    """`[since, until)`, as datetimes or epoch seconds, as far back as storage goes."""
    begin = clock()
    for _ in range(5):
        record(monitor)
        clock.advance(DAY)
    asked = monitor.get_system_metrics
    assert asked(since=begin, until=begin + 2 * DAY).total_tasks == 2
    assert asked(since=begin + 1, until=begin + 2 * DAY + 1).total_tasks == 2
    assert asked(since=datetime.fromtimestamp(begin, UTC)).total_tasks == 5
    assert asked(until=begin + DAY).total_tasks == 1
    assert asked(10 * DAY / 60).total_tasks == 5


@pytest.mark.parametrize(
    "question",
    [
        {"time_window_minutes": 0},
        {"time_window_minutes": -5},
        {"time_window_minutes": math.nan},
        {"time_window_minutes": "60"},
        {"since": 2000, "until": 1000},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"since": 1000, "time_window_minutes": 5},
    ],
)
def test_a_question_about_no_window_is_refused(monitor, question):
    """As bad input is."""
    with pytest.raises(InvalidRun, match=next(iter(question))):
        monitor.get_system_metrics(**question)


def test_runs_are_asked_for_by_tenant_model_and_type(monitor):
    """Alone or together."""
    record(monitor, tenant="acme", model="small")
    record(monitor, tenant="acme", model="large", agent_type="chat")
    record(monitor, model="small")
    asked = monitor.get_system_metrics
    assert asked().total_tasks == 3
    assert asked(tenant="acme").total_tasks == 2
    assert asked(model="small").total_tasks == 2
    assert asked(agent_type="chat").total_tasks == 1
    assert asked(tenant="acme", model="small").total_tasks == 1
    assert asked(tenant="nobody").total_tasks == 0


# Agents


def test_an_agent_has_metrics_and_scores(monitor, clock):
    """Reliability, efficiency and specialization, each in [0, 1]."""
    record(monitor, duration_ms=3000, quality_score=0.5, times=3)
    record(monitor, "failure", duration_ms=3000)
    record(monitor, agent="writer", times=2)
    agent = monitor.get_agent_metrics("planner")
    assert (agent.agent_name, agent.agent_type, agent.status) == ("planner", "react", "active")
    assert (agent.metrics.total_tasks, agent.last_run) == (4, clock.now)
    assert agent.reliability_score == 0.75
    assert agent.efficiency_score == pytest.approx(0.3 * 0.5 + 0.4 * 0.5 + 0.3 * 0.75)
    assert agent.specialization_score == pytest.approx((0.75 + 0.5 + 1) / 3)


def test_specialization_looks_at_the_most_frequent_task_type(monitor):
    """Unless the configuration names the agent's specialties."""
    record(monitor, quality_score=1.0, times=3, metadata={"task_type": "code"})
    record(monitor, "failure", quality_score=0.0, times=2, metadata={"task_type": "poem"})
    assert monitor.get_agent_metrics("planner").specialization_score == 1.0


def test_an_agent_is_active_inactive_or_unknown(monitor, clock):
    """Seen in this window, seen before it, never seen."""
    record(monitor)
    ended = clock.now
    assert monitor.get_agent_metrics("planner").status == "active"
    clock.advance(3 * HOUR)
    planner = monitor.get_agent_metrics("planner")
    assert (planner.status, planner.last_run, planner.agent_type) == ("inactive", ended, "react")
    assert planner.metrics.total_tasks == 0
    stranger = monitor.get_agent_metrics("stranger")
    assert (stranger.status, stranger.last_run, stranger.agent_type) == ("unknown", None, None)


def test_all_agents_at_once(monitor, clock):
    """By name, the inactive ones too."""
    record(monitor, agent="early")
    clock.advance(2 * HOUR)
    record(monitor, agent="planner", times=2)
    record(monitor, "failure", agent="writer", tenant="acme")
    agents = monitor.get_all_agent_metrics()
    assert {name: agent.status for name, agent in agents.items()} == {
        "early": "inactive", "planner": "active", "writer": "active",
    }  # fmt: skip
    assert agents["writer"].metrics.error_rate == 1.0
    assert list(monitor.get_all_agent_metrics(tenant="acme")) == ["writer"]


# Trends


def test_a_trend_compares_a_window_with_the_one_before(monitor, clock):
    """Each metric has a good direction; 5% either way is stable."""
    record(monitor, times=20, duration_ms=1000, cost=0.10)
    clock.advance(HOUR)
    record(monitor, times=20, duration_ms=800, cost=0.102)
    record(monitor, "failure", times=20, duration_ms=800, cost=0.102)
    metrics = monitor.get_system_metrics()
    assert metrics.success_rate_trend == "degrading"
    assert metrics.latency_trend == "improving"
    assert metrics.cost_trend == "stable"
    assert metrics.accuracy_trend == "insufficient_data"
    trend = monitor.get_trends()["avg_latency_ms"]
    assert (trend.previous, trend.current, trend.change) == (1000, 800, pytest.approx(-0.2))


def test_a_trend_needs_samples(monitor, clock):
    """Two slow runs are no trend."""
    record(monitor, times=2, duration_ms=100)
    clock.advance(HOUR)
    record(monitor, times=2, duration_ms=900)
    assert monitor.get_system_metrics().latency_trend == "insufficient_data"


def test_trends_can_be_turned_off(clock):
    """Nothing is compared then."""
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock, enable_trend_analysis=False)
    record(monitor, times=50, duration_ms=100)
    clock.advance(HOUR)
    record(monitor, times=50, duration_ms=900)
    assert monitor.get_system_metrics().latency_trend == "insufficient_data"


# Accuracy


@pytest.mark.parametrize(
    ("predicted", "actual", "score"),
    [
        (90, 100, 0.9),
        ("ship it today", "ship it now", 2 / 3),
        ({"price": 90}, {"price": 100}, 0.95),
        ([1, 2, 3], [1, 2, 4], 2 / 3),
        (True, True, 1.0),
        (True, 1, 0.0),
        (None, None, 1.0),
        (None, "something", 0.0),
    ],
)
def test_a_prediction_is_scored_against_what_really_happened(monitor, predicted, actual, score):
    """Numbers, words, dictionaries, lists, any JSON value."""
    measurement = monitor.record_accuracy("planner", "task-1", predicted, actual)
    assert isinstance(measurement, AccuracyMeasurement)
    assert measurement.accuracy_score == pytest.approx(score)
    assert monitor.get_system_metrics().avg_accuracy == pytest.approx(score)


def test_accuracy_counts_where_the_agent_is(monitor):
    """By agent, tenant and model, beside its runs."""
    record(monitor, agent="writer")
    monitor.record_accuracy("writer", "t1", 1, 1, model="m", tenant="acme", confidence=0.9)
    monitor.record_accuracy("writer", "t2", 1, 2)
    assert monitor.get_agent_metrics("writer").metrics.accuracy_count == 2
    assert monitor.get_agent_metrics("writer").metrics.avg_accuracy == 0.75
    assert monitor.get_system_metrics(tenant="acme").avg_accuracy == 1.0
    assert monitor.get_system_metrics(model="m").accuracy_count == 1
    monitor.flush()
    assert monitor.get_stats()["accuracy_measurements"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_name", ""),
        ("task_id", ""),
        ("confidence", 1.5),
        ("feedback_source", ""),
        ("predicted_outcome", {1, 2}),
        ("actual_outcome", math.nan),
        ("timestamp", "soon"),
    ],
)
def test_a_bad_measurement_is_refused(monitor, field, value):
    """Like a bad run."""
    fields = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1, "actual_outcome": 1}
    with pytest.raises(InvalidRun) as refused:
        monitor.record_accuracy(**{**fields, field: value})
    assert refused.value.field == field
    assert monitor.get_system_metrics().accuracy_count == 0


def test_many_measurements_at_once(monitor):
    """The bad ones are refused one by one."""
    good = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1, "actual_outcome": 2}
    measured, receipt = monitor.record_accuracies([good, {**good, "confidence": 2}, {}, good])
    assert [None if one is None else one.accuracy_score for one in measured] == [
        0.5,
        None,
        None,
        0.5,
    ]
    assert (receipt.accepted, [bad.index for bad in receipt.rejected]) == (2, [1, 2])


# Tracking


def test_a_block_is_a_run(monitor):
    """Duration, CPU and memory are measured; what is set on it is recorded."""
    with monitor.track("planner", "react", model="m") as run:
        run.tokens_used = 12
        run.quality_score = 0.5
    metrics = monitor.get_system_metrics(model="m")
    assert (metrics.total_tasks, metrics.success_rate, metrics.total_tokens) == (1, 1.0, 12)
    assert metrics.max_latency_ms > 0
    assert metrics.avg_cpu_ms >= 0
    assert not metrics.avg_memory_mb > 100  # its own, not the process's


def test_a_block_that_raises_is_a_failure_and_still_raises(monitor):
    """With the exception's class; a timeout is one."""
    with pytest.raises(KeyError), monitor.track("planner", "react"):
        raise KeyError("k")
    with pytest.raises(TimeoutError), monitor.track("planner", "react"):
        raise TimeoutError
    metrics = monitor.get_system_metrics()
    assert metrics.errors == {"KeyError": 1, "TimeoutError": 1}
    assert (metrics.error_rate, metrics.timeout_rate) == (1.0, 0.5)


def test_what_is_told_wrong_never_disturbs_the_host(monitor):
    """A bad value is left out, a strange name kept in the metadata; the run is recorded."""
    with monitor.track("planner", "react") as run:
        run.quality_score = 17
        run.tokens_uesd = 12
    metrics = monitor.get_system_metrics()
    assert metrics.total_tasks == 1
    assert math.isnan(metrics.avg_quality_score)


async def test_async_blocks_are_runs_too(monitor):
    """`async with`, side by side."""

    async def work():
        async with monitor.track("planner", "react"):
            await asyncio.sleep(0)

    await asyncio.gather(work(), work(), work())
    assert monitor.get_system_metrics().success_rate == 1.0
    assert monitor.get_system_metrics().total_tasks == 3


def test_a_function_can_be_watched(monitor):
    """Each call is a run, and the function stays what it was."""

    @monitor.watch("adder", "tool")
    def add(a, b):
        """Adds."""
        return a + b

    assert (add(1, 2), add(a=3, b=4)) == (3, 7)
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    with pytest.raises(TypeError):
        add(1, "2")
    metrics = monitor.get_agent_metrics("adder").metrics
    assert (metrics.total_tasks, metrics.errors) == (3, {"TypeError": 1})


async def test_an_async_function_can_be_watched(monitor):
    """It stays a coroutine function."""

    @monitor.watch("thinker", "chat")
    async def think(fail):
        await asyncio.sleep(0)
        if fail:
            raise ValueError
        return "thought"

    assert await think(fail=False) == "thought"
    with pytest.raises(ValueError):
        await think(fail=True)
    assert asyncio.iscoroutinefunction(think)
    assert monitor.get_agent_metrics("thinker").metrics.success_rate == 0.5


# The report


def test_the_report_is_one_dictionary_of_json_values(monitor, clock):
    """Health, metrics, agents, trends, errors, and what to do about them."""
    record(monitor, times=30, duration_ms=500, cost=0.1)
    record(monitor, "failure", times=2, agent="writer", error_type="KeyError")
    report = monitor.generate_report()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["generated_at"] == "2026-01-01T00:00:00Z"
    assert report["time_window_minutes"] == 60
    assert report["system_metrics"]["total_tasks"] == 32
    assert report["system_metrics"]["avg_accuracy"] is None
    assert report["agent_metrics"]["writer"]["metrics"]["error_rate"] == 1.0
    assert report["agent_metrics"]["planner"]["scores"]["reliability"] == 1.0
    assert [pattern["error_type"] for pattern in report["error_patterns"]] == ["KeyError"]
    for part in ("trends", "recent_alerts", "anomalies", "forecasts", "recommendation_details"):
        assert part in report


def test_health_is_made_of_success_latency_errors_and_accuracy(monitor):
    """40, 30, 20 and 10 points; the word goes with the figure."""
    record(monitor, times=9, duration_ms=1000)
    record(monitor, "failure", duration_ms=1000)
    score = 40 * 0.9 + 30 * (1 - 1000 / 10_000) + 20 * (1 - 0.1 / 0.2) + 10
    report = monitor.generate_report()
    assert report["health_score"] == pytest.approx(score, abs=0.1)
    assert report["health_status"] == "Good"
    assert monitor.get_health()["status"] == "healthy"


def test_without_runs_there_is_no_health(monitor):
    """Nothing is not all is well."""
    report = monitor.generate_report()
    assert (report["health_score"], report["health_status"]) == (None, "no_data")
    assert monitor.get_health()["status"] == "no_data"
    assert len(report["recommendations"]) == 1
    assert "no runs" in report["recommendations"][0]


def test_recommendations_follow_from_the_figures(monitor):
    """An agent that fails far more than the others is named; else all is well."""
    record(monitor, times=100, duration_ms=500)
    assert monitor.generate_report()["recommendations"][0].startswith("No action needed")
    record(monitor, "failure", times=30, agent="writer", error_type="RateLimitError")
    report = monitor.generate_report()
    assert "'writer'" in report["recommendations"][0]
    first = report["recommendation_details"][0]
    assert (first["agent_name"], bool(first["reason"]), bool(first["expected_effect"])) == (
        "writer",
        True,
        True,
    )


def test_a_report_is_about_any_time_and_part(monitor, clock):
    """A window, a range, a tenant; with agents or without."""
    begin = clock()
    record(monitor, tenant="acme", times=3)
    clock.advance(2 * DAY)
    record(monitor)
    old = monitor.generate_report(since=begin, until=begin + DAY, tenant="acme")
    assert old["system_metrics"]["total_tasks"] == 3
    assert list(old["agent_metrics"]) == ["planner"]
    small = monitor.generate_report(include_agents=False, time_window_minutes=5)
    assert (small["agent_metrics"], small["system_metrics"]["total_tasks"]) == ({}, 1)


def test_a_metric_over_time(monitor, clock):
    """One point for each step, oldest first, NaN where nothing ran."""
    record(monitor, duration_ms=100)
    clock.advance(20 * MINUTE)
    record(monitor, duration_ms=300, times=2)
    series = monitor.get_timeseries("avg_latency_ms", 10, 30)
    assert [point.count for point in series.points] == [1, 0, 2]
    assert [point.value for point in series.points if point.count] == [100, 300]
    assert math.isnan(series.points[1].value)
    with pytest.raises(InvalidRun, match="metric"):
        monitor.get_timeseries("happiness", 10)


# Keeping, and the monitor's own accounts


def test_flush_returns_when_all_is_stored(started):
    """From then on it is in storage, whatever happens to the process."""
    record(started, times=500)
    started.flush()
    stats = started.get_stats()
    assert (stats["stored"], stats["pending"], stats["events_buffered"]) == (500, 0, 500)


@pytest.mark.parametrize("flushed", [False, True])
def test_the_accounts_see_what_was_recorded_before(monitor, flushed):
    """Also in a monitor that was not started, where nobody asked anything else yet."""
    record(monitor, "failure", times=40, agent="broken")
    record(monitor, times=10, agent="fine")
    monitor.record_accuracy("fine", "t", 1, 1)
    if flushed:
        monitor.flush()
    stats = monitor.get_stats()
    assert (stats["events_buffered"], stats["runs_in_memory"]) == (50, 50)
    assert (stats["agents_tracked"], stats["accuracy_measurements"]) == (2, 1)
    assert stats["active_alerts"] == len(monitor.get_alerts(state="firing")) > 0
    monitor.stop()
    assert monitor.get_stats()["events_buffered"] == 50


def test_the_accounts_always_balance(monitor):
    """recorded = stored + duplicate + rejected + dropped + pending."""
    monitor.record_agent_run("same", "a", "t", "success")
    monitor.record_agent_run("same", "a", "t", "success")
    with pytest.raises(InvalidRun):
        record(monitor, cost=-1)
    record(monitor, times=5)
    for _ in range(2):
        stats = monitor.get_stats()
        parts = ("stored", "duplicate", "rejected", "dropped", "pending")
        assert stats["recorded"] == sum(stats[part] for part in parts) == 8
        monitor.flush()
    assert (stats["stored"], stats["duplicate"], stats["rejected"]) == (6, 1, 1)
    assert stats["agents_tracked"] == 2


def test_history_is_there_after_a_restart(tmp_path, clock):
    """`start` loads it into the window; `sync_with_database` adds what others stored since."""
    url = f"sqlite:///{tmp_path / 'perfmon.db'}"
    with PerformanceMonitor(storage_url=url, clock=clock) as first:
        record(first, times=3, duration_ms=10)
        first.record_accuracy("planner", "t", 1, 1)
        first.flush()
        with PerformanceMonitor(storage_url=url, clock=clock) as second:
            assert second.get_system_metrics().total_tasks == 3
            assert second.get_system_metrics().accuracy_count == 1
            record(first, times=2)
            first.flush()
            assert second.sync_with_database(lookback_hours=24) == 2
            assert second.sync_with_database(lookback_hours=24) == 0
            assert second.get_system_metrics().total_tasks == 5


def test_a_duplicate_is_one_after_a_restart_too(tmp_path, clock):
    """For as long as storage keeps the first."""
    url = f"sqlite:///{tmp_path / 'perfmon.db'}"
    for _ in range(2):
        with PerformanceMonitor(storage_url=url, clock=clock) as monitor:
            monitor.record_agent_run("once", "planner", "react", "success")
    with PerformanceMonitor(storage_url=url, clock=clock) as monitor:
        assert monitor.get_system_metrics(since=clock() - DAY).total_tasks == 1


# Hooks


def test_an_orchestrator_can_record_by_hook(monitor):
    """`run_finished` is the same in effect as `record_agent_run`."""
    run = AgentRun(run_id="r", agent_name="planner", agent_type="react", status="success", cost=2)
    monitor.hook.run_finished(run=run)
    assert monitor.get_agent_metrics("planner").metrics.total_cost == 2
    with pytest.raises(InvalidRun):
        AgentRun(run_id="r", agent_name="planner", agent_type="react", status="lost")


def test_a_run_that_began_is_in_flight_until_it_ends(monitor, clock):
    """So that one that never ends is noticed."""
    monitor.hook.run_started(run_id="r", agent_name="a", agent_type="t", metadata={"k": 1})
    clock.advance(90)
    (flying,) = monitor.get_in_flight()
    assert (flying["run_id"], flying["agent_name"], flying["age_seconds"]) == ("r", "a", 90)
    monitor.record_agent_run("r", "a", "t", "success")
    assert monitor.get_in_flight() == []


def test_plugins_are_told_what_was_recorded(started):
    """Runs and measurements, in batches and in order, duplicates left out."""
    for number in ("1", "2", "2", "3"):
        started.record_agent_run(number, "planner", "react", "success", metadata={"n": number})
    started.record_accuracy("planner", "t", [1], [1])
    started.flush()
    seen = started.observer
    wait_for(lambda: len(seen.runs) == 3 and seen.measurements)
    assert [run.run_id for run in seen.runs] == ["1", "2", "3"]
    assert seen.runs[0].metadata == {"n": "1"}
    assert seen.measurements[0].predicted_outcome == [1]


def test_plugins_answer_what_is_unknown(started, monkeypatch):
    """What a run costs, why it failed, how right a prediction was."""
    monkeypatch.setattr("perfmon.recording.enrichment._PLUGIN_DEADLINE", 60.0)

    class Answers:
        @hookimpl
        def price_run(self, run):
            return run.tokens_used / 1000 if run.tokens_used else None

        @hookimpl
        def classify_error(self, run):
            return "RateLimit" if run.metadata["http"] == 429 else None

        @hookimpl
        def score_outcome(self, predicted, actual):
            return 0.25 if actual == "a matter of taste" else None

    started.bus.register(Answers(), "answers")
    record(started, "failure", tokens_used=500, metadata={"http": 429})
    record(started, tokens_used=500, cost=7)
    started.flush()
    metrics = started.get_system_metrics()
    assert (metrics.errors, metrics.total_cost) == ({"RateLimit": 1}, 7.5)
    assert started.record_accuracy("a", "t", "x", "a matter of taste").accuracy_score == 0.25
    assert started.record_accuracy("a", "t", 1, 1).accuracy_score == 1.0


def test_a_plugin_that_raises_harms_nobody_but_itself(started):
    """And it shows in the accounts."""

    class Broken:
        @hookimpl
        def runs_recorded(self, runs):
            raise RuntimeError("boom")

        @hookimpl
        def score_outcome(self, predicted, actual):
            raise RuntimeError("boom")

    started.bus.register(Broken(), "broken")
    record(started)
    started.flush()
    assert started.record_accuracy("a", "t", 90, 100).accuracy_score == 0.9
    wait_for(lambda: started.observer.runs)
    wait_for(lambda: started.get_stats()["plugins"]["broken"]["failures"] >= 2)
    assert "boom" in started.get_stats()["plugins"]["broken"]["last_error"]
