"""An agent in an orchestrator: a type, a name, a callable, and how a call ended."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

import attrs

from perfmon.errors import PerfmonError
from perfmon.plugins.threads import in_thread
from perfmon.recording.resources import STEPS, THREAD, Meter, Usage

# What an agent may say about its own run, beside its output.
REPLY_FIELDS = (
    "tokens_used", "input_tokens", "output_tokens", "cached_tokens", "cost", "memory_mb",
    "cpu_ms", "quality_score", "confidence", "api_calls", "model", "task_type", "error_type",
    "metadata",
)  # fmt: skip
_STATUSES = {
    "success": "success", "partial": "partial", "failure": "failure", "timeout": "failure",
}  # fmt: skip
# Beside an output these words can mean nothing else; in a dictionary that is itself the output
# they may be the status of an order.
_SYNONYMS = {"failed": "failure", "error": "failure"}


@attrs.frozen
class Agent:
    """An agent by name and type, and the function that runs it."""

    agent_type: str
    name: str
    function: Callable[..., Any]

    @classmethod
    def of(cls, agent_type: str, given: Any) -> Agent:
        """From a callable, an object with `.run`, or a pair of a name and one of these."""
        name = f"{agent_type}_agent"
        if isinstance(given, tuple) and len(given) == 2:
            name, given = given
        function = given if callable(given) else getattr(given, "run", None)
        if not callable(function) or not isinstance(name, str):
            raise PerfmonError(
                f"agents[{agent_type!r}] = {given!r}: must be a callable, an object with run(),"
                " or (name, one of these)"
            )
        return cls(agent_type, name, function)

    @property
    def is_async(self) -> bool:
        call = getattr(self.function, "__call__", None)  # noqa: B004 - inspected, not called
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(call)

    def bound(self, task: Any, context: Mapping[str, Any]) -> Callable[[], Any]:
        """The call, with the arguments the function has parameters for."""
        args, kwargs = _arguments(self.function, {**context, "task": task, "context": context})
        return lambda: self.function(*args, **kwargs)


def _arguments(
    function: Callable[..., Any], known: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """By name where all names are known, else the task and the context by position."""
    positional = (known["task"], known["context"])
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return positional, {}
    plain = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    by_name = all(p.name in known or p.default is not p.empty for p in plain)
    if any(p.kind == p.VAR_KEYWORD for p in parameters) and by_name:
        return (), dict(known)
    if plain and by_name and not any(p.kind == p.POSITIONAL_ONLY for p in plain):
        return (), {p.name: known[p.name] for p in plain if p.name in known}
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return positional, {}
    places = [p for p in plain if p.kind != p.KEYWORD_ONLY]
    return positional[: len(places)], {}


@attrs.frozen
class Ending:
    """How a call ended: its value or its exception, and what it took."""

    value: Any = None
    problem: BaseException | None = None
    duration_ms: float = 0.0
    cpu_ms: Usage | None = None
    memory_mb: Usage | None = None

    @property
    def timed_out(self) -> bool:
        return isinstance(self.problem, TimeoutError) or self._said_status() == "timeout"

    @property
    def status(self) -> str:
        if self.problem is not None:
            return "failure"
        said = self._said_status()
        words = _STATUSES | _SYNONYMS if self._has_output() else _STATUSES
        return words.get(said, "success")

    @property
    def output(self) -> Any:
        """What the agent gave: `output` of a reply, else the whole value."""
        return self.value["output"] if self._has_output() else self.value

    @property
    def details(self) -> dict[str, Any]:
        """What the agent said about its run, and its error class where it ended badly."""
        said = self.value if self._has_output() or self._said_status() in _STATUSES else {}
        fields = {key: said[key] for key in REPLY_FIELDS if said.get(key) is not None}
        if self.problem is not None:
            fields["error_type"] = type(self.problem).__name__
        elif self.status == "failure":
            error = said.get("error")
            named = error if isinstance(error, str) and error.strip() else None
            fields.setdefault("error_type", named or ("timeout" if self.timed_out else None))
        return fields

    @property
    def error(self) -> str | None:
        """One line on what went wrong, or None."""
        if self.problem is not None:
            text = str(self.problem)
            return f"{type(self.problem).__name__}: {text}" if text else type(self.problem).__name__
        if self.status != "failure":
            return None
        return str(self.details.get("error_type") or "the agent reported a failure")

    def _said_status(self) -> str:
        said = self.value.get("status") if isinstance(self.value, dict) else None
        return said.lower() if isinstance(said, str) else ""

    def _has_output(self) -> bool:
        return isinstance(self.value, dict) and "output" in self.value


Caller = Callable[[Agent, Callable[[], Any]], Awaitable[Ending]]


def measured(call: Callable[[], Any]) -> Ending:
    """Call here and now; whatever is raised is part of the ending."""
    meter = Meter(THREAD).begin()
    value, problem = None, None
    token = meter.enter()
    try:
        value = call()
    except BaseException as raised:
        problem = raised
    meter.leave(token)
    return _ended(meter, value, problem)


def _ended(meter: Meter, value: Any, problem: BaseException | None) -> Ending:
    meter.end()
    return Ending(value, problem, meter.duration * 1000, meter.cpu_ms, meter.memory_mb)


async def measured_async(value: Awaitable[Any], limit: float | None) -> Ending:
    """Await within a time limit in seconds; whatever is raised is part of the ending."""
    meter = Meter(STEPS if inspect.iscoroutine(value) else None).begin()
    result, problem = None, None
    token = meter.enter()
    try:
        # Not `wait_for`, which before Python 3.12 may swallow its caller's cancellation.
        async with asyncio.timeout(limit):
            result = await (meter.steps(value) if inspect.iscoroutine(value) else value)
    except BaseException as raised:
        problem = raised
    meter.leave(token)
    if isinstance(problem, TimeoutError) and not str(problem) and limit is not None:
        problem = _too_late(limit)
    return _ended(meter, result, problem)


def measured_in_thread(call: Callable[[], Any]) -> Future[Ending]:
    """Call in a thread of its own, in the context of here."""
    return in_thread(contextvars.copy_context().run, measured, call, name="perfmon-agent")


def wait_for_thread(call: Callable[[], Any], limit: float) -> Ending:
    """Call in a thread, and wait at most this many seconds for it."""
    started = time.perf_counter()
    try:
        return measured_in_thread(call).result(limit)
    except TimeoutError:
        problem: BaseException = _too_late(limit)
    except BaseException as interrupted:
        problem = interrupted
    return Ending(None, problem, (time.perf_counter() - started) * 1000)


def _too_late(limit: float) -> TimeoutError:
    return TimeoutError(f"no answer within {limit:g} s")


def joined(first: Ending, rest: Ending) -> Ending:
    """A call that returned an awaitable, and what came of awaiting it."""
    return attrs.evolve(
        rest,
        duration_ms=first.duration_ms + rest.duration_ms,
        cpu_ms=_both(first.cpu_ms, rest.cpu_ms),
        memory_mb=_both(first.memory_mb, rest.memory_mb),
    )


def _both(first: Usage | None, rest: Usage | None) -> Usage | None:
    """Known where both are."""
    if first is None or rest is None:
        return None
    return Usage(first.amount + rest.amount, rest.source)
