"""The JSON types of requests and responses about alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

import attrs

from perfmon import PerformanceAlert, Silence


class DeliveryAnswer(TypedDict):
    """What became of a message; `due_at` is the next attempt, or was the last."""

    message_id: str
    sink: str
    kind: str
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    created_at: datetime
    tried_at: datetime | None
    due_at: datetime
    closed_at: datetime | None
    error: str | None


@attrs.frozen(kw_only=True)
class Alert(PerformanceAlert):
    """One episode, with its messages in the order in which they were decided."""

    deliveries: tuple[DeliveryAnswer, ...] = ()


class AlertsAnswer(TypedDict):
    """Those that began last first; `total_count` counts also those beyond the limit."""

    alerts: list[Alert]
    total_count: int


class AcknowledgeBody(TypedDict):
    by: str


class ResolveBody(TypedDict):
    by: str
    comment: NotRequired[str | None]


class Acknowledged(TypedDict):
    status: Literal["success"]
    alert: Alert


class Matchers(TypedDict):
    """Globs, all of which must match; at least one."""

    rule: NotRequired[str]
    metric: NotRequired[str]
    level: NotRequired[str]
    agent: NotRequired[str]
    agent_type: NotRequired[str]
    model: NotRequired[str]
    tenant: NotRequired[str]
    key: NotRequired[str]
    alert_id: NotRequired[str]


class SilenceBody(TypedDict):
    """Times are ISO 8601 with a zone or epoch seconds; `starts_at` is now by default."""

    matchers: Matchers
    until: datetime | float
    by: str
    comment: NotRequired[str | None]
    starts_at: NotRequired[datetime | float | None]


class Silenced(TypedDict):
    status: Literal["success"]
    silence: Silence


class SilencesAnswer(TypedDict):
    """Those that are not over, the latest beginning first."""

    silences: list[Silence]
    total_count: int
