"""The webhook sink: what is signed, what a receiver of Alertmanager's gets, and where it may go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from perfmon_webhook import VERSION, WebhookSink

from perfmon import AlertLevel, Config, ConfigError, DeliveryError
from perfmon.testing import ManualClock, make_alert, make_message

KEYS = [bytes(range(n, n + 32)) for n in range(3)]
SECRETS = ["whsec_" + base64.b64encode(key).decode() for key in KEYS]


@pytest.fixture
def sink(receiver):
    def make(clock=None, resolver=None, **table):
        table = {"url": f"{receiver.url}/hook", "allow_private": True, **table}
        config = Config.from_mapping({"plugins": {"webhook": table}})
        return WebhookSink(config, clock or ManualClock(), resolver=resolver)

    return make


def verified(request, body, key, now):
    """As the specification says, by code of its own: signed, fresh, and by this key."""
    stamp, given = request.headers["webhook-timestamp"], request.headers["webhook-signature"]
    text = b".".join((request.headers["webhook-id"].encode(), stamp.encode(), body))
    wanted = hmac.new(key, text, hashlib.sha256).digest()
    found = [base64.b64decode(one.removeprefix("v1,")) for one in given.split(" ")]
    return abs(int(stamp) - now) <= 300 and any(hmac.compare_digest(wanted, one) for one in found)


async def test_a_receiver_can_verify_it(sink, receiver):
    """By the secret, and by no other; a changed body is found out."""
    clock = ManualClock()
    await sink(clock, secret=SECRETS[0]).deliver_alert(make_message())
    (request,), (body,) = receiver.requests, receiver.bodies
    assert verified(request, body, KEYS[0], clock())
    assert not verified(request, body, KEYS[1], clock())
    assert not verified(request, body + b" ", KEYS[0], clock())
    assert not verified(request, body, KEYS[0], clock() + 3_600)
    assert request.headers["webhook-id"] == "message-1"


async def test_an_attempt_again_has_the_same_id_and_body(sink, receiver):
    """And its own time and signature."""
    clock = ManualClock()
    made = sink(clock, secret=SECRETS[0])
    await made.deliver_alert(make_message())
    clock.advance(3_600)
    await made.deliver_alert(make_message(attempt=2))
    one, two = (request.headers for request in receiver.requests)
    assert receiver.bodies[0] == receiver.bodies[1]
    assert one["webhook-id"] == two["webhook-id"]
    assert int(two["webhook-timestamp"]) - int(one["webhook-timestamp"]) == 3_600
    assert one["webhook-signature"] != two["webhook-signature"]
    assert verified(receiver.requests[1], receiver.bodies[1], KEYS[0], clock())


async def test_old_secrets_sign_as_well(sink, receiver):
    """So that receivers can change to the new one when they like."""
    await sink(secret=SECRETS[0], old_secrets=SECRETS[1:]).deliver_alert(make_message())
    for key in KEYS:
        assert verified(receiver.requests[0], receiver.bodies[0], key, ManualClock()())


async def test_without_a_secret_nothing_is_signed(sink, receiver):
    """The id and the time are there all the same."""
    await sink().deliver_alert(make_message())
    headers = receiver.requests[0].headers
    assert "webhook-signature" not in headers
    assert {"webhook-id", "webhook-timestamp"} <= {name.lower() for name in headers}


async def test_the_body(sink, receiver):
    """Type, version and time around the message, with every field of its alerts."""
    await sink().deliver_alert(make_message(left_out=2))
    (body,) = receiver.sent
    assert (body["type"], body["version"]) == ("alerts.firing", VERSION)
    assert body["timestamp"] == "2026-01-01T12:00:00Z"
    told = {name: body["data"][name] for name in body["data"] if name != "alerts"}
    assert told == {
        "message_id": "message-1", "group": "group-1", "kind": "firing", "state": "firing",
        "level": "critical", "left_out": 2, "link": "http://127.0.0.1:8787/?a=1&b=2",
    }  # fmt: skip
    (alert,) = body["data"]["alerts"]
    assert (alert["alert_id"], alert["interval"], alert["resolved_at"]) == (
        "episode-1",
        [0.3, 0.5],
        None,
    )
    assert receiver.requests[0].content_type == "application/json"


async def test_more_than_a_hundred_alerts_are_counted(sink, receiver):
    """In either form."""
    many = make_message(*[make_alert(n) for n in range(1_000)], left_out=5)
    for form in ("perfmon", "alertmanager"):
        await sink(format=form).deliver_alert(many)
    ours, theirs = receiver.sent
    assert (len(ours["data"]["alerts"]), ours["data"]["left_out"]) == (100, 905)
    assert (len(theirs["alerts"]), theirs["truncatedAlerts"]) == (100, 905)


async def test_the_form_of_alertmanager(sink, receiver):
    """Its fields, all of them, with the types that its receivers read them into."""
    begun = make_alert().started_at
    over = make_alert(
        2, state="resolved", resolved_at=begun + timedelta(minutes=5), level=AlertLevel.WARNING
    )
    await sink(format="alertmanager").deliver_alert(make_message(make_alert(), over, left_out=1))
    (body,) = receiver.sent
    assert body.keys() == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels",
        "commonLabels", "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (body["version"], body["status"], body["truncatedAlerts"]) == ("4", "firing", 1)
    firing, resolved = body["alerts"]
    keys = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert firing.keys() == resolved.keys() == keys
    for alert in body["alerts"]:
        texts = [*alert["labels"].values(), *alert["annotations"].values()]
        assert all(isinstance(text, str) for text in texts)
        assert datetime.fromisoformat(alert["startsAt"]) == begun
        assert len(alert["fingerprint"]) == 16
    assert (firing["status"], firing["endsAt"]) == ("firing", "0001-01-01T00:00:00Z")
    assert (resolved["status"], resolved["endsAt"]) == ("resolved", "2026-01-01T12:05:00Z")
    assert firing["labels"] == {
        "alertname": "error_rate_max", "severity": "critical", "metric": "error_rate",
        "agent": "agent-1", "source": "perfmon",
    }  # fmt: skip
    assert body["commonLabels"] == {
        "alertname": "error_rate_max",
        "metric": "error_rate",
        "source": "perfmon",
    }
    assert firing["fingerprint"] != resolved["fingerprint"]


async def test_an_alert_keeps_its_mark(sink, receiver):
    """From its first message to its last, whatever its figures."""
    made = sink(format="alertmanager")
    await made.deliver_alert(make_message(make_alert(current_value=0.9)))
    await made.deliver_alert(make_message(make_alert(state="resolved"), kind="resolved"))
    first, last = (body["alerts"][0]["fingerprint"] for body in receiver.sent)
    assert first == last == "15af002710a5d495"  # Alertmanager's own of these labels
    assert receiver.sent[1]["status"] == "resolved"


async def test_headers_are_sent_along(sink, receiver):
    """And shown nowhere."""
    made = sink(headers={"Authorization": "Bearer key-0123456789", "X-Team": "agents"})
    receiver.says((401, "no key-0123456789: Bearer key-0123456789"))
    with pytest.raises(DeliveryError) as caught:
        await made.deliver_alert(make_message())
    headers = receiver.requests[0].headers
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer key-0123456789", "agents")
    assert "key-0123" not in f"{caught.value!r} {made._config!r} {vars(made)}"


@pytest.mark.parametrize(
    "table",
    [{"secret": "short"}, {"secret": "whsec_!!!"}, {"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()},
     {"secret": "whsec_" + base64.b64encode(b"x" * 65).decode()}, {"old_secrets": ["whsec_abc"]},
     {"headers": {"X-A": "b\r\nX-C: d"}}, {"headers": {"a b": "c"}}, {"url": "example.org/hook"},
     {"format": "slack"}, {"headers": {"X-A": 1}}],
)  # fmt: skip
def test_a_mistake_in_the_table_is_told(sink, table):
    """With its place, and without the secret."""
    with pytest.raises(ConfigError, match=r"\[plugins\.webhook") as caught:
        sink(**table)
    for hidden in ("short", "whsec_!!!", "whsec_abc", "X-C"):
        assert f"= {hidden}" not in str(caught.value)
        assert f'= "{hidden}' not in str(caught.value)


async def test_a_url_may_be_secret(receiver, monkeypatch):
    """From the environment; errors show its host alone."""
    monkeypatch.setenv("HOOK", f"{receiver.url}/hook/tok-0123456789")
    table = {"url": {"env": "HOOK"}, "allow_private": True}
    made = WebhookSink(Config.from_mapping({"plugins": {"webhook": table}}), ManualClock())
    receiver.says((500, f"{receiver.url}/hook/tok-0123456789"))
    with pytest.raises(DeliveryError) as caught:
        await made.deliver_alert(make_message())
    assert "tok-0123" not in f"{caught.value!r} {made._config!r} {vars(made)}"


async def test_a_redirect_to_the_own_network_leads_nowhere(sink, receiver, names):
    """Nor does any other, and it is for good."""

    async def elsewhere():
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest"})

    receiver.answers = [elsewhere]
    with pytest.raises(DeliveryError, match="redirects are not followed") as caught:
        await sink().deliver_alert(make_message())
    assert caught.value.permanent
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "::ffff:169.254.169.254"]
)
async def test_no_name_leads_to_metadata(sink, receiver, names, address):
    """Where private addresses are allowed, either."""
    port = receiver.url.rpartition(":")[2]
    for others in ([], ["127.0.0.1"]):
        resolver = names(example_org=[[*others, address]])
        made = sink(url=f"http://example.org:{port}/", resolver=resolver)
        with pytest.raises(DeliveryError, match="metadata") as caught:
            await made.deliver_alert(make_message())
        assert caught.value.permanent
    assert not receiver.requests


async def test_gone_is_for_good_and_too_many_is_not(sink, receiver):
    """As Standard Webhooks says."""
    receiver.says((410,), (429, "", {"Retry-After": "120"}), (502,), (504,), (204,))
    outcomes = []
    for _ in range(4):
        with pytest.raises(DeliveryError) as caught:
            await sink().deliver_alert(make_message())
        outcomes.append((caught.value.permanent, caught.value.retry_after))
    assert outcomes == [(True, None), (False, 120), (False, None), (False, None)]
    await sink().deliver_alert(make_message())


@pytest.mark.parametrize("form", ["perfmon", "alertmanager"])
async def test_it_holds_to_what_every_sink_must(sink, receiver, form, checked):
    """And every body is JSON in UTF-8 that a strict reader takes."""
    made = sink(format=form, secret=SECRETS[0])
    assert await checked(made.deliver_alert) == []
    for body in receiver.bodies:
        assert json.loads(body.decode("utf-8"), parse_constant=pytest.fail)
        assert len(body) < 2_000_000
