"""The Apprise sink, with the real library against a server on this machine."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from perfmon_apprise import AppriseSink

from perfmon import AlertLevel, Config, ConfigError, DeliveryError
from perfmon.testing import make_alert, make_message


@pytest.fixture
def url(receiver):
    """A service that posts JSON to the receiver; the last part is its secret."""
    return receiver.url.replace("http://", "json://") + "/tok-0123456789"


@pytest.fixture
def sink(url):
    def make(**table):
        return AppriseSink(Config.from_mapping({"plugins": {"apprise": {"urls": [url], **table}}}))

    return make


async def test_a_service_is_notified(sink, receiver):
    """With a title, the figures, and the kind that its icon is chosen by."""
    await sink().deliver_alert(make_message(make_alert(1), make_alert(2), left_out=3))
    (sent,) = receiver.sent
    assert sent["title"] == "critical: agent agent-1: error rate 40.0% is above 15.0% (and 4 more)"
    for part in ("agent agent-2: error rate 40.0%", "Threshold 0.15", "and 3 more", "?a=1&b=2"):
        assert part in sent["message"]
    assert sent["type"] == "failure"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"level": AlertLevel.INFO}, "info"), ({"level": AlertLevel.WARNING}, "warning"),
     ({"level": AlertLevel.CRITICAL}, "failure"), ({"state": "resolved"}, "success")],
)  # fmt: skip
async def test_each_level_has_its_kind(sink, receiver, changes, kind):
    """Of Apprise's four."""
    await sink().deliver_alert(make_message(make_alert(**changes)))
    assert receiver.sent[0]["type"] == kind


async def test_a_service_that_fails_is_worth_another_try(sink, receiver):
    """Apprise does not say why, so nothing is for good; its URL is in no error."""
    for status in (400, 500):
        receiver.says((status, "tok-0123456789"))
        with pytest.raises(DeliveryError, match=r"^not delivered by .* \(1\)$") as caught:
            await sink().deliver_alert(make_message())
        assert not caught.value.permanent
        assert "tok-0123" not in f"{caught.value!r}"


async def test_the_next_attempt_asks_only_those_that_failed(sink, receiver, url):
    """The others have it."""
    made = sink(urls=[f"{url}/one", f"{url}/two"])
    failing = {"two"}

    async def answer(request):
        return receiver._made(500 if request.path.rpartition("/")[2] in failing else 200)

    receiver.answers = [answer]
    with pytest.raises(DeliveryError, match=r"\(2\)$"):
        await made.deliver_alert(make_message())
    failing.clear()
    await made.deliver_alert(make_message(attempt=2))
    asked = [request.path.rpartition("/")[2] for request in receiver.requests]
    assert sorted(asked) == ["one", "two", "two"]


async def test_a_service_that_hangs_is_given_up_in_time(sink, receiver, url):
    """And not asked again while its thread still waits: threads would pile up."""
    released = asyncio.Event()

    async def hang():
        await released.wait()
        return receiver._made(200)

    receiver.answers = [hang]
    made = sink(timeout="300ms", urls=[f"{url}?rto=600&cto=600"])
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(DeliveryError, match="not delivered"):
            await made.deliver_alert(make_message())
        assert time.monotonic() - started < 30
    (thread,) = [each for each in threading.enumerate() if each.name == "perfmon-apprise-service"]
    async with asyncio.timeout(60):
        while not receiver.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    released.set()
    await asyncio.to_thread(thread.join)
    await made.deliver_alert(make_message())
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "urls", [[], ["nonsense"], ["json://127.0.0.1/", "nosuch://tok-0123456789"], "json://a"]
)
def test_a_mistake_in_the_table_is_told(sink, urls):
    """With its place, and without the URL."""
    with pytest.raises(ConfigError, match=r"\[plugins\.apprise\] urls") as caught:
        sink(urls=urls)
    assert "tok-0123" not in str(caught.value)


def test_urls_are_in_no_repr(sink):
    """Each has its password in it."""
    made = sink()
    assert "tok-0123" not in repr(made._config)


async def test_it_holds_to_what_every_sink_must(sink, receiver, checked):
    """A thousand alerts and odd text among it."""
    assert await checked(sink().deliver_alert) == []
    assert len(receiver.requests) >= 16
    assert all(len(sent["title"]) <= 150 for sent in receiver.sent)
