"""Alerts, their notifications, and silences."""

from __future__ import annotations

import enum
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from perfmon.records.plain import NAN, jsonable

# What msgspec learns of a class at its first conversion it must learn in one thread.
_CONVERTING = threading.Lock()


class AlertLevel(enum.StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class MetricType(enum.StrEnum):
    """The subject of a threshold or an alert."""

    SUCCESS_RATE = "success_rate"
    LATENCY = "latency"
    TOKEN_USAGE = "token_usage"  # noqa: S105 - tokens of a language model
    API_CALLS = "api_calls"
    COST = "cost"
    MEMORY = "memory"
    CPU = "cpu"
    ACCURACY = "accuracy"
    QUALITY = "quality"
    ERROR_RATE = "error_rate"


@attrs.frozen(kw_only=True)
class PerformanceAlert:
    """One episode of an exceeded limit: it fires once, carries its evidence, and is resolved once.

    Attributes:
        alert_id: of this episode, from its first message to its last.
        key: identifies rule and scope, the same for every episode.
        rule: the name of the threshold or rule.
        level: how urgent it is.
        metric_type, metric: the subject, and the field of `PerformanceMetrics`.
        message: what is wrong, in a sentence.
        current_value, threshold, unit: the value, its limit, and the unit of both.
        interval, sample_size: the 95% interval of the value, and the number of runs.
        agent_name, agent_type, model, tenant: the scope; None is all.
        state: `pending`, `firing` or `resolved`.
        timestamp: the time its figures and message refer to.
        started_at, resolved_at: when the problem began, traced back in the runs, and ended.
        fired_at: when it started firing.
        recommendation: what to do, from the figures, or None.
        details: figures behind it, such as error classes and worst agents: JSON values, all as of
            the time `as_of`.
        acknowledged_by: who acknowledged it, or None.
        silenced_by, inhibited_by: the silence, or the alert (by key), that suppresses it.
    """

    alert_id: str
    level: AlertLevel
    metric_type: MetricType
    message: str
    current_value: float
    threshold: float
    agent_name: str | None = None
    timestamp: datetime = attrs.Factory(lambda: datetime.now(UTC))
    recommendation: str | None = None
    details: dict[str, Any] = attrs.Factory(dict)
    state: str = "firing"
    key: str = ""
    rule: str = ""
    metric: str = ""
    unit: str = ""
    interval: tuple[float, float] = (NAN, NAN)
    sample_size: int = 0
    agent_type: str | None = None
    model: str | None = None
    tenant: str | None = None
    started_at: datetime | None = None
    resolved_at: datetime | None = None
    acknowledged_by: str | None = None
    silenced_by: str | None = None
    inhibited_by: str | None = None
    fired_at: datetime | None = None

    @property
    def subject(self) -> str:
        """What it is about, for people: `success rate of support-triage`."""
        return subject_of(
            {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        )

    def to_plain(self) -> dict[str, Any]:
        """All of it as JSON values, which `from_plain` reads back: REST, storage and reports."""
        values: dict[str, Any] = jsonable(self)
        return values

    def to_json(self) -> str:
        """All of it as one JSON object, which `from_json` reads back."""
        return json.dumps(self.to_plain())

    @classmethod
    def from_json(cls, text: str | bytes) -> PerformanceAlert:
        """The alert of a text that `to_json` made."""
        return cls.from_plain(json.loads(text))

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> PerformanceAlert:
        """The alert of its JSON values, whichever version of perfmon wrote them.

        Fields that are not known are passed over, those that are missing have their defaults; a
        level that is not known is critical.

        Raises:
            ValueError: there is no alert_id, or a value of another kind.
        """
        import msgspec

        given: dict[str, Any] = {"message": "", **values}
        given |= {name: _number(values.get(name)) for name in ("current_value", "threshold")}
        given["interval"] = [_number(end) for end in values.get("interval") or (None, None)]
        for name, kind, other in (
            ("level", AlertLevel, AlertLevel.CRITICAL),
            ("metric_type", MetricType, MetricType.ERROR_RATE),
        ):
            given[name] = given.get(name) if given.get(name) in tuple(kind) else other
        with _CONVERTING:
            return msgspec.convert(given, cls)


def subject_of(alert: Mapping[str, Any]) -> str:
    """What an alert, given by its fields, is about: `success rate of support-triage`."""
    scopes = ("agent_name", "model", "agent_type", "tenant")
    own = next((alert[name] for name in scopes if alert.get(name)), "the whole system")
    # The catalogue of metrics, which has nicer names, knows alerts already.
    metric = (alert.get("metric") or "").removesuffix("_ms").removesuffix("_mb")
    what = metric.replace("_", " ") or alert.get("rule") or "alert"
    return f"{what} of {own}"


def _number(value: float | None) -> float:
    return NAN if value is None else value


@attrs.frozen(kw_only=True)
class AlertMessage:
    """One notification of a sink: the alerts of a group in one message.

    Attributes:
        message_id: the same on every attempt, so that receivers can recognise repeats.
        sink: the plugin it is for.
        group: what the alerts have in common; the messages of a group form a thread.
        kind: `firing`, `escalated`, `reminder`, `eased` (to a lower level), `resolved` or `test`.
        alerts: the most urgent first, at most a few dozen.
        left_out: how many more alerts there are.
        created_at: when it was created.
        attempt: 1 for the first.
        link: the address of the dashboard, or None.
    """

    message_id: str
    sink: str
    group: str
    kind: str
    alerts: tuple[PerformanceAlert, ...]
    left_out: int = 0
    created_at: datetime = attrs.Factory(lambda: datetime.now(UTC))
    attempt: int = 1
    link: str | None = None

    @property
    def level(self) -> AlertLevel:
        """The most urgent one's."""
        order = list(AlertLevel)
        return max((alert.level for alert in self.alerts), key=order.index)

    @property
    def state(self) -> str:
        """`firing` while one of them does, else `resolved`."""
        fires = any(alert.state == "firing" for alert in self.alerts)
        return "firing" if fires else "resolved"

    def to_json(self) -> str:
        """All of it as one JSON object, which `from_json` reads back."""
        return json.dumps(jsonable(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> AlertMessage:
        """The message of a text that `to_json` made."""
        import msgspec

        values = json.loads(text)
        alerts = [PerformanceAlert.from_plain(alert) for alert in values["alerts"]]
        with _CONVERTING:
            return msgspec.convert(values | {"alerts": alerts}, cls)


@attrs.frozen(kw_only=True)
class Silence:
    """Mutes notifications for the alerts it matches, for a while.

    Attributes:
        silence_id: unique.
        matchers: which alerts, as JSON values: a field of the alert and what it must be.
        starts_at, ends_at: when it holds: [starts_at, ends_at).
        author, comment: who created it, and why.
    """

    silence_id: str
    matchers: dict[str, Any]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str = ""
