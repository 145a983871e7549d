"""Alerts to Prometheus' Alertmanager (API v2), to every peer, as Prometheus sends them.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import DeliveryError, Duration, SecretText, hookimpl, http_url
from perfmon.sinks import HttpSinkTable, alert_annotations, alert_labels, link_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon import AlertMessage, Config, PerformanceAlert

log = logging.getLogger("perfmon")
_AHEAD = 3


def _are_urls(_instance: Any, _attribute: Any, value: list[str]) -> None:
    if not value or not all(map(http_url.accepts, value)):
        raise ValueError('must be a list of URLs such as "http://127.0.0.1:9093"')


@attrs.frozen(kw_only=True)
class AlertmanagerConfig(HttpSinkTable):
    """The settings of `[plugins.alertmanager]`, in addition to those of every sink.

    Attributes:
        urls: the base of every peer of a cluster; each may be secret.
        resend_every: how often what fires is sent again; it ends there by itself when it was not
            for three times as long.
        allow_private: true here, where it is usual.
    """

    urls: list[SecretText] = attrs.field(validator=_are_urls, repr=False)
    resend_every: Duration = attrs.field(default=60.0, validator=attrs.validators.ge(1))
    allow_private: bool = True


class AlertmanagerSink:
    """Posts the alerts of a message to every peer, at once; one that takes them is enough.

    Args:
        config: has the table `[plugins.alertmanager]`.
        clock: epoch seconds.
        network: `resolver` of `perfmon.post`.

    Attributes:
        deadline: the seconds to wait for a delivery.
        resend_every: in seconds; the caller must resend firing alerts this often,
            or Alertmanager takes it for resolved.
        every_alert: nothing is left out of a message for its length.
    """

    every_alert = True

    def __init__(
        self, config: Config, clock: Callable[[], float] = time.time, **network: Any
    ) -> None:
        self._config = config.table("alertmanager", AlertmanagerConfig)
        self._network = network
        self._clock = clock
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in self._config.urls]
        self._away: frozenset[int] = frozenset()
        self.resend_every = self._config.resend_every
        self.deadline = self._config.timeout + 1

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """Raises where no peer took it, for good only where all refuse it for good."""
        import asyncio

        wanted = self._config.wanted(message)
        if wanted is None:
            return
        alerts = [self._alert(alert, link_of(message)) for alert in wanted.alerts]
        problems = await asyncio.gather(*(self._send(url, alerts) for url in self._urls))
        self._note([place for place, problem in enumerate(problems) if problem], problems)
        failed = [problem for problem in problems if problem]
        if len(failed) == len(self._urls):
            raise next((each for each in failed if not each.permanent), failed[0])

    async def _send(self, url: str, alerts: list[dict[str, Any]]) -> DeliveryError | None:
        try:
            await self._config.post(url, alerts, clock=self._clock, **self._network)
        except DeliveryError as problem:
            return problem
        return None

    def _note(self, away: list[int], problems: list[DeliveryError | None]) -> None:
        """Log once that a peer is down, even if the others accept the alert."""
        for place in away:
            if place not in self._away:
                log.warning("alertmanager %d of %d: %s", place + 1, len(problems), problems[place])
        self._away = frozenset(away)

    def _alert(self, alert: PerformanceAlert, link: str | None) -> dict[str, Any]:
        starts = alert.started_at or alert.timestamp
        if alert.state == "resolved":
            ends = max(alert.resolved_at or alert.timestamp, starts)
        else:
            ends = datetime.fromtimestamp(self._clock() + _AHEAD * self.resend_every, UTC)
        return {
            "labels": alert_labels(alert),
            "annotations": alert_annotations(alert),
            "startsAt": min(starts, ends),
            "endsAt": ends,
            "generatorURL": link or "",
        }
