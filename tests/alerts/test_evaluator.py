"""Alerts of a real monitor on real storage: what fires, is told, is over, and costs nothing idle."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from perfmon_sql import open_storage

from perfmon import PerformanceMonitor, StorageError, hookimpl
from perfmon.config.config import Config
from perfmon.testing import ManualClock

SINK = """
import json, os, time
from pathlib import Path
from perfmon import hookimpl

@hookimpl
def deliver_alert(message):
    time.sleep(float(os.environ.get("SINK_SECONDS", "0")))
    with (Path(__file__).parent / "got.jsonl").open("a") as file:
        for alert in message.alerts:
            told = {"kind": message.kind, "id": alert.alert_id, "rule": alert.rule}
            told |= {"agent": alert.agent_name, "at": time.time(), "message": message.message_id}
            file.write(json.dumps(told) + "\\n")
"""
NUMBERS = itertools.count()
QUIET = """
[alerts.single_run]
enabled = false
"""


class Observer:
    """Keeps what the bus says of alerts."""

    def __init__(self):
        self.raised, self.resolved = [], []

    @hookimpl
    def alert_raised(self, alert):
        self.raised.append(alert)

    @hookimpl
    def alert_resolved(self, alert):
        self.resolved.append(alert)


class Place:
    """A folder with a sink and a configuration, and monitors that are stopped at the end."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = ManualClock()
        self._monitors = []
        (folder / "sinks").mkdir()
        (folder / "sinks" / "my_sink.py").write_text(SINK)

    def open(self, rules="", url=None, clock="own", **more):
        text = f'[plugins]\npaths = ["sinks"]\n[plugins.my_sink]\n[plugins.log]\nenabled = false\n{rules}'
        path = self.folder / "monitor.toml"
        path.write_text(text)
        clock = self.clock if clock == "own" else clock
        url = url or f"sqlite:///{self.folder}/perfmon.db"
        config = Config.load(path)
        monitor = PerformanceMonitor(config, storage_url=url, clock=clock, **more)
        monitor.observed = Observer()
        monitor.bus.register(monitor.observed, "observer")
        self._monitors.append(monitor)
        return monitor

    def got(self, kind=None):
        path = self.folder / "sinks" / "got.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        told = [json.loads(line) for line in lines]
        return [one for one in told if kind in (None, one["kind"])]

    def close(self):
        for monitor in self._monitors:
            monitor.stop()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    with contextlib.closing(place):
        yield place


def record(monitor, count=1, agent="a", status="failure", **fields):
    for _ in range(count):
        given = {"agent_type": "react", "status": status, **fields}
        monitor.record_agent_run(f"run-{os.getpid()}-{next(NUMBERS)}", agent, **given)


def rules_of(alerts):
    return sorted((alert.rule, alert.agent_name or "") for alert in alerts)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def wait_until_sent(monitor):
    """All that is to be said so far was sent, and marked as sent."""
    wait_for(lambda: monitor.get_stats()["alerts"]["outbox"]["waiting"] == 0)


def recover(monitor, clock, minutes=130):
    """Successes for long enough that everything clears."""
    for _ in range(minutes):
        clock.advance(60)
        record(monitor, 2, status="success", duration_ms=100)
        monitor.get_alerts()


BREACHES = {
    "success_rate_min": {"status": "partial"},
    "error_rate_max": {"status": "failure"},
    "latency_p95_max_ms": {"status": "success", "duration_ms": 9000},
    "cost_per_task_max": {"status": "success", "cost": 2.5},
    "memory_max_mb": {"status": "success", "memory_mb": 2000},
    "token_per_task_max": {"status": "success", "tokens_used": 9000},
}


@pytest.mark.parametrize("rule", BREACHES)
def test_a_default_threshold_fires_for_the_agent_and_for_the_system(place, rule):
    """One evaluation is enough where evidence is there; the agent's alert explains the other."""
    monitor = place.open(QUIET)
    record(monitor, 30, "good", "success", duration_ms=100, memory_mb=10, cost=0.1)
    record(monitor, 40, "bad", **BREACHES[rule])
    firing = [a for a in monitor.get_alerts() if rule in (a.rule, *a.details.get("rules", ()))]
    # What fails does not succeed either: that is one alert, and it is critical.
    shown = "success_rate_min" if rule == "error_rate_max" else rule
    assert rules_of(firing) == [(shown, ""), (shown, "bad")]
    whole, own = sorted(firing, key=lambda alert: alert.agent_name or "")
    assert (whole.inhibited_by, own.inhibited_by) == (own.key, None)
    assert own.sample_size == 40


def test_accuracy_fires_from_measurements_alone(place):
    """An agent is watched that has measurements and no runs."""
    monitor = place.open()
    for number in range(25):
        monitor.record_accuracy("judge", f"task-{number}", 1, 2)
    found = monitor.get_alerts()
    assert rules_of(found) == [("accuracy_min", ""), ("accuracy_min", "judge")]


def test_an_episode_is_one_alert_and_is_over_later(place):
    """It fires once, goes on over many looks, and is resolved with its duration."""
    monitor = place.open(QUIET)
    record(monitor, 30)
    first = {alert.key: alert.alert_id for alert in monitor.get_alerts()}
    for _ in range(20):
        place.clock.advance(5)
        record(monitor)
        assert {a.key: a.alert_id for a in monitor.get_alerts()} == first
    recover(monitor, place.clock)
    over = monitor.get_alerts()
    assert {alert.alert_id for alert in over} == set(first.values())
    assert {alert.state for alert in over} == {"resolved"}
    assert all(alert.details["duration_seconds"] > 100 for alert in over)
    assert len(monitor.observed.raised) == len(monitor.observed.resolved) == len(first)


def test_a_restart_changes_nothing(place):
    """The next monitor goes on with the episode, and its first message is not sent again."""
    with place.open(QUIET, clock=None) as monitor:
        record(monitor, 30, timestamp=None)
        wait_for(place.got)
        wait_until_sent(monitor)
        before = {alert.alert_id for alert in monitor.get_alerts()}
    with place.open(QUIET, clock=None) as monitor:
        wait_for(lambda: monitor._parts.evaluator.evaluated_at)
        record(monitor, 5)
        assert {alert.alert_id for alert in monitor.get_alerts()} == before
        time.sleep(3)
        assert monitor.observed.raised == []
    assert len(place.got()) == len({one["id"] for one in place.got()})


def test_the_first_message_leaves_within_seconds(place):
    """With default settings it takes 5 s and 2 s more at most; a busy machine gets much more."""
    with place.open(clock=None) as monitor:
        wait_for(lambda: monitor._parts.evaluator.evaluated_at)
        began = time.time()
        record(monitor, 30)
        wait_for(lambda: monitor.observed.raised)
        wait_for(place.got)
        assert place.got()[0]["at"] - began < 40


def test_two_monitors_on_one_database_fire_once(place, postgres_url):
    """One of them decides, about the runs of both."""
    quick = QUIET + "[alerts]\nevaluation_interval = '500ms'\ngroup_wait = '0s'\n"
    with (
        place.open(quick, postgres_url, None) as one,
        place.open(quick, postgres_url, None) as other,
    ):
        wait_for(lambda: one._parts.evaluator.evaluated_at or other._parts.evaluator.evaluated_at)
        decides = one if one._parts.evaluator.evaluated_at else other
        rests = other if decides is one else one
        record(rests, 30)
        rests.flush()
        wait_for(lambda: decides.observed.raised)
        wait_for(place.got)
        wait_until_sent(decides)
        time.sleep(2)
        assert rests.observed.raised == []
        assert rules_of(rests.get_alerts()) == rules_of(decides.get_alerts())
        decides.stop()
        place.clock.advance(1)
        wait_for(lambda: rests._parts.evaluator.evaluated_at)
        record(rests, 1)
        time.sleep(1.5)
        assert rests.observed.raised == []
    assert len(place.got()) == len({one["id"] for one in place.got()})


def test_a_monitor_that_waits_its_turn_rests(place, postgres_url):
    """It asks for the lease once for each interval, and the one that has it more seldom."""
    with place.open("", postgres_url, None), place.open("", postgres_url, None) as rests:
        asked, began = [], time.monotonic()
        take = rests.storage.take_lease
        rests.storage.take_lease = lambda *them: asked.append(them) or take(*them)
        time.sleep(3)
        count = len([them for them in asked if them[0] == "alerts"])
        assert count <= 2 + (time.monotonic() - began) / 5


def test_what_storage_could_not_keep_is_decided_again(place, monkeypatch):
    """While storage is unavailable nothing is told; when it is back, once."""
    monitor = place.open(
        QUIET + "[alerts]\nevaluation_interval = '100ms'\ngroup_wait = '0s'\n", clock=None
    )

    def away(*_args, **_more):
        raise StorageError("away")

    with monitor:
        with monkeypatch.context() as patched:
            patched.setattr(monitor._parts.evaluator._storage, "save_alerts", away)
            record(monitor, 30)
            wait_for(lambda: monitor._parts.evaluator.error)
            time.sleep(0.5)
            assert monitor.observed.raised == []
            assert monitor.get_alerts() == []
        wait_for(lambda: len(monitor.observed.raised) == 2)
        wait_for(place.got)
        time.sleep(0.5)
        assert len(monitor.observed.raised) == 2
        assert {one["kind"] for one in place.got()} == {"firing"}


def test_a_failed_save_ends_nothing(place, monkeypatch):
    """What fires goes on firing for the sinks, whatever was forgotten here in between."""
    monitor = place.open(QUIET + "[alerts]\ngroup_wait = '0s'\n")
    record(monitor, 30)
    assert monitor.get_alerts()
    monitor._parts.evaluator.forget()
    monitor._parts.evaluator._next_look = time.monotonic() + 60
    place.clock.advance(60)
    monitor._parts.evaluator.look()
    monitor._parts.evaluator.look()
    kinds = {
        d.kind for alert in monitor.get_alerts() for d in monitor.get_deliveries(alert.alert_id)
    }
    assert kinds == {"firing"}


def test_alerts_are_told_while_storage_is_away(place, monkeypatch):
    """What was known last is an answer; nobody gets an exception."""
    monitor = place.open()
    record(monitor, 30)
    known = rules_of(monitor.get_alerts())

    def away(*_args, **_more):
        raise StorageError("away")

    for name in ("save_alerts", "read_alert_state", "find_alerts", "read_silences"):
        monkeypatch.setattr(monitor.storage, name, away)
    record(monitor, 1, "another")
    assert rules_of(monitor.get_alerts()) == known
    monitor._parts.evaluator.forget()
    assert rules_of(monitor.get_alerts()) == known
    assert monitor.get_stats()["active_alerts"] == len(known)


def test_what_others_say_is_heard(place):
    """Silences and acknowledgements come through storage, from any process."""
    monitor = place.open(QUIET)
    other = place.open(QUIET)
    record(monitor, 30)
    first = monitor.get_alerts()[0]
    silence = other.silence({"rule": first.rule}, place.clock.now + timedelta(hours=1), "ada")
    other.acknowledge(first.alert_id, "bob")
    place.clock.advance(10)
    record(monitor)
    heard = {alert.alert_id: alert for alert in monitor.get_alerts()}[first.alert_id]
    assert (heard.silenced_by, heard.acknowledged_by) == (silence.silence_id, "bob")
    other.unsilence(silence.silence_id)
    record(monitor)
    heard = {alert.alert_id: alert for alert in monitor.get_alerts()}[first.alert_id]
    assert heard.silenced_by is None


LEVELS = """
[[alerts.rules]]
name = "failing"
metric = "error_rate"
above = 0.2
critical_at = 0.7
agent = "*"
"""


def test_an_acknowledgement_ends_when_it_gets_worse(place):
    """Who took care of a warning has not taken care of what is critical."""
    monitor = place.open(QUIET + LEVELS)

    def found():
        return next(alert for alert in monitor.get_alerts() if alert.rule == "failing")

    record(monitor, 40, status="success")
    record(monitor, 40)
    assert found().level == "warning"
    monitor.acknowledge(found().alert_id, "bob")
    place.clock.advance(60)
    record(monitor, 400)
    assert (found().level, found().acknowledged_by) == ("critical", None)
    place.clock.advance(60)
    record(monitor)
    assert found().acknowledged_by is None
    monitor.acknowledge(found().alert_id, "eve")
    place.clock.advance(60)
    record(monitor)
    assert found().acknowledged_by == "eve"


SPECIAL = """
[[alerts.rules]]
name = "fifty a day"
budget = 50.0
per = "day"
by = ["agent"]

[[alerts.rules]]
name = "nobody runs"
no_run_for = "15m"

[[alerts.rules]]
name = "hangs"
started_and_not_ended_for = "10m"

[[alerts.rules]]
name = "burns"
objective = 0.99

[[alerts.rules]]
name = "worse"
metric = "success_rate_trend"
is = "degrading"
"""


def special(monitor, name):
    return [alert for alert in monitor.get_alerts(state="firing") if alert.rule.startswith(name)]


def test_a_budget_ends_with_its_day(place):
    """What is spent counts from midnight UTC, also by a monitor that knows it from storage only."""
    place.clock.advance(timedelta(hours=3))
    monitor = place.open(QUIET + SPECIAL)
    record(monitor, 24, status="success", cost=2.0)
    assert special(monitor, "fifty") == []
    place.clock.advance(31)
    record(monitor, 2, status="success", cost=2.0)
    (alert,) = special(monitor, "fifty")
    assert (alert.agent_name, alert.current_value) == ("a", 52.0)
    monitor.stop()
    monitor = place.open(QUIET + SPECIAL)
    assert [one.alert_id for one in special(monitor, "fifty")] == [alert.alert_id]
    place.clock.advance(timedelta(hours=20, minutes=55))
    assert [one.alert_id for one in special(monitor, "fifty")] == [alert.alert_id]
    for _ in range(10):
        place.clock.advance(60)
        monitor.get_alerts(limit=1)
    assert special(monitor, "fifty") == []


def test_silence_of_an_agent_is_noticed_and_ends(place):
    """No run for a quarter of an hour; the next run ends it."""
    monitor = place.open(QUIET + SPECIAL)
    record(monitor, status="success")
    monitor.get_alerts()
    place.clock.advance(16 * 60)
    found = special(monitor, "nobody")
    assert rules_of(found) == [("nobody runs", ""), ("nobody runs", "a")]
    for _ in range(4):
        record(monitor, status="success")
        place.clock.advance(30)
        monitor.get_alerts()
    assert special(monitor, "nobody") == []


def test_silence_is_noticed_beyond_what_memory_holds(place):
    """An agent of once a week is missed after nine days, also by a monitor that began later."""
    rule = '[[alerts.rules]]\nname = "weekly"\nno_run_for = "9d"\n'
    monitor = place.open(QUIET + rule)
    record(monitor, status="success")
    monitor.stop()
    place.clock.advance(timedelta(days=2))
    monitor = place.open(QUIET + rule)
    for _ in range(10):
        place.clock.advance(timedelta(days=1))
        record(monitor, 1, "daily", "success")
        found = special(monitor, "weekly")
    assert rules_of(found) == [("weekly", "a")]


def test_a_run_that_never_ends_is_noticed(place):
    """It fires after its time, and is over with the run."""
    monitor = place.open(QUIET + SPECIAL)
    monitor.hook.run_started(run_id="slow", agent_name="a", agent_type="react", metadata={})
    place.clock.advance(11 * 60)
    assert rules_of(special(monitor, "hangs")) == [("hangs", "")]
    monitor.record_agent_run("slow", "a", "react", "success")
    for _ in range(4):
        place.clock.advance(30)
        monitor.get_alerts()
    assert special(monitor, "hangs") == []


def test_an_error_budget_burns(place):
    """Both windows of a rate burn, the long one from storage where memory ends before it."""
    place.clock.advance(timedelta(days=4))
    monitor = place.open(QUIET + SPECIAL)
    for _ in range(60):
        place.clock.advance(60)
        record(monitor, 3, status="success")
    record(monitor, 60)
    found = special(monitor, "burns")
    assert rules_of(found) == [("burns: critical", ""), ("burns: critical", "a")]
    rules = {tuple(alert.details["rules"]) for alert in found}
    assert rules == {("burns: critical", "burns: warning")}


def test_a_trend_is_an_alert(place):
    """A success rate that degrades between two windows."""
    monitor = place.open(QUIET + SPECIAL)
    record(monitor, 200, status="success")
    place.clock.advance(3600)
    record(monitor, 120, status="success")
    record(monitor, 80)
    assert rules_of(special(monitor, "worse")) == [("worse", ""), ("worse", "a")]


def test_an_agent_that_vanishes_is_over(place):
    """When there has been no data for long, what fires is closed with that reason."""
    monitor = place.open(QUIET)
    record(monitor, 30)
    assert monitor.get_alerts()
    for _ in range(25 * 12 + 80):
        place.clock.advance(300)
        monitor.get_alerts(limit=1)
    (reason,) = {alert.details["reason"] for alert in monitor.get_alerts(state="resolved")}
    assert reason == "no_data"
    assert monitor.get_alerts(state="firing") == []


def test_a_clock_set_back_stops_nothing(place):
    """Evidence and idle looks go on, and nothing is over before it was watched that long."""
    with place.open(QUIET + "[alerts]\nevaluation_interval = '100ms'\n") as monitor:
        record(monitor, 30)
        monitor.get_alerts()
        place.clock.advance(-7200)
        before = monitor._parts.evaluator.evaluated_at
        wait_for(lambda: monitor._parts.evaluator.evaluated_at != before)
        assert {alert.state for alert in monitor.get_alerts()} == {"firing"}


def test_an_idle_monitor_hardly_evaluates(place, monkeypatch):
    """Nothing came, and nothing is waited for: there is nothing to look at for a minute."""
    with place.open("[alerts]\nevaluation_interval = '50ms'\n", clock=None) as monitor:
        record(monitor, 30, status="success")
        monitor.flush()
        wait_for(lambda: monitor._parts.evaluator.evaluated_at)
        monitor.get_alerts()
        evaluated = []
        evaluate = monitor._parts.evaluator.evaluate
        monkeypatch.setattr(
            monitor._parts.evaluator, "evaluate", lambda: evaluated.append(1) or evaluate()
        )
        time.sleep(1)
        assert len(evaluated) <= 1


def test_alerts_can_be_off(place):
    """Nothing is evaluated, listed or sent; also where a reload turns them off and on."""
    with place.open(clock=None, enable_auto_alerts=False) as monitor:
        record(monitor, 30)
        monitor.flush()
        assert monitor.get_alerts() == []
        assert monitor.get_stats()["active_alerts"] == 0
    assert place.got() == []


def test_a_reload_ends_what_its_rules_do_not_know(place):
    """The alerts of a rule that is gone are resolved, the others go on."""
    monitor = place.open(QUIET + LEVELS)
    record(monitor, 30)
    before = monitor.get_alerts()
    assert {"failing", "success_rate_min"} <= {alert.rule for alert in before}
    monitor._parts.evaluator.reload(Config(), is_on=True)
    after = {alert.alert_id: alert for alert in monitor.get_alerts()}
    for alert in before:
        state = "resolved" if alert.rule == "failing" else "firing"
        assert after[alert.alert_id].state == state


def test_many_threads_ask_at_once(place):
    """Whoever asks sees what fires, once, while runs come in and the background evaluates."""
    with place.open(QUIET + "[alerts]\nevaluation_interval = '50ms'\n", clock=None) as monitor:
        record(monitor, 30)
        problems, until = [], time.monotonic() + 1.5

        def ask():
            try:
                while time.monotonic() < until:
                    assert len(monitor.get_alerts(state="firing")) == 2
                    record(monitor)
                    monitor.get_stats()
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert problems == []
        assert len(monitor.observed.raised) == 2


def test_stop_does_not_wait_for_a_slow_sink(place, monkeypatch):
    """What it could not finish is sent after the next start."""
    monkeypatch.setenv("SINK_SECONDS", "30")
    quick = QUIET + "[alerts]\nevaluation_interval = '100ms'\ngroup_wait = '0s'\n"
    monitor = place.open(quick, clock=None).start()
    record(monitor, 30)
    wait_for(lambda: monitor.observed.raised)
    time.sleep(0.3)
    began = time.monotonic()
    monitor.stop()
    assert time.monotonic() - began < 20
    monkeypatch.setenv("SINK_SECONDS", "0")
    with place.open(quick, clock=None):
        wait_for(lambda: place.got("firing"))


FORKS = """
import os, sys, time
from perfmon import Config, PerformanceMonitor

alerts = {"evaluation_interval": "20ms", "single_run": {"enabled": False}}
config = Config.from_mapping({"alerts": alerts, "plugins": {"log": {"enabled": False}}})
with PerformanceMonitor(config, storage_url=sys.argv[1]) as monitor:
    for n in range(30):
        monitor.record_agent_run(f"r{n}", "a", "react", "failure")
    while len(monitor.get_alerts(state="firing")) < 2:
        time.sleep(0.01)
    for n in range(5):
        monitor.record_agent_run(f"s{n}", "a", "react", "failure")
        pid = os.fork()
        if pid == 0:
            os._exit(0 if len(monitor.get_alerts(state="firing")) == 2 else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert len(monitor.get_alerts(state="firing")) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_asks_and_the_parent_goes_on(tmp_path):
    """No lock of the evaluation is left behind in the child."""
    told = [sys.executable, "-W", "ignore", "-c", FORKS, f"sqlite:///{tmp_path}/perfmon.db"]
    subprocess.run(told, check=True, timeout=240)


def test_old_runs_that_are_imported_fire_nothing(place):
    """What happened last week is history, while what happens now is watched."""
    monitor = place.open(QUIET)
    record(monitor, 30, status="success")
    week = place.clock.now - timedelta(days=7)
    record(monitor, 500, timestamp=week)
    record(monitor, 500, "long gone", timestamp=week)
    assert monitor.get_alerts() == []
    record(monitor, 60)
    assert rules_of(monitor.get_alerts()) == [("success_rate_min", ""), ("success_rate_min", "a")]


def test_storage_in_memory_is_enough(place):
    """Alerts live as long as the monitor."""
    with place.open(QUIET, "memory:", None) as monitor:
        record(monitor, 30)
        assert len(monitor.get_alerts()) == 2
        wait_for(lambda: place.got("firing"))


def test_a_thousand_alerts_are_kept_in_little(place):
    """The state that is saved with every change is small, however much fires."""
    monitor = place.open(QUIET, "memory:")
    for number in range(300):
        record(monitor, 20, f"agent-{number}")
    assert len(monitor.get_alerts(limit=10_000)) > 250
    state = monitor.storage.read_alert_state()
    assert len(state.data) < 4_500 * len(monitor._parts.alerts.firing)


def test_another_handle_reads_what_was_saved(place):
    """Another process finds episodes and deliveries in storage alone."""
    with place.open(QUIET, clock=None) as monitor:
        record(monitor, 30)
        wait_for(lambda: place.got("firing"))
        (path,) = Path(place.folder).glob("perfmon.db")
        with contextlib.closing(open_storage(f"sqlite:///{path}")) as storage:
            assert rules_of(one.alert for one in storage.find_alerts()) == rules_of(
                monitor.get_alerts()
            )


def test_an_acknowledgement_that_was_not_asked_for_keeps_the_monitor_awake():
    """It is heard at the next look, and not only when something is recorded again."""
    monitor = PerformanceMonitor(storage_url="memory:")
    try:
        runs = [dict(run_id=f"r{n}", agent_name="a", status="failure") for n in range(50)]
        monitor.record_agent_runs(runs)
        evaluator, (alert, *_) = monitor._parts.evaluator, monitor.get_alerts()
        monitor.storage.acknowledge_alert(alert.alert_id, "ann", monitor.now_us())
        evaluator._heard_at = time.monotonic() + 100  # asked just now
        evaluator.evaluate()
        assert not evaluator._is_quiet()
        evaluator._heard_at = -1e9
        evaluator.evaluate()
        heard = {
            e.alert_id: e.acknowledged_by for e in evaluator._state.machine.memory.episodes.values()
        }
        assert heard[alert.alert_id] == "ann"
        assert not evaluator._is_deaf
    finally:
        monitor.stop()


def test_prompts_that_nobody_counts_did_not_grow():
    """A dear agent without input tokens gets no advice about its prompts."""
    clock = ManualClock()
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock)
    for n in range(240):
        monitor.record_agent_run(
            f"r{n}", "a", "t", "success", cost=0.1 if n < 120 else 2.0 + n / 1e3
        )
        clock.advance(60)
    (alert,) = [a for a in monitor.get_alerts() if a.rule == "cost_per_task_max" and a.agent_name]
    assert alert.recommendation is None
    assert "prompt_tokens" not in alert.details
