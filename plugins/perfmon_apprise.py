"""Alerts to any service that Apprise supports, each by its URL.

https://github.com/caronc/apprise/wiki
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import (
    ConfigError,
    DeliveryError,
    Duration,
    Secret,
    hookimpl,
    in_thread,
    redacted,
)
from perfmon.sinks import SinkTable, alert_facts, headline, link_of, urgency

if TYPE_CHECKING:
    from perfmon import AlertMessage, Config, PerformanceAlert

_TITLE, _LISTED, _REMEMBERED = 120, 20, 1_000
_KINDS: dict[str, Any] = {"critical": "failure", "warning": "warning", "info": "info"}


@attrs.frozen(kw_only=True)
class AppriseConfig(SinkTable):
    """The settings of `[plugins.apprise]`, in addition to those of every sink.

    Attributes:
        urls: services in Apprise's form, each with its password in it.
        timeout: what one attempt may take, with all services.
    """

    urls: list[Secret] = attrs.field(validator=attrs.validators.min_len(1))
    timeout: Duration = attrs.field(default=30.0, validator=attrs.validators.gt(0))


class AppriseSink:
    """Notifies each service once; on the next attempt only those that did not take it.

    Apprise says of a failure neither the reason nor whether to try again. It checks no addresses,
    and what its services say to a private one is theirs.

    Args:
        config: has the table `[plugins.apprise]`.

    Attributes:
        deadline: the seconds to wait for a delivery.
    """

    def __init__(self, config: Config) -> None:
        import apprise

        self._config = config.table("apprise", AppriseConfig)
        log = logging.getLogger("apprise")
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)  # below it Apprise logs whole URLs
        made = [apprise.Apprise.instantiate(url.reveal()) for url in self._config.urls]
        place = config.place("plugins", "apprise", "urls", is_table=False)
        wrong = [str(number) for number, service in enumerate(made, start=1) if service is None]
        if wrong:
            raise ConfigError(
                [f"{place}, item {', '.join(wrong)}: must be URLs that Apprise supports"]
            )
        self._services: list[Any] = made
        # Messages under way, and which services have them.
        self._told: OrderedDict[str, set[int]] = OrderedDict()
        self._under_way: set[int] = set()
        self.deadline = self._config.timeout + 1

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """Waits for threads: a service that hangs is left alone until its thread comes back."""
        wanted = self._config.wanted(message)
        if wanted is None:
            return
        told = self._told.setdefault(message.message_id, set())
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        left = [n for n in range(len(self._services)) if n not in told]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.timeout):
                await asyncio.gather(*(self._notify(number, wanted, told) for number in left))
        missing = [f"{self._services[n].service_name} ({n + 1})" for n in left if n not in told]
        if missing:
            raise DeliveryError(redacted(f"not delivered by {', '.join(missing)}"))
        self._told.pop(message.message_id, None)

    async def _notify(self, number: int, message: AlertMessage, told: set[int]) -> None:
        if number in self._under_way:
            return
        how = urgency(message.alerts[0], message.kind).rpartition(" ")[2]
        words = {
            "title": headline(message, _TITLE),
            "body": _body(message),
            "notify_type": "success" if how == "resolved" else _KINDS.get(how, "info"),
        }

        def work() -> None:
            try:
                if self._services[number].notify(**words):
                    told.add(number)
            finally:
                self._under_way.discard(number)

        self._under_way.add(number)
        with contextlib.suppress(Exception):  # which says no more than that it was not taken
            await asyncio.wrap_future(in_thread(work, name="perfmon-apprise-service"))


def _body(message: AlertMessage) -> str:
    more = message.left_out + max(0, len(message.alerts) - _LISTED)
    parts = [_told(alert, message) for alert in message.alerts[:_LISTED]]
    parts += [f"and {more:,} more"] if more else []
    link = link_of(message)
    return "\n\n".join([*parts, *([link] if link else [])])


def _told(alert: PerformanceAlert, message: AlertMessage) -> str:
    facts = ", ".join(f"{name} {text}" for name, text in alert_facts(alert).items())
    return f"{urgency(alert, message.kind)}: {redacted(alert.message)}\n{facts}"
