"""The Slack sink, against a server that holds to Slack's rules."""

from __future__ import annotations

import html
import json
import re

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from perfmon_slack import SlackSink, _escaped

from perfmon import AlertLevel, Config, ConfigError, DeliveryError
from perfmon.testing import make_alert, make_message

PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"


def problem_of(payload):
    """What Slack would answer, by its documented limits; None where it takes the message."""
    blocks = payload.get("blocks", [])
    if not payload.get("text") or not 1 <= len(blocks) <= 50:
        return "invalid_blocks"
    for block in blocks:
        kind = block["type"]
        texts = block["elements"] if kind == "context" else [block["text"]]
        limit = {"header": 150, "section": 3_000, "context": 3_000}[kind]
        for text in texts:
            plain = text["type"] == "plain_text"
            if not 1 <= len(text["text"]) <= limit or (kind == "header") != plain:
                return "invalid_blocks"
            if plain and "verbatim" in text:
                return "invalid_blocks"
    in_all = sum(len(text) for text in texts_of(payload))
    return "msg_blocks_too_long" if in_all > 13_200 else None


def texts_of(payload):
    for block in payload["blocks"]:
        for text in block.get("elements", [block.get("text")]):
            yield text["text"]


def marks(payload):
    """What Slack would read as a mention or link."""
    return [
        mark
        for text in (*texts_of(payload), payload["text"])
        for mark in re.findall(r"<[^>]*>", text)
    ]


class Slack:
    def __init__(self, receiver):
        self.receiver, self.taken = receiver, []
        receiver.answers = [self.answer]

    async def answer(self, request):
        if request.path != PATH:
            return web.Response(status=403, text="invalid_token")
        if request.content_type != "application/json":
            return web.Response(status=400, text="invalid_payload")
        payload = json.loads(self.receiver.bodies[-1])
        problem = problem_of(payload)
        if problem:
            return web.Response(status=400, text=problem)
        self.taken.append(payload)
        return web.Response(text="ok")


@pytest.fixture
def slack(receiver):
    return Slack(receiver)


@pytest.fixture
def sink(receiver):
    def make(path=PATH, **table):
        table = {"webhook_url": receiver.url + path, "allow_private": True, **table}
        return SlackSink(Config.from_mapping({"plugins": {"slack": table}}))

    return make


async def test_a_message_has_what_a_person_needs(sink, slack):
    """The urgency, the sentence, the figures, the advice and the way to more."""
    await sink().deliver_alert(make_message(make_alert(1), make_alert(2), left_out=3))
    (payload,) = slack.taken
    text = "\n".join(texts_of(payload))
    assert payload["text"].startswith("critical: agent agent-1: error rate 40.0% is above 15.0%")
    assert payload["text"].endswith("(and 4 more)")
    for part in ("Value 0.4", "Threshold 0.15", "Samples 120", "look at the error classes",
                 "and 3 more", "agent-2"):  # fmt: skip
        assert part in text
    assert marks(payload) == ["<http://127.0.0.1:8787/?a=1&amp;b=2|Open perfmon>"]


@pytest.mark.parametrize(
    ("kind", "changes", "word"),
    [("firing", {}, "critical"), ("escalated", {}, "now critical"), ("reminder", {}, "still critical"),
     ("resolved", {"state": "resolved"}, "resolved"), ("test", {}, "test")],
)  # fmt: skip
async def test_each_kind_of_message_says_what_it_is(sink, slack, kind, changes, word):
    """In its first word."""
    await sink().deliver_alert(make_message(make_alert(**changes), kind=kind))
    assert slack.taken[0]["text"].startswith(f"{word}: ")


async def test_no_text_of_an_agent_becomes_a_mention_or_link(sink, slack):
    """In no field, and nowhere in the message."""
    bad = "<!channel> <!here> <@U012AB3CD> <https://evil.example|look> <!subteam^S1> &lt;!channel&gt; @here"
    alert = make_alert(
        message=bad,
        agent_name=bad,
        model=bad,
        rule=bad,
        tenant=bad,
        recommendation=bad,
        unit=bad,
        acknowledged_by=bad,
    )
    await sink().deliver_alert(make_message(alert, link=None, group=bad))
    (payload,) = slack.taken
    assert marks(payload) == []
    assert "&lt;!channel&gt;" in payload["text"]
    mrkdwn = [
        t
        for b in payload["blocks"]
        for t in b.get("elements", [b.get("text")])
        if t["type"] == "mrkdwn"
    ]
    assert all(text["verbatim"] is True for text in mrkdwn)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "http://a/|x> <!channel>", "", "http://a/<!channel>"]
)
async def test_a_link_is_a_link_and_nothing_more(sink, slack, link):
    """Whatever stands in it."""
    await sink().deliver_alert(make_message(link=link))
    assert all(
        mark.startswith("<http://a/") and "!channel|" not in mark for mark in marks(slack.taken[0])
    )


@given(st.text(), st.integers(20, 200))
def test_escaped_text_reads_back_and_is_bounded(text, longest):
    """No entity is cut in two."""
    shown = _escaped(text, longest)
    assert len(shown) <= longest
    assert not set("<>") & set(shown)
    assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", shown, re.DOTALL)
    plain = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain == text or text.startswith(plain.removesuffix("…"))


@pytest.mark.parametrize("text", ["&" * 100_000, "x" * 100_000, "<>" * 9_999, "🦜" * 9_999])
async def test_a_thousand_long_alerts_are_within_the_limits(sink, slack, text):
    """Those that are not listed are counted."""
    alerts = [
        make_alert(
            n,
            message=text,
            agent_name=text,
            model=text,
            tenant=text,
            recommendation=text,
            rule=text,
        )
        for n in range(1_000)
    ]
    await sink().deliver_alert(make_message(*alerts, left_out=5))
    (payload,) = slack.taken
    listed = sum(block["type"] == "section" for block in payload["blocks"])
    assert listed >= 3
    assert f"and {1_005 - listed:,} more" in html.unescape(
        payload["blocks"][-1]["elements"][0]["text"]
    )


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "invalid_payload"), (400, "user_not_found"), (403, "action_prohibited"), (403, "invalid_token"),
     (404, "channel_not_found"), (404, "no_service"), (410, "channel_is_archived")],
)  # fmt: skip
async def test_what_slack_refuses_for_good(sink, receiver, status, word):
    """Its word is in the error, its URL is not."""
    receiver.says((status, word))
    with pytest.raises(DeliveryError, match=rf"^127\.0\.0\.1 answered {status}: {word}$") as caught:
        await sink().deliver_alert(make_message())
    assert caught.value.permanent


async def test_what_slack_takes_later(sink, receiver):
    """A limit of one message a second, and its own failures."""
    receiver.says((429, "rate_limited", {"Retry-After": "30"}), (500, "rollup_error"))
    with pytest.raises(DeliveryError) as caught:
        await sink().deliver_alert(make_message())
    assert (caught.value.permanent, caught.value.retry_after) == (False, 30)
    with pytest.raises(DeliveryError, match="rollup_error") as caught:
        await sink().deliver_alert(make_message())
    assert (caught.value.permanent, caught.value.retry_after) == (False, None)


async def test_the_url_is_in_no_error_and_no_repr(sink, receiver, slack):
    """Though the server repeats it."""
    made = sink("/services/T1/B1/wrong-token-0123456789")
    receiver.says((404, "no /services/T1/B1/wrong-token-0123456789 here"))
    with pytest.raises(DeliveryError) as caught:
        await made.deliver_alert(make_message())
    shown = f"{caught.value} {caught.value!r} {vars(made)} {made._config!r}"
    assert "wrong-token" not in shown
    assert "T1/B1" not in shown
    with pytest.raises(ConfigError) as caught:
        SlackSink(
            Config.from_mapping({"plugins": {"slack": {"webhook_url": "htp://T1/wrong-token"}}})
        )
    assert "wrong-token" not in str(caught.value)
    assert 'must be a URL such as "https://' in str(caught.value)


async def test_a_webhook_is_not_looked_for_in_the_own_network(receiver):
    """Where it is not allowed."""
    table = {"webhook_url": receiver.url + PATH}
    with pytest.raises(DeliveryError, match="private") as caught:
        await SlackSink(Config.from_mapping({"plugins": {"slack": table}})).deliver_alert(
            make_message()
        )
    assert caught.value.permanent
    assert not receiver.requests


async def test_what_is_not_wanted_is_not_sent(sink, slack):
    """Without a word; and of a mixed message the rest is."""
    low, over = make_alert(level=AlertLevel.INFO), make_alert(state="resolved")
    picky = sink(min_level="warning", send_resolved=False)
    for message in (
        make_message(low),
        make_message(over, kind="resolved"),
        make_message(low, over),
    ):
        await picky.deliver_alert(message)
    assert slack.taken == []
    await picky.deliver_alert(make_message(low, over, make_alert(7)))
    assert "agent-7" in slack.taken[0]["text"]


async def test_it_holds_to_what_every_sink_must(sink, slack, checked):
    """And Slack takes all of it."""
    assert await checked(sink().deliver_alert) == []
    assert len(slack.taken) >= 16
