"""Alert state that another version of perfmon wrote: nothing that fires is announced again."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest

from perfmon import Config, PerformanceMonitor, hookimpl
from perfmon.testing import ManualClock

NEW = {"of a newer version": [1, {"deep": None}]}


class Receiver:
    """A sink that keeps what it was sent."""

    def __init__(self):
        self.got = []

    @hookimpl
    def deliver_alert(self, message):
        self.got.append(message)

    def told(self, kind):
        return sorted(a.alert_id for m in self.got if m.kind == kind for a in m.alerts)


def _widened(value):
    """The same with an unknown field in every object, at every level."""
    if isinstance(value, dict):
        return {name: _widened(item) for name, item in value.items()} | {"x_new": NEW}
    return [_widened(item) for item in value] if isinstance(value, list) else value


def _every_level(both):
    both["machine"], both["groups"] = (
        json.dumps(_widened(json.loads(both[part]))) for part in ("machine", "groups")
    )
    both["x_new"] = NEW


def _in(part, change):
    def changed(both):
        inner = json.loads(both[part])
        change(inner)
        both[part] = json.dumps(inner)

    return changed


def _version(inner):
    inner["version"] = 17


def _without(*names):
    def change(inner):
        for episode in inner["episodes"]:
            for name in names:
                del episode[name]

    return change


def _strange(inner):
    for episode in inner["episodes"]:
        episode.update(kind="astrology", metric_type="mood", evidence="hearsay")


def _broken_one(inner):
    inner["episodes"].append({"key": "a new kind of episode"})
    inner["silences"].append({"silence_id": 7})


def _longer_rows(inner):
    for rows in inner["told"].values():
        for row in rows:
            row += ["something", {"new": 1}]
    for paces in inner["paces"].values():
        for pace in paces.values():
            pace.append(None)


CHANGES = {
    "unknown fields at every level": _every_level,
    "a newer machine": _in("machine", _version),
    "newer groups": _in("groups", _version),
    "without fields": _in("machine", _without("rises", "details", "reason", "family", "labels")),
    "words that are not known": _in("machine", _strange),
    "an episode that cannot be read": _in("machine", _broken_one),
    "longer rows": _in("groups", _longer_rows),
}


class World:
    """A database, and monitors on it one after the other."""

    def __init__(self, folder):
        self.path, self.clock, self.number = folder / "perfmon.db", ManualClock(), 0
        self.sink, self.monitor = Receiver(), None

    def open(self):
        config = Config.from_mapping({"alerts": {"group_wait": "0s", "keep_firing_for": "0s"}})
        url = f"sqlite:///{self.path}"
        self.monitor = PerformanceMonitor(config, storage_url=url, clock=self.clock)
        self.monitor.bus.register(self.sink, "receiver")
        self.monitor._parts.evaluator.reload(config, is_on=True)
        self.monitor.sync_with_database()
        self.monitor.outbox.start()

    def record(self, status, count=30):
        for _ in range(count):
            self.number += 1
            self.monitor.record_agent_run(f"r{self.number}", "a", None, status, error_type="Odd")

    def look(self, minutes=1):
        for _ in range(minutes):
            self.clock.advance(60)
            self.monitor._parts.evaluator.evaluate()
            self.monitor.outbox.wake()
        deadline = time.monotonic() + 60
        while self.monitor.get_stats()["alerts"]["outbox"]["waiting"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def state(self):
        with sqlite3.connect(self.path) as database:
            ((data,),) = database.execute("SELECT data FROM alert_state")
        database.close()
        return json.loads(data)

    def change(self, change):
        both = self.state()
        change(both)
        with sqlite3.connect(self.path) as database:
            database.execute("UPDATE alert_state SET data = ?", (json.dumps(both).encode(),))
            for table in ("alerts", "outbox"):
                for row, body in database.execute(f"SELECT id, body FROM {table}").fetchall():
                    wider = json.dumps(_widened(json.loads(body)))
                    database.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (wider, row))
        database.close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.open()
    yield world
    world.monitor.stop()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_fires_is_not_announced_again(world, change):
    """After a restart on a state with unknown, missing or strange parts; and its end is told."""
    world.record("failure")
    world.look(2)
    told = world.sink.told("firing")
    assert told
    world.monitor.stop()
    world.change(change)
    world.open()
    world.look(3)
    assert world.sink.told("firing") == told
    assert {alert.alert_id for alert in world.monitor.get_alerts(state="firing")} >= set(told)
    world.clock.advance(3 * 3600)
    world.record("success", 300)
    world.look(3)
    assert world.sink.told("firing") == told
    assert world.sink.told("resolved") == told


def test_what_is_not_known_is_written_back(world):
    """A version that reads its state again after a downgrade finds what it had put there."""
    world.record("failure")
    world.look(2)
    world.monitor.stop()
    world.change(_every_level)
    world.open()
    world.record("failure", 5)
    world.look(2)
    world.monitor.record_agent_run("slow", "a", None, "success", duration_ms=1e6)
    world.look()
    both = world.state()
    machine, groups = json.loads(both["machine"]), json.loads(both["groups"])
    kept = [both, machine, groups, *(one for one in machine["episodes"] if one["bad"] > 1)]
    kept += [row[0] for rows in groups["told"].values() for row in rows if row[2] == 0]
    assert sum(one.get("x_new") == NEW for one in kept) > 5
