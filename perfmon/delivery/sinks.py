"""The settings that all sinks share, and which alerts of a message a sink wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from perfmon.config.secret import Secret
from perfmon.config.validators import Duration, a_while
from perfmon.delivery.http import HttpAnswer, post, proxy_url
from perfmon.records import AlertLevel, AlertMessage, PerformanceAlert

_LEVELS = list(AlertLevel)


@attrs.frozen(kw_only=True)
class SinkTable:
    """What the table of any sink may say; a sink's own is a subclass.

    Attributes:
        min_level: alerts below it are left out.
        send_resolved: whether it is notified when an alert resolves.
    """

    min_level: Literal["info", "warning", "critical"] = "info"
    send_resolved: bool = True

    def wanted(self, message: AlertMessage) -> AlertMessage | None:
        """The message with the alerts the sink wants, or None where that is none of them.

        A message of the kind `test` is always wanted.
        """
        alerts = tuple(
            alert for alert in message.alerts if message.kind == "test" or self._wants(alert)
        )
        return attrs.evolve(message, alerts=alerts) if alerts else None

    def is_over(self, alert: PerformanceAlert) -> bool:
        """Whether an alert is over, or has eased below the level this sink receives."""
        return alert.state == "resolved" or not self._is_high(alert.level)

    def _wants(self, alert: PerformanceAlert) -> bool:
        # What was as urgent before it eased is told here to be over.
        reached = self._is_high(alert.level) or self._is_high(alert.details.get("eased_from"))
        return reached and (self.send_resolved or not self.is_over(alert))

    def _is_high(self, level: Any) -> bool:
        known = level in _LEVELS
        return known and _LEVELS.index(level) >= _LEVELS.index(AlertLevel(self.min_level))


@attrs.frozen(kw_only=True)
class HttpSinkTable(SinkTable):
    """The additional settings of a sink that posts.

    Attributes:
        timeout: what one request may take, in seconds.
        allow_private: whether private and loopback addresses may be called.
        proxy: the http proxy that requests go through, such as "http://proxy.corp:3128"; it may
            be at a private address. Proxies of the environment are not used by themselves.
    """

    timeout: Duration = attrs.field(default=10.0, validator=a_while)
    allow_private: bool = False
    proxy: Secret | None = attrs.field(default=None, validator=proxy_url)

    async def post(
        self,
        url: str | Secret,
        body: Any,
        headers: Mapping[str, str | Secret] | None = None,
        **network: Any,
    ) -> HttpAnswer:
        """`perfmon.post` within these bounds; `network` are its `resolver` and `clock`."""
        return await post(
            url,
            body,
            headers=headers,
            deadline=self.timeout,
            allow_private=self.allow_private,
            proxy=self.proxy,
            **network,
        )
