"""Validates many runs at once: plain cases in C, the rest one by one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from perfmon.errors import InvalidRun
from perfmon.records.content import OWN_STAMP, when
from perfmon.records.validation import (
    MAX_ID,
    MAX_JSON,
    MAX_NAME,
    RUN_FIELDS,
    STATUS_CODES,
    quick_json,
)

Row = tuple[Any, ...]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
_Amount = Annotated[int, Meta(ge=0, le=10**15)] | Annotated[float, Meta(ge=0, le=1e15)] | None
_Share = Annotated[int, Meta(ge=0, le=1)] | Annotated[float, Meta(ge=0, le=1)] | None
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)] | None


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A run in the order of `RUN_FIELDS`."""

    run_id: _Id
    tenant: _Name = "default"
    agent_name: _Name
    agent_type: _Name | None = None
    model: _Name | None = None
    task_type: _Name | None = None
    timestamp: Any = None
    status: str
    duration_ms: _Amount = None
    tokens_used: _Amount = None
    input_tokens: _Amount = None
    output_tokens: _Amount = None
    cached_tokens: _Amount = None
    cost: _Amount = None
    memory_mb: _Amount = None
    cpu_ms: _Amount = None
    quality_score: _Share = None
    confidence: _Share = None
    api_calls: _Count = None
    retries: _Count = None
    timed_out: bool = False
    error_type: str | None = None
    task_id: _Id | None = None
    metadata: dict[str, Any] | None = None


assert _Plain.__struct_fields__ == RUN_FIELDS

_as_tuple = msgspec.structs.astuple
_decode = msgspec.json.Decoder(list[_Plain]).decode
_QUICK_PROBLEMS = (
    msgspec.MsgspecError, TypeError, ValueError, KeyError, ArithmeticError, RecursionError,
)  # fmt: skip


def quick_rows(
    items: Sequence[Any] | bytes, known: Container[Any], known_errors: Container[str], now: int
) -> Iterator[Row | None]:
    """For each item its row, or None where the slow way must look at it.

    Args:
        items: mappings of a run's fields or anything else; or the bytes of a JSON array of them.
        known: the keys (tenant, agent, type, model, task type) that were checked before.
        known_errors: the error classes that were.
        now: the clock's time in microseconds.
    """
    for plain in _converted(items):
        try:
            row = None if plain is None else _row(_as_tuple(plain), now)
        except _QUICK_PROBLEMS:
            row = None
        if row is None or row[1:6] not in known:
            yield None
        else:
            yield row if row[21] is None or row[21] in known_errors else None


def _converted(items: Sequence[Any] | bytes) -> Iterator[_Plain | None]:
    try:
        if isinstance(items, bytes):
            yield from _decode(items)
        else:
            yield from msgspec.convert(items, list[_Plain])
        return
    except _QUICK_PROBLEMS:
        pass
    for item in json_items(items) if isinstance(items, bytes) else items:
        try:
            yield msgspec.convert(item, _Plain)
        except _QUICK_PROBLEMS:
            yield None


def json_items(body: bytes) -> list[Any]:
    """The items of a JSON array, or `InvalidRun`."""
    try:
        items = msgspec.json.decode(body)
    except _QUICK_PROBLEMS:
        items = None
    if not isinstance(items, list):
        raise InvalidRun("runs", body[:80], "a JSON array of runs")
    return items


def _row(fields: Row, now: int) -> Row | None:
    (
        run_id,
        tenant,
        agent_name,
        agent_type,
        model,
        task_type,
        timestamp,
        status,
        duration_ms,
        tokens_used,
        input_tokens,
        output_tokens,
        *as_given,
        timed_out,
        error_type,
        task_id,
        metadata,
    ) = fields
    details = None
    if metadata is not None:
        encoded = quick_json(metadata)
        if task_type is None:
            task_type = metadata.get("task_type")
        if len(encoded) > MAX_JSON or not isinstance(task_type, str | None):
            return None
        details = encoded.decode()
    if tokens_used is None and (input_tokens is not None or output_tokens is not None):
        tokens_used = (input_tokens or 0) + (output_tokens or 0)
    if not run_id.isascii() or "\0" in run_id or not run_id.strip():
        return None
    if task_id is not None and (not task_id.isascii() or "\0" in task_id or not task_id.strip()):
        return None
    at, added = (now, OWN_STAMP) if timestamp is None else when(timestamp, now)
    return (
        run_id,
        tenant,
        agent_name,
        agent_type,
        model,
        task_type,
        at,
        STATUS_CODES[status],
        duration_ms,
        tokens_used,
        input_tokens,
        output_tokens,
        *as_given,
        int(timed_out),
        error_type,
        task_id,
        details,
        added,
    )
