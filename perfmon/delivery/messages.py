"""The text of notifications, for every sink: one line of safe text at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfmon.config.secret import redacted
from perfmon.delivery.http import is_web_address
from perfmon.metrics.formatting import count, figure, interval, lasted, moment
from perfmon.records import AlertMessage, PerformanceAlert

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_LINK = 1_000
_LEAD = {"firing": "", "escalated": "now ", "reminder": "still ", "eased": "eased to "}


def headline(message: AlertMessage, longest: int = 150) -> str:
    """A message in one line: `still critical: agent a: error rate 40.0% ... (and 3 more)`."""
    more = len(message.alerts) - 1 + message.left_out
    tail = f" (and {more:,} more)" if more > 0 else ""
    lead = urgency(message.alerts[0], message.kind)
    return redacted(f"{lead}: {message.alerts[0].message}", longest - len(tail)) + tail


def urgency(alert: PerformanceAlert, kind: str = "firing") -> str:
    """`critical`, `now critical` (escalated), `still critical` (reminder), `eased to warning`,
    `resolved`, `test`.
    """
    if kind == "test" or alert.state == "resolved":
        return "test" if kind == "test" else "resolved"
    # A message of several kinds goes by the most urgent one.
    own = "eased" if kind == "firing" and "eased_from" in alert.details else kind
    return f"{_LEAD.get(own, '')}{alert.level.value}"


def link_of(message: AlertMessage) -> str | None:
    """The address of the dashboard, where it is one that can be shown and followed."""
    link = message.link or ""
    fits = is_web_address(link) and link.isprintable() and len(link) <= _LONGEST_LINK
    return link if fits else None


def alert_facts(alert: PerformanceAlert) -> dict[str, str]:
    """What is known of an alert, by its name for people; what is not known is left out."""
    return {name: redacted(text) for name, text in _facts(alert) if text}


def alert_labels(alert: PerformanceAlert) -> dict[str, str]:
    """What identifies an alert, as Prometheus' labels: the same for all of an episode's messages.

    Only `severity` differs, once the alert rises or eases to another level. What several rules say
    together has one name, whichever of them leads.
    """
    family, metric = (alert.details.get(name) for name in ("family", "family_metric"))
    labels = {
        "alertname": family or alert.rule or alert.metric or alert.metric_type.value,
        "severity": alert.level.value,
        "metric": metric or alert.metric or alert.metric_type.value,
        "agent": alert.agent_name,
        "agent_type": alert.agent_type,
        "model": alert.model,
        "tenant": alert.tenant,
        "source": "perfmon",
    }
    return {name: redacted(text) for name, text in labels.items() if text}


def alert_annotations(alert: PerformanceAlert) -> dict[str, str]:
    """What else there is to say of an alert, as Prometheus' annotations."""
    facts = {name.lower().replace(" ", "_"): text for name, text in alert_facts(alert).items()}
    return {"summary": redacted(alert.message), "alert_id": redacted(alert.alert_id), **facts}


def _facts(alert: PerformanceAlert) -> Iterator[tuple[str, str]]:
    for name, value in (("Value", alert.current_value), ("Threshold", alert.threshold)):
        yield name, figure(value, alert.unit) if math.isfinite(value) else ""
    bounds = interval(alert.interval, alert.unit)
    yield "Interval", f"{bounds} (95%)" if bounds else ""
    yield "Samples", count(alert.sample_size) if alert.sample_size else ""
    yield "Agent", alert.agent_name or ""
    yield "Agent type", alert.agent_type or ""
    yield "Model", alert.model or ""
    yield "Tenant", alert.tenant or ""
    yield "Rule", alert.rule
    yield "Since", moment(alert.started_at) if alert.started_at else ""
    if alert.started_at and alert.resolved_at:
        yield "Lasted", lasted((alert.resolved_at - alert.started_at).total_seconds())
    # What is over needs nothing done about it.
    yield "Recommendation", (alert.state != "resolved" and alert.recommendation) or ""
    yield "Acknowledged by", alert.acknowledged_by or ""
