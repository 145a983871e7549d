"""The alert part of the storage interface: episodes, machine state, silences, outgoing messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from perfmon.records import AlertLevel, AlertMessage, PerformanceAlert, Silence


class AlertState(NamedTuple):
    """What the machine that decides about alerts remembers, in its own form.

    Attributes:
        version: how often it was saved; 0 is never.
        data: what was saved last.
    """

    version: int = 0
    data: bytes = b""


class Delivery(NamedTuple):
    """What became of a message. Times are UTC microseconds, None where it has not happened.

    Attributes:
        state: `waiting`, `delivered` or `given_up`.
        attempts: how often it was tried.
        tried_at: the first attempt.
        due_at: the next one, or the last where it waits no more.
        closed_at: when it was delivered or given up.
        error: why the last attempt failed, without secrets.
    """

    message_id: str
    sink: str
    kind: str
    state: str
    attempts: int
    created_at: int
    tried_at: int | None
    due_at: int
    closed_at: int | None
    error: str | None


class FoundAlert(NamedTuple):
    """An episode, and its messages in the order in which they were decided."""

    alert: PerformanceAlert
    deliveries: tuple[Delivery, ...]


class DueMessage(NamedTuple):
    """A message to send; `attempts` were made before, the first of them at `tried_at`."""

    message: AlertMessage
    attempts: int
    tried_at: int | None


class SinkState(NamedTuple):
    """What is remembered of a sink. Times are UTC microseconds.

    Attributes:
        held_until: before this nothing is sent to it.
        reason: why it is disabled until then; None where it only asked for patience.
        alert_id: the episode of its being in trouble that still fires, or None.
    """

    held_until: int = 0
    reason: str | None = None
    alert_id: str | None = None


class RunInFlight(NamedTuple):
    """A run that began and was not recorded yet.

    Attributes:
        metadata: JSON, or None.
        started_at: UTC microseconds.
    """

    tenant: str
    run_id: str
    agent_name: str
    agent_type: str | None
    metadata: str | None
    started_at: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one run from another."""
        return self[:3]


class AlertStorage(Protocol):
    """Keeps and finds alerts and what is to be told of them.

    Durability: what a method returned for survives the end of the process.
    Sharing: several processes may use one storage; who decides takes a lease, and the version of
    the state keeps out an owner who lost it without noticing.
    Order: a message is not due while an earlier one waits for the same sink that is of the same
    group or about one of the same alerts.
    Times are UTC microseconds. Errors: `StorageError`; a failed call has changed nothing.
    """

    def save_alerts(
        self,
        alerts: Sequence[PerformanceAlert],
        state: AlertState | None = None,
        messages: Sequence[AlertMessage] = (),
    ) -> bool:
        """Put in or replace episodes by their alert_id, the state, and add messages to send.

        In one transaction. `state` has the version that was read, and is saved as the next one;
        where somebody else has saved meanwhile, nothing changes and the answer is False. None
        leaves the state alone. A message whose message_id is there already is not added again.
        An acknowledgement stays with its episode, whatever is saved, until the level changes.
        """
        ...

    def read_alert_state(self) -> AlertState:
        """The state as it was saved last; version 0 where it never was."""
        ...

    def find_alerts(
        self,
        *,
        level: AlertLevel | str | None = None,
        min_level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        state: str | None = None,
        since: int | None = None,
        until: int | None = None,
        alert_id: str | None = None,
        limit: int | None = 50,
    ) -> list[FoundAlert]:
        """Episodes, those that began last first: which were not over before `since`, and began
        before `until`.
        """
        ...

    def count_alerts(
        self,
        *,
        level: AlertLevel | str | None = None,
        min_level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        state: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> int:
        """How many episodes `find_alerts` would find without a limit."""
        ...

    def acknowledge_alert(self, alert_id: str, by: str, at: int) -> bool:
        """Note who takes care of an episode; False where there is none of this id."""
        ...

    def due_messages(self, now: int, limit: int, *, sink: str | None = None) -> list[DueMessage]:
        """Messages that wait and may be sent now, the longest due first.

        What was not tried yet may be sent whatever `now` says: clocks are set back, too.
        """
        ...

    def note_delivery(
        self,
        message_id: str,
        at: int,
        *,
        delivered: bool = False,
        retry_at: int | None = None,
        error: str | None = None,
    ) -> bool:
        """Count an attempt: it was delivered, is tried again at `retry_at`, or is given up.

        False where the message does not wait (any more); nothing changes then.
        """
        ...

    def waiting_messages(self) -> dict[str, int]:
        """How many messages wait, by sink."""
        ...

    def read_sinks(self) -> dict[str, SinkState]:
        """What is remembered of sinks, by name."""
        ...

    def save_sink(self, sink: str, state: SinkState) -> None:
        """Remember this of a sink."""
        ...

    def save_silence(self, silence: Silence) -> None:
        """Put in or replace a silence by its silence_id."""
        ...

    def read_silences(self, now: int | None = None) -> list[Silence]:
        """Active and scheduled silences at `now` (None: all), the latest beginning first."""
        ...

    def end_silence(self, silence_id: str, at: int) -> bool:
        """End a silence; False where there is none of this id, or it is over by then."""
        ...

    def lease_holder(self, name: str) -> str | None:
        """Whose lease it is now; None where it is over, or was let go of."""
        ...

    def save_in_flight(
        self, began: Sequence[RunInFlight], ended: Sequence[tuple[str, str, str]]
    ) -> None:
        """Put in or replace runs under way by their keys, and forget those of these keys."""
        ...

    def read_in_flight(self) -> list[RunInFlight]:
        """The runs under way, those that began first first.

        One is over when a run of its key is stored that ended after it began (or less than a
        minute before, since clocks differ).
        """
        ...

    def save_notes(self, kind: str, notes: Mapping[str, str], gone: Iterable[str] = ()) -> None:
        """Put in or replace notes of a kind by their names, and forget those of these names."""
        ...

    def read_notes(self, kind: str) -> dict[str, str]:
        """All notes of a kind, by name."""
        ...

    def take_lease(self, name: str, owner: str, seconds: float) -> bool:
        """Whether this owner has the lease for this many seconds from now.

        It is given to who has it, or to anybody after its end; 0 seconds let go of it. Told by
        the clock of the storage (where that has one of its own), whatever the monitors' clocks
        say. A lease is no lock: who pauses for longer than its seconds may have lost it.
        """
        ...
