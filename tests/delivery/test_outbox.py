"""Messages reach the sinks: each on its own, in order, at least once, and nothing early."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from perfmon_sql import open_storage

from perfmon import DeliveryError, PluginError, SinkState, StorageError, hookimpl
from perfmon.delivery.lane import Lane
from perfmon.delivery.outbox import Outbox
from perfmon.delivery.sender import OutboxSettings
from perfmon.plugins.bus import Bus
from perfmon.testing import START_US, ManualClock
from perfmon.testing.stored_alerts import resolved
from perfmon.testing.stored_alerts import stored_alert as make_alert
from perfmon.testing.stored_alerts import stored_message as make_message

SECOND = 1_000_000
QUICK = OutboxSettings(poll=0.005, deadline=60.0)


class Sink:
    """Keeps what it gets; `answers` are raised first, one for each call."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.got = []
        self.tries = []

    def take(self, message):
        self.tries.append(message)
        if self.answers:
            raise self.answers.pop(0)
        self.got.append(message.message_id)

    @hookimpl
    def deliver_alert(self, message):
        self.take(message)


class AsyncSink(Sink):
    @hookimpl
    async def deliver_alert(self, message):
        await asyncio.sleep(0)
        self.take(message)


class HangingSink(Sink):
    """Hangs until it is let go."""

    deadline = 0.05

    def __init__(self):
        super().__init__()
        self.let_go = threading.Event()

    @hookimpl
    def deliver_alert(self, message):
        self.tries.append(message)
        self.let_go.wait(60)
        self.got.append(message.message_id)


class HangingAsyncSink(Sink):
    deadline = 0.05

    @hookimpl
    async def deliver_alert(self, message):
        self.tries.append(message)
        await asyncio.sleep(60)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.002)


@pytest.fixture
def storage(tmp_path):
    with contextlib.closing(open_storage(f"sqlite:///{tmp_path}/perfmon.db")) as storage:
        yield storage


@pytest.fixture
def clock():
    return ManualClock(START_US / SECOND)


@pytest.fixture
def bus():
    bus = Bus()
    yield bus
    bus.close(1.0)


@pytest.fixture
def post(storage, clock, bus):
    """Makes outboxes that are stopped at the end; half of each pause is waited."""
    made = []

    def make(on=None, settings=QUICK, **more):
        def now():
            return round(clock() * SECOND)

        given = {"steady": clock, "random": lambda: 0.5} | more
        outbox = Outbox(on or storage, bus, now, settings, **given)
        outbox.start()
        made.append(outbox)
        return outbox

    yield make
    for outbox in made:
        outbox.stop()


def add(storage, *messages):
    storage.save_alerts([], None, messages)


def about(name, **fields):
    """A message about an alert of its own, in a group of its own."""
    return make_message(name, make_alert(0, alert_id=name), group=name, **fields)


def delivery_of(storage, message_id, alert_id="alert-0"):
    (found,) = storage.find_alerts(alert_id=alert_id)
    return next(one for one in found.deliveries if one.message_id == message_id)


@pytest.mark.parametrize("kind", [Sink, AsyncSink])
def test_what_waits_is_sent_once_and_marked(storage, bus, post, kind):
    """Each message to its own sink, as its first attempt."""
    one, two, alert = kind(), kind(), make_alert(0)
    bus.register(one, "one")
    bus.register(two, "two")
    storage.save_alerts([alert], None, [
        make_message("a", alert, sink="one"), make_message("b", alert, sink="two"),
        make_message("c", alert, sink="one"),
    ])  # fmt: skip
    outbox = post()
    wait_for(lambda: storage.waiting_messages() == {})
    assert (one.got, two.got) == (["a", "c"], ["b"])
    assert [message.attempt for message in one.tries] == [1, 1]
    assert delivery_of(storage, "a").state == "delivered"
    stats = outbox.stats()
    assert (stats["waiting"], stats["delivered"], stats["failed"]) == (0, 3, 0)
    assert stats["sinks"]["one"]["state"] == "working"


def test_a_sink_may_take_the_alert_alone(storage, bus, post):
    """It gets the most urgent one."""
    got = []

    class Short:
        @hookimpl
        def deliver_alert(self, alert):
            got.append(alert)

    bus.register(Short(), "short")
    first, second = make_alert(0), make_alert(0, alert_id="second")
    add(storage, make_message("m", first, second, sink="short"))
    post()
    wait_for(lambda: got == [first])


def test_new_messages_are_sent_when_told_of(storage, bus, post):
    """`wake` is quicker than the next look."""
    sink = Sink()
    bus.register(sink, "log")
    outbox = post(settings=OutboxSettings(poll=60.0))
    wait_for(lambda: outbox.stats()["sinks"])
    add(storage, make_message("m"))
    outbox.wake()
    wait_for(lambda: sink.got == ["m"])


@pytest.mark.parametrize("kind", [HangingSink, HangingAsyncSink])
def test_a_sink_that_hangs_delays_no_other(storage, bus, post, kind):
    """It fails at its own deadline; the others go on meanwhile."""
    hanging, well = kind(), Sink()
    hanging.deadline = 0.5
    bus.register(hanging, "hanging")
    bus.register(well, "well")
    add(storage, make_message("h", sink="hanging"))
    outbox = post()
    wait_for(lambda: hanging.tries)
    for n in range(20):
        add(storage, about(f"w{n}", sink="well"))
    wait_for(lambda: len(well.got) == 20)
    wait_for(lambda: outbox.stats()["sinks"]["hanging"]["failed"] == 1)
    assert "no answer within 0.5 s" in outbox.stats()["sinks"]["hanging"]["last_error"]
    if kind is HangingSink:
        hanging.let_go.set()
        wait_for(lambda: storage.waiting_messages() == {})


def test_a_call_that_was_late_and_good_is_no_failure(storage, clock, bus, post):
    """What it took is marked as delivered, and not sent again."""
    sink = HangingSink()
    bus.register(sink, "log")
    storage.save_alerts([make_alert(0)], None, [make_message("m")])
    post()
    wait_for(lambda: delivery_of(storage, "m").attempts == 1)
    sink.let_go.set()
    wait_for(lambda: delivery_of(storage, "m").state == "delivered")
    clock.advance(3600)
    time.sleep(0.05)
    assert len(sink.tries) == 1


def test_a_sink_that_always_hangs_is_disabled(storage, clock, bus, post):
    """Three of its calls may hang and no more; the other sinks are told."""
    sink, other = HangingSink(), Sink()
    bus.register(sink, "hangs")
    bus.register(other, "other")
    storage.save_alerts([make_alert(0)], None, [make_message("m", sink="hangs")])
    outbox = post()
    for attempt in (1, 2, 3):
        wait_for(lambda n=attempt: delivery_of(storage, "m").attempts == n)
        clock.advance(60)
    wait_for(lambda: outbox.stats()["sinks"]["hangs"]["state"] == "disabled")
    assert len(sink.tries) == 3
    wait_for(lambda: other.got)
    assert "3 earlier calls are still hanging" in other.tries[0].alerts[0].message
    sink.let_go.set()


@pytest.mark.parametrize("kind", [Sink, AsyncSink])
def test_pauses_grow_and_have_jitter(storage, clock, bus, post, kind):
    """A random part of 2, 4, 8 s; the same message_id on every attempt, counted up."""
    sink = kind(*[DeliveryError("away"), ConnectionError("away"), DeliveryError("away")])
    bus.register(sink, "log")
    storage.save_alerts([make_alert(0)], None, [make_message("m")])
    post()
    for attempt, half in enumerate((1, 2, 4), 1):
        wait_for(lambda n=attempt: delivery_of(storage, "m").attempts == n)
        due = delivery_of(storage, "m")
        assert due.due_at == round(clock() * SECOND) + half * SECOND
        clock.advance(half - 0.001)
        time.sleep(0.03)
        assert len(sink.tries) == attempt
        clock.advance(0.001)
    wait_for(lambda: delivery_of(storage, "m").state == "delivered")
    assert [(one.message_id, one.attempt) for one in sink.tries] == [
        ("m", attempt) for attempt in range(1, 5)
    ]


def test_a_limit_of_the_sink_is_kept(storage, clock, bus, post):
    """Nothing at all is sent to it earlier than it asked for, after a restart neither."""
    sink, other = Sink(DeliveryError("429", retry_after=30)), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    add(storage, make_message("m"))
    outbox = post()
    wait_for(storage.read_sinks)
    add(storage, about("n"), about("o", sink="other"))
    wait_for(lambda: other.got == ["o"])
    assert outbox.stats()["sinks"]["log"]["state"] == "held"
    clock.advance(29.999)
    outbox.stop()
    post()
    time.sleep(0.05)
    assert len(sink.tries) == 1
    clock.advance(0.001)
    wait_for(lambda: sink.got == ["n", "m"] or sink.got == ["m", "n"])


def test_what_sinks_say_is_taken_with_care(storage, clock, bus, post):
    """A `retry_after` that is no number of seconds is none."""
    odd = [DeliveryError("x", retry_after=value) for value in (float("nan"), -5, "soon", True)]
    sink = Sink(*odd)
    bus.register(sink, "log")
    storage.save_alerts([make_alert(0)], None, [make_message("m")])
    post()
    for attempt in range(1, len(odd) + 1):
        wait_for(lambda n=attempt: delivery_of(storage, "m").attempts == n)
        clock.advance(10)
    wait_for(lambda: sink.got == ["m"])
    assert storage.read_sinks() == {}


def test_one_refusal_for_good_holds_up_its_message_alone(storage, clock, bus, post):
    """The rest of the queue goes on at once, and nobody is told of a sink in trouble."""
    sink, other = Sink(DeliveryError("400 odd", permanent=True)), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    add(storage, make_message("m"))
    outbox = post()
    wait_for(lambda: len(sink.tries) == 1)
    add(storage, about("n"), about("o"))
    wait_for(lambda: sink.got == ["n", "o"])
    assert outbox.stats()["sinks"]["log"]["state"] == "working"
    clock.advance(15)
    wait_for(lambda: sink.got == ["n", "o", "m"])
    assert other.tries == []


def test_an_address_that_is_gone_for_a_minute_costs_about_that(storage, clock, bus, post):
    """Three refusals in a row are put down to the sink, which is left alone for a minute."""
    gone = [DeliveryError("404 no_service", permanent=True) for _ in range(3)]
    sink, other = Sink(*gone), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    add(storage, *(about(name) for name in "abcd"))
    outbox = post()
    wait_for(lambda: len(other.got) == 1)
    wait_for(lambda: outbox.stats()["sinks"]["log"]["state"] == "disabled")
    assert len(sink.tries) == 3
    clock.advance(59.9)
    time.sleep(0.03)
    assert len(sink.tries) == 3
    clock.advance(0.2)
    wait_for(lambda: sorted(sink.got) == ["a", "b", "c", "d"])
    wait_for(lambda: len(other.got) == 2)
    told = [message.alerts[0] for message in other.tries]
    assert [alert.state for alert in told] == ["firing", "resolved"]
    assert told[0].alert_id == told[1].alert_id
    assert "sink log is disabled" in told[0].message
    assert "404 no_service" in told[0].message


def test_a_sink_that_goes_on_refusing_is_asked_less_and_less(storage, clock, bus, post):
    """After 1, 2, 4 minutes and so on, up to an hour; the others are told once."""
    sink, other = Sink(*[DeliveryError("403", permanent=True)] * 100), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    add(storage, *(about(name) for name in "abcd"))
    post()
    wait_for(lambda: len(sink.tries) == 3)
    for number, minutes in enumerate((1, 2, 4, 8, 16, 32, 60, 60), 4):
        wait_for(lambda m=minutes: held_for(storage, clock) == 60 * m)
        clock.advance(60 * minutes - 0.1)
        time.sleep(0.02)
        assert len(sink.tries) == number - 1
        clock.advance(0.2)
        wait_for(lambda n=number: len(sink.tries) == n)
    wait_for(lambda: len(other.got) == 1)


def held_for(storage, clock):
    state = storage.read_sinks().get("log", SinkState())
    return round((state.held_until - clock() * SECOND) / SECOND, 1)


def test_a_message_that_nobody_can_take_is_given_up_alone(storage, clock, bus, post):
    """If others get through while it is refused again and again; and that is said."""

    class Picky(Sink):
        @hookimpl
        def deliver_alert(self, message):
            self.tries.append(message)
            if message.message_id == "bad":
                raise DeliveryError("400 invalid_payload", permanent=True)
            self.got.append(message.message_id)

    sink, other = Picky(), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    storage.save_alerts([make_alert(0)], None, [make_message("bad")])
    outbox = post()
    wait_for(lambda: len(sink.tries) == 1)
    add(storage, make_message("after"))
    for attempt, pause in enumerate((15, 60, 240), 2):
        add(storage, about(f"good{attempt}"))
        wait_for(lambda n=attempt: f"good{n}" in sink.got)
        assert delivery_of(storage, "bad").state == "waiting"
        clock.advance(pause)
        wait_for(lambda n=attempt: len([m for m in sink.tries if m.message_id == "bad"]) == n)
    wait_for(lambda: "after" in sink.got)
    delivery = delivery_of(storage, "bad")
    assert (delivery.state, delivery.error) == ("given_up", "400 invalid_payload")
    assert outbox.stats()["sinks"]["log"]["given_up"] == 1
    wait_for(lambda: any("gave up" in one.alerts[0].message for one in other.tries))


@pytest.mark.parametrize("step", [-3 * 3600, -1, 2 * 86_400, 40 * 365 * 86_400])
def test_a_correction_of_the_wall_clock_changes_no_pause(storage, clock, bus, post, step):
    """Set back it delays nothing, set ahead it gives nothing up."""
    steady = ManualClock(0.0)
    sink = Sink(*[DeliveryError("503")] * 2, DeliveryError("404", permanent=True))
    bus.register(sink, "log")
    storage.save_alerts([make_alert(0)], None, [make_message("m")])
    outbox = post(steady=steady)
    wait_for(lambda: delivery_of(storage, "m").attempts == 1)
    clock.advance(step)
    for attempt, pause in enumerate((1, 2, 15), 2):
        steady.advance(pause - 0.001)
        time.sleep(0.03)
        assert len(sink.tries) == attempt - 1
        steady.advance(0.002)
        wait_for(lambda n=attempt: delivery_of(storage, "m").attempts == n)
    assert sink.got == ["m"]
    assert outbox.stats()["given_up"] == 0


def test_a_clock_set_back_while_nobody_ran_delays_nothing(storage, clock, bus, post):
    """What waited at the start is tried once, whenever its pause would end."""
    sink = Sink(DeliveryError("503"))
    bus.register(sink, "log")
    storage.save_alerts([make_alert(0)], None, [make_message("m")])
    outbox = post()
    wait_for(lambda: delivery_of(storage, "m").attempts == 1)
    outbox.stop()
    clock.advance(-3 * 3600)
    post()
    wait_for(lambda: sink.got == ["m"])


def test_a_start_and_a_reload_try_again_at_once(storage, bus, post, monkeypatch):
    """Their settings may have changed; the episode goes on until the sink takes something."""
    begin = Lane.start
    # A lane may have tried before the thread that started it goes on.
    monkeypatch.setattr(Lane, "start", lambda lane, **how: begin(lane, **how) or time.sleep(0.3))
    refusal = DeliveryError("403", permanent=True)
    sink, other = Sink(*[refusal] * 4), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    strict = OutboxSettings(poll=0.005, deadline=60.0, strikes=1)
    add(storage, *(about(name) for name in "mnop"))
    outbox = post(settings=strict)
    wait_for(lambda: outbox.stats()["sinks"]["log"]["state"] == "disabled")
    outbox.stop()
    outbox = post(settings=strict)
    wait_for(lambda: len(sink.tries) == 2)
    wait_for(lambda: storage.read_sinks()["log"].reason == "403")
    for attempt in (3, 4):
        outbox.enable()
        wait_for(lambda n=attempt: len(sink.tries) == n)
    outbox.enable()
    wait_for(lambda: sink.got)
    wait_for(lambda: len(other.got) == 2)
    assert [found.alert.state for found in storage.find_alerts()] == ["resolved"]
    wait_for(lambda: storage.read_sinks()["log"] == SinkState())


def test_what_fails_for_a_day_is_given_up(storage, clock, bus, post):
    """And that is said; what comes after it goes on."""
    sink, other = Sink(*[DeliveryError("away")] * 2), Sink()
    bus.register(sink, "log")
    bus.register(other, "other")
    storage.save_alerts([make_alert(0)], None, [make_message("m"), make_message("n")])
    outbox = post()
    wait_for(lambda: delivery_of(storage, "m").attempts == 1)
    clock.advance(86_400)
    wait_for(lambda: sink.got == ["n"])
    assert delivery_of(storage, "m").state == "given_up"
    wait_for(lambda: len(other.got) == 2)
    assert "gave up on a message" in other.tries[0].alerts[0].message
    assert outbox.stats()["given_up"] == 1


def test_what_nobody_can_send_does_not_wait_for_ever(storage, clock, bus, post):
    """Messages for a sink that is gone, and those behind a disabled one, end after a day."""
    alert = make_alert(0)
    storage.save_alerts([alert], None, [
        *(make_message(f"x{n}", alert, sink="gone") for n in range(3)),
    ])  # fmt: skip
    clock.advance(86_401)
    storage.save_alerts([], None, [make_message("young", make_alert(90_000), sink="gone")])
    outbox = post()
    wait_for(lambda: storage.waiting_messages() == {"gone": 1})
    assert delivery_of(storage, "x2").error == "nobody could send it for long"
    assert outbox.stats()["sinks"] == {"gone": {"state": "absent", "waiting": 1}}


def test_resolved_never_comes_before_firing(storage, clock, bus, post):
    """A firing that is late is still sent, first; other groups do not wait for it."""
    sink, alert = Sink(DeliveryError("away")), make_alert(0)
    bus.register(sink, "log")
    add(storage, make_message("fires", alert))
    outbox = post()
    wait_for(lambda: len(sink.tries) == 1)
    add(storage, make_message("over", resolved(alert, 0)), about("else"))
    outbox.wake()
    wait_for(lambda: sink.got == ["else"])
    clock.advance(2)
    wait_for(lambda: sink.got == ["else", "fires", "over"])


def test_what_was_sent_is_marked_before_anything_else(storage, clock, bus, post):
    """While storage is unavailable nothing is sent twice."""

    class Away:
        shared = False

        def __getattr__(self, name):
            return getattr(storage, name)

        def note_delivery(self, *args, **more):
            if away.is_set():
                raise StorageError("away")
            return storage.note_delivery(*args, **more)

    away = threading.Event()
    away.set()
    sink = Sink()
    bus.register(sink, "log")
    add(storage, make_message("m"), make_message("n"))
    post(on=Away())
    wait_for(lambda: sink.got)
    time.sleep(0.1)
    assert sink.got == ["m"]
    away.clear()
    wait_for(lambda: sink.got == ["m", "n"])
    wait_for(lambda: storage.waiting_messages() == {})


def test_what_fires_is_sent_again_where_it_would_expire(storage, clock, bus, post):
    """To a sink with `resend_every`, at that interval, as long as it fires."""

    class Expiring(Sink):
        resend_every = 60

    sink, plain, firing = Expiring(), Sink(), [make_alert(n) for n in range(70)]
    bus.register(sink, "am")
    bus.register(plain, "plain")
    post(firing=lambda: list(firing), accepts=lambda _name, alert: alert.alert_id != "alert-3")
    wait_for(lambda: len(sink.got) == 2)
    assert [len(message.alerts) for message in sink.tries] == [50, 19]
    clock.advance(59)
    time.sleep(0.03)
    assert len(sink.got) == 2
    del firing[1:]
    clock.advance(1)
    wait_for(lambda: len(sink.got) == 3)
    assert sink.tries[2].alerts == (make_alert(0),)
    firing.clear()
    clock.advance(60)
    time.sleep(0.03)
    assert (len(sink.got), plain.got) == (3, [])


def test_a_test_message(storage, bus, post):
    """It is sent at once, and what happened is told in words; secrets are not."""
    bus.register(Sink(), "good")
    bus.register(AsyncSink(DeliveryError("410 for https://u:pw@x/y?k=1", permanent=True)), "bad")
    bus.register(Sink(DeliveryError("429", retry_after=7)), "busy")
    bus.register(Sink(KeyError("x")), "broken")
    outbox = Outbox(storage, bus, lambda: START_US)
    good, bad = outbox.send_test("good"), outbox.send_test("bad")
    assert good.delivered
    assert re.fullmatch(r"good: delivered in [\d.]+ m?s", good.words)
    assert bad == (
        False, "bad: not delivered: 410 for https://***@x/y?*** (retrying will not help)",
    )  # fmt: skip
    assert "asks to wait 7 s" in outbox.send_test("busy").words
    assert outbox.send_test("broken").words == "broken: not delivered: KeyError: 'x'"
    with pytest.raises(PluginError, match=r"no sink 'goof'; did you mean 'good'\?"):
        outbox.send_test("goof")
    assert storage.waiting_messages() == {}


def test_a_sink_that_leaves_and_one_that_comes(storage, bus, post):
    """The outbox follows the bus; what waits for who left is kept for whoever comes back."""
    first, second = Sink(), Sink()
    bus.register(first, "log")
    outbox = post()
    wait_for(lambda: "log" in outbox.stats()["sinks"])
    bus.unregister("log")
    wait_for(lambda: "log" not in outbox.stats()["sinks"])
    add(storage, make_message("m"))
    bus._manager.register(second, "log")
    bus._rebuild()
    wait_for(lambda: second.got == ["m"])
    assert first.got == []


def test_several_processes_share_the_sinks(postgres_url, bus, post):
    """One serves a sink at a time; when it stops another takes over, and nothing comes twice."""
    sink = Sink()
    bus.register(sink, "log")
    with contextlib.closing(open_storage(postgres_url)) as one, \
            contextlib.closing(open_storage(postgres_url)) as two:  # fmt: skip
        first, second = post(on=one), post(on=two)
        states = ("working", "served elsewhere")

        def told():
            return sorted(
                outbox.stats()["sinks"].get("log", {}).get("state", "")
                for outbox in (first, second)
            )

        wait_for(lambda: told() == sorted(states))
        for n in range(8):
            add(one, make_message(f"m{n}"))
        wait_for(lambda: len(sink.got) == 8)
        serving = first if first.stats()["sinks"]["log"]["state"] == "working" else second
        serving.stop()
        for n in range(8, 12):
            add(two, make_message(f"m{n}"))
        wait_for(lambda: one.waiting_messages() == {})
        assert sink.got == [f"m{n}" for n in range(12)]
        first.stop()
        second.stop()


def test_a_stop_waits_for_no_sink_that_hangs(storage, bus, post):
    """Its time is up, and the message is sent after the next start."""
    sink = HangingSink()
    sink.deadline = 60
    bus.register(sink, "log")
    add(storage, make_message("m"))
    outbox = post()
    wait_for(lambda: sink.tries)
    started = time.monotonic()
    outbox.stop(0.2)
    assert time.monotonic() - started < 30
    assert storage.waiting_messages() == {"log": 1}
    sink.let_go.set()


def test_a_sink_that_is_met_during_the_stop_is_left_again(storage, bus, post, monkeypatch):
    """No lane goes on when the outbox has stopped."""
    meeting, go, open_lane = threading.Event(), threading.Event(), Outbox._open_lane

    def slowly(outbox, sink):
        meeting.set()
        go.wait(60)
        return open_lane(outbox, sink)

    monkeypatch.setattr(Outbox, "_open_lane", slowly)
    bus.register(Sink(), "met")
    outbox = post()
    assert meeting.wait(60)
    stopping = threading.Thread(target=outbox.stop, args=(60,))
    stopping.start()
    wait_for(outbox._stopping.is_set)
    time.sleep(0.05)
    go.set()
    stopping.join(60)
    assert "perfmon-met-lane" not in {thread.name for thread in threading.enumerate()}


def test_a_clock_that_is_set_back(storage, clock, bus, post):
    """New messages go out at once, and no sink is held for longer than anything can ask for."""
    sink = Sink(DeliveryError("429", retry_after=10**9))
    bus.register(sink, "log")
    add(storage, about("m"))
    post()
    wait_for(storage.read_sinks)
    assert storage.read_sinks()["log"].held_until == START_US + 86_400 * SECOND
    clock.advance(-90_000)
    add(storage, about("n"))
    wait_for(lambda: sink.got == ["n"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_200_random_points(tmp_path):
    """Between a change, its outbox row, the send and its mark: nothing is lost, and what comes
    twice has one id.
    """
    path, child = tmp_path / "perfmon.db", Path(__file__).with_name("killed_outbox.py")
    told = [sys.executable, "-W", "error", str(child), f"sqlite:///{path}", str(tmp_path), "200"]
    subprocess.run(told, check=True, timeout=1200)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT alert_id, state FROM alerts").fetchall()
        closed = database.execute("SELECT message_id FROM outbox WHERE state = 'delivered'")
        delivered = {row[0] for row in closed}
    assert {state for _, state in rows} == {"resolved"}
    episodes = {alert_id for alert_id, _ in rows}
    assert len(episodes) > 20
    repeats = 0
    for sink in ("one", "two"):
        lines = [line[:-2].split() for line in (tmp_path / sink).read_text().splitlines()
                 if line.endswith(" .")]  # fmt: skip
        ids = {}
        for alert_id, state, message_id in lines:
            assert state == "firing" or (alert_id, "firing") in ids
            ids.setdefault((alert_id, state), set()).add(message_id)
        assert ids.keys() == {(one, state) for one in episodes for state in ("firing", "resolved")}
        assert {len(found) for found in ids.values()} == {1}
        assert set.union(*ids.values()) <= delivered
        repeats += len(lines) - len(ids)
    assert repeats  # it was also killed between a send and its mark
