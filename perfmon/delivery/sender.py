"""One call of a sink, with a deadline, and its result in a form that decides what is next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

import attrs

from perfmon.config.secret import redacted
from perfmon.errors import DeliveryError
from perfmon.plugins.threads import in_thread
from perfmon.plugins.worker import Implementation
from perfmon.records import AlertMessage

HANGING = 3
"""So many calls of a sink may hang; with them it is not called again before one of them ends."""


@attrs.frozen(kw_only=True)
class OutboxSettings:
    """How messages are sent; times in seconds.

    Attributes:
        deadline: how long a sink may take for a message, where it has no attribute `deadline`.
        first_pause, longest_pause: before the second attempt, and at most; a pause doubles from
            attempt to attempt, and a random part of it is waited ("full jitter").
        give_up_after: from the first attempt on.
        strikes: this many permanent refusals in a row, of any messages, count against the sink.
        first_hold, disabled_for: how long a sink is left alone then, and at most; the time doubles
            from refusal to refusal, until it takes a message.
        first_aside: how long a message is put aside that was refused for good; four times as long
            each further time, and at most `disabled_for`.
        refusals: so often a message must be refused for good, while others are taken, until it is
            given up.
        lease: for how long a process has a sink to itself where several share a storage.
        poll: how often each sink looks for messages that nobody woke it for.
    """

    deadline: float = 30.0
    first_pause: float = 2.0
    longest_pause: float = 300.0
    give_up_after: float = 86_400.0
    strikes: int = 3
    first_hold: float = 60.0
    disabled_for: float = 3_600.0
    first_aside: float = 15.0
    refusals: int = 4
    lease: float = 15.0
    poll: float = 2.0


class Sent(NamedTuple):
    """What came of a call.

    Attributes:
        problem: why it was not delivered, without secrets; None where it was.
        permanent: trying this message again is of no use.
        unusable: the sink itself cannot be called now.
        retry_after: seconds before which the sink does not want to be called; 0 where it did
            not say.
        seconds: how long it took.
    """

    problem: str | None = None
    permanent: bool = False
    unusable: bool = False
    retry_after: float = 0.0
    seconds: float = 0.0


class Sender:
    """Calls one sink, each time with a deadline.

    An `async def` runs on its plugin's event loop and is cancelled. A function that blocks runs
    in a thread of its own, since threads cannot be killed: what is late is left behind, and told
    by `late` if it still comes to a good end.
    """

    def __init__(
        self, sink: Implementation, deadline: float, late: Callable[[AlertMessage], None]
    ) -> None:
        self.sink = sink
        self._deadline = deadline
        self._late = late
        self._left_behind: list[Future[BaseException | None]] = []

    def send(self, message: AlertMessage) -> Sent:
        """Call the sink and wait for it, up to the deadline."""
        account, started = self.sink.account, time.monotonic()
        self._left_behind = [call for call in self._left_behind if not call.done()]
        if not account.in_service:
            return Sent(account.last_error or "the plugin is disabled", unusable=True)
        if len(self._left_behind) >= HANGING:
            return Sent(f"{HANGING} earlier calls are still hanging", unusable=True)
        sent = self._remote(message) if self.sink.remote is not None else self._local(message)
        return sent._replace(seconds=time.monotonic() - started)

    def _remote(self, message: AlertMessage) -> Sent:
        remote, sink = self.sink.remote, self.sink
        assert remote is not None
        values = (message.alerts[0], message)
        try:
            reply = remote.ask(
                sink.hook, sink.positional, values, None, self._deadline, propagate=DeliveryError
            )
        except DeliveryError as refusal:
            return _refusal(refusal)
        return Sent(reply.problem)

    def _local(self, message: AlertMessage) -> Sent:
        call = in_thread(self._run, message, name=f"perfmon-{self.sink.plugin}-send")
        try:
            problem = call.result(self._deadline)
        except TimeoutError:
            problem = TimeoutError(f"no answer within {self._deadline:g} s")
            self.sink.account.failed(self.sink.hook, problem)
            self._left_behind.append(call)
            call.add_done_callback(partial(self._ended, message))
        return Sent() if problem is None else _refusal(problem)

    def _run(self, message: AlertMessage) -> BaseException | None:
        """Call it, and what it raised."""
        account, started = self.sink.account, time.monotonic()
        try:
            self.sink.run({"alert": message.alerts[0], "message": message})
        except BaseException as problem:
            account.failed(self.sink.hook, problem)
            return problem
        finally:
            account.called(time.monotonic() - started)
        return None

    def _ended(self, message: AlertMessage, call: Future[BaseException | None]) -> None:
        """A call that was left behind has ended."""
        if call.result() is None:
            self._late(message)


def _refusal(problem: BaseException) -> Sent:
    if not isinstance(problem, DeliveryError):
        return Sent(f"{type(problem).__name__}: {redacted(problem)}")
    return Sent(
        redacted(problem) or "DeliveryError",
        permanent=problem.permanent,
        retry_after=_seconds(problem.retry_after),
    )


def _seconds(given: object) -> float:
    """What a plugin calls seconds, where it is some."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        return 0.0
    return max(0.0, float(given))
