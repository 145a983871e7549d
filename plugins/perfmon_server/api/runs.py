"""The routes that record: a body becomes dictionaries, the monitor's receipt the response."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import evolve

from perfmon import InvalidRun, Receipt, Rejection
from perfmon_server.api import types as shapes
from perfmon_server.http.errors import Refusal
from perfmon_server.http.params import NUMBER, Param
from perfmon_server.http.route import BOM, JSON, PREFIX, Body, Question, Reply, Route, decoded

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

NDJSON = "application/x-ndjson"
_LINES = (NDJSON, "application/jsonl", "application/jsonlines", "application/ndjson")
_AGENT_ONLY = ("run_id", "agent_name", "agent_type", "metadata", "tenant")


async def runs(question: Question) -> Any:
    """One run, a list, or NDJSON: decoding is a worker's as well, so that the loop stays free."""
    body = (await question.body()).removeprefix(BOM)
    named = question.request.content_type in _LINES
    receipt = await question.write(_record, question.monitor, body, named)
    return answer_of(receipt)


def _record(monitor: PerformanceMonitor, body: bytes, named: bool) -> Receipt:
    if _is_by_line(body, named):
        return _record_lines(monitor, body)
    if body.startswith(b"["):
        # Decoded and checked in one go; what is not JSON is parsed again for the reason.
        with suppress(InvalidRun):
            return _stored(monitor, body)
    items = decoded(body)
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        raise Refusal(400, "malformed_json", "a run is an object; several are a list of objects")
    return _stored(monitor, items)


def _is_by_line(body: bytes, named: bool) -> bool:
    """Whether each line is a run, by what is there rather than by what the header says of it.

    A list is a list, whatever it is called. Several lines are runs where one of the first two is
    an object by itself; a single object may be laid out over several lines.
    """
    start = body.lstrip()
    if start[:1] == b"[":
        return False
    lines = [line for line in start.split(b"\n", 3)[:2] if line.strip()]
    return named or (start[:1] == b"{" and len(lines) > 1 and any(map(_is_object, lines)))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def _record_lines(monitor: PerformanceMonitor, body: bytes) -> Receipt:
    try:
        return _stored(monitor, msgspec.json.Decoder().decode_lines(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        lines = [line for line in body.split(b"\n") if line.strip()]
    items: dict[int, Any] = {}
    broken: list[Rejection] = []
    for index, line in enumerate(lines):
        try:
            items[index] = decoded(line)
        except Refusal as refusal:
            message = str(refusal).replace("the body", "the line")
            broken.append(Rejection(index=index, field="", message=message))
    receipt = _stored(monitor, list(items.values()))
    places = list(items)
    refused = [evolve(item, index=places[item.index]) for item in receipt.rejected]
    rejected = sorted([*broken, *refused], key=lambda item: item.index)
    conflicts = [evolve(item, index=places[item.index]) for item in receipt.conflicts]
    return evolve(receipt, rejected=tuple(rejected), conflicts=tuple(conflicts))


def _stored(monitor: PerformanceMonitor, items: list[Any] | bytes) -> Receipt:
    receipt: Receipt = monitor.record_agent_runs(items, wait=True)
    refuse_unstored(monitor, receipt)
    return receipt


def refuse_unstored(monitor: PerformanceMonitor, receipt: Receipt) -> None:
    # With a journal what is not stored yet is safe there; without one it is in memory only.
    if receipt.dropped or (not receipt.stored and monitor.config.monitor.durability == "memory"):
        message = "storage is unavailable; send the batch again later"
        raise Refusal(503, "storage_unavailable", message)


def answer_of(receipt: Receipt, **more: Any) -> Any:
    """The counts and more, or 422 with the counts where nothing but refusals came of it."""
    counts: dict[str, Any] = {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "conflicts": receipt.conflicts,
        "rejected": receipt.rejected,
    }
    if receipt.cut:
        counts["cut"] = receipt.cut
    if len(receipt.rejected) < receipt.total or not receipt.rejected:
        return {**counts, **more}
    first = receipt.rejected[0]
    error = {"code": "invalid_run", "message": first.message, "field": first.field}
    return Reply(status=422, value={"error": error, **counts})


async def started(question: Question) -> Any:
    fields = decoded(await question.body())
    if not isinstance(fields, dict):
        raise Refusal(400, "malformed_json", "a started run is an object")
    for name in fields:
        if name not in _AGENT_ONLY:
            raise InvalidRun(name, fields[name], f"one of the fields {', '.join(_AGENT_ONLY)}")
    for name in ("run_id", "agent_name"):
        if name not in fields:
            raise InvalidRun(name, None, "text of 1 to 256 bytes, without NUL")
    await question.write(_begin, question.monitor, fields)
    return {"status": "success"}


def _begin(monitor: PerformanceMonitor, fields: dict[str, Any]) -> None:
    """Note it, or refuse it for now: a beginning without room is not known afterwards."""
    if not monitor.run_started(**fields):
        message = "too many runs are in flight, the maximum; try again when some have ended"
        raise Refusal(503, "no_room", message)


async def sync(question: Question) -> Any:
    hours = question.query.get("lookback_hours")
    if body := await question.body():
        hours = _lookback(body, hours)
    loaded = await question.read(
        question.monitor.sync_with_database, 24 if hours is None else hours
    )
    return {"status": "success", "loaded": loaded}


def _lookback(body: bytes, given: float | None) -> float:
    """The hours that a body asks for; what it does not say in this form is refused."""
    fields = decoded(body)
    if not isinstance(fields, dict) or fields.keys() - {"lookback_hours"}:
        message = 'the body is empty, or an object such as {"lookback_hours": 24}'
        raise Refusal(400, "bad_parameter", message, field="lookback_hours")
    if given is not None and fields:
        message = "lookback_hours is given in both the query and the body: omit one"
        raise Refusal(400, "bad_parameter", message, field="lookback_hours")
    hours = fields.get("lookback_hours", LOOKBACK.default)
    return float(LOOKBACK.read(str(hours) if type(hours) in (int, float) else repr(hours)))


LOOKBACK = Param(
    name="lookback_hours",
    kind=NUMBER,
    least=1 / 60,
    most=24 * 366,
    default=24,
    description="How far back, in hours.",
)
_RUN = {
    "run_id": "r-1",
    "agent_name": "billing-agent",
    "agent_type": "billing",
    "status": "success",
    "duration_ms": 812.5,
    "input_tokens": 950,
    "output_tokens": 120,
    "cost": 0.0041,
    "model": "small-1",
}

ROUTES = (
    Route(
        method="POST",
        path=f"{PREFIX}/runs",
        summary="Record runs; a 2xx means that they are stored with the configured durability",
        answer=runs,
        shape=shapes.RecordedRuns,
        body=Body(
            shape=shapes.RunBody | list[shapes.RunBody],
            contents=(JSON, NDJSON),
            example=[_RUN],
        ),
        also={422: shapes.NoneRecorded},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/runs/started",
        summary="Report that a run has started",
        answer=started,
        shape=shapes.Done,
        body=Body(
            shape=shapes.StartedBody, example={"run_id": "r-1", "agent_name": "billing-agent"}
        ),
        refuses=(422,),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/sync",
        summary="Load stored history into the window (idempotent)",
        answer=sync,
        shape=shapes.Synced,
        params=(LOOKBACK,),
        body=Body(shape=shapes.SyncBody, example={"lookback_hours": 24}, required=False),
    ),
)
