"""The alert about a sink that fails, sent to the other sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2s

import attrs

from perfmon.records import (
    AlertLevel,
    AlertMessage,
    MetricType,
    PerformanceAlert,
    from_micros,
)
from perfmon.storage.alerts import AlertStorage

SINK_RULE = "sink"
"""The rule of such an alert; no rule of a configuration is called so."""


class Troubles:
    """The alert to other sinks about one that does not get its messages.

    Args:
        sink: its name.
        storage: keeps the episode, and the messages about it.
        now: the time in UTC microseconds.
        others: the sinks that want to be told of such an alert.
        wake: says that there are new messages.
        publish: tells observers.
    """

    def __init__(
        self,
        sink: str,
        storage: AlertStorage,
        now: Callable[[], int],
        others: Callable[[PerformanceAlert], Iterable[str]],
        wake: Callable[[], None],
        publish: Callable[..., None],
    ) -> None:
        self._sink = sink
        self._storage = storage
        self._now = now
        self._others = others
        self._wake = wake
        self._publish = publish

    def begin(self, occasion: str, words: str, message: AlertMessage) -> str:
        """Begin an episode; `message` is what the sink did not take. Returns its alert_id.

        For one occasion it is the same episode and the same messages, through restarts.
        """
        alert = self._alert(occasion, words, message)
        messages = [_told(alert, sink) for sink in self._others(alert)]
        self._storage.save_alerts([alert], None, messages)
        self._publish("alert_raised", alert=alert)
        self._wake()
        return alert.alert_id

    def end(self, alert_id: str) -> None:
        """It takes messages again: notify those who were notified, if the episode is still on."""
        for alert, deliveries in self._storage.find_alerts(alert_id=alert_id, state="firing"):
            end = from_micros(self._now())
            over = attrs.evolve(
                alert,
                state="resolved",
                timestamp=end,
                resolved_at=end,
                current_value=0.0,
                message=f"sink {self._sink} accepts messages again",
            )
            sinks = dict.fromkeys(delivery.sink for delivery in deliveries)
            self._storage.save_alerts([over], None, [_told(over, sink) for sink in sinks])
            self._publish("alert_resolved", alert=over)
            self._wake()

    def _alert(self, occasion: str, words: str, message: AlertMessage) -> PerformanceAlert:
        sink, at = self._sink, from_micros(self._now())
        waiting = self._storage.waiting_messages().get(sink, 0)
        return PerformanceAlert(
            alert_id=f"sink-{blake2s(f'{sink}/{occasion}'.encode(), digest_size=10).hexdigest()}",
            key=f"sink/{sink}",
            rule=SINK_RULE,
            level=AlertLevel.WARNING,
            metric_type=MetricType.ERROR_RATE,
            metric="messages_waiting",
            unit="messages",
            message=words,
            current_value=float(waiting),
            threshold=0.0,
            sample_size=waiting,
            timestamp=at,
            started_at=at,
            recommendation=(
                f"Check [plugins.{sink}] in monitor.toml, then run perfmon alerts send-test {sink}."
            ),
            details={
                "sink": sink,
                "message_id": message.message_id,
                "kind": message.kind,
                "alerts": [alert.message for alert in message.alerts],
            },
        )


def _told(alert: PerformanceAlert, sink: str) -> AlertMessage:
    """The message to another sink about it; the same one however often it is made."""
    return AlertMessage(
        message_id=f"{alert.alert_id}-{alert.state}-{sink}",
        sink=sink,
        group=alert.key,
        kind=alert.state,
        alerts=(alert,),
        created_at=alert.timestamp,
    )
