"""Questions about older times and single tenants: as exact as those about now."""

from __future__ import annotations

import pytest

from perfmon import InvalidRun, PerformanceMonitor, StorageError
from perfmon.recording.bulk_validation import quick_rows
from perfmon.testing import ManualClock

MINUTE, HOUR = 60, 3600
NOW = 1_767_225_600.0 + 40 * HOUR
OLD = NOW - 36 * HOUR  # an hour's start, beyond the memory's 24 hours


@pytest.fixture
def monitor(tmp_path):
    url = f"sqlite:///{tmp_path}/p.db"
    with PerformanceMonitor(storage_url=url, clock=ManualClock(NOW)) as monitor:
        yield monitor


def record(monitor, start, count, *, step=1.0, agent="planner", **fields):
    """Runs of an agent, one every `step` seconds."""
    monitor.record_agent_runs(
        {
            "run_id": f"{agent}-{start}-{n}",
            "agent_name": agent,
            "agent_type": "react",
            "status": "success",
            "timestamp": start + n * step,
            **fields,
        }
        for n in range(count)
    )


def test_an_agent_is_unknown_to_other_tenants(monitor):
    """Neither its type nor its last run is told to who asks about another tenant."""
    record(monitor, NOW - 2 * HOUR, 3, agent="secret", tenant="acme")
    other = monitor.get_agent_metrics("secret", tenant="umbrella")
    assert (other.status, other.agent_type, other.last_run) == ("unknown", None, None)
    assert monitor.get_agent_metrics("secret", agent_type="tool").status == "inactive"
    own = monitor.get_agent_metrics("secret", tenant="acme", model="m")
    assert (own.status, own.agent_type) == ("inactive", "react")
    assert own.last_run.timestamp() == NOW - 2 * HOUR + 2


def test_an_old_trend_compares_parts_of_an_hour(monitor):
    """Ten minutes with the ten minutes before them, not with the hour of both."""
    record(monitor, OLD + 30 * MINUTE, 50, duration_ms=100)
    record(monitor, OLD + 40 * MINUTE, 50, duration_ms=300)
    span = {"since": OLD + 40 * MINUTE, "until": OLD + 50 * MINUTE}
    trend = monitor.get_trends(**span)["avg_latency_ms"]
    assert (trend.previous, trend.current, trend.direction) == (100, 300, "degrading")
    (agent,) = monitor.get_all_agent_metrics(**span).values()
    assert agent.metrics.latency_trend == "degrading"


def test_a_long_old_trend_leaves_its_cut_hours_out(monitor):
    """Over half a day they weigh little, and what lies on the other side is never in both."""
    record(monitor, OLD - 13.5 * HOUR, 12 * 60, step=MINUTE, duration_ms=100)
    record(monitor, OLD - HOUR, 300, duration_ms=9000)
    record(monitor, OLD - HOUR / 2, 12 * 60, step=MINUTE, duration_ms=300)
    record(monitor, OLD - HOUR / 4, 300, duration_ms=9000)
    trend = monitor.get_trends(since=OLD - HOUR / 2, until=OLD + 12.5 * HOUR)["avg_latency_ms"]
    assert trend.previous == 100
    assert trend.sample_size == 12 * 60


def test_an_old_trend_sees_what_is_not_stored_yet():
    """Without a background thread as well, whichever window is asked about first."""
    monitor = PerformanceMonitor(storage_url="memory:", clock=ManualClock(NOW))
    for at, duration in ((OLD, 100), (OLD + HOUR, 200)):
        for n in range(20):
            monitor.record_agent_run(
                f"{at}-{n}", "planner", "react", "success", duration, timestamp=at + n
            )
    trend = monitor.get_trends(since=OLD + HOUR, until=OLD + 2 * HOUR)["avg_latency_ms"]
    assert (trend.previous, trend.current, trend.sample_size) == (100, 200, 20)
    monitor.stop()


def test_metrics_from_memory_need_no_storage_for_their_trends(monitor):
    """Where the window before cannot be read there is not enough data for a trend."""
    record(monitor, NOW - HOUR, 20, duration_ms=100)

    def away(*_args):
        raise StorageError("away")

    monitor.storage.read_cells = away
    metrics = monitor.get_system_metrics(since=NOW - 20 * HOUR, until=NOW)
    assert (metrics.total_tasks, metrics.latency_trend) == (20, "insufficient_data")


def test_old_points_add_up(monitor):
    """The first and the last step are cut where the range is, and say so."""
    record(monitor, OLD, 4 * 60, step=MINUTE)
    span = {"since": OLD + 30 * MINUTE, "until": OLD + 3 * HOUR + 15 * MINUTE}
    points = monitor.get_timeseries("total_tasks", 60, **span).points
    assert [(point.start - OLD) / MINUTE for point in points] == [30, 60, 120, 180]
    assert [(point.end - OLD) / MINUTE for point in points] == [60, 120, 180, 195]
    assert [point.value for point in points] == [30, 60, 60, 15]
    assert monitor.get_system_metrics(**span).total_tasks == 165


def test_old_points_of_several_hours(monitor):
    """A step is rounded up to whole hours; nothing is asked of an empty range."""
    record(monitor, OLD, 5 * 60, step=MINUTE)
    points = monitor.get_timeseries("total_tasks", 90, since=OLD + MINUTE, until=OLD + 5 * HOUR)
    assert [point.value for point in points.points] == [119, 120, 60]
    empty = monitor.get_timeseries("total_tasks", 60, since=OLD + 90, until=OLD + 90)
    assert empty.points == ()


def test_a_step_of_no_time_is_refused(monitor):
    """Like any that gives too many points."""
    record(monitor, NOW - 10, 1)
    with pytest.raises(InvalidRun, match="step"):
        monitor.get_timeseries("total_tasks", 1e-9, 60)
    with pytest.raises(InvalidRun, match="step"):
        monitor.get_timeseries("total_tasks", 0, 60)


def test_what_an_idle_monitor_forgets_now_comes_from_storage():
    """The memory reaches back from the question, not from the last run."""
    clock = ManualClock(NOW)
    with PerformanceMonitor(storage_url="memory:", clock=clock) as monitor:
        record(monitor, NOW - 23.5 * HOUR, 10)
        assert monitor.get_system_metrics(since=NOW - 23.9 * HOUR).total_tasks == 10
        clock.advance(HOUR)
        assert monitor.get_system_metrics(since=NOW - 23.9 * HOUR).total_tasks == 10


def test_a_task_type_that_is_no_text_goes_the_slow_way():
    """It becomes text there, also where many are recorded at once."""
    run = {"run_id": "r", "agent_name": "a", "status": "success", "metadata": {"task_type": [1]}}
    assert list(quick_rows([run], set(), set(), 0)) == [None]


def test_an_outcome_belongs_to_its_agents_type(monitor):
    """That of its agent's last run; those of other tenants have nothing to do with it."""
    record(monitor, NOW - HOUR, 3)
    monitor.record_accuracy("planner", "t1", 1, 1)
    assert monitor.get_system_metrics(agent_type="react").accuracy_count == 1
    monitor.record_agent_run("late", "planner", "tool", "success")
    monitor.record_accuracy("planner", "t2", 1, 2)
    monitor.record_accuracy("planner", "t3", 1, 2, tenant="acme")
    counted = [
        monitor.get_system_metrics(agent_type=kind).accuracy_count for kind in ("react", "tool")
    ]
    assert (counted, monitor.get_system_metrics().accuracy_count) == ([1, 1], 3)
    agent = monitor.get_agent_metrics("planner", agent_type="tool", since=NOW - 30 * HOUR)
    assert (agent.metrics.accuracy_count, agent.metrics.avg_accuracy) == (1, 0.5)


def test_an_outcome_may_come_after_a_restart(tmp_path):
    """The agent's type is known from storage, whether or not its runs are in memory."""
    url, clock = f"sqlite:///{tmp_path}/perfmon.db", ManualClock(NOW)
    with PerformanceMonitor(storage_url=url, clock=clock) as monitor:
        record(monitor, OLD, 3)
    for number in range(2):
        monitor = PerformanceMonitor(storage_url=url, clock=clock)
        if number:
            monitor.start()
        monitor.record_accuracy("planner", f"t{number}", 1, 1)
        metrics = monitor.get_system_metrics(agent_type="react", since=OLD)
        assert (metrics.total_tasks, metrics.accuracy_count) == (3, number + 1)
        monitor.stop()


def test_outcomes_wait_for_the_runs_recorded_with_them(monkeypatch):
    """However many runs come in at once."""
    monkeypatch.setattr("perfmon.recording.intake.BATCH", 10)
    monitor = PerformanceMonitor(storage_url="memory:", clock=ManualClock(NOW))
    for number in range(35):
        monitor.record_agent_run(f"r{number}", f"agent-{number}", "react", "success")
    for number in range(35):
        monitor.record_accuracy(f"agent-{number}", "t", 1, 1)
    assert monitor.get_system_metrics(agent_type="react").accuracy_count == 35
    monitor.stop()
