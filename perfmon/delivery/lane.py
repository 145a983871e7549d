"""A sink's delivery: one message at a time, in order, retried until it is delivered."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from perfmon.delivery.clock import Anchored
from perfmon.delivery.sender import OutboxSettings, Sender, Sent
from perfmon.delivery.sink_alerts import Troubles
from perfmon.errors import StorageError
from perfmon.plugins.worker import Implementation
from perfmon.records import AlertMessage, PerformanceAlert, from_micros
from perfmon.storage.alerts import DueMessage, SinkState
from perfmon.storage.storage import Storage

_log = logging.getLogger("perfmon")
_SECOND = 1_000_000
_EVER = 2**62
_IN_A_MESSAGE = 50
_REMEMBERED = 100
_BEFORE = 500
_AWAY = 5.0  # seconds between tries while storage is unavailable


@attrs.define
class _RefusedMessage:
    """How often a message was refused for good, and how many were delivered before that."""

    delivered: int
    times: int = 0


class Lane:
    """Sends to one sink, on a thread of its own.

    A message is marked as delivered only after the sink took it, so that it may arrive twice (with
    one message_id) and not never. What the sink asks for or suffers from is remembered in
    storage, and holds through restarts; that it is disabled does not.

    A refusal for good is put down to the message first, which is set aside while the others go on.
    Only several in a row are put down to the sink, which is then left alone for a minute, and for
    longer each time; other sinks are notified.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        storage: Storage,
        clock: Anchored,
        settings: OutboxSettings,
        random: Callable[[], float],
        troubles: Troubles,
        *,
        firing: Callable[[], Sequence[PerformanceAlert]],
        resend_every: float | None,
    ) -> None:
        self.name = name
        self.wake = threading.Event()
        self.delivered = self.failed = self.given_up = 0
        self.last_error: str | None = None
        self._sender = sender
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._random = random
        self._troubles = troubles
        self._firing = firing
        self._resend_every = resend_every
        self._resent_at: int | None = None
        self._state: SinkState | None = None
        self._enabling = True
        self._unmarked: tuple[str, int] | None = None
        self._refused: dict[str, _RefusedMessage] = {}
        # Refusals for good since a message was taken, of whichever messages.
        self._strikes = 0
        self._before: set[str] | None = None
        self._mine_until = -math.inf
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"perfmon-{name}-lane", daemon=True)

    def start(self, *, mine: bool) -> None:
        """Begin; `mine`: nobody else sends to this sink, and no lease is needed."""
        self._mine_until = math.inf if mine else -math.inf
        self._thread.start()

    def end(self) -> None:
        """Stop after the message it is at."""
        self._stopping.set()
        self.wake.set()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():  # it may not have begun
            self._thread.join(timeout)

    @property
    def sink(self) -> Implementation:
        return self._sender.sink

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def lease_left(self) -> float:
        """Seconds for which nobody else sends to this sink."""
        return self._mine_until - time.monotonic()

    def own_until(self, moment: float) -> None:
        """It has the sink to itself until then (monotonic seconds)."""
        if self.lease_left() <= 0:
            self._state = None  # another process may have had it meanwhile
        self._mine_until = moment
        self.wake.set()

    def enable(self) -> None:
        """If it is disabled, try again."""
        self._enabling = True
        self.wake.set()

    def mark_late(self, message: AlertMessage) -> None:
        """A call that was given up as too slow took the message after all."""
        try:
            self._storage.note_delivery(message.message_id, self._clock.wall(), delivered=True)
        except StorageError as problem:
            _log.debug("sent late, will be sent again: %s", problem)

    def stats(self, waiting: int) -> dict[str, Any]:
        state = self._state or SinkState()
        held = self._is_held(state, self._clock())
        until = self._clock.on_the_wall(state.held_until)
        return {
            "state": self._word(state, held=held),
            "waiting": waiting,
            "delivered": self.delivered,
            "failed": self.failed,
            "given_up": self.given_up,
            "held_until": from_micros(until) if held else None,
            "last_error": self.last_error,
        }

    def _word(self, state: SinkState, *, held: bool) -> str:
        if self.lease_left() <= 0:
            return "served elsewhere"
        if held:
            return "disabled" if state.reason is not None else "held"
        return "failing" if self.last_error is not None else "working"

    # Its own thread

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            self.wake.wait(pause)
            self.wake.clear()
            pause = 0.0 if self._turned() else self._settings.poll

    def _turned(self) -> bool:
        """Whether something was done, so that there may be more to do."""
        try:
            return not self._stopping.is_set() and self._turn()
        except StorageError as problem:
            _log.debug("sending to %r is waiting for storage: %s", self.name, problem)
        except Exception:
            _log.exception("unexpected error while sending to %r; it continues", self.name)
        self._stopping.wait(min(_AWAY, self._settings.poll * 5))
        return False

    def _turn(self) -> bool:
        if self.lease_left() <= 0:
            return False
        self._mark()
        state, now = self._opened(), self._clock()
        if self._is_held(state, now):
            return False
        if self._is_to_resend(now):
            self._resend(now)
            return True
        if self._before is None:
            found = self._storage.due_messages(_EVER, _BEFORE, sink=self.name)
            self._before = {due.message.message_id for due in found if due.attempts}
        due = self._storage.due_messages(now, len(self._refused) + 1, sink=self.name)
        due = due or self._of_before()
        if not due:
            return False
        # What was refused for good does not stand in the way of what was not tried yet.
        first = min(due, key=lambda one: one.message.message_id in self._refused)
        self._attempt(first)
        return True

    def _of_before(self) -> list[DueMessage]:
        """What waited already at the start, once: its pause went by another process's clock."""
        if not self._before:
            return []
        found = self._storage.due_messages(_EVER, _BEFORE, sink=self.name)
        due = [one for one in found if one.message.message_id in self._before]
        self._before = {one.message.message_id for one in due[1:]}
        return due[:1]

    def _is_held(self, state: SinkState, now: int) -> bool:
        # Time can go backwards: nothing is held for longer than anything could ask for.
        longest = max(self._settings.disabled_for, self._settings.give_up_after)
        return 0 < state.held_until - now <= longest * _SECOND

    def _opened(self) -> SinkState:
        if self._state is None:
            self._state = self._storage.read_sinks().get(self.name, SinkState())
        if self._enabling:
            self._enabling = False
            if self._state.reason is not None:
                self._remember(SinkState(alert_id=self._state.alert_id))
        return self._state

    def _remember(self, state: SinkState) -> None:
        """First here, so that it holds even where storage is unavailable."""
        if state != self._state:
            self._state = state
            self._storage.save_sink(self.name, state)

    def _attempt(self, due: DueMessage) -> None:
        message = attrs.evolve(due.message, attempt=due.attempts + 1)
        if self._before:
            self._before.discard(message.message_id)
        sent = self._sender.send(message)
        if sent.problem is None:
            self._unmarked = (message.message_id, self._clock.wall())
            self._refused.pop(message.message_id, None)
            self._mark()
        else:
            self._count_failure(sent.problem)
            self._failed(due, sent, sent.problem)

    def _mark(self) -> None:
        """Nothing else is sent before what was sent is marked: it would be sent again."""
        if self._unmarked is not None:
            message_id, at = self._unmarked
            self._storage.note_delivery(message_id, at, delivered=True)
            self._unmarked = None
            self._got_through()

    def _got_through(self) -> None:
        self.delivered += 1
        self.last_error = None
        self._strikes = 0
        state = self._state or SinkState()
        if state.alert_id is not None:
            self._troubles.end(state.alert_id)
        self._remember(SinkState())

    def _count_failure(self, problem: str) -> None:
        self.failed += 1
        self.last_error = problem

    def _failed(self, due: DueMessage, sent: Sent, problem: str) -> None:
        message, now = due.message, self._clock()
        pause = max(self._pause(due.attempts), self._limit(sent))
        if sent.permanent:
            pause = self._set_aside(message.message_id)
        lost = self._is_lost(due, sent)
        if lost:
            self._give_up(message, problem)
        if (sent.permanent or sent.unusable) and not lost:
            self._strike(message, problem, at_once=sent.unusable)
        elif sent.retry_after > 0:
            self._hold(self._limit(sent))
        if not lost:
            retry_at = now + math.ceil(pause * _SECOND)
            self._storage.note_delivery(
                message.message_id, self._clock.wall(), retry_at=retry_at, error=problem
            )

    def _is_lost(self, due: DueMessage, sent: Sent) -> bool:
        """Whether nobody can take it: others were taken meanwhile, or it was tried for a day."""
        refused = self._refused.get(due.message.message_id)
        if sent.permanent and refused is not None:
            its_own_fault = self.delivered > refused.delivered
            if its_own_fault and refused.times >= self._settings.refusals:
                return True
        # By the wall and by the steady clock: neither being set ahead nor standing still ends it.
        now = self._clock.earlier()
        tried_at = now if due.tried_at is None else due.tried_at
        return now - tried_at >= self._settings.give_up_after * _SECOND

    def _set_aside(self, message_id: str) -> float:
        """Count a refusal against the message; how many seconds it now waits, the rest goes on."""
        refused = self._refused.setdefault(message_id, _RefusedMessage(self.delivered))
        refused.times += 1
        if len(self._refused) > _REMEMBERED:
            del self._refused[next(iter(self._refused))]
        pause = self._settings.first_aside * 4.0 ** min(refused.times - 1, 30)
        return min(self._settings.disabled_for, pause)

    def _strike(self, message: AlertMessage, problem: str, *, at_once: bool) -> None:
        """Count a refusal against the sink; with enough of them in a row it is left alone."""
        self._strikes = max(self._strikes + 1, self._settings.strikes if at_once else 0)
        beyond = self._strikes - self._settings.strikes
        if beyond >= 0:
            hold = self._settings.first_hold * 2.0 ** min(beyond, 30)
            self._disable(message, problem, min(self._settings.disabled_for, hold))

    def _pause(self, attempts: int) -> float:
        """Seconds before the next attempt, exponential with full jitter."""
        longest = self._settings.first_pause * 2.0 ** min(attempts, 30)
        return min(self._settings.longest_pause, longest) * self._random()

    def _limit(self, sent: Sent) -> float:
        """Seconds that the sink asked for; beyond the end of all attempts it asks for too much."""
        return min(sent.retry_after, self._settings.give_up_after)

    def _hold(self, seconds: float) -> None:
        until = self._clock() + math.ceil(seconds * _SECOND)
        self._remember((self._state or SinkState())._replace(held_until=until, reason=None))

    def _give_up(self, message: AlertMessage, problem: str) -> None:
        self._refused.pop(message.message_id, None)
        words = f"sink {self.name}: gave up on a message that could not be delivered: {problem}"
        self._say(message, "lost", words)
        self._storage.note_delivery(message.message_id, self._clock.wall(), error=problem)
        self.given_up += 1
        _log.error("%s", words)

    def _disable(self, message: AlertMessage, problem: str, seconds: float) -> None:
        until = self._clock() + round(seconds * _SECOND)
        shown = from_micros(self._clock.on_the_wall(until))
        words = f"sink {self.name} is disabled until {shown:%H:%M:%S} UTC: {problem}"
        _log.error("%s", words)
        alert_id = self._say(message, "disabled", words)
        self._remember(SinkState(until, problem, alert_id))
        expired = expire(self._storage, self.name, self._clock.earlier(), self._settings)
        if expired:
            self.given_up += expired
            _log.error("gave up on %d pending messages for sink %r", expired, self.name)

    def _say(self, message: AlertMessage, what: str, words: str) -> str:
        """Tell the other sinks that this one is in trouble, once for an episode of it."""
        state = self._state or SinkState()
        if state.alert_id is not None:
            return state.alert_id
        alert_id = self._troubles.begin(f"{what}/{message.message_id}", words, message)
        self._remember(state._replace(alert_id=alert_id))
        return alert_id

    # What expires where it is not said again

    def _is_to_resend(self, now: int) -> bool:
        if self._resend_every is None:
            return False
        before = self._resent_at
        # Time can go backwards.
        return before is None or not 0 <= now - before < self._resend_every * _SECOND

    def _resend(self, now: int) -> None:
        self._resent_at = now
        alerts = self._firing()
        for start in range(0, len(alerts), _IN_A_MESSAGE):
            message = AlertMessage(
                message_id=f"resent-{self.name}-{now}-{start}",
                sink=self.name,
                group="resent",
                kind="reminder",
                alerts=tuple(alerts[start : start + _IN_A_MESSAGE]),
                created_at=from_micros(self._clock.wall()),
            )
            sent = self._sender.send(message)
            if sent.problem is None:
                continue
            self._count_failure(sent.problem)
            if sent.permanent or sent.unusable:
                self._strike(message, sent.problem, at_once=sent.unusable)
            elif sent.retry_after > 0:
                self._hold(self._limit(sent))
            return


def expire(storage: Storage, sink: str, now: int, settings: OutboxSettings) -> int:
    """Give up messages that nobody could even try to send for so long; returns how many."""
    oldest = from_micros(now - round(settings.give_up_after * _SECOND))
    count = 0
    while True:
        # Those behind the first of their group come up when that is given up.
        found = storage.due_messages(_EVER, 500, sink=sink)
        old = [due.message for due in found if due.message.created_at < oldest]
        for message in old:
            storage.note_delivery(message.message_id, now, error="nobody could send it for long")
        count += len(old)
        if not old:
            return count
