"""Evaluates rules, feeds the alert machine, saves its decisions and notifies.

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
from perfmon.alerts.firing import Firing
from perfmon.alerts.live_samples import LiveSamples
from perfmon.alerts.live_targets import LiveTargets
from perfmon.alerts.live_verdicts import LiveVerdicts
from perfmon.alerts.rules.targets import Target
from perfmon.alerts.ruleset import Ruleset
from perfmon.alerts.saved_state import SavedState
from perfmon.alerts.silences import Silences
from perfmon.alerts.sources import Sources
from perfmon.config.config import Config
from perfmon.delivery.heartbeat import Heartbeat
from perfmon.delivery.outbox import Outbox
from perfmon.delivery.terms import DeliveryTerms
from perfmon.errors import StorageError
from perfmon.plugins.bus import Bus
from perfmon.records import from_micros
from perfmon.storage.holders import shown_holder
from perfmon.storage.lease import Lease
from perfmon.storage.storage import Storage

_log = logging.getLogger("perfmon")
_BUSY = 5  # times as long as an evaluation takes is the least until the next one
_HEARD_EVERY = 0.05  # seconds for each firing alert between looks for acknowledgements
_SAVED_EVERY = 60.0  # how much of "for how long" a kill may cost
_AT_ONCE = 2.0  # seconds of looking at targets in one evaluation; the rest is for the next one
_TRIES = 3  # to save, where somebody else did meanwhile


class Evaluator:
    """Evaluates the alerts of one monitor.

    Args:
        state: continues from the saved state, under its rules.
        firing: receives the firing alerts.
        terms: which sinks there are.
        link: the dashboard's address, for messages, where the configuration has none.

    Attributes:
        evaluated_at: time of the last evaluation (microseconds).
        error: why the last evaluation failed, if it did.
        verdicts: on what runs.
        details: of these verdicts.
        attendance: whom absences are watched for.
    """

    def __init__(
        self,
        config: Config,
        storage: Storage,
        sources: Sources,
        state: SavedState,
        firing: Firing,
        bus: Bus,
        outbox: Outbox,
        terms: DeliveryTerms,
        now: Callable[[], int],
        *,
        link: str | None = None,
    ) -> None:
        self._config = config
        self._storage = storage
        self._sources = sources
        self._state = state
        self._firing = firing
        self._bus = bus
        self._outbox = outbox
        self._terms = terms
        self._now = now
        self._link = link
        self.evaluated_at: int | None = None
        self.error: str | None = None
        self.details = DetailsOf(sources.queries, sources.window)
        self._standings: tuple[Standing, ...] = ()
        self._saved_at = self._heard_at = -1e9  # monotonic seconds, as the next one
        self._next_look = -1e9
        self._seen = -1
        self._is_deaf = False  # acknowledgements were not asked for the last time
        self._lease = Lease(storage, "alerts")
        self._silences = Silences(storage, now)
        self._since = now()
        self.attendance = Attendance(storage, self._rules.watched, self._since)
        self._targets, self.verdicts = self._watching()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._heartbeat = Heartbeat.of(config.alerts)

    @property
    def _rules(self) -> Ruleset:
        return self._state.rules

    @property
    def is_on(self) -> bool:
        """Whether anything is evaluated."""
        return self._rules.is_on

    @property
    def is_behind(self) -> bool:
        """Whether it has a thread of its own."""
        return self._thread is not None

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
            if self.is_on and self.attendance.is_on and self.may_decide():
                self.attendance.stop(self._now())
        with suppress(StorageError):
            self._lease.let_go()

    def reload(self, config: Config, *, is_on: bool) -> None:
        """Go on under a changed configuration; alerts of rules that are gone are resolved."""
        rules = Ruleset.of(config, self._terms.all, self._link, is_on=is_on)
        with self._state.lock:
            if _beats(config) != _beats(self._config):
                if self._heartbeat is not None:
                    self._heartbeat.stop()
                self._heartbeat = Heartbeat.of(config.alerts)
            self._config = config
            self._state.reload(rules)
            self.attendance.reload(rules.watched)
            self._targets, self.verdicts = self._watching()
            self._seen = -1
        self._outbox.enable()

    def show_at(self, link: str) -> None:
        """The dashboard is there, for messages; a link of the configuration wins."""
        self._link = link
        self.reload(self._config, is_on=self._rules.is_on)

    def _watching(self) -> tuple[LiveTargets, LiveVerdicts]:
        sources = self._sources
        targets = LiveTargets(
            self._rules.watched, sources.window, sources.agents, sources.in_flight
        )
        return targets, self.fresh_verdicts()

    def fresh_verdicts(self) -> LiveVerdicts:
        """One that remembers nothing, for a question of its own."""
        sources = self._sources
        samples = LiveSamples(
            sources.queries,
            sources.window,
            self._storage,
            self._bus,
            in_flight=sources.in_flight,
            since=self._since,
            attendance=self.attendance,
        )
        return LiveVerdicts(samples, sources.window)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                self.look()
                pause = self._pause()
            except StorageError as problem:
                self.error = str(problem)
                _log.debug("alert evaluation is waiting for storage: %s", problem)
                pause = self._rules.interval
            except Exception:
                _log.exception("unexpected error while evaluating alerts; it continues")
                pause = self._rules.interval

    def _pause(self) -> float:
        """Until the next evaluation, or sooner where a message is due."""
        with self._state.lock:
            wait = self._next_look - time.monotonic()
            due = None if self._state.machine is None else self._state.groups.next_edge()
        if due is not None:
            wait = min(wait, (due - self._now()) / 1e6)
        return max(wait, 0.05)

    # Evaluating

    def look(self) -> None:
        """Evaluate if something may have changed, and send what is due."""
        with self._state.lock:
            is_time = time.monotonic() >= self._next_look - 0.05
            if is_time:
                self._next_look = time.monotonic() + self._rules.interval
            if not self._rules.is_on or not self.may_decide():
                return
            if (is_time and not self._is_quiet()) or self._state.machine is None:
                self.evaluate()
            elif not is_time:
                self._settle(None)
            if is_time:
                self.attendance.alive(self._now())
            if is_time and self._heartbeat is not None:
                self._heartbeat.beat()

    def _is_quiet(self) -> bool:
        """Nothing was recorded, nothing is pending, and the last evaluation was recent."""
        self._catch_up()
        now = self._now()
        if self._is_new or self._is_deaf or self.evaluated_at is None or self.verdicts.waiting:
            return False
        # Time can go backwards.
        if abs(now - self.evaluated_at) > self._rules.idle * 1e6:
            return False
        edges = [
            self._state.groups.next_edge(),
            self._state.machine.next_edge() if self._state.machine else None,
        ]
        return all(edge is None or edge > now for edge in edges)

    @property
    def _is_new(self) -> bool:
        """Whether anything came since the last evaluation."""
        return self._sources.incoming.has_news or self._sources.changes != self._seen

    def look_now(self) -> None:
        """Evaluate in the caller's thread, where something was recorded since the last time."""
        with self._state.lock:
            if self._rules.is_on and self.may_decide():
                self._catch_up()
                if self._is_new or self._thread is None:
                    self.evaluate()

    def look_again(self) -> None:
        """People said something: look at once, whether or not anything is recorded."""
        self._seen = -1

    def note_closed(self, alert_id: str) -> None:
        """A person closed an alert: it is not standing any more, and there may be messages."""
        self._standings = tuple(one for one in self._standings if one.alert.alert_id != alert_id)
        self._seen, self._next_look = -1, -1e9

    def evaluate(self) -> None:
        """Look at everything once, and save what comes of it."""
        with self._state.lock:
            began = time.monotonic()
            self._sources.incoming.catch_up()
            self._seen = self._sources.changes
            self._hear(self._state.read())
            now, machine = self._now(), self._state.read()
            seconds = _AT_ONCE if threading.current_thread() is self._thread else math.inf
            verdicts = self.verdicts.verdicts(
                self._targets_of(now), now, first=machine.memory.episodes, seconds=seconds
            )
            self._settle(verdicts, now)
            self.attendance.alive(now)
            self.evaluated_at = now
            self.error = None
            took = time.monotonic() - began
            self._next_look = max(self._next_look, began + _BUSY * took)

    def _targets_of(self, now: int) -> list[Target]:
        """Everything that ran recently, and all agents with absence rules, seen or not."""
        episodes = list(self._state.read().memory.episodes.values())
        last_run = self._sources.queries.last_run
        return self.attendance.targets(self._targets.targets(now), episodes, last_run)

    def _catch_up(self) -> None:
        """Who decides for all on a shared storage has to know what the others recorded."""
        self._sources.others.catch_up(every=min(self._rules.interval / 2, 1.0))

    def _settle(self, verdicts: list[Verdict] | None, now: int | None = None) -> None:
        """Let the machine and the groups go on, and save; again where somebody else saved."""
        try:
            self._go_on(verdicts, self._now() if now is None else now)
        except BaseException:
            self.forget()  # what was decided and not saved is decided again
            raise

    def _go_on(self, verdicts: list[Verdict] | None, now: int) -> None:
        for _ in range(_TRIES):
            machine = self._state.read()
            changes = Changes((), self._standings)
            if verdicts is not None:
                changes = machine.step(now, verdicts, self.details, self.verdicts.count)
                self._standings = changes.standings
                self._firing.last = [s.alert for s in self._standings if s.alert.state == "firing"]
            messages = self._state.groups.step(now, changes.standings)
            if not (changes.changes or messages or self._is_due_to_save(machine)):
                return
            alerts = [one.alert for one in changes.changes if one.alert.state != "pending"]
            if self._state.save(alerts, messages):
                self._saved_at = time.monotonic()
                self.tell(changes)
                if messages:
                    self._outbox.wake()
                return
            self.forget()  # what was decided here is decided again, on what is there now
            if verdicts is None:
                return  # without them nobody knows what fires
        _log.warning("another monitor on this storage evaluates the alerts")

    def _is_due_to_save(self, machine: Machine) -> bool:
        lasting = bool(machine.memory.episodes)
        return lasting and time.monotonic() - self._saved_at >= _SAVED_EVERY

    def tell(self, changes: Changes) -> None:
        """Let the plugins know."""
        for alert in changes.of("firing") + changes.of("escalated"):
            self._bus.publish("alert_raised", alert=alert)
        for alert in changes.of("resolved"):
            self._bus.publish("alert_resolved", alert=alert)

    # Others on the same storage

    def forget(self) -> None:
        """What was decided here and not saved is read anew."""
        self._state.forget()
        self.attendance.forget()
        self._standings = ()

    def _hear(self, machine: Machine) -> None:
        """Silences and acknowledgements may come from other processes, through storage."""
        now, edge = self._now(), machine.next_edge()
        silences = {one.silence_id: one for one in self._silences.in_force(now)}
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
                self.forget()  # somebody closed one: what is there now is read anew
        else:
            self._is_deaf = bool(firing)

    def may_decide(self) -> bool:
        """Whether it is this monitor's turn; only one decides on a shared storage."""
        mine = self._lease.take(3 * self._rules.interval + 10.0)
        if not mine:
            self.forget()
        return mine

    def decided_by(self) -> str | None:
        """Whose turn it is to decide about alerts, in words; None where it is nobody's."""
        try:
            holder = self._lease.holder() if self.is_on else None
        except StorageError:
            return None
        return None if holder is None else shown_holder(holder)

    def stats(self) -> dict[str, Any]:
        """How the evaluation goes."""
        at = self.evaluated_at
        return {
            "evaluated_at": None if at is None else from_micros(at),
            "waiting": self.verdicts.waiting,
            "firing": len(self._firing.now()) if self.is_on else 0,
            "error": self.error,
            "decided_by": self.decided_by(),
            "absences_left_out": self.attendance.left_out,
            "heartbeat": None if self._heartbeat is None else self._heartbeat.stats(),
        }


def _beats(config: Config) -> tuple[Any, ...]:
    alerts = config.alerts
    return alerts.heartbeat_url, alerts.heartbeat_interval, alerts.heartbeat_allow_private
