"""The PagerDuty sink, against a server that holds to the rules of Events API v2."""

from __future__ import annotations

import functools
import json
from datetime import datetime

import pytest
from aiohttp import web
from perfmon_pagerduty import PagerDutySink

from perfmon import AlertLevel, Config, ConfigError, DeliveryError
from perfmon.testing import make_alert, make_message

KEY = "0123456789abcdef0123456789abcdef"


def mistakes(event):
    """What PagerDuty would answer 400 for."""
    if event.get("routing_key") != KEY:
        yield "routing_key"
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        yield "event_action"
    if not 1 <= len(event.get("dedup_key", "")) <= 255:
        yield "dedup_key"
    payload = event.get("payload", {})
    if not 1 <= len(payload.get("summary", "")) <= 1_024:
        yield "summary"
    if not payload.get("source"):
        yield "source"
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        yield "severity"
    datetime.fromisoformat(payload["timestamp"])
    if not all(isinstance(payload[name], str) for name in ("component", "group", "class")):
        yield "text"
    if not all(link["href"].startswith("http") for link in event.get("links", [])):
        yield "links"


class PagerDuty:
    """Keeps incidents by their key, as the real one does."""

    def __init__(self, receiver):
        self.receiver, self.open, self.closed, self.events = receiver, {}, {}, []
        receiver.answers = [self.answer]

    async def answer(self, request):
        body = self.receiver.bodies[-1]
        if request.path != "/v2/enqueue" or len(body) > 512_000:
            return web.Response(status=404)
        event = json.loads(body)
        wrong = list(mistakes(event))
        if wrong:
            told = {
                "status": "invalid event",
                "message": f"Event object is invalid {event['routing_key']}",
                "errors": wrong,
            }
            return web.json_response(told, status=400)
        self.events.append(event)
        key = event["dedup_key"]
        if event["event_action"] == "trigger":
            self.open.setdefault(key, event)
        elif key in self.open:
            self.closed[key] = self.open.pop(key)
        return web.json_response({"status": "success", "dedup_key": key}, status=202)


@pytest.fixture
def pagerduty(receiver):
    return PagerDuty(receiver)


@pytest.fixture
def sink(receiver):
    def make(**table):
        table = {"routing_key": KEY, "url": receiver.url, "allow_private": True, **table}
        return PagerDutySink(Config.from_mapping({"plugins": {"pagerduty": table}}))

    return make


async def test_an_alert_opens_an_incident_and_closes_it(sink, pagerduty):
    """One, however often it is told in between."""
    made = sink()
    for kind in ("firing", "escalated", "reminder", "firing"):
        await made.deliver_alert(make_message(kind=kind, message_id=kind))
    assert len(pagerduty.open) == 1
    over = make_alert(state="resolved")
    await made.deliver_alert(make_message(over, kind="resolved", message_id="over"))
    assert (len(pagerduty.open), len(pagerduty.closed)) == (0, 1)


async def test_the_late_end_of_an_episode_leaves_the_next_one_open(sink, pagerduty):
    """The key of an incident is the episode's."""
    made = sink()
    first, second = make_alert(alert_id="episode-a"), make_alert(alert_id="episode-b")
    late = make_alert(alert_id="episode-a", state="resolved")
    for number, alert in enumerate((first, second, late)):
        await made.deliver_alert(make_message(alert, message_id=str(number)))
    assert list(pagerduty.open) == ["perfmon-episode-b"]


async def test_what_an_incident_says(sink, pagerduty):
    """Who, what, how urgent, and the figures."""
    for level in AlertLevel:
        await sink().deliver_alert(make_message(make_alert(level=level), message_id=level))
    payloads = [event["payload"] for event in pagerduty.events]
    assert [payload["severity"] for payload in payloads] == ["info", "warning", "critical"]
    assert payloads[0]["summary"] == "agent agent-1: error rate 40.0% is above 15.0%"
    assert (payloads[0]["source"], payloads[0]["class"]) == ("agent-1", "error_rate_max")
    assert payloads[0]["custom_details"]["Value"] == "0.4"
    assert pagerduty.events[0]["links"][0]["href"] == "http://127.0.0.1:8787/?a=1&b=2"


async def test_each_alert_of_a_message_is_an_incident(sink, pagerduty):
    """Those below the level are none."""
    alerts = [make_alert(n, level=level) for n, level in enumerate(AlertLevel)]
    await sink(min_level="warning").deliver_alert(make_message(*alerts))
    assert sorted(pagerduty.open) == ["perfmon-episode-1", "perfmon-episode-2"]


async def test_the_next_attempt_goes_on_where_the_last_one_ended(sink, pagerduty, receiver):
    """A limit in the middle of many alerts does not begin them anew."""
    made, message = sink(), make_message(*[make_alert(n) for n in range(5)])
    limit = functools.partial(receiver._made, 429, "", {"Retry-After": "60"})
    receiver.answers = [pagerduty.answer, pagerduty.answer, limit, pagerduty.answer]
    with pytest.raises(DeliveryError) as caught:
        await made.deliver_alert(message)
    assert (caught.value.permanent, caught.value.retry_after) == (False, 60)
    await made.deliver_alert(message)
    assert [event["dedup_key"] for event in pagerduty.events] == [
        f"perfmon-episode-{n}" for n in range(5)
    ]
    await made.deliver_alert(message)
    assert len(pagerduty.events) == 10


async def test_one_refused_alert_keeps_no_other_back(sink, pagerduty, receiver):
    """It is told at the end, for good."""
    refusal = functools.partial(receiver._made, 400, "invalid event")
    receiver.answers = [pagerduty.answer, refusal, pagerduty.answer]
    with pytest.raises(DeliveryError, match="answered 400: invalid event") as caught:
        await sink().deliver_alert(make_message(*[make_alert(n) for n in range(4)]))
    assert caught.value.permanent
    assert len(pagerduty.open) == 3


async def test_the_routing_key_is_in_no_error_and_no_repr(sink, receiver, pagerduty):
    """Though PagerDuty repeats it."""
    made = sink(routing_key=KEY[::-1])
    with pytest.raises(DeliveryError, match="400") as caught:
        await made.deliver_alert(make_message())
    assert caught.value.permanent
    assert KEY[::-1] not in f"{caught.value!r} {vars(made)} {made._config!r}"
    with pytest.raises(ConfigError, match="32 letters and digits") as caught:
        sink(routing_key="wrong-key")
    assert "wrong-key" not in str(caught.value)


@pytest.mark.parametrize("tail", ["", "/", "/v2/enqueue", "/v2/enqueue/"])
async def test_the_url_is_a_base(sink, receiver, pagerduty, tail):
    """Or the whole of it."""
    await sink(url=receiver.url + tail).deliver_alert(make_message())
    assert pagerduty.open


def test_it_speaks_to_pagerduty_by_default():
    """Over https."""
    config = Config.from_mapping({"plugins": {"pagerduty": {"routing_key": KEY}}})
    assert PagerDutySink(config)._url == "https://events.pagerduty.com/v2/enqueue"


async def test_odd_ids_are_keys_that_fit(sink, pagerduty):
    """The same for the trigger and the end."""
    for text in ("x" * 999, "a\nb", "\ud800", " "):
        await sink().deliver_alert(make_message(make_alert(alert_id=text)))
        await sink().deliver_alert(make_message(make_alert(alert_id=text, state="resolved")))
    assert (len(pagerduty.open), len(pagerduty.closed)) == (0, 4)


async def test_it_holds_to_what_every_sink_must(sink, pagerduty, checked):
    """And PagerDuty takes all of it."""
    assert await checked(sink().deliver_alert) == []
    assert len(pagerduty.events) > 1_000
