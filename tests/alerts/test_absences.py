"""Who is missed and what never ends: through restarts, once, on time, and over when it is."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
from click.testing import CliRunner

from perfmon import Config, InvalidRun, PerformanceMonitor
from perfmon.alerts.attendance import Attendance
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.targets import targets
from perfmon.cli import cli
from perfmon.records import CellKey, to_micros
from perfmon.testing import ManualClock

HOUR, DAY = 3600, 86_400
QUIET = {"single_run": {"enabled": False}}


class Place:
    """A database, a clock, and monitors that come and go."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/perfmon.db"
        self.clock = ManualClock()
        self.number = 0

    @contextmanager
    def open(self, *rules, alerts=None):
        config = Config.from_mapping({
            "monitor": {"durability": "memory"},
            "alerts": {**QUIET, "rules": list(rules), **(alerts or {})},
            "plugins": {"log": {"enabled": False}},
        })  # fmt: skip
        monitor = PerformanceMonitor(config, storage_url=self.url, clock=self.clock)
        try:
            yield monitor
        finally:
            monitor.stop()

    def run(self, monitor, agent="nightly", **fields):
        self.number += 1
        fields = {"status": "success", "agent_type": None, **fields}
        monitor.record_agent_run(fields.pop("run_id", f"r{self.number}"), agent, **fields)
        monitor.flush()

    def lasting(self, monitor, seconds, every):
        """What fires while time goes on, with the times at which it is first seen."""
        found = {}
        for _ in range(round(seconds / every)):
            self.clock.advance(every)
            for alert in of(monitor):
                found.setdefault(alert.alert_id, (alert, self.clock()))
        return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def of(monitor, state="firing", agent="nightly"):
    return [a for a in monitor.get_alerts(state=state) if a.agent_name == agent]


def missing(limit, **more):
    return {"name": "missing", "no_run_for": f"{limit}s", "agent": "*", **more}


@pytest.mark.parametrize("limit", [40, HOUR, 6 * HOUR, 36 * HOUR])
def test_an_absence_fires_once_on_time_and_ends_by_the_next_run_only(place, limit):
    """With a restart at every third of the limit, and a week of it."""
    rule, third, found = missing(limit), limit / 3, {}
    with place.open(rule) as monitor:
        place.run(monitor)
        began = place.clock()
    restarts = 12
    for _ in range(restarts):
        with place.open(rule) as monitor:
            for key, one in place.lasting(monitor, third, third / 4).items():
                found.setdefault(key, one)
    for _ in range(7):
        with place.open(rule) as monitor:
            for key, one in place.lasting(monitor, DAY, DAY / 4).items():
                found.setdefault(key, one)
    ((alert, seen),) = found.values()
    late = seen - began - limit
    assert 0 < late <= third / 4 + 1
    assert "no run for" in alert.message
    assert "down" not in alert.message
    with place.open(rule) as monitor:
        assert [one.alert_id for one in of(monitor)] == [alert.alert_id]
        for _ in range(10):
            place.run(monitor)
            place.clock.advance(min(30, limit / 4))
            monitor.get_alerts()
        assert of(monitor) == []
        (over,) = of(monitor, "resolved")
        assert (over.alert_id, over.details["reason"]) == (alert.alert_id, "clear")


def test_time_in_which_the_monitor_was_down_is_told_and_not_counted(place):
    """Neither for the absence nor against it."""
    rule = missing(6 * HOUR)
    with place.open(rule) as monitor:
        place.run(monitor)
        assert place.lasting(monitor, 2 * HOUR, HOUR) == {}
    place.clock.advance(4 * HOUR)
    with place.open(rule) as monitor:
        assert place.lasting(monitor, 4 * HOUR - 60, HOUR - 15) == {}
        ((alert, _),) = place.lasting(monitor, 120, 60).values()
    assert "not counting 4 h in which the monitor was down" in alert.message
    assert alert.current_value == pytest.approx(6 * HOUR, abs=120)


def test_what_was_said_to_be_missing_is_so_while_the_monitor_was_down_for_long(place):
    """A day without anybody watching ends nothing."""
    rule = missing(HOUR)
    with place.open(rule) as monitor:
        place.run(monitor)
        ((alert, _),) = place.lasting(monitor, 2 * HOUR, 600).values()
    place.clock.advance(10 * DAY)
    with place.open(rule) as monitor:
        assert [one.alert_id for one in of(monitor)] == [alert.alert_id]
        assert list(place.lasting(monitor, 2 * DAY, HOUR)) == [alert.alert_id]


def test_an_absence_ends_with_its_rule_or_when_it_is_about_others(place):
    """Each with that reason."""
    other = missing(HOUR, agent="daily-*")
    with place.open(missing(HOUR)) as monitor:
        place.run(monitor)
        place.run(monitor, "daily-1")
        place.lasting(monitor, 2 * HOUR, 600)
        assert len(of(monitor)) == len(of(monitor, agent="daily-1")) == 1
    with place.open(other) as monitor:
        monitor.get_alerts()
        assert of(monitor) == []
        (over,) = of(monitor, "resolved")
        assert over.details["reason"] == "the rule no longer applies"
        assert len(of(monitor, agent="daily-1")) == 1
    with place.open() as monitor:
        monitor.get_alerts()
        (over,) = of(monitor, "resolved", "daily-1")
        assert over.details["reason"] == "the rule was removed"


def test_who_is_dismissed_is_missed_again_after_coming_back(place):
    """A person closes the alert; through a restart it does not fire again for the same absence."""
    rule = missing(HOUR)
    with place.open(rule) as monitor:
        place.run(monitor)
        ((alert, _),) = place.lasting(monitor, 2 * HOUR, 600).values()
        over = monitor.resolve(alert.alert_id, "ann", "agent retired")
        assert (over.state, over.details["resolved_by"]) == ("resolved", "ann")
        assert over.details["comment"] == "agent retired"
        assert "resolved by ann: agent retired" in over.message
        assert place.lasting(monitor, HOUR, 600) == {}
    with place.open(rule) as monitor:
        assert place.lasting(monitor, 2 * DAY, HOUR) == {}
        place.run(monitor)
        assert place.lasting(monitor, HOUR - 600, 600) == {}
        ((again, _),) = place.lasting(monitor, 1200, 600).values()
        assert again.alert_id != alert.alert_id


@pytest.mark.parametrize("wrong", [("nothing", "ann"), (None, " "), (None, "")])
def test_only_what_fires_is_closed_and_by_somebody(place, wrong):
    """An unknown id, one that is over, and no name are refused."""
    with place.open(missing(HOUR)) as monitor:
        place.run(monitor)
        ((alert, _),) = place.lasting(monitor, 2 * HOUR, 600).values()
        with pytest.raises(InvalidRun):
            monitor.resolve(wrong[0] or alert.alert_id, wrong[1])
        assert len(of(monitor)) == 1
        monitor.resolve(alert.alert_id, "ann")
        with pytest.raises(InvalidRun, match="firing"):
            monitor.resolve(alert.alert_id, "ann")


def test_a_breach_that_a_person_closed_is_told_again_when_it_was_over_or_is_worse(place):
    """Meanwhile it goes on, and nobody is told."""
    rule = {"name": "dear", "metric": "total_cost", "above": 10, "critical_at": 100, "agent": "*"}
    with place.open(rule) as monitor:
        place.run(monitor, cost=20)
        (alert,) = of(monitor)
        monitor.resolve(alert.alert_id, "ann")
        assert of(monitor) == []
        place.run(monitor, cost=20)
        assert of(monitor) == []
        place.run(monitor, cost=90)
        (worse,) = of(monitor)
        assert worse.level == "critical"


def test_the_command_line_closes_what_a_running_monitor_decides(place, tmp_path):
    """Both agree on the storage; sinks are told by whoever decides."""
    (tmp_path / "perfmon.config.toml").write_text(f'[monitor]\nstorage = "{place.url}"\n')
    with place.open(missing(HOUR)) as monitor:
        place.run(monitor)
        ((alert, _),) = place.lasting(monitor, 2 * HOUR, 600).values()
        arguments = ["--config", str(tmp_path / "perfmon.config.toml"), "alerts", "resolve"]
        arguments += [alert.alert_id[:8], "--by", "ann", "--comment", "gone for good"]
        told = CliRunner().invoke(cli, arguments)
        assert (told.exit_code, told.stdout) == (0, f"{alert.alert_id}: resolved by ann\n")
        monitor._parts.evaluator._heard_at = -1e9
        assert place.lasting(monitor, HOUR, 600) == {}
        (over,) = of(monitor, "resolved")
        assert over.details["comment"] == "gone for good"


# Runs that never end

STUCK = {"name": "stuck", "started_and_not_ended_for": "30m", "agent": "*"}


def test_a_stuck_run_is_told_through_restarts_and_over_when_it_is_recorded(place):
    """One alert, though everybody who knew of it in memory is gone; and of a first run, too."""
    with place.open(STUCK) as monitor:
        monitor.run_started("slow", "nightly", tenant="acme", metadata={"step": 1})
        monitor.run_started("quick", "nightly")
        place.run(monitor, run_id="quick")
    found = {}
    for _ in range(6):
        with place.open(STUCK) as monitor:
            (flying,) = monitor.get_in_flight()
            assert (flying["run_id"], flying["tenant"]) == ("slow", "acme")
            assert flying["metadata"] == {"step": 1}
            found.update(place.lasting(monitor, 600, 300))
    ((alert, _),) = found.values()
    assert "run slow of agent nightly" in alert.message
    with place.open(STUCK) as monitor:
        place.run(monitor, run_id="slow", tenant="acme")
        place.lasting(monitor, 300, 60)
        assert of(monitor) == []
        assert monitor.get_in_flight() == []
    with place.open(STUCK) as monitor:
        assert monitor.get_in_flight() == []


def test_a_run_that_another_process_records_is_over_for_all(place):
    """Who said that it begins is not who says that it ended."""
    with place.open(STUCK) as one:
        one.run_started("shared", "nightly")
        one.get_in_flight()
        one.in_flight.save(one.storage, is_last=True)
        with place.open(STUCK) as other:
            assert [run["run_id"] for run in other.get_in_flight()] == ["shared"]
            one.in_flight.look(one.storage, at_once=True)
            assert len(one.get_in_flight()) == 1
            place.run(other, run_id="shared")
        one.in_flight.look(one.storage, at_once=True)
        assert one.get_in_flight() == []


def test_an_id_that_was_used_before_is_under_way_again(place):
    """What was recorded under it before it began does not end it."""
    with place.open(STUCK) as monitor:
        place.run(monitor, run_id="1")
        place.clock.advance(timedelta(hours=1))
        monitor.run_started("1", "nightly")
    with place.open(STUCK) as monitor:
        assert len(monitor.get_in_flight()) == 1


def test_runs_that_a_person_says_will_not_end_are_not_under_way(place):
    """The next one that hangs is told again."""
    with place.open(STUCK) as monitor:
        monitor.run_started("lost", "nightly")
        ((alert, _),) = place.lasting(monitor, 3600, 600).values()
        monitor.run_started("young", "nightly")
        monitor.resolve(alert.alert_id, "ann")
        assert [run["run_id"] for run in monitor.get_in_flight()] == ["young"]
    with place.open(STUCK) as monitor:
        assert [run["run_id"] for run in monitor.get_in_flight()] == ["young"]
        assert place.lasting(monitor, 1200, 600) == {}
        assert len(place.lasting(monitor, 1200, 600)) == 1


# Who is watched, and when


def attendance(monitor, since, *rules):
    config = Config.from_mapping({"alerts": {"rules": list(rules)}})
    return config, Attendance(monitor.storage, watches(config), since)


def test_after_a_kill_little_of_the_time_is_lost(place):
    """Signs of life come at an eighth of the shortest limit, or every half minute."""
    rule = missing(40)
    with place.open() as monitor:
        began = to_micros(place.clock())
        config, first = attendance(monitor, began, rule)
        found = targets(watches(config), [CellKey("default", "a", None, None, None)])
        first.targets(found, [], lambda _: began)
        for second in range(0, 60, 5):
            first.alive(began + second * 1_000_000)
        _, second = attendance(monitor, began + 58_000_000, rule)
        kept = second.targets([], [], lambda _: None)
        assert [target.scope.agent_name for target in kept] == ["a"]
        assert second.seen(kept[0].key) == began
        assert second.unwatched(began, began + 100_000_000) == 3_000_000


def test_many_restarts_are_remembered_in_little(place):
    """The oldest gaps are joined; none is forgotten."""
    rule = missing(HOUR)
    with place.open() as monitor:
        now = to_micros(place.clock())
        for _ in range(600):
            _, own = attendance(monitor, now, rule)
            own.targets([], [], lambda _: None)
            own.stop(now + 1_000_000)
            now += 4_000_000
        assert len(own._gaps) <= 500
        assert own.unwatched(0, now) >= 599 * 3_000_000
