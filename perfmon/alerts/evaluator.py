"""Watches the runs: evaluates, lets the machine decide, saves what it decided, and tells.

An alert's change and its messages are saved in one transaction with the machine's state; the
outbox sends. Several monitors on one storage take turns by a lease: one of them decides.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from perfmon.alerts.attendance import Attendance
from perfmon.alerts.details import DetailsOf
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.step import Changes, Standing
from perfmon.alerts.evidence.verdicts import Verdict
from perfmon.alerts.live_samples import Sampling
from perfmon.alerts.live_targets import Aims
from perfmon.alerts.questions import AlertAnswers
from perfmon.alerts.resolution import Closing
from perfmon.alerts.rules.targets import Target
from perfmon.alerts.ruleset import Ruleset
from perfmon.alerts.saved_state import Remembered
from perfmon.alerts.silences import Silencing
from perfmon.config.config import Config
from perfmon.delivery.heartbeat import Heartbeat
from perfmon.delivery.outbox import Outbox
from perfmon.errors import StorageError
from perfmon.metrics.queries import Queries
from perfmon.plugins.bus import Bus
from perfmon.recording.in_flight import InFlight
from perfmon.recording.intake import Intake
from perfmon.records import PerformanceAlert
from perfmon.storage.lease import Lease
from perfmon.storage.storage import Storage

_log = logging.getLogger("perfmon")
_BUSY = 5  # times as long as an evaluation takes is the least until the next one
_HEARD_EVERY = 0.05  # seconds for each firing alert between looks for acknowledgements
_SAVED_EVERY = 60.0  # how much of "for how long" a kill may cost
_AT_ONCE = 2.0  # seconds of looking at targets in one evaluation; the rest is for the next one
_TRIES = 3  # to save, where somebody else did meanwhile


class Alerting(AlertAnswers):
    """Alerts of one monitor.

    Args:
        in_flight: the runs under way, as people are told of them; `flights` are they themselves.
        is_on: whether anything is evaluated.
        link: the dashboard's address, for messages, where the configuration has none.
    """

    def __init__(
        self,
        config: Config,
        storage: Storage,
        intake: Intake,
        queries: Queries,
        bus: Bus,
        outbox: Outbox,
        now: Callable[[], int],
        *,
        in_flight: Callable[[], list[dict[str, Any]]],
        is_on: bool,
        link: str | None = None,
        flights: InFlight | None = None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._intake = intake
        self._queries = queries
        self._bus = bus
        self._outbox = outbox
        self._now = now
        self._in_flight = in_flight
        self._link = link
        self.evaluated_at: int | None = None
        self.error: str | None = None
        self._rules = Ruleset.of(config, outbox, link, is_on=is_on)
        self._details = DetailsOf(queries, intake)
        self._lock = threading.RLock()
        is_power_safe = config.monitor.durability == "power"
        self._known = Remembered(storage, self._rules, is_power_safe=is_power_safe)
        self._standings: tuple[Standing, ...] = ()
        self._last_firing: list[PerformanceAlert] = []
        self._saved_at = self._heard_at = -1e9  # monotonic seconds, as the next one
        self._next_look = -1e9
        self._seen = -1
        self._is_deaf = False  # acknowledgements were not asked for the last time
        self._lease = Lease(storage, "alerts")
        self._silencing = Silencing(storage, now)
        self._since = now()
        self._closing = Closing(storage, self._known, flights, now)
        self._attendance = Attendance(storage, self._rules.watched, self._since)
        self._aims, self._sampling = self._watching(self._rules)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._heartbeat = Heartbeat.of(config.alerts)

    # Life

    def start(self) -> None:
        """Evaluate in the background from now on."""
        if self._rules.is_on and (self._thread is None or not self._thread.is_alive()):
            self._stopping.clear()
            self._outbox.start()
            self._thread = threading.Thread(target=self._run, name="perfmon-alerts", daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End; what is firing goes on when the next monitor looks."""
        until = time.monotonic() + timeout
        self._stopping.set()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            self._outbox.stop(max(0.1, until - time.monotonic()))
        with suppress(StorageError):
            if self._rules.is_on and self._attendance.is_on and self._may_decide():
                self._attendance.stop(self._now())
        with suppress(StorageError):
            self._lease.let_go()

    def reload(self, config: Config, *, is_on: bool) -> None:
        """Go on under a changed configuration; alerts of rules that are gone are resolved."""
        rules = Ruleset.of(config, self._outbox, self._link, is_on=is_on)
        with self._lock:
            if _beats(config) != _beats(self._config):
                if self._heartbeat is not None:
                    self._heartbeat.stop()
                self._heartbeat = Heartbeat.of(config.alerts)
            self._config, self._rules = config, rules
            self._known.reload(rules)
            self._attendance.reload(rules.watched)
            self._aims, self._sampling = self._watching(rules)
            self._seen = -1
        self._outbox.enable()

    def show_at(self, link: str) -> None:
        """The dashboard is there, for messages; a link of the configuration wins."""
        self._link = link
        self.reload(self._config, is_on=self._rules.is_on)

    def _watching(self, rules: Ruleset) -> tuple[Aims, Sampling]:
        return Aims(rules.watched, self._intake, self._in_flight), Sampling(
            self._queries, self._intake, self._bus, in_flight=self._in_flight, since=self._since,
            attendance=self._attendance,
        )  # fmt: skip

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                self.look()
                pause = self._pause()
            except StorageError as problem:
                self.error = str(problem)
                _log.debug("alerts wait for storage: %s", problem)
                pause = self._rules.interval
            except Exception:
                _log.exception("evaluating alerts met a bug; it goes on")
                pause = self._rules.interval

    def _pause(self) -> float:
        """Until the next evaluation, or sooner where a message is due."""
        with self._lock:
            wait = self._next_look - time.monotonic()
            due = None if self._known.machine is None else self._known.groups.next_edge()
        if due is not None:
            wait = min(wait, (due - self._now()) / 1e6)
        return max(wait, 0.05)

    # Evaluating

    def look(self) -> None:
        """Evaluate if something may have changed, and send what is due."""
        with self._lock:
            is_time = time.monotonic() >= self._next_look - 0.05
            if is_time:
                self._next_look = time.monotonic() + self._rules.interval
            if not self._rules.is_on or not self._may_decide():
                return
            if (is_time and not self._is_quiet()) or self._known.machine is None:
                self.evaluate()
            elif not is_time:
                self._settle(None)
            if is_time:
                self._attendance.alive(self._now())
            if is_time and self._heartbeat is not None:
                self._heartbeat.beat()

    def _is_quiet(self) -> bool:
        """Nothing was recorded, nothing is waited for, and the last look was lately."""
        self._catch_up()
        now = self._now()
        if self._is_new or self._is_deaf or self.evaluated_at is None or self._sampling.waiting:
            return False
        # Time can go backwards.
        if abs(now - self.evaluated_at) > self._rules.idle * 1e6:
            return False
        edges = [
            self._known.groups.next_edge(),
            self._known.machine.next_edge() if self._known.machine else None,
        ]
        return all(edge is None or edge > now for edge in edges)

    @property
    def _changes(self) -> int:
        """Grows with whatever may change a verdict."""
        return self._intake.window.keys.changes + self._intake.counts.conflict

    @property
    def _is_new(self) -> bool:
        """Whether anything came since the last evaluation."""
        intake = self._intake
        return len(intake.recorder) > 0 or self._changes != self._seen

    def look_now(self) -> None:
        """Evaluate in the caller's thread, where something was recorded since the last time."""
        with self._lock:
            if self._rules.is_on and self._may_decide():
                self._catch_up()
                if self._is_new or self._thread is None:
                    self.evaluate()

    def evaluate(self) -> None:
        """Look at everything once, and save what comes of it."""
        with self._lock:
            began = time.monotonic()
            self._intake.take_in(with_bulks=False)
            self._seen = self._changes
            self._hear(self._known.read())
            now, machine = self._now(), self._known.read()
            seconds = _AT_ONCE if threading.current_thread() is self._thread else math.inf
            verdicts = self._sampling.verdicts(
                self._targets(now), now, first=machine.memory.episodes, seconds=seconds
            )
            self._settle(verdicts, now)
            self._attendance.alive(now)
            self.evaluated_at = now
            self.error = None
            took = time.monotonic() - began
            self._next_look = max(self._next_look, began + _BUSY * took)

    def _targets(self, now: int) -> list[Target]:
        """Whatever ran lately, and whom absences are watched for, seen or not."""
        episodes = list(self._known.read().memory.episodes.values())
        return self._attendance.targets(self._aims.targets(now), episodes, self._queries.last_run)

    def _catch_up(self) -> None:
        """Who decides for all on a shared storage has to know what the others recorded."""
        self._intake.others.catch_up(every=min(self._rules.interval / 2, 1.0))

    def _settle(self, verdicts: list[Verdict] | None, now: int | None = None) -> None:
        """Let the machine and the groups go on, and save; again where somebody else saved."""
        try:
            self._go_on(verdicts, self._now() if now is None else now)
        except BaseException:
            self._forget()  # what was decided and not saved is decided again
            raise

    def _go_on(self, verdicts: list[Verdict] | None, now: int) -> None:
        for _ in range(_TRIES):
            machine = self._known.read()
            changes = Changes((), self._standings)
            if verdicts is not None:
                changes = machine.step(now, verdicts, self._details, self._sampling.count)
                self._standings = changes.standings
                self._last_firing = [s.alert for s in self._standings if s.alert.state == "firing"]
            messages = self._known.groups.step(now, changes.standings)
            if not (changes.changes or messages or self._is_due_to_save(machine)):
                return
            alerts = [one.alert for one in changes.changes if one.alert.state != "pending"]
            if self._known.save(alerts, messages):
                self._saved_at = time.monotonic()
                self._tell(changes)
                if messages:
                    self._outbox.wake()
                return
            self._forget()  # what was decided here is decided again, on what is there now
            if verdicts is None:
                return  # without them nobody knows what fires
        _log.warning("alerts are decided by another monitor on this storage")

    def _is_due_to_save(self, machine: Machine) -> bool:
        lasting = bool(machine.memory.episodes)
        return lasting and time.monotonic() - self._saved_at >= _SAVED_EVERY

    def _tell(self, changes: Changes) -> None:
        for alert in changes.of("firing") + changes.of("escalated"):
            self._bus.publish("alert_raised", alert=alert)
        for alert in changes.of("resolved"):
            self._bus.publish("alert_resolved", alert=alert)

    # Others on the same storage

    def _forget(self) -> None:
        self._known.forget()
        self._attendance.forget()
        self._standings = ()

    def _hear(self, machine: Machine) -> None:
        """Silences and acknowledgements may come from other processes, through storage."""
        now, edge = self._now(), machine.next_edge()
        silences = {one.silence_id: one for one in self._silencing.in_force(now)}
        if silences != machine.memory.silences:
            machine.memory.silences = silences
            machine.memory.hush(now)
        firing = {one.alert_id: one for one in machine.memory.in_concern()}
        is_due = edge is not None and edge <= now  # it may be a reminder
        if firing and (is_due or self._heard_at + _HEARD_EVERY * len(firing) < time.monotonic()):
            self._heard_at = time.monotonic()
            found_ids = set()
            for found in self._storage.find_alerts(state="firing", limit=None):
                found_ids.add(found.alert.alert_id)
                known, by = firing.get(found.alert.alert_id), found.alert.acknowledged_by
                if known is not None and by not in (None, known.acknowledged_by):
                    machine.acknowledge(found.alert.alert_id, by)
            self._is_deaf = False
            if not firing.keys() <= found_ids:
                self._forget()  # somebody closed one: what is there now is read anew
        else:
            self._is_deaf = bool(firing)

    def _may_decide(self) -> bool:
        """Whether it is this monitor's turn; only one decides on a shared storage."""
        mine = self._lease.take(3 * self._rules.interval + 10.0)
        if not mine:
            self._forget()
        return mine


def _beats(config: Config) -> tuple[Any, ...]:
    alerts = config.alerts
    return alerts.heartbeat_url, alerts.heartbeat_interval, alerts.heartbeat_allow_private
