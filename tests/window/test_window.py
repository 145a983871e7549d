"""The window against a brute-force reading of the same runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfmon import Config, PerformanceMonitor
from perfmon.testing import ManualClock

NOW = 1_800_000_000.0
STATUSES = ("success", "failure", "partial")

amounts = st.one_of(
    st.none(), st.just(0), st.just(0.001), st.floats(0.0005, 9e8), st.integers(0, 2**40)
)
shares = st.one_of(st.none(), st.floats(0, 1))
# Ages in seconds: the edges of the windows asked for, ties, and all between.
ages = st.one_of(
    st.sampled_from([0.0, 59.999999, 60.0, 60.000001, 3600.0, 3599.999999, 3600.000001, 7200.0]),
    st.floats(0, 90_000),
    st.integers(0, 300).map(float),
)
runs = st.fixed_dictionaries(
    {
        "run_id": st.integers(0, 60).map(lambda n: f"r{n}"),
        "tenant": st.sampled_from(["default", "acme"]),
        "agent_name": st.sampled_from(["planner", "coder", "judge"]),
        "agent_type": st.sampled_from(["react", "tool"]),
        "model": st.sampled_from([None, "small", "large"]),
        "status": st.sampled_from(STATUSES),
        "duration_ms": amounts,
        "tokens_used": amounts,
        "cost": amounts,
        "memory_mb": amounts,
        "cpu_ms": amounts,
        "quality_score": shares,
        "confidence": shares,
        "api_calls": st.none() | st.integers(0, 5),
        "retries": st.none() | st.integers(0, 2),
        "timed_out": st.booleans(),
        "error_type": st.sampled_from([None, "TimeoutError", "boom", "rate_limit"]),
        "age": ages,
    }
)


def _known(rows: list[dict[str, Any]], field: str) -> list[float]:
    return [row[field] for row in rows if row[field] is not None]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _saying(rows: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    return [row for row in rows if row[field] is not None]


def _failed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["status"] == "failure"]


def _share(rows: list[dict[str, Any]], test: Any) -> float:
    return sum(map(test, rows)) / len(rows) if rows else math.nan


def brute_force(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Every field of the metrics, the obvious way."""
    durations = _known(rows, "duration_ms")
    quantiles = np.percentile(durations, [50, 95, 99]) if durations else [math.nan] * 3
    errors: dict[str, int] = {}
    for row in rows:
        if row["error_type"]:
            errors[row["error_type"]] = errors.get(row["error_type"], 0) + 1
    return {
        "total_tasks": len(rows),
        "sample_size": len(rows),
        "successful_tasks": sum(r["status"] == "success" for r in rows),
        "failed_tasks": sum(r["status"] == "failure" for r in rows),
        "partial_tasks": sum(r["status"] == "partial" for r in rows),
        "success_rate": _share(rows, lambda r: r["status"] == "success"),
        "error_rate": _share(rows, lambda r: r["status"] == "failure"),
        "timeout_rate": _share(rows, lambda r: r["timed_out"] or r["error_type"] == "TimeoutError"),
        "retry_rate": _share(_saying(rows, "retries"), lambda r: r["retries"] > 0),
        "retries_count": len(_known(rows, "retries")),
        "avg_latency_ms": _mean(durations),
        "p50_latency_ms": quantiles[0],
        "p95_latency_ms": quantiles[1],
        "p99_latency_ms": quantiles[2],
        "max_latency_ms": max(durations, default=math.nan),
        "total_tokens": round(math.fsum(_known(rows, "tokens_used"))),
        "tokens_count": len(_known(rows, "tokens_used")),
        "tokens_per_task": _mean(_known(rows, "tokens_used")),
        "total_api_calls": sum(_known(rows, "api_calls")),
        "api_calls_count": len(_known(rows, "api_calls")),
        "failed_cost": math.fsum(_known(_failed(rows), "cost")),
        "failed_cost_count": len(_known(_failed(rows), "cost")),
        "total_cost": math.fsum(_known(rows, "cost")),
        "cost_count": len(_known(rows, "cost")),
        "cost_per_task": _mean(_known(rows, "cost")),
        "latency_count": len(durations),
        "avg_memory_mb": _mean(_known(rows, "memory_mb")),
        "max_memory_mb": max(_known(rows, "memory_mb"), default=math.nan),
        "avg_cpu_ms": _mean(_known(rows, "cpu_ms")),
        "avg_quality_score": _mean(_known(rows, "quality_score")),
        "avg_confidence": _mean(_known(rows, "confidence")),
        "errors": errors,
    }


def _same(found: Any, expected: Any, field: str) -> bool:
    if isinstance(expected, dict):
        return dict(found) == expected
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(found)
    tolerance = 0.01 if field[:2] in ("p5", "p9") else 1e-9
    return math.isclose(found, expected, rel_tol=tolerance, abs_tol=1e-9)


def assert_same(metrics: Any, rows: list[dict[str, Any]]) -> None:
    for field, expected in brute_force(rows).items():
        found = getattr(metrics, field)
        assert _same(found, expected, field), f"{field}: {found}, not {expected}"


def _firsts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without repeats of (tenant, run_id, agent_name); the first one counts."""
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        kept.setdefault((row["tenant"], row["run_id"], row["agent_name"]), row)
    return list(kept.values())


def _at(row: dict[str, Any]) -> int:
    return round((NOW - row["age"]) * 1e6)


def _record(monitor: PerformanceMonitor, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        fields = {name: value for name, value in row.items() if name != "age"}
        monitor.record_agent_run(**fields, timestamp=NOW - row["age"])


@pytest.fixture(scope="module")
def make_monitor() -> Any:
    def make() -> PerformanceMonitor:
        return PerformanceMonitor(storage_url="memory:", clock=ManualClock(NOW))

    return make


some = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@some
@given(st.lists(runs, max_size=80), st.sampled_from([1, 60, 120, 1440]))
def test_a_rolling_window_is_what_brute_force_says(make_monitor, rows, minutes):
    """Any order, repeats, edges: every field as an obvious reading of (now - w, now] gives it."""
    monitor = make_monitor()
    _record(monitor, rows)
    start = round(NOW * 1e6) - minutes * 60_000_000
    inside = [row for row in _firsts(rows) if start < _at(row) <= NOW * 1e6]
    assert_same(monitor.get_system_metrics(minutes), inside)
    monitor.stop()


@some
@given(st.lists(runs, max_size=80), ages, ages)
def test_history_gives_the_same_as_brute_force(make_monitor, rows, one, other):
    """`since` and `until` cut hours exactly: [since, until)."""
    monitor = make_monitor()
    _record(monitor, rows)
    since, until = sorted((NOW - one, NOW - other))
    low, high = round(since * 1e6), round(until * 1e6)
    inside = [row for row in _firsts(rows) if low <= _at(row) < high]
    assert_same(monitor.get_system_metrics(since=since, until=until), inside)
    monitor.stop()


@some
@given(
    st.lists(runs, max_size=80),
    st.sampled_from([None, "default", "acme"]),
    st.sampled_from([None, "small"]),
    st.sampled_from([None, "tool"]),
)
def test_scopes_are_what_brute_force_says(make_monitor, rows, tenant, model, agent_type):
    """By tenant, model and agent type, for the system and for each agent."""
    monitor = make_monitor()
    _record(monitor, rows)
    wanted = {"tenant": tenant, "model": model, "agent_type": agent_type}
    matching = [
        row
        for row in _firsts(rows)
        if _at(row) > NOW * 1e6 - 3600e6
        and all(value is None or row[field] == value for field, value in wanted.items())
    ]
    assert_same(monitor.get_system_metrics(60, **wanted), matching)
    for name in ("planner", "coder"):
        agent = monitor.get_agent_metrics(name, 60, **wanted)
        assert_same(agent.metrics, [row for row in matching if row["agent_name"] == name])
    every = monitor.get_all_agent_metrics(60, **wanted)
    for name, agent in every.items():
        assert_same(agent.metrics, [row for row in matching if row["agent_name"] == name])
    monitor.stop()


@some
@given(
    st.lists(runs, max_size=60),
    st.lists(runs, max_size=60),
    st.sampled_from([1, 60, 61.5]),
    st.booleans(),
)
def test_an_answer_is_never_out_of_date(make_monitor, rows, more, minutes, flushed):
    """What is recorded after a question, into the minutes it cut too, is in the next answer."""
    monitor = make_monitor()
    start = NOW * 1e6 - minutes * 60e6
    for count in range(2):
        _record(monitor, more if count else rows)
        if flushed:
            monitor.flush()
        recorded = _firsts(rows + more if count else rows)
        inside = [row for row in recorded if start < _at(row) <= NOW * 1e6]
        assert_same(monitor.get_system_metrics(minutes), inside)
        coder = monitor.get_agent_metrics("coder", minutes)
        assert_same(coder.metrics, [row for row in inside if row["agent_name"] == "coder"])
    monitor.stop()


@some
@given(st.lists(runs, max_size=60), st.integers(0, 60))
def test_what_was_loaded_again_is_the_same(tmp_path_factory, rows, split):
    """A monitor that starts anew on the same storage, and records repeats, tells the same."""
    url = f"sqlite:///{tmp_path_factory.mktemp('again')}/perfmon.db"
    first = PerformanceMonitor(storage_url=url, clock=ManualClock(NOW))
    _record(first, rows)
    first.stop()
    second = PerformanceMonitor(storage_url=url, clock=ManualClock(NOW)).start()
    _record(second, rows[:split])
    inside = [row for row in _firsts(rows) if _at(row) > NOW * 1e6 - 3600e6]
    assert_same(second.get_system_metrics(60), inside)
    second.stop()


def test_many_runs_stay_within_one_percent(make_monitor):
    """With 20,000 heavy-tailed runs every quantile is within 1% of the interpolated one."""
    monitor = make_monitor()
    random = np.random.default_rng(5)
    rows = [
        {
            "run_id": f"r{n}",
            "agent_name": "a",
            "agent_type": "t",
            "status": "success",
            "duration_ms": duration,
            "timestamp": NOW - n / 10,
        }
        for n, duration in enumerate(random.lognormal(6, 2, 20_000).tolist())
    ]
    monitor.record_agent_runs(rows)
    metrics = monitor.get_system_metrics(60)
    expected = np.percentile([row["duration_ms"] for row in rows], [50, 95, 99])
    found = [metrics.p50_latency_ms, metrics.p95_latency_ms, metrics.p99_latency_ms]
    assert np.allclose(found, expected, rtol=0.01)
    assert metrics.total_tasks == 20_000
    monitor.stop()


def test_raw_runs_are_bounded_and_cells_stay():
    """Beyond `max_runs_in_memory` the edge is the minute's, and the window says so."""
    config = Config.from_mapping({"monitor": {"storage": "memory:", "max_runs_in_memory": 1000}})
    monitor = PerformanceMonitor(config, clock=ManualClock(NOW + 30))
    ended = [NOW - 3000 + n / 20 for n in range(40_000)]
    monitor.record_agent_runs(
        {
            "run_id": f"r{n}",
            "agent_name": "a",
            "agent_type": "t",
            "status": "success",
            "timestamp": at,
        }
        for n, at in enumerate(ended)
    )
    metrics = monitor.get_system_metrics(45)
    assert metrics.window_start.timestamp() == NOW - 45 * 60
    assert metrics.total_tasks == sum(at >= NOW - 45 * 60 for at in ended)
    assert len(monitor._parts.window) < 1000 + 16_384
    monitor.stop()


def _runs(count: int, *, first: float, step: float) -> list[dict[str, Any]]:
    return [
        {
            "run_id": f"r{n}",
            "agent_name": "a",
            "agent_type": "t",
            "status": "success",
            "duration_ms": 100 + n % 10,
            "timestamp": first + n * step,
        }
        for n in range(count)
    ]


def _small(url: str = "memory:", **settings: Any) -> PerformanceMonitor:
    table = {"storage": url, "max_runs_in_memory": 1000, **settings}
    config = Config.from_mapping({"monitor": table})
    return PerformanceMonitor(config, clock=ManualClock(NOW))


def test_a_late_repeat_in_a_busy_minute_takes_back_only_itself():
    """Also where most of the minute's runs are no longer here raw."""
    monitor = _small()
    monitor.record_agent_runs(_runs(60_000, first=NOW - 59, step=0.0005))
    monitor.record_agent_runs(_runs(1, first=NOW - 30, step=1))
    metrics = monitor.get_system_metrics(5)
    assert metrics.total_tasks == metrics.latency_count == 60_000
    assert metrics.avg_latency_ms == pytest.approx(104.5)
    assert monitor.get_stats()["conflict"] == 1  # its time is another one
    monitor.stop()


def test_loading_history_again_changes_nothing():
    """Whatever order the runs came in, and however many were forgotten."""
    monitor = _small()
    monitor.record_agent_runs(list(reversed(_runs(50_000, first=NOW - 80_000, step=1.5))))
    for _ in range(2):
        assert monitor.sync_with_database() == 0
        assert monitor.get_system_metrics(1440).total_tasks == 50_000
    monitor.stop()


def test_a_window_longer_than_what_was_loaded_is_answered_from_storage(tmp_path):
    """After a restart with more history than memory takes, figures are the same as before."""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    first = _small(url)
    first.record_agent_runs(_runs(5_000, first=NOW - 80_000, step=10))
    for n in range(50):
        first.record_accuracy("a", f"t{n}", 1, 1, timestamp=NOW - 80_000 + n * 1_000)
    before = first.get_system_metrics(1440)
    first.stop()
    with _small(url) as again:
        after = again.get_system_metrics(1440)
        assert (after.total_tasks, after.accuracy_count) == (5_000, 50)
        assert after.window_start == before.window_start
        assert again.get_system_metrics(60).total_tasks == sum(
            run["timestamp"] > NOW - 3600 for run in _runs(5_000, first=NOW - 80_000, step=10)
        )


def test_what_another_process_stored_is_loaded(tmp_path):
    """`sync_with_database` brings in the runs of others, each once."""
    url = f"sqlite:///{tmp_path}/perfmon.db"
    one, other = _small(url), _small(url)
    one.record_agent_runs(_runs(10, first=NOW - 100, step=1))
    other.record_agent_runs(
        [run | {"run_id": f"x{run['run_id']}"} for run in _runs(15, first=NOW - 100, step=1)]
    )
    assert one.sync_with_database() == 15
    assert one.sync_with_database() == 0
    assert one.get_system_metrics(60).total_tasks == 25
    one.stop()
    other.stop()


def test_a_clock_that_was_ahead_for_a_while_does_no_lasting_harm():
    """Set back, the window answers for its new time."""
    clock = ManualClock(NOW + 3 * 86_400)
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock)
    monitor.record_agent_runs(_runs(3, first=NOW + 3 * 86_400 - 10, step=1))
    clock.set(NOW)
    monitor.record_agent_runs(
        [run | {"run_id": f"x{run['run_id']}"} for run in _runs(4, first=NOW - 10, step=1)]
    )
    assert monitor.get_system_metrics(60).total_tasks == 4
    monitor.stop()
