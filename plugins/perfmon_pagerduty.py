"""Alerts to PagerDuty (Events API v2): each alert opens an incident, and resolves it.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import DeliveryError, Secret, hookimpl, http_url, redacted
from perfmon.sinks import HttpSinkTable, alert_facts, link_of

if TYPE_CHECKING:
    from perfmon import AlertMessage, Config, PerformanceAlert

_SUMMARY, _KEY, _NAME = 1024, 255, 200
_PATIENCE = 60.0
_REMEMBERED = 1_000


def _is_routing_key(_instance: Any, _attribute: Any, value: Secret) -> None:
    if not re.fullmatch(r"[0-9A-Za-z]{32}", value.reveal()):
        raise ValueError("must be the 32 letters and digits of an integration key")


@attrs.frozen(kw_only=True)
class PagerDutyConfig(HttpSinkTable):
    """The settings of `[plugins.pagerduty]`, in addition to those of every sink.

    Attributes:
        routing_key: the integration key of a service, for Events API v2.
        url: the base; "https://events.eu.pagerduty.com" for accounts in the EU.
    """

    routing_key: Secret = attrs.field(validator=_is_routing_key)
    url: str = attrs.field(default="https://events.pagerduty.com", validator=http_url)


class PagerDutySink:
    """Sends an event for each alert of a message; a repeated one changes nothing there.

    Args:
        config: has the table `[plugins.pagerduty]`.
        network: `resolver` and `clock` of `perfmon.post`.

    Attributes:
        deadline: the seconds to wait for a delivery.
        every_alert: an incident is one alert's, so none is left out of a message for its length.
    """

    every_alert = True

    def __init__(self, config: Config, **network: Any) -> None:
        self._config = config.table("pagerduty", PagerDutyConfig)
        self._network = network
        self._url = self._config.url.rstrip("/").removesuffix("/v2/enqueue") + "/v2/enqueue"
        # Messages under way, and which of their alerts are through, or why not.
        self._told: OrderedDict[str, dict[str, DeliveryError | None]] = OrderedDict()
        self.deadline = max(_PATIENCE, self._config.timeout + 1)

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """One refused for good keeps none of the others back; one to try again ends the attempt.

        The next attempt goes on where this one ended.
        """
        wanted = self._config.wanted(message)
        told = self._told.setdefault(message.message_id, {})
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        for alert in wanted.alerts if wanted else ():
            if alert.alert_id not in told:
                told[alert.alert_id] = await self._send(self._event(alert, message))
        self._told.pop(message.message_id, None)
        refused = [problem for problem in told.values() if problem]
        if refused:
            raise refused[0]

    async def _send(self, event: dict[str, Any]) -> DeliveryError | None:
        try:
            await self._config.post(self._url, event, **self._network)
        except DeliveryError as problem:
            if not problem.permanent:
                raise
            return problem
        return None

    def _event(self, alert: PerformanceAlert, message: AlertMessage) -> dict[str, Any]:
        is_over = self._config.is_over(alert)  # or it eased to what this service is not told
        event: dict[str, Any] = {
            "routing_key": self._config.routing_key.reveal(),
            "event_action": "resolve" if is_over else "trigger",
            # The episode: a late end of the last one must not close the next one's incident.
            "dedup_key": _dedup_key(alert.alert_id),
            "payload": _payload(alert),
        }
        link = link_of(message)
        if link:
            event["links"] = [{"href": link, "text": "Open perfmon"}]
        return event


def _payload(alert: PerformanceAlert) -> dict[str, Any]:
    return {
        "summary": redacted(alert.message, _SUMMARY) or "alert",
        "source": redacted(alert.agent_name or "perfmon", _NAME) or "perfmon",
        "severity": alert.level.value,
        "timestamp": alert.started_at or alert.timestamp,
        "component": redacted(alert.model or alert.agent_type or "agents", _NAME),
        "group": redacted(alert.tenant or "default", _NAME),
        "class": redacted(alert.rule or alert.metric or alert.metric_type.value, _NAME),
        "custom_details": alert_facts(alert),
    }


def _dedup_key(alert_id: str) -> str:
    key = f"perfmon-{alert_id}"
    if redacted(key, _KEY) == key:
        return key
    return f"perfmon-{hashlib.sha256(alert_id.encode(errors='replace')).hexdigest()}"
