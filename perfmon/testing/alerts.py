"""The contract of `perfmon.AlertStorage`: one test per sentence."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from perfmon.errors import StorageError
from perfmon.records import (
    AlertLevel,
    PerformanceAlert,
    Silence,
    from_micros,
    to_micros,
)
from perfmon.storage.alerts import AlertState, RunInFlight, SinkState
from perfmon.testing.outbox import OutboxContract, SharedOutboxContract
from perfmon.testing.rows import START_US, run_row
from perfmon.testing.stored import stored
from perfmon.testing.stored_alerts import SECOND, resolved, stored_alert, stored_message
from perfmon.testing.threads import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon.storage.storage import Storage


class AlertStorageContract(OutboxContract):
    """Every sentence of `perfmon.AlertStorage`, a test each."""

    def test_episodes_are_read_back(self, open_storage: Callable[[], Storage]) -> None:
        """Every field of an episode comes back equal, and a newer version takes its place."""
        storage, plain = open_storage(), stored_alert(1, interval=(0.0, 1.0))
        full = stored_alert(
            2,
            recommendation="retry less",
            agent_type="react",
            model="large",
            silenced_by="s",
            inhibited_by="k",
            acknowledged_by="ann",
            level=AlertLevel.CRITICAL,
        )
        assert storage.save_alerts([plain, full])
        assert [found.alert for found in storage.find_alerts()] == [full, plain]
        assert storage.save_alerts([resolved(plain)])
        assert [found.alert for found in storage.find_alerts()] == [full, resolved(plain)]

    def test_finding_episodes(self, open_storage: Callable[[], Storage]) -> None:
        """By level, agent, tenant, state, id and time; those that began last come first."""
        storage = open_storage()
        levels = list(AlertLevel)
        alerts = [
            stored_alert(
                n,
                level=levels[n % 3],
                agent_name=f"a{n % 4}",
                tenant=("t", None)[n % 2],
                model=("m", None)[n % 2],
                agent_type=("react", None, "it's")[n % 3],
            )
            for n in range(12)
        ]
        alerts[:5] = [resolved(alert, 2) for alert in alerts[:5]]
        storage.save_alerts(alerts)

        def found(**by: Any) -> list[PerformanceAlert]:
            return [found.alert for found in storage.find_alerts(**by)]

        alerts.reverse()
        assert found() == alerts
        assert found(limit=3) == alerts[:3]
        assert found(level="info") == [a for a in alerts if a.level == "info"]
        assert found(min_level="warning") == [a for a in alerts if a.level != "info"]
        assert found(min_level="critical", level="info") == []
        assert found(agent_name="a1") == [a for a in alerts if a.agent_name == "a1"]
        assert found(tenant="t") == [a for a in alerts if a.tenant == "t"]
        assert found(model="m") == [a for a in alerts if a.model == "m"]
        assert found(agent_type="it's") == [a for a in alerts if a.agent_type == "it's"]
        assert storage.count_alerts(model="m", agent_type="react") == len(
            found(model="m", agent_type="react", limit=None)
        )
        assert found(state="firing") == alerts[:7]
        assert found(alert_id="alert-3") == [alerts[8]]
        # Those that fire still, and those that did at that time.
        assert found(since=START_US + 5 * SECOND) == alerts[:9]
        assert found(until=to_micros(alerts[5].started_at or alerts[5].timestamp)) == alerts[6:]

    def test_counting_episodes(self, open_storage: Callable[[], Storage]) -> None:
        """As many as would be found, whatever is asked for."""
        storage, levels = open_storage(), list(AlertLevel)
        alerts = [stored_alert(n, level=levels[n % 3], agent_name=f"a{n % 4}") for n in range(60)]
        alerts[:5] = [resolved(alert, 2) for alert in alerts[:5]]
        storage.save_alerts(alerts)
        middle = START_US + 5 * SECOND
        for by in (
            {},
            {"level": "info"},
            {"min_level": "warning"},
            {"agent_name": "a1"},
            {"state": "resolved"},
            {"since": middle},
            {"until": middle},
            {"tenant": "nobody"},
            {"level": "info", "min_level": "critical"},
            {"since": middle, "state": "firing"},
        ):
            asked: dict[str, Any] = by
            assert storage.count_alerts(**asked) == len(storage.find_alerts(**asked, limit=None))

    def test_deliveries(self, open_storage: Callable[[], Storage]) -> None:
        """An episode comes with what became of its messages, in their order."""
        storage, one, two = open_storage(), stored_alert(1), stored_alert(2)
        storage.save_alerts([one], None, [stored_message("m1", one)])
        storage.save_alerts([two], None, [stored_message("m2", one, two, sink="mail")])
        storage.note_delivery("m1", START_US + 5, retry_at=START_US + 9, error="away")
        storage.note_delivery("m1", START_US + 9, delivered=True)
        storage.note_delivery("m2", START_US + 7, error="never")
        second, first = storage.find_alerts()
        assert [tuple(delivery)[:5] for delivery in first.deliveries] == [
            ("m1", "log", "firing", "delivered", 2),
            ("m2", "mail", "firing", "given_up", 1),
        ]
        sent, given_up = first.deliveries
        assert (sent.created_at, sent.tried_at) == (START_US + SECOND, START_US + 5)
        assert (sent.closed_at, sent.error) == (START_US + 9, None)
        assert (given_up.closed_at, given_up.error) == (START_US + 7, "never")
        assert second.deliveries == (given_up,)

    def test_the_state_has_versions(self, open_storage: Callable[[], Storage]) -> None:
        """Who read an older version saves nothing: neither state nor episodes nor messages."""
        storage = open_storage()
        assert storage.read_alert_state() == AlertState(0, b"")
        assert storage.save_alerts([], AlertState(0, b"one\0"))
        assert storage.read_alert_state() == AlertState(1, b"one\0")
        assert storage.save_alerts([stored_alert(1)], AlertState(1, b"two"))
        for late in (AlertState(0, b"x"), AlertState(1, b"x"), AlertState(7, b"x")):
            assert not storage.save_alerts([stored_alert(2)], late, [stored_message("m")])
        assert storage.read_alert_state() == AlertState(2, b"two")
        assert len(storage.find_alerts()) == 1
        assert storage.due_messages(START_US, 9) == []

    def test_a_failed_save_changes_nothing(self, open_storage: Callable[[], Storage]) -> None:
        """An error in the middle of it takes back the state and the episodes as well."""
        storage = open_storage()
        broken = stored_message("m", kind=object())
        try:
            storage.save_alerts([stored_alert(1)], AlertState(0, b"x"), [broken])
        except Exception:  # noqa: S110
            pass
        else:
            raise AssertionError("a message without words was saved")
        assert storage.read_alert_state() == AlertState()
        assert storage.find_alerts() == []

    def test_acknowledgements_stay(self, open_storage: Callable[[], Storage]) -> None:
        """Whoever takes care of an episode is not forgotten when the episode goes on."""
        storage, alert = open_storage(), stored_alert(1)
        storage.save_alerts([alert])
        assert storage.acknowledge_alert("alert-1", "ann", START_US)
        assert not storage.acknowledge_alert("alert-2", "ann", START_US)
        storage.save_alerts([resolved(alert)])
        (found,) = storage.find_alerts()
        assert found.alert == attrs.evolve(resolved(alert), acknowledged_by="ann")

    def test_acknowledgements_end_with_their_level(
        self, open_storage: Callable[[], Storage]
    ) -> None:
        """Whoever takes care of a warning has not taken care of what is critical."""
        storage, alert = open_storage(), stored_alert(1, level=AlertLevel.WARNING)
        storage.save_alerts([alert])
        storage.acknowledge_alert("alert-1", "ann", START_US)
        worse = attrs.evolve(alert, level=AlertLevel.CRITICAL)
        storage.save_alerts([worse])
        assert [found.alert for found in storage.find_alerts()] == [worse]

    def test_silences(self, open_storage: Callable[[], Storage]) -> None:
        """They are kept as they are, replaced by their id, and ended before their time."""
        storage = open_storage()
        later = Silence(
            silence_id="b",
            matchers={"agent_name": "billing-*", "level": ["info"]},
            author="ann",
            comment="it's known",
            starts_at=from_micros(START_US + 5),
            ends_at=from_micros(START_US + 10),
        )
        first = attrs.evolve(later, silence_id="a", starts_at=from_micros(START_US))
        for silence in (first, attrs.evolve(later, author="bob"), later):
            storage.save_silence(silence)
        assert storage.read_silences() == [later, first]
        assert storage.end_silence("b", START_US + 7)
        assert not storage.end_silence("b", START_US + 8)
        assert not storage.end_silence("c", START_US)
        assert storage.read_silences(START_US + 7) == [first]
        assert to_micros(storage.read_silences()[0].ends_at) == START_US + 7
        assert storage.read_silences(START_US + 10) == []

    def test_runs_under_way(self, open_storage: Callable[[], Storage]) -> None:
        """They are kept as they are, replaced by their key, and ended when requested."""
        storage = open_storage()
        runs = [
            RunInFlight(tenant, f"it's {agent}", agent, kind, note, START_US + number)
            for number, (tenant, agent, kind, note) in enumerate(
                [
                    ("default", "a", None, None),
                    ("acme", "a", "react", '{"x": 1}'),
                    ("default", "b", "react", None),
                ]
            )
        ]
        storage.save_in_flight(runs[::-1], [])
        assert storage.read_in_flight() == runs
        again = runs[0]._replace(started_at=START_US + 9)
        storage.save_in_flight([again], [runs[2].key, ("no", "such", "run")])
        assert storage.read_in_flight() == [runs[1], again]

    def test_a_run_under_way_is_over_when_it_is_stored(
        self, open_storage: Callable[[], Storage]
    ) -> None:
        """By whomever; one of the same id that ended before it began is another one."""
        storage = open_storage()
        stored(storage, [run_row("1", agent_name="planner"), run_row("2", agent_name="planner")])
        before, after = START_US - SECOND, START_US + 3_600 * SECOND
        flying = [
            RunInFlight("default", "1", "planner", None, None, before),
            RunInFlight("default", "1", "other", None, None, before),
            RunInFlight("default", "2", "planner", None, None, after),
        ]
        storage.save_in_flight(flying, [])
        assert storage.read_in_flight() == flying[1:]
        storage.purge(0, 0)
        assert storage.read_in_flight() == flying[1:]

    def test_notes_are_kept_by_kind_and_name(self, open_storage: Callable[[], Storage]) -> None:
        """They are replaced and forgotten one by one, through a second opening too."""
        storage = open_storage()
        assert storage.read_notes("life") == {}
        storage.save_notes("life", {"a": "1", "it's": '{"b": "🦜"}'})
        storage.save_notes("other", {"a": "2"})
        storage.save_notes("life", {"a": "3"}, ["it's", "never"])
        assert storage.read_notes("life") == {"a": "3"}
        assert storage.read_notes("other") == {"a": "2"}

    def test_a_lease_has_one_owner(self, open_storage: Callable[[], Storage]) -> None:
        """Nobody else gets it before its end, and letting go of it ends it."""
        storage = open_storage()
        assert storage.take_lease("alerts", "one", 60)
        assert not storage.take_lease("alerts", "two", 60)
        assert storage.take_lease("other", "two", 60)
        assert storage.take_lease("alerts", "one", 0.05)
        time.sleep(0.1)
        assert storage.take_lease("alerts", "two", 60)
        assert not storage.take_lease("alerts", "one", 60)
        assert storage.lease_holder("alerts") == "two"
        assert storage.take_lease("alerts", "two", 0)
        assert storage.lease_holder("alerts") is None
        assert storage.take_lease("alerts", "one", 60)

    def test_purge_of_alerts(self, open_storage: Callable[[], Storage]) -> None:
        """What is over goes by its age; what fires, waits or holds stays however old it is."""
        storage = open_storage()
        ended = resolved(stored_alert(1), after=1)
        storage.save_alerts(
            [ended, stored_alert(0)],
            None,
            [
                stored_message("old", ended),
                stored_message("given up", ended, group="b"),
                stored_message("waits", stored_alert(0), group="c"),
            ],
        )
        storage.note_delivery("old", START_US + SECOND, delivered=True)
        storage.note_delivery("given up", START_US + 2 * SECOND)
        start, end = from_micros(START_US), from_micros(START_US + SECOND)
        storage.save_silence(
            Silence(silence_id="s", matchers={}, starts_at=start, ends_at=end, author="a")
        )
        assert storage.purge(START_US + SECOND, START_US) == 0
        assert storage.purge(START_US + SECOND + 1, START_US) == 2
        assert [d.message_id for d in storage.find_alerts()[0].deliveries] == ["given up"]
        assert storage.purge(START_US + 9 * SECOND, START_US) == 2
        (left,) = storage.find_alerts()
        assert (left.alert, [d.message_id for d in left.deliveries]) == (stored_alert(0), ["waits"])
        assert storage.read_silences() == []

    def test_alerts_of_a_closed_storage(self, open_storage: Callable[[], Storage]) -> None:
        """It refuses them as it refuses everything."""
        storage = open_storage()
        storage.close()
        for refused in (storage.read_alert_state, lambda: storage.take_lease("a", "b", 1)):
            try:
                refused()
            except StorageError:
                continue
            raise AssertionError("a closed storage answered")


class SharedAlertStorageContract(SharedOutboxContract, AlertStorageContract):
    """Of a storage that outlives its process and may have several writers."""

    def test_alerts_are_there_again(self, open_storage: Callable[[], Storage]) -> None:
        """Whatever was saved is there after closing and opening."""
        storage, alert = open_storage(), stored_alert(0)
        storage.save_alerts([alert], AlertState(0, b"x"), [stored_message("m", alert)])
        storage.save_sink("log", SinkState(5))
        storage.close()
        storage = open_storage()
        assert storage.read_alert_state() == AlertState(1, b"x")
        assert [found.alert for found in storage.find_alerts()] == [alert]
        assert [due.message.message_id for due in storage.due_messages(START_US, 9)] == ["m"]
        assert storage.read_sinks() == {"log": SinkState(5)}

    def test_only_one_decides(self, open_storage: Callable[[], Storage]) -> None:
        """Of two that save at once from one version one succeeds, and the other did nothing."""
        storages, told = [open_storage(), open_storage()], []
        start = threading.Barrier(2)

        def decide(storage: Storage, name: str) -> None:
            for round_ in range(10):
                start.wait()
                version = storage.read_alert_state().version
                start.wait()
                alert = stored_alert(0, alert_id=f"{name}-{round_}")
                state = AlertState(version, name.encode())
                told.append(
                    storage.save_alerts([alert], state, [stored_message(f"{round_}", alert)])
                )

        at_once(partial(decide, storages[0], "a"), partial(decide, storages[1], "b"))
        assert (sum(told), len(told)) == (10, 20)
        assert storages[0].read_alert_state().version == 10
        assert len(storages[1].find_alerts()) == 10

    def test_only_one_gets_the_lease(self, open_storage: Callable[[], Storage]) -> None:
        """Of two that ask at once one has it."""
        storages, told = [open_storage(), open_storage()], []
        start = threading.Barrier(2)

        def take(storage: Storage, name: str) -> None:
            for round_ in range(10):
                start.wait()
                told.append(storage.take_lease(f"lease-{round_}", name, 60))

        at_once(partial(take, storages[0], "a"), partial(take, storages[1], "b"))
        assert sum(told) == 10
