"""The routes about alerts: list, acknowledge, resolve, silence."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import attrs

from perfmon import AlertLevel, Delivery, FoundAlert, InvalidRun, from_micros
from perfmon_server.api import alert_types as alert_shapes
from perfmon_server.api import types as shapes
from perfmon_server.http.errors import Refusal
from perfmon_server.http.params import AGENT, INTEGER, MOMENT, Param
from perfmon_server.http.route import PREFIX, Body, Question, Route, decoded

_LEVELS = tuple(level.value for level in AlertLevel)
_NEEDED = {
    "matchers": "globs by name, such as agent",
    "until": "a time in the future",
    "by": "a name",
}


async def alerts(question: Question) -> Any:
    found = await question.read(partial(question.monitor.find_alerts, **question.query))
    return {"alerts": [_answer(one) for one in found.alerts], "total_count": found.total}


def _answer(found: FoundAlert) -> alert_shapes.Alert:
    fields = attrs.asdict(found.alert, recurse=False)
    return alert_shapes.Alert(**fields, deliveries=tuple(map(_delivery, found.deliveries)))


def _delivery(delivery: Delivery) -> Any:
    values: dict[str, Any] = delivery._asdict()
    for name in ("created_at", "tried_at", "due_at", "closed_at"):
        values[name] = None if values[name] is None else from_micros(values[name])
    return values


async def acknowledge(question: Question) -> Any:
    alert_id = question.name("id")
    fields = _fields(await question.body(), ("by",), ())
    await _known(question, question.monitor.acknowledge, alert_id, fields["by"])
    found = await question.read(question.monitor.get_alert, alert_id)
    return {"status": "success", "alert": _answer(found)}


async def resolve(question: Question) -> Any:
    alert_id = question.name("id")
    fields = _fields(await question.body(), ("by",), ("comment",))
    await _known(question, question.monitor.resolve, alert_id, fields["by"], fields.get("comment"))
    found = await question.read(question.monitor.get_alert, alert_id)
    return {"status": "success", "alert": _answer(found)}


async def silences(question: Question) -> Any:
    found = await question.read(question.monitor.get_silences)
    return {"silences": found, "total_count": len(found)}


async def silence(question: Question) -> Any:
    fields = _fields(await question.body(), tuple(_NEEDED), ("comment", "starts_at"))
    fields["comment"] = fields.get("comment") or ""
    made = await question.write(partial(question.monitor.silence, **fields))
    return {"status": "success", "silence": made}


async def unsilence(question: Question) -> Any:
    await _known(question, question.monitor.unsilence, question.name("id"))
    return {"status": "success"}


async def _known(question: Question, call: Any, *args: Any) -> Any:
    """What a call about something of an id answers; 404 where there is nothing of it."""
    try:
        return await question.write(call, *args)
    except InvalidRun as problem:
        if problem.field in ("alert_id", "silence_id"):
            raise Refusal(404, "not_found", str(problem), field="id") from None
        raise


def _fields(body: bytes, needed: Collection[str], optional: Collection[str]) -> dict[str, Any]:
    found = decoded(body)
    if not isinstance(found, dict):
        raise Refusal(400, "malformed_json", "the body is an object")
    for name in found:
        if name not in (*needed, *optional):
            allowed = f"one of the fields {', '.join((*needed, *optional))}"
            raise InvalidRun(name, found[name], allowed)
    for name in needed:
        if found.get(name) is None:
            raise InvalidRun(name, None, _NEEDED[name])
    return found


ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/alerts",
        summary="Firing and resolved alerts, with their notifications",
        answer=alerts,
        shape=alert_shapes.AlertsAnswer,
        params=(
            Param(name="level", choices=_LEVELS, description="Only this level."),
            Param(name="min_level", choices=_LEVELS, description="This level or a higher one."),
            AGENT,
            Param(
                name="limit",
                kind=INTEGER,
                least=1,
                most=1000,
                default=50,
                description="Maximum number of alerts; total_count counts all.",
            ),
            Param(
                name="state",
                choices=("pending", "firing", "resolved"),
                description="Only alerts in this state; by default all but pending ones.",
            ),
            Param(
                name="since", kind=MOMENT, description="Leave out alerts resolved before this time."
            ),
            Param(
                name="until", kind=MOMENT, description="Only alerts that started before this time."
            ),
            Param(name="tenant", description="Only alerts about this tenant."),
            Param(name="model", description="Only alerts about this model."),
            Param(name="agent_type", description="Only alerts about agents of this type."),
        ),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/alerts/{{id}}/acknowledge",
        summary="Acknowledge an alert: no reminders until it gets worse",
        answer=acknowledge,
        shape=alert_shapes.Acknowledged,
        names={"id": "The alert's alert_id."},
        body=Body(shape=alert_shapes.AcknowledgeBody, example={"by": "ann"}),
        refuses=(404, 422),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/alerts/{{id}}/resolve",
        summary="Resolve a firing alert by hand; it fires again after a recovery, or if it worsens",
        answer=resolve,
        shape=alert_shapes.Acknowledged,
        names={"id": "The alert's alert_id."},
        body=Body(
            shape=alert_shapes.ResolveBody, example={"by": "ann", "comment": "agent retired"}
        ),
        refuses=(404, 422),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/silences",
        summary="Active and scheduled silences",
        answer=silences,
        shape=alert_shapes.SilencesAnswer,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/silences",
        summary="Mute notifications for matching alerts for a while; they are still listed",
        answer=silence,
        shape=alert_shapes.Silenced,
        body=Body(
            shape=alert_shapes.SilenceBody,
            example={
                "matchers": {"agent": "billing-*", "level": "warning"},
                "until": "2100-01-01T00:00:00Z",
                "by": "ann",
                "comment": "moving house",
            },
        ),
        refuses=(422,),
    ),
    Route(
        method="DELETE",
        path=f"{PREFIX}/silences/{{id}}",
        summary="End a silence early",
        answer=unsilence,
        shape=shapes.Done,
        names={"id": "The silence's silence_id."},
        refuses=(404,),
    ),
)
