"""Runs, and the scope of a query."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import attrs

from perfmon.records.plain import from_micros
from perfmon.records.validation import checked_run

STATUSES = ("success", "failure", "partial")


class CellKey(NamedTuple):
    """The combination of keys whose runs share a cell."""

    tenant: str
    agent_name: str
    agent_type: str | None
    model: str | None
    task_type: str | None


@attrs.frozen
class Scope:
    """The scope of a query; None means any."""

    tenant: str | None = None
    agent_name: str | None = None
    agent_type: str | None = None
    model: str | None = None
    task_type: str | None = None

    def matches(self, key: CellKey) -> bool:
        wanted = (self.tenant, self.agent_name, self.agent_type, self.model, self.task_type)
        return all(want is None or want == has for want, has in zip(wanted, key, strict=True))

    @property
    def is_everything(self) -> bool:
        return self == EVERYTHING


EVERYTHING = Scope()


@attrs.frozen(kw_only=True)
class AgentRun:
    """One execution of an agent.

    Attributes:
        run_id: unique with tenant and agent_name; repeated with the same content it is a
            duplicate, with other content a conflict.
        agent_name: the agent's name.
        agent_type: what kind of agent it is.
        status: `success`, `failure` or `partial`.
        duration_ms: wall time in milliseconds; None is unknown, 0 is 0.
        tokens_used: all tokens; input + output where only those are known.
        input_tokens: tokens of what went in.
        output_tokens: tokens of what came out.
        cached_tokens: tokens that came from a cache.
        cost: US dollars.
        memory_mb: peak memory in MiB.
        cpu_ms: CPU time in milliseconds.
        quality_score: how good the caller thinks the result is, in [0, 1].
        confidence: how sure the agent is, in [0, 1].
        api_calls: how many calls it made; None is unknown, 0 is 0.
        retries: how often it was tried again; None is unknown, 0 is 0.
        timed_out: whether the run hit a time limit.
        error_type: the error's class; a success may carry one.
        model: what it ran on.
        task_type: what kind of work it was.
        task_id: the task it belongs to, by the name that its prediction and outcome have.
        tenant: the tenant it belongs to.
        timestamp: when the run ended: an aware datetime (or epoch seconds; None is now).
        metadata: anything else, JSON values.

    Raises:
        InvalidRun: a field has a value that is not allowed.
    """

    run_id: str
    agent_name: str
    agent_type: str | None
    status: str
    duration_ms: float | None = None
    tokens_used: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cached_tokens: float | None = None
    cost: float | None = None
    memory_mb: float | None = None
    cpu_ms: float | None = None
    quality_score: float | None = None
    confidence: float | None = None
    api_calls: int | None = None
    retries: int | None = None
    timed_out: bool = False
    error_type: str | None = None
    model: str | None = None
    task_type: str | None = None
    task_id: str | None = None
    tenant: str = "default"
    timestamp: datetime | float | None = None
    metadata: dict[str, Any] | None = None

    def __attrs_post_init__(self) -> None:
        checked_run(attrs.asdict(self, recurse=False), now_us=None)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> AgentRun:
        """The run of a row in the order of `RUN_ROW` (checked when it was recorded)."""
        import msgspec

        from perfmon.records.validation import RUN_FIELDS

        run = cls.__new__(cls)
        values = dict(zip(RUN_FIELDS, row, strict=False))
        values["status"] = STATUSES[values["status"]]
        values["timed_out"] = bool(values["timed_out"])
        values["timestamp"] = from_micros(values["timestamp"])
        if values["metadata"] is not None:
            values["metadata"] = msgspec.json.decode(values["metadata"])
        for name, value in values.items():
            object.__setattr__(run, name, value)
        return run
