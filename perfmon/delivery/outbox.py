"""Delivers notifications: each sink independently, at least once, in order."""

from __future__ import annotations

import logging
import random as chance
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from perfmon.config.validators import did_you_mean
from perfmon.delivery.clock import Anchored
from perfmon.delivery.lane import Lane, expire
from perfmon.delivery.sender import OutboxSettings, Sender
from perfmon.delivery.sink_alerts import Troubles
from perfmon.errors import PluginError, StorageError
from perfmon.metrics.formatting import figure
from perfmon.plugins.bus import Bus
from perfmon.plugins.worker import Implementation
from perfmon.records import (
    AlertLevel,
    AlertMessage,
    MetricType,
    PerformanceAlert,
    from_micros,
)
from perfmon.storage.holders import new_holder, take_turn
from perfmon.storage.storage import Storage

__all__ = ["Outbox", "OutboxSettings", "Tried"]

_log = logging.getLogger("perfmon")
_HOOK = "deliver_alert"
_TIDY_EVERY = 60.0


class Tried(NamedTuple):
    """What came of a test message, and the same in words."""

    delivered: bool
    words: str


class Outbox:
    """Sends the messages that wait in storage to the sinks, the plugins with `deliver_alert`.

    A sink has a thread of its own (a `Lane`): one that hangs, raises or asks for patience delays
    no other. Messages are added by `storage.save_alerts`; `wake` says that there are new ones.
    Where several processes share a storage, each sink is served by the one that has its lease.

    Args:
        storage: where messages wait.
        bus: knows the sinks. Its plugins may come and go. Stop the outbox before it is closed.
        now: the wall's time in UTC microseconds, for stamps.
        settings: deadlines, pauses and the like.
        steady: seconds of a clock that only moves on, for pauses and limits.
        random: numbers in [0, 1) for the jitter of pauses.
        firing: the alerts that fire now, for sinks with an attribute `resend_every` (seconds):
            to those they are sent again and again, so that they do not expire there.
        accepts: whether a sink wants to be told of an alert, for what the outbox says itself.
    """

    def __init__(
        self,
        storage: Storage,
        bus: Bus,
        now: Callable[[], int],
        settings: OutboxSettings | None = None,
        *,
        steady: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
        firing: Callable[[], Sequence[PerformanceAlert]] = tuple,
        accepts: Callable[[str, PerformanceAlert], bool] = lambda _sink, _alert: True,
    ) -> None:
        self.settings = settings or OutboxSettings()
        self._storage = storage
        self._bus = bus
        self._now = now
        self._steady = steady
        self._clock = Anchored(now, steady)
        self._random = random
        self._firing = firing
        self._accepts = accepts
        self._lanes: dict[str, Lane] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner = ""
        self._next_tidy = 0.0

    @property
    def sinks(self) -> list[str]:
        """The names of the sinks."""
        return [sink.plugin for sink in self._bus.chain(_HOOK)]

    def start(self) -> None:
        """Send from now on; what is disabled is tried again. Starting twice is once."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._lanes = {}
        self._clock = Anchored(self._now, self._steady)
        self._stopping = threading.Event()
        self._owner = new_holder()
        self._next_tidy = 0.0
        self._thread = threading.Thread(target=self._keep, name="perfmon-outbox", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Let each sink finish the message it is at, up to `timeout` seconds in all.

        What still waits is sent after the next start, and so is what was not finished.
        """
        until = time.monotonic() + timeout
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        for lane in list(self._lanes.values()):
            lane.end()
        thread.join(timeout)
        lanes = list(self._lanes.values())  # it may have met another sink meanwhile
        for lane in lanes:
            lane.end()
        for lane in lanes:
            lane.join(max(0.0, until - time.monotonic()))
            self._let_go(lane)

    def wake(self) -> None:
        """There are new messages: look at once rather than within a moment."""
        for lane in list(self._lanes.values()):
            lane.wake.set()

    def enable(self) -> None:
        """Try again what is disabled, as its settings may have changed."""
        for lane in list(self._lanes.values()):
            lane.enable()

    def send_test(self, sink: str) -> Tried:
        """Send a test message now, past the queue; works without `start` too.

        Raises:
            PluginError: there is no such sink.
        """
        found = self._bus.find(_HOOK, sink)
        if found is None:
            names = ", ".join(self.sinks) or "none"
            raise PluginError(
                f"no sink {sink!r}{did_you_mean(sink, self.sinks)} (enabled sinks: {names})"
            )
        sent = self._sender(found, lambda _message: None).send(_test_message(sink, self._now()))
        if sent.problem is None:
            if sink in self._lanes:
                self._lanes[sink].enable()
            return Tried(True, f"{sink}: delivered in {figure(sent.seconds, 's')}")
        words = f"{sink}: not delivered: {sent.problem}"
        if sent.permanent:
            words += " (retrying will not help)"
        elif sent.retry_after:
            words += f" (it asks to wait {sent.retry_after:g} s)"
        return Tried(False, words)

    def stats(self) -> dict[str, Any]:
        """Messages waiting (also for sinks that are not here), and since the start delivered,
        failed attempts and given up, in all and by sink; with each sink's state and last error.
        """
        waiting: dict[str, int] = {}
        problem = None
        try:
            waiting = self._storage.waiting_messages()
        except StorageError as away:
            problem = str(away)
        lanes = dict(self._lanes)
        sinks = {name: lane.stats(waiting.get(name, 0)) for name, lane in lanes.items()}
        for name in waiting.keys() - lanes.keys():
            sinks[name] = {"state": "absent", "waiting": waiting[name]}
        counts = {
            name: sum(getattr(lane, name) for lane in lanes.values())
            for name in ("delivered", "failed", "given_up")
        }
        return {
            "waiting": sum(waiting.values()),
            **counts,
            "sinks": sinks,
            "storage_error": problem,
        }

    def _sender(self, sink: Implementation, late: Callable[[AlertMessage], None]) -> Sender:
        deadline = self._bus.seconds_of(sink.plugin, "deadline") or self.settings.deadline
        return Sender(sink, deadline, late)

    # The keeper's thread

    def _keep(self) -> None:
        stopping, pause = self._stopping, 0.0
        while not stopping.wait(pause):
            pause = self.settings.poll
            try:
                self._look()
            except StorageError as problem:
                _log.debug("the outbox is waiting for storage: %s", problem)
            except Exception:
                _log.exception("unexpected error in the outbox; it continues")

    def _look(self) -> None:
        self._meet_sinks()
        if self._storage.shared:
            for lane in list(self._lanes.values()):
                self._renew(lane)
        if time.monotonic() >= self._next_tidy:
            self._next_tidy = time.monotonic() + _TIDY_EVERY
            self._tidy()

    def _meet_sinks(self) -> None:
        """A lane for each sink; one that is disabled keeps its lane, one that left not."""
        for name, lane in list(self._lanes.items()):
            found = self._bus.find(_HOOK, name)
            if found is None or found.function != lane.sink.function:
                lane.end()
                if not lane.is_alive:  # two lanes would send the same twice
                    del self._lanes[name]
                    self._let_go(lane)
        for sink in self._bus.chain(_HOOK):
            if sink.plugin not in self._lanes:
                self._open_lane(sink)

    def _open_lane(self, sink: Implementation) -> None:
        name = sink.plugin

        def others(alert: PerformanceAlert) -> Iterator[str]:
            return (one for one in self.sinks if one != name and self._accepts(one, alert))

        def late(message: AlertMessage) -> None:
            lane.mark_late(message)

        def firing() -> list[PerformanceAlert]:
            return [alert for alert in self._firing() if self._accepts(name, alert)]

        lane = Lane(
            name,
            self._sender(sink, late),
            self._storage,
            self._clock,
            self.settings,
            self._random,
            Troubles(name, self._storage, self._now, others, self.wake, self._bus.publish),
            firing=firing,
            resend_every=self._bus.seconds_of(name, "resend_every"),
        )
        # First known and then at work: who enables all lanes would miss it meanwhile.
        self._lanes[name] = lane
        lane.start(mine=not self._storage.shared)

    def _renew(self, lane: Lane) -> None:
        # Twice within its length is enough; the lane itself stops at its end.
        if lane.lease_left() < self.settings.lease * 2 / 3:
            asked = time.monotonic()
            if take_turn(self._storage, _lease(lane), self._owner, self.settings.lease):
                lane.own_until(asked + self.settings.lease)

    def _let_go(self, lane: Lane) -> None:
        if self._storage.shared and lane.lease_left() > 0 and not lane.is_alive:
            try:
                self._storage.take_lease(_lease(lane), self._owner, 0)
            except StorageError as problem:
                _log.debug("a lease was left to expire: %s", problem)

    def _tidy(self) -> None:
        """Give up what waits for sinks that nobody has had for long."""
        for name in self._storage.waiting_messages().keys() - self._lanes.keys():
            count = expire(self._storage, name, self._clock.earlier(), self.settings)
            if count:
                _log.warning("gave up on %d messages: no sink %r", count, name)


def _lease(lane: Lane) -> str:
    return f"sink/{lane.name}"


def _test_message(sink: str, now: int) -> AlertMessage:
    at, name = from_micros(now), f"test-{sink}-{now}"
    alert = PerformanceAlert(
        alert_id=name,
        level=AlertLevel.INFO,
        metric_type=MetricType.SUCCESS_RATE,
        key="test",
        message=f"perfmon test message to {sink}",
        current_value=1.0,
        threshold=0.8,
        timestamp=at,
        started_at=at,
        rule="test",
        metric="success_rate",
        recommendation="This is a test. No action needed.",
    )
    return AlertMessage(
        message_id=name, sink=sink, group="test", kind="test", alerts=(alert,), created_at=at
    )
