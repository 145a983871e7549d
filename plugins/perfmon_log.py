"""Alerts as log lines of the program: one line each, `key=value`, at the alert's level."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

import attrs

from perfmon import AlertLevel, hookimpl, redacted
from perfmon.sinks import SinkTable, alert_labels, urgency

if TYPE_CHECKING:
    from perfmon import AlertMessage, Config, PerformanceAlert

log = logging.getLogger("perfmon.alerts")
_LEVELS = {
    AlertLevel.INFO: logging.INFO,
    AlertLevel.WARNING: logging.WARNING,
    AlertLevel.CRITICAL: logging.CRITICAL,
}


@attrs.frozen(kw_only=True)
class LogConfig(SinkTable):
    """`[plugins.log]` may say what any sink's table may."""


class LogSink:
    """Writes alerts to the logger `perfmon.alerts`; an alert's end is of the level INFO.

    Attributes:
        every_alert: a line is one alert's, so none is left out of a message for its length.
    """

    every_alert = True

    def __init__(self, config: Config) -> None:
        self._config = config.table("log", LogConfig)

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """A line for each alert, which no text of an agent can break."""
        wanted = self._config.wanted(message)
        for alert in wanted.alerts if wanted else ():
            is_over = alert.state == "resolved"
            log.log(logging.INFO if is_over else _LEVELS[alert.level], "%s", _line(alert, message))


def _line(alert: PerformanceAlert, message: AlertMessage) -> str:
    fields = {
        "alert": urgency(alert, message.kind),
        "id": alert.alert_id,
        **alert_labels(alert),
        "value": f"{alert.current_value:g}",
        "threshold": f"{alert.threshold:g}",
        "message": alert.message,
    }
    return " ".join(f"{name}={_quoted(redacted(text))}" for name, text in fields.items())


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w.:/+-]+", text) else json.dumps(text, ensure_ascii=False)
