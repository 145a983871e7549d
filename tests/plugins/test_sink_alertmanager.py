"""The Alertmanager sink, against peers that hold to its API; and the real one where it is there."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from perfmon_alertmanager import AlertmanagerSink
from perfmon_webhook import WebhookSink

from perfmon import Config, ConfigError, DeliveryError
from perfmon.testing import ManualClock, make_alert, make_message


def mistakes(alert, now):
    """What Alertmanager would answer 400 for."""
    if not alert["labels"] or not all(
        re.fullmatch(r"[a-zA-Z_]\w*", name) for name in alert["labels"]
    ):
        yield "labels"
    texts = [*alert["labels"].values(), *alert["annotations"].values()]
    if not all(isinstance(text, str) for text in texts) or not all(alert["labels"].values()):
        yield "values"
    starts, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
    if ends < starts:
        yield "start time must be before end time"


class Alertmanager:
    """Knows alerts by their labels, and until when they fire."""

    def __init__(self, receiver, clock):
        self.receiver, self.clock, self.ends = receiver, clock, {}
        receiver.answers = [self.answer]

    async def answer(self, request):
        assert request.path == "/prefix/api/v2/alerts"
        for alert in json.loads(self.receiver.bodies[-1]):
            wrong = list(mistakes(alert, self.clock()))
            if wrong:
                return web.json_response(str(wrong), status=400)
            self.ends[json.dumps(alert["labels"], sort_keys=True)] = datetime.fromisoformat(
                alert["endsAt"]
            )
        return web.Response()

    @property
    def firing(self):
        return sum(ends > self.clock.now for ends in self.ends.values())


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC))


@pytest.fixture
def peer(receiver, clock):
    return Alertmanager(receiver, clock)


@pytest.fixture
def sink(receiver, clock):
    def make(**table):
        table = {"urls": [f"{receiver.url}/prefix/"], **table}
        return AlertmanagerSink(Config.from_mapping({"plugins": {"alertmanager": table}}), clock)

    return make


def over(number=1):
    return make_alert(
        number, state="resolved", resolved_at=make_alert().started_at + timedelta(seconds=20)
    )


async def test_an_alert_fires_until_it_is_over(sink, peer):
    """Its end is told with the labels it began with."""
    await sink().deliver_alert(make_message(make_alert(1), make_alert(2)))
    assert peer.firing == 2
    await sink().deliver_alert(make_message(over(1), kind="resolved"))
    assert (peer.firing, len(peer.ends)) == (1, 2)


async def test_what_is_sent_again_in_time_goes_on_firing(sink, peer, clock):
    """For three times `resend_every`, and then it ends by itself."""
    made = sink()
    assert made.resend_every == 60
    for _ in range(10):
        await made.deliver_alert(make_message())
        clock.advance(2.9 * made.resend_every)
        assert peer.firing == 1
    clock.advance(0.2 * made.resend_every)
    assert peer.firing == 0


async def test_what_an_alert_says(sink, peer, receiver):
    """Labels that identify it, and all figures beside them."""
    await sink(resend_every="2m").deliver_alert(make_message())
    ((alert,),) = receiver.sent
    assert alert["labels"]["alertname"] == "error_rate_max"
    assert alert["annotations"]["summary"] == "agent agent-1: error rate 40.0% is above 15.0%"
    assert alert["annotations"]["value"] == "0.4"
    assert alert["generatorURL"] == "http://127.0.0.1:8787/?a=1&b=2"
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-01-01T12:00:00Z", "2026-01-01T12:06:30Z")


async def test_every_peer_gets_it_and_one_is_enough(sink, peer, receiver, caplog, nobody):
    """The one that is away is named once, not at every message."""
    away = f"http://127.0.0.1:{nobody}"
    made = sink(urls=[away, f"{receiver.url}/prefix", f"{receiver.url}/prefix"])
    with caplog.at_level(logging.WARNING, "perfmon"):
        for _ in range(3):
            await made.deliver_alert(make_message())
    assert (len(receiver.requests), peer.firing) == (6, 1)
    assert [
        record.getMessage()
        for record in caplog.records
        if "alertmanager 1 of 3" in record.getMessage()
    ][1:] == []
    assert "could not be reached" in caplog.text


@pytest.mark.parametrize(
    ("answers", "permanent", "after"),
    [([(400, "x"), (400, "y")], True, None), ([(400, "x"), (500, "y")], False, None),
     ([(503, "", {"Retry-After": "9"}), (400, "x")], False, 9), ([(500,), (404,)], False, None)],
)  # fmt: skip
async def test_where_no_peer_took_it_it_is_an_error(sink, receiver, answers, permanent, after):
    """For good where all of them refuse it for good."""
    receiver.says(*answers)
    with pytest.raises(DeliveryError) as caught:
        await sink(urls=[f"{receiver.url}/a", f"{receiver.url}/b"]).deliver_alert(make_message())
    assert (caught.value.permanent, caught.value.retry_after) == (permanent, after)


@pytest.mark.parametrize("urls", [[], ["alertmanager:9093"], ["http://a", ""], "http://a", [1]])
def test_a_mistake_in_the_table_is_told(sink, urls):
    """With its place."""
    with pytest.raises(ConfigError, match=r"\[plugins\.alertmanager\] urls"):
        sink(urls=urls)


async def test_the_password_of_a_url_is_nowhere(receiver, clock, monkeypatch):
    """Neither in errors nor in what is printed."""
    monkeypatch.setenv("AM", receiver.url.replace("http://", "http://perfmon:pass-0123456789@"))
    table = {"urls": [{"env": "AM"}]}
    made = AlertmanagerSink(Config.from_mapping({"plugins": {"alertmanager": table}}), clock)
    receiver.says((401, "no pass-0123456789"))
    with pytest.raises(DeliveryError) as caught:
        await made.deliver_alert(make_message())
    assert "pass-0123" not in f"{caught.value!r} {made._config!r}"
    assert receiver.requests[0].headers["Authorization"].startswith("Basic ")


async def test_metadata_is_no_peer(sink):
    """Though private addresses are, here."""
    with pytest.raises(DeliveryError, match="metadata") as caught:
        await sink(urls=["http://169.254.169.254"]).deliver_alert(make_message())
    assert caught.value.permanent


async def test_it_holds_to_what_every_sink_must(sink, peer, checked):
    """And Alertmanager takes all of it."""
    assert await checked(sink().deliver_alert) == []
    assert len(peer.ends) > 1_000


BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

if BINARY:  # Debian's package; without it the rules above stand in for it

    @pytest.fixture
    async def real(tmp_path, receiver, free_port):
        """The base URL of a real Alertmanager of its own."""
        hook = f"{{url: '{receiver.url}', max_alerts: 3}}"
        (tmp_path / "am.yml").write_text(
            "route: {receiver: perfmon, group_by: [source], group_wait: 10ms}\n"
            f"receivers: [{{name: perfmon, webhook_configs: [{hook}]}}]\n"
        )
        url = f"http://127.0.0.1:{free_port()}"
        flags = [
            f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/am",
            f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=",
        ]  # fmt: skip
        null = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(BINARY, *flags, stdout=null, stderr=null)
        try:
            await answers(f"{url}/-/ready")
            yield url
        finally:
            process.terminate()
            await process.wait()

    async def answers(url, seconds=60):
        until = time.monotonic() + seconds
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                try:
                    async with session.get(url) as response:
                        if response.status == 200:
                            return await response.text()
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        raise AssertionError(f"{url} does not answer")

    def of(url):
        config = Config.from_mapping({"plugins": {"alertmanager": {"urls": [url]}}})
        return AlertmanagerSink(config)

    async def active(url):
        return {
            alert["labels"]["agent"] for alert in json.loads(await answers(f"{url}/api/v2/alerts"))
        }

    async def test_the_real_one_knows_what_fires(real):
        """And no longer what is over."""
        now = datetime.now(UTC)
        alerts = [make_alert(n, started_at=now, timestamp=now) for n in (1, 2)]
        await of(real).deliver_alert(make_message(*alerts))
        assert await active(real) == {"agent-1", "agent-2"}
        done = make_alert(1, started_at=now, timestamp=now, state="resolved", resolved_at=now)
        await of(real).deliver_alert(make_message(done, kind="resolved"))
        assert await active(real) == {"agent-2"}

    async def test_the_real_one_takes_whatever_is_sent(real, checked):
        """Odd text, times that are missing, a thousand at once."""
        assert await checked(of(real).deliver_alert) == []

    async def test_our_webhook_says_what_the_real_ones_says(real, receiver):
        """The same keys with values of the same kinds, and the same of each alert."""
        now = datetime.now(UTC).replace(microsecond=0)
        alert = make_alert(1, started_at=now, timestamp=now, agent_name="ünïcödé")
        message = make_message(alert)
        await of(real).deliver_alert(message)
        until = time.monotonic() + 60
        while not receiver.bodies:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        table = {"url": receiver.url, "format": "alertmanager", "allow_private": True}
        await WebhookSink(Config.from_mapping({"plugins": {"webhook": table}})).deliver_alert(
            message
        )
        theirs, ours = receiver.sent[0], receiver.sent[-1]
        assert kinds(ours) == kinds(theirs)
        differing = {name for name in ours if ours[name] != theirs[name]}
        assert differing <= {"groupKey", "groupLabels", "externalURL", "alerts"}
        (one,), (other,) = ours["alerts"], theirs["alerts"]
        assert {name for name in one if one[name] != other[name]} <= {"endsAt"}

    def kinds(body):
        flat = {name: type(value) for name, value in body.items()}
        return flat, {name: type(value) for name, value in body["alerts"][0].items()}
