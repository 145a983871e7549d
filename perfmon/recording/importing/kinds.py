"""Kinds of rows: run, measurement, prediction or outcome, with their timestamps and IDs."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

import msgspec

from perfmon.records.measurements import (
    MEASUREMENT_ARGUMENTS,
    OUTCOME_ARGUMENTS,
    PREDICTION_ARGUMENTS,
    joined_id,
    told_id,
)
from perfmon.records.stamps import AssumedTime
from perfmon.records.validation import RUN_FIELDS

_CLOCKS = ("started_at", "outcome_timestamp")
_TOLD = ("actual_outcome", "feedback_source", "outcome_id")
TARGETS: dict[str, tuple[str, ...]] = {
    "run": (*RUN_FIELDS, "started_at"),
    "accuracy": (*MEASUREMENT_ARGUMENTS, "outcome_id", *_CLOCKS),
    "prediction": (*PREDICTION_ARGUMENTS, *_TOLD, *_CLOCKS),
    "outcome": (*OUTCOME_ARGUMENTS, *_CLOCKS),
}
"""What the columns of each kind of row may be."""

KINDS = tuple(TARGETS)
REQUIRED = {
    "run": ("run_id", "agent_name", "status"),
    "accuracy": ("agent_name", "task_id", "predicted_outcome", "actual_outcome"),
    "prediction": ("agent_name", "task_id", "predicted_outcome"),
    "outcome": ("task_id", "actual_outcome"),
}
_BY_OUTCOMES = {
    (True, True): "accuracy", (True, False): "prediction", (False, True): "outcome",
}  # fmt: skip
NO_CLOCK = "timestamp is missing (set --default-time for such rows)"


class Found(NamedTuple):
    """A row's kind, its arguments, and those of the outcome that a prediction has beside it."""

    kind: str
    fields: dict[str, Any]
    outcome: dict[str, Any] | None = None


def kind_of(names: Container[str], otherwise: str = "run") -> str:
    """What a row with these fields is, by the outcomes among them; a run may mention one."""
    have = ("predicted_outcome" in names, "actual_outcome" in names)
    if "run_id" in names and not all(have):
        return otherwise
    return _BY_OUTCOMES.get(have, otherwise)


def finished(
    kind: str, fields: dict[str, Any], *, default_time: AssumedTime | None, tenant: str | None
) -> Found:
    """A row with its stamps, tenant and ids; a prediction's own outcome apart from it.

    Raises:
        ValueError: something is missing.
    """
    if tenant is not None and fields.get("tenant") is None:
        fields["tenant"] = tenant
    started = fields.pop("started_at", None)
    if fields.get("timestamp") is None:
        fields["timestamp"] = _ended(started, fields.get("duration_ms"))
    if kind == "run":
        return Found(kind, _stamped(fields, default_time))
    for name in REQUIRED[kind]:
        if name not in fields:
            raise ValueError(f"{name} is missing")
    known = fields.pop("outcome_timestamp", None)
    known = fields["timestamp"] if known is None else known
    if kind == "prediction":
        outcome = _outcome(fields, known)
        told = None if outcome is None else _stamped(outcome, default_time)
        return Found(kind, _stamped(fields, default_time), told)
    fields["timestamp"] = known
    # Before the default time comes in: that may differ from one import to the next.
    outcome_id = fields.pop("outcome_id", None) or _identity(fields)
    if kind == "outcome":
        fields["outcome_id"] = outcome_id
    elif fields.get("measurement_id") is None:
        # As if the outcome had been told of a prediction: the same row counts once as either.
        agent_name = str(fields["agent_name"])
        tenant = str("default" if fields.get("tenant") is None else fields["tenant"])
        own = told_id(tenant, agent_name, str(fields["task_id"]), str(outcome_id))
        fields["measurement_id"] = joined_id(own, agent_name)
    return Found(kind, _stamped(fields, default_time))


def _ended(started: float | None, duration_ms: Any) -> float | None:
    if started is None or not isinstance(duration_ms, (int, float)):
        return started
    return started + duration_ms / 1000


def _stamped(fields: dict[str, Any], default_time: AssumedTime | None) -> dict[str, Any]:
    if fields["timestamp"] is None:
        if default_time is None:
            raise ValueError(NO_CLOCK)
        fields["timestamp"] = default_time
    return fields


def _outcome(fields: dict[str, Any], known: float | None) -> dict[str, Any] | None:
    """What a prediction's row says of its outcome, taken out of it; None where it has none."""
    whole = {**fields, "timestamp": known}
    told = {name: value for name in _TOLD if (value := fields.pop(name, None)) is not None}
    if "actual_outcome" not in told:
        return None
    told.setdefault("outcome_id", _identity(whole))
    shared = ("agent_name", "task_id", "tenant")
    return {**{name: fields[name] for name in shared if name in fields}, **told, "timestamp": known}


def _identity(fields: Mapping[str, Any]) -> str:
    """The same for the same row in every import."""
    own = {name: fields.get(name) for name in MEASUREMENT_ARGUMENTS if name != "metadata"}
    return hashlib.sha256(msgspec.json.encode(own)).hexdigest()[:32]
