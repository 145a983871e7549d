"""The contract of the outbox of `perfmon.storage.AlertStorage`: which message is due."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import attrs

from perfmon.records import AlertMessage
from perfmon.storage.alerts import DueMessage, SinkState
from perfmon.testing.rows import START_US
from perfmon.testing.stored_alerts import stored_alert, stored_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon.storage.storage import Storage


class OutboxContract:
    """Messages wait in it until a sink took them."""

    def test_messages_wait_until_they_are_delivered(
        self, open_storage: Callable[[], Storage]
    ) -> None:
        """A message is due at once, as it was decided, and again when its pause is over."""
        storage, alert = open_storage(), stored_alert(0)
        message = stored_message("m", alert, left_out=3, link="https://x/y?a=1")
        storage.save_alerts([alert], None, [message, message])
        storage.save_alerts([alert], None, [attrs.evolve(message, sink="other")])
        for now in (START_US, START_US - 10**12):
            assert storage.due_messages(now, 9) == [DueMessage(message, 0, None)]
        assert storage.waiting_messages() == {"log": 1}
        assert storage.note_delivery("m", START_US + 2, retry_at=START_US + 9, error="no")
        assert storage.due_messages(START_US + 8, 9) == []
        assert storage.due_messages(START_US + 9, 9) == [DueMessage(message, 1, START_US + 2)]
        assert storage.note_delivery("m", START_US + 10, delivered=True)
        assert not storage.note_delivery("m", START_US + 11, delivered=True)
        assert not storage.note_delivery("unknown", START_US + 11, delivered=True)
        assert (storage.due_messages(START_US + 99, 9), storage.waiting_messages()) == ([], {})
        storage.save_alerts([], None, [message])
        assert storage.due_messages(START_US + 99, 9) == []

    def test_order_of_messages(self, open_storage: Callable[[], Storage]) -> None:
        """Within a sink, none goes before one of its group, or about its alerts, that waits."""
        storage, one, two = open_storage(), stored_alert(0), stored_alert(0, alert_id="two")
        storage.save_alerts(
            [],
            None,
            [
                stored_message("fires", one, group="g1"),
                stored_message("elsewhere", one, group="g1", sink="mail"),
                stored_message("same group", two, group="g1"),
                stored_message("same alert", one, group="g2"),
                stored_message("other", two, group="g3", alerts=(two,)),
                stored_message("free", stored_alert(0, alert_id="three"), group="g4"),
            ],
        )

        def due(sink: str | None = "log") -> list[str]:
            found = storage.due_messages(START_US + 9, 9, sink=sink)
            return [one.message.message_id for one in found]

        assert due() == ["fires", "free"]
        assert due("mail") == ["elsewhere"]
        assert due(None) == ["fires", "elsewhere", "free"]
        storage.note_delivery("fires", START_US, retry_at=START_US + 99)
        assert due() == ["free"]
        storage.note_delivery("fires", START_US, delivered=True)
        assert due() == ["same group", "same alert", "free"]
        storage.note_delivery("same group", START_US)
        assert due() == ["same alert", "other", "free"]
        assert len(storage.due_messages(START_US, 2)) == 2

    def test_any_order_of_messages(self, open_storage: Callable[[], Storage]) -> None:
        """Whatever is added and closed when, what is due is what nothing earlier is in front of."""
        storage, dice = open_storage(), random.Random(5)  # noqa: S311
        alerts = [stored_alert(0, alert_id=f"alert-{n}") for n in range(12)]
        waiting: list[AlertMessage] = []

        def is_due(place: int) -> bool:
            message = waiting[place]
            return not any(
                one.sink == message.sink
                and (one.group == message.group or _ids_of(one) & _ids_of(message))
                for one in waiting[:place]
            )

        for number in range(80):
            message = stored_message(
                f"m{number}",
                *dice.sample(alerts, dice.randrange(1, 4)),
                sink=dice.choice("ab"),
                group=dice.choice("xyz" * 2 + "uvw"),
            )
            waiting.append(message)
            storage.save_alerts([], None, [message])
            due = [one.message for one in storage.due_messages(START_US, 999)]
            assert due == [one for place, one in enumerate(waiting) if is_due(place)]
            if dice.random() < 0.7:
                gone = dice.choice(due)
                storage.note_delivery(gone.message_id, START_US, delivered=dice.random() < 0.5)
                waiting.remove(gone)

    def test_sinks_are_remembered(self, open_storage: Callable[[], Storage]) -> None:
        """Until when a sink is left alone, and why."""
        storage = open_storage()
        assert storage.read_sinks() == {}
        storage.save_sink("slack", SinkState(START_US, "403", "a"))
        storage.save_sink("mail", SinkState())
        storage.save_sink("slack", SinkState(START_US + 1))
        assert storage.read_sinks() == {"slack": SinkState(START_US + 1), "mail": SinkState()}


class SharedOutboxContract(OutboxContract):
    """Of one that has several readers and writers."""

    def test_messages_added_while_others_are_closed(
        self, open_storage: Callable[[], Storage]
    ) -> None:
        """None waits for ever for one that was closed at that moment, and none overtakes."""
        one, two, sent = open_storage(), open_storage(), []

        def add() -> None:
            for number in range(30):
                one.save_alerts([], None, [stored_message(f"m{number}")])

        adder = threading.Thread(target=add)
        adder.start()
        while adder.is_alive() or two.waiting_messages():
            for due in two.due_messages(START_US, 9):
                sent.append(due.message.message_id)
                two.note_delivery(due.message.message_id, START_US, delivered=True)
        adder.join()
        assert sent == [f"m{number}" for number in range(30)]


def _ids_of(message: AlertMessage) -> set[str]:
    return {alert.alert_id for alert in message.alerts}
