"""Alerts to any URL, as JSON signed per Standard Webhooks, or in Alertmanager's format.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any, Literal

import attrs

from perfmon import Duration, Secret, SecretText, hookimpl, http_url
from perfmon.sinks import (
    HttpSinkTable,
    alert_annotations,
    alert_labels,
    encoded,
    link_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfmon import AlertMessage, Config, PerformanceAlert

VERSION = 1
"""Of the body of `format = "perfmon"`; fields are added within it, and none changes."""
_LISTED = 100
_NEVER = "0001-01-01T00:00:00Z"


def _is_signing_key(_instance: Any, _attribute: Any, value: Secret | list[Secret] | None) -> None:
    for secret in value if isinstance(value, list) else [value]:
        if secret is not None and not 24 <= len(_key(secret)) <= 64:
            raise ValueError('must be "whsec_" and the base64 of 24 to 64 random bytes')


def _are_headers(_instance: Any, _attribute: Any, value: dict[str, Secret]) -> None:
    named = all(name.isascii() and name.replace("-", "").isalnum() for name in value)
    if not named or not all(text.reveal().isprintable() for text in value.values()):
        raise ValueError("must be headers: names of letters, digits and -, values of one line")


@attrs.frozen(kw_only=True)
class WebhookConfig(HttpSinkTable):
    """The settings of `[plugins.webhook]`, in addition to those of every sink.

    Attributes:
        url: where to post; may be secret.
        format: `perfmon`, or `alertmanager` for receivers of its webhooks (payload version 4).
        secret: signs each request; none where it is not given.
        old_secrets: sign as well, while receivers change to the new one.
        headers: sent along, such as Authorization.
        timeout: longer, as Standard Webhooks asks for.
    """

    url: SecretText = attrs.field(validator=http_url, repr=False)
    format: Literal["perfmon", "alertmanager"] = "perfmon"
    secret: Secret | None = attrs.field(default=None, validator=_is_signing_key)
    old_secrets: list[Secret] = attrs.field(factory=list, validator=_is_signing_key)
    headers: dict[str, Secret] = attrs.field(factory=dict, validator=_are_headers)
    timeout: Duration = attrs.field(default=15.0, validator=attrs.validators.gt(0))


class WebhookSink:
    """Posts each message once, and follows no redirect.

    Args:
        config: has the table `[plugins.webhook]`.
        clock: epoch seconds, for the signature.
        network: `resolver` of `perfmon.post`.

    Attributes:
        deadline: the seconds to wait for a delivery.
    """

    def __init__(
        self, config: Config, clock: Callable[[], float] = time.time, **network: Any
    ) -> None:
        self._config = config.table("webhook", WebhookConfig)
        self._url = Secret(self._config.url)
        self._network = network
        self._clock = clock
        self.deadline = self._config.timeout + 1

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """One request for the whole group; its `webhook-id` is the same on every attempt."""
        wanted = self._config.wanted(message)
        if wanted is None:
            return
        is_ours = self._config.format == "perfmon"
        body = encoded(_payload(wanted) if is_ours else _alertmanager(wanted))
        headers = self._config.headers | self._signed(message.message_id, body)
        await self._config.post(self._url, body, headers, clock=self._clock, **self._network)

    def _signed(self, message_id: str, body: bytes) -> dict[str, str | Secret]:
        stamp = str(int(self._clock()))
        headers: dict[str, str | Secret] = {"webhook-id": message_id, "webhook-timestamp": stamp}
        secrets = [self._config.secret, *self._config.old_secrets]
        text = f"{message_id}.{stamp}.".encode() + body
        signatures = [_signature(_key(secret), text) for secret in secrets if secret is not None]
        return headers | ({"webhook-signature": " ".join(signatures)} if signatures else {})


def _signature(key: bytes, text: bytes) -> str:
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: Secret) -> bytes:
    """The bytes of a signing secret; none where it is not one."""
    try:
        return base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _payload(message: AlertMessage) -> dict[str, Any]:
    left_out = message.left_out + max(0, len(message.alerts) - _LISTED)
    listed = attrs.evolve(message, alerts=message.alerts[:_LISTED], left_out=left_out)
    named = ("message_id", "group", "kind", "state", "level", "alerts", "left_out", "link")
    return {
        "type": f"alerts.{message.state}",
        "version": VERSION,
        "timestamp": message.created_at,
        "data": {name: getattr(listed, name) for name in named},
    }


def _alertmanager(message: AlertMessage) -> dict[str, Any]:
    alerts = [_one(alert, link_of(message)) for alert in message.alerts[:_LISTED]]
    return {
        "version": "4",
        "groupKey": message.group,
        "truncatedAlerts": message.left_out + len(message.alerts) - len(alerts),
        "status": message.state,
        "receiver": "perfmon",
        "groupLabels": {"group": message.group},
        "commonLabels": _common(alert["labels"] for alert in alerts),
        "commonAnnotations": _common(alert["annotations"] for alert in alerts),
        "externalURL": link_of(message) or "",
        "alerts": alerts,
    }


def _one(alert: PerformanceAlert, link: str | None) -> dict[str, Any]:
    labels = alert_labels(alert)
    is_over = alert.state == "resolved"
    return {
        "status": "resolved" if is_over else "firing",
        "labels": labels,
        "annotations": alert_annotations(alert),
        "startsAt": alert.started_at or alert.timestamp,
        "endsAt": (alert.resolved_at or alert.timestamp) if is_over else _NEVER,
        "generatorURL": link or "",
        "fingerprint": _fingerprint(labels),
    }


def _fingerprint(labels: dict[str, str]) -> str:
    """The same that Alertmanager gives an alert of these labels: their FNV-1a hash (64 bits)."""
    mark = 0xCBF29CE484222325
    for text in (part for label in sorted(labels.items()) for part in label):
        for byte in (*text.encode(), 0xFF):
            mark = (mark ^ byte) * 0x100000001B3 % 2**64
    return f"{mark:016x}"


def _common(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    first, *others = tables
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
