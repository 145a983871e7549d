"""What the tables of all sinks have in common, and which alerts of a message a sink wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from perfmon.limits import Duration, a_while
from perfmon.outside import Answer, post
from perfmon.records import AlertLevel, AlertMessage
from perfmon.secret import Secret

_LEVELS = list(AlertLevel)


@attrs.frozen(kw_only=True)
class SinkTable:
    """What the table of any sink may say; a sink's own is a subclass.

    Attributes:
        min_level: alerts below it are left out.
        send_resolved: whether the end of an alert is told too.
    """

    min_level: Literal["info", "warning", "critical"] = "info"
    send_resolved: bool = True

    def wanted(self, message: AlertMessage) -> AlertMessage | None:
        """The message with the alerts the sink wants, or None where that is none of them.

        A message of the kind `test` is always wanted.
        """
        least = _LEVELS.index(AlertLevel(self.min_level))
        alerts = tuple(
            alert
            for alert in message.alerts
            if message.kind == "test"
            or (
                _LEVELS.index(alert.level) >= least
                and (self.send_resolved or alert.state != "resolved")
            )
        )
        return attrs.evolve(message, alerts=alerts) if alerts else None


@attrs.frozen(kw_only=True)
class HttpSinkTable(SinkTable):
    """What the table of a sink that posts may say besides.

    Attributes:
        timeout: what one request may take, in seconds.
        allow_private: whether private and loopback addresses may be called.
    """

    timeout: Duration = attrs.field(default=10.0, validator=a_while)
    allow_private: bool = False

    async def post(
        self,
        url: str | Secret,
        body: Any,
        headers: Mapping[str, str | Secret] | None = None,
        **network: Any,
    ) -> Answer:
        """`perfmon.post` within these bounds; `network` are its `resolver` and `clock`."""
        return await post(
            url,
            body,
            headers=headers,
            deadline=self.timeout,
            allow_private=self.allow_private,
            **network,
        )
