"""Alerts to Slack via an incoming webhook: Block Kit messages within Slack's limits.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from perfmon import Secret, hookimpl, http_url, redacted
from perfmon.sinks import (
    HttpSinkTable,
    alert_facts,
    headline,
    link_of,
    urgency,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfmon import AlertMessage, Config, PerformanceAlert

_ICONS = {
    "critical": ":red_circle:", "warning": ":large_orange_circle:",
    "info": ":large_blue_circle:", "resolved": ":large_green_circle:", "test": ":wave:",
}  # fmt: skip
# Slack takes 50 blocks, 3,000 characters a section, 150 a header, and some 13,200 in all. A
# section has two lines of text and a dozen facts at most.
_HEADER, _IN_ALL, _LISTED = 150, 11_000, 20
_LINE, _FACT = 400, 80


@attrs.frozen(kw_only=True)
class SlackConfig(HttpSinkTable):
    """The settings of `[plugins.slack]`, in addition to those of every sink.

    Attributes:
        webhook_url: the incoming webhook's, which is a password.
    """

    webhook_url: Secret = attrs.field(validator=http_url)


class SlackSink:
    """Posts a message to a channel, once; what it raises says whether to try again.

    Args:
        config: has the table `[plugins.slack]`.
        network: `resolver` and `clock` of `perfmon.post`.

    Attributes:
        deadline: the seconds to wait for a delivery.
    """

    def __init__(self, config: Config, **network: Any) -> None:
        self._config = config.table("slack", SlackConfig)
        self._network = network
        self.deadline = self._config.timeout + 1

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """One message of Slack's for the whole group."""
        wanted = self._config.wanted(message)
        if wanted is not None:
            await self._config.post(self._config.webhook_url, _payload(wanted), **self._network)


def _payload(message: AlertMessage) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [_header(message)]
    room, listed = _IN_ALL, 0
    for alert in message.alerts[:_LISTED]:
        section = _section(message, alert)
        room -= len(section)
        if room < 0:
            break
        blocks.append({"type": "section", "text": _mrkdwn(section)})
        listed += 1
    closing = "\n".join(_closing(message, len(message.alerts) - listed + message.left_out))
    if closing:
        blocks.append({"type": "context", "elements": [_mrkdwn(closing)]})
    return {"text": _escaped(headline(message), _LINE), "blocks": blocks}


def _header(message: AlertMessage) -> dict[str, Any]:
    text = _escaped(headline(message, _HEADER), _HEADER)
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _section(message: AlertMessage, alert: PerformanceAlert) -> str:
    how = urgency(alert, message.kind)
    icon = _ICONS[how.rpartition(" ")[2]]
    lines = [f"{icon} *{how}*: {_escaped(redacted(alert.message), _LINE)}"]
    facts = alert_facts(alert)
    advice = facts.pop("Recommendation", "")
    lines.append(" · ".join(f"{name} {_escaped(text, _FACT)}" for name, text in facts.items()))
    lines.append(_escaped(advice, _LINE))
    return "\n".join(filter(None, lines))


def _closing(message: AlertMessage, more: int) -> Iterator[str]:
    if more:
        yield f"and {more:,} more"
    link = link_of(message)
    if link:
        yield f"<{_escaped(link, 2_900).replace('|', '%7C')}|Open perfmon>"


def _mrkdwn(text: str) -> dict[str, Any]:
    # Verbatim: neither @names nor addresses of plain text become mentions and links.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escaped(text: str, longest: int) -> str:
    """Text that can hold no mention, link or entity; cut before one would be cut in two."""
    pieces: list[str] = []
    left = longest
    for char in text:
        piece = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(char, char)
        if len(piece) > left - 1:
            return "".join(pieces) + "…"
        pieces.append(piece)
        left -= len(piece)
    return "".join(pieces)
