"""Alerts, deliveries and silences as lines of at most 80 columns, and alerts as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from perfmon.alerts.wording.sentences import whom
from perfmon.delivery.messages import alert_facts
from perfmon.errors import PerfmonError
from perfmon.metrics.formatting import lasted, moment
from perfmon.records import PerformanceAlert, Silence, from_micros, jsonable, to_micros
from perfmon.reports.text import WIDTH, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from perfmon.monitor.monitor import PerformanceMonitor
    from perfmon.storage.alerts import Delivery, FoundAlert

SHORT = 8
_LOOKED_THROUGH = 10_000
_SECOND = 1_000_000
_TIMES = ("created_at", "tried_at", "due_at", "closed_at")


def full_id(monitor: PerformanceMonitor, given: str) -> str:
    """The alert_id with this prefix; `PerfmonError` where none has it, or several have."""
    if monitor.storage.find_alerts(alert_id=given, limit=1):
        return given
    newest = monitor.storage.find_alerts(limit=_LOOKED_THROUGH)
    return only_one("alert", given, [one.alert.alert_id for one in newest], "perfmon alerts")


def only_one(noun: str, given: str, known: Sequence[str], lister: str) -> str:
    """The one known id with this prefix."""
    found = [one for one in known if given and one.startswith(given)]
    if not found:
        raise PerfmonError(f"no {noun} {given!r} (list them with {lister})")
    if len(found) > 1:
        raise PerfmonError(f"{given!r} is ambiguous: the IDs of {len(found)} {noun}s begin with it")
    return found[0]


def as_json(found: FoundAlert) -> dict[str, Any]:
    """As REST has it."""
    return found.alert.to_plain() | {
        "deliveries": [_delivery_json(one) for one in found.deliveries]
    }


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    times = {name: getattr(delivery, name) for name in _TIMES}
    shown = {name: None if at is None else from_micros(at) for name, at in times.items()}
    plain: dict[str, Any] = jsonable(delivery._asdict() | shown)
    return plain


def alert_lines(
    alert: PerformanceAlert,
    now: int,
    *,
    full: bool = False,
    others: Iterable[PerformanceAlert] = (),
) -> Iterator[str]:
    """Level, state, start and duration; then who and what is wrong, and its marks."""
    level, alert_id = alert.level.value.upper(), alert.alert_id[:SHORT]
    head = f"{level:<8}  {alert.state:<8}  {_since(alert, now):<38}"
    yield f"{head}{alert_id:>{WIDTH - len(head)}}"
    yield from _wrapped(f"{_who(alert)}: {_without_who(alert)}")
    marks = _marks(alert, others)
    if marks:
        yield from _wrapped("; ".join(marks))
    if full:
        yield from _details(alert)


def _since(alert: PerformanceAlert, now: int) -> str:
    began = alert.started_at or alert.timestamp
    ended = now if alert.resolved_at is None else to_micros(alert.resolved_at)
    long = lasted(max(0, ended - to_micros(began)) / _SECOND)
    return f"{'since ' if alert.resolved_at is None else ''}{_at(began)}, {long}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _who(alert: PerformanceAlert) -> str:
    named = {
        "agent": alert.agent_name,
        "agent_type": alert.agent_type,
        "model": alert.model,
        "tenant": alert.tenant,
    }
    return whom({name: value for name, value in named.items() if value is not None})


def _without_who(alert: PerformanceAlert) -> str:
    """The message begins with the agent, which is shown already."""
    return alert.message.removeprefix(f"{_who(alert)}: ")


def _marks(alert: PerformanceAlert, others: Iterable[PerformanceAlert]) -> list[str]:
    marks = []
    if alert.acknowledged_by is not None:
        marks.append(f"acknowledged by {alert.acknowledged_by}")
    if alert.silenced_by is not None:
        marks.append(f"silenced by {alert.silenced_by[:SHORT]}")
    if alert.inhibited_by is not None:
        cause = next((one for one in others if one.key == alert.inhibited_by), None)
        named = "another alert" if cause is None else f"'{cause.subject}'"
        marks.append(f"suppressed: same cause as {named}")
    return marks


def _details(alert: PerformanceAlert) -> Iterator[str]:
    if alert.recommendation:
        yield from _wrapped(alert.recommendation)
    facts = {"Id": alert.alert_id, "Rule": alert.rule} | alert_facts(alert)
    facts.pop("Recommendation", None)  # said above
    for name, text in facts.items():
        yield from _wrapped(f"{name}: {text}")


def delivery_lines(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """A line for each notification, and one more for its error."""
    yield "notifications:" if deliveries else "no notifications sent"
    for one in deliveries:
        at = moment(from_micros(one.closed_at or one.due_at))
        word = {"waiting": "next attempt", "delivered": "delivered", "given_up": "gave up"}
        tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
        yield from _wrapped(f"{one.sink}: {one.kind}: {word[one.state]} {at} ({tries})")
        if one.error:
            yield from _wrapped(one.error, indent=4)


def silence_lines(silence: Silence, now: int) -> Iterator[str]:
    """When it ends and what it matches; then its author and reason."""
    globs = ", ".join(f"{name} {glob}" for name, glob in silence.matchers.items())
    left = lasted((to_micros(silence.ends_at) - now) / _SECOND)
    begins = to_micros(silence.starts_at) > now
    start = f"from {_at(silence.starts_at)} " if begins else ""
    head = f"{silence.silence_id[:SHORT]}  {start}until {_at(silence.ends_at)}"
    yield head if begins else f"{head} ({left} left)"
    yield from _wrapped(globs)
    yield from _wrapped(f"by {silence.author}{f': {silence.comment}' if silence.comment else ''}")


def _wrapped(text: str, indent: int = 2) -> list[str]:
    space = " " * indent
    return textwrap.wrap(printable(text), WIDTH, initial_indent=space, subsequent_indent=space)
