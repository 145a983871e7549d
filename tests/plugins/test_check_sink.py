"""What `perfmon.testing.check_sink` finds out about a sink, and a sink on its way through the bus."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import time
from pathlib import Path

import pytest

from perfmon import (
    Config,
    DeliveryError,
    HttpSinkTable,
    PerformanceMonitor,
    SinkTable,
    headline,
    hookimpl,
)
from perfmon.testing import check_sink, make_alert, make_message

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_good_sink_passes():
    """Sync or async, with alert, message or both; what it raised is told."""
    seen = []

    def plain(alert):
        seen.append(alert)

    async def remote(alert, message):
        await asyncio.sleep(0)
        if message.kind == "resolved":
            raise DeliveryError("closed on Sundays")

    assert check_sink(plain) == []
    assert len(seen) >= 16
    assert [str(problem) for problem in check_sink(remote)] == ["closed on Sundays"]


def test_the_sink_of_the_examples_passes(tmp_path):
    """The one that people copy."""
    spec = importlib.util.spec_from_file_location("own_sink", ROOT / "examples" / "own_sink.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.settings = module.FileConfig(file=str(tmp_path / "alerts.txt"))
    assert check_sink(module.deliver_alert) == []


async def raises(message):
    return message.alerts[0].details["missing"]


async def crashes_on_many(message):
    if len(message.alerts) > 100:
        raise ValueError("too many")


async def hangs(message):
    await asyncio.sleep(60)


def blocks(message):
    time.sleep(0.5)


async def swallows(message):
    if message.message_id == "last":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
        await asyncio.sleep(600)  # only the end of the loop ends this


async def tells_in_lines(message):
    raise DeliveryError("one\ntwo")


@pytest.mark.parametrize(
    ("deliver", "words"),
    [(raises, "a firing message of 1 alerts raised KeyError"), (crashes_on_many, "of 1000 alerts raised ValueError: too many"),
     (hangs, r"took over 0\.3 s"), (blocks, r"took over 0\.3 s"), (tells_in_lines, "not one line")],
)  # fmt: skip
def test_a_bad_sink_is_found_out(deliver, words):
    """With what it was given."""
    with pytest.raises(AssertionError, match=words):
        check_sink(deliver, deadline=0.3 if "took" in words else 20.0)


def test_a_sink_that_cannot_be_cancelled_is_found_out():
    """The monitor could not stop it."""
    with pytest.raises(AssertionError, match="did not end within"):
        check_sink(swallows, patience=0.2)


class Mine:
    """A sink of somebody's own, as short as it can be."""

    def __init__(self, config):
        self.config = config.table("mine", HttpSinkTable)
        self.url = config.plugins["server"]["url"]

    @hookimpl
    async def deliver_alert(self, message):
        wanted = self.config.wanted(message)
        if wanted:
            await self.config.post(self.url, {"text": headline(wanted)})


async def test_a_sink_of_ones_own_is_a_few_lines(receiver, checked):
    """And holds to all of it."""
    tables = {"mine": {"allow_private": True}, "server": {"url": receiver.url}}
    mine = Mine(Config.from_mapping({"plugins": tables}))
    assert await checked(mine.deliver_alert) == []
    assert receiver.sent[0] == {"text": "critical: agent agent-1: error rate 40.0% is above 15.0%"}


@pytest.mark.parametrize(
    ("table", "kept"),
    [({}, ["resolved", "info", "critical"]), ({"min_level": "warning"}, ["resolved", "critical"]),
     ({"send_resolved": False}, ["info", "critical"]), ({"min_level": "critical", "send_resolved": False}, ["critical"])],
)  # fmt: skip
def test_a_table_says_which_alerts_are_wanted(table, kept):
    """Nothing is left of a message that has none of them."""
    levels = type(make_alert().level)
    alerts = {
        "resolved": make_alert(state="resolved"),
        "info": make_alert(level=levels.INFO), "critical": make_alert(),
    }  # fmt: skip
    config = SinkTable(**table)
    assert config.wanted(make_message(*alerts.values())).alerts == tuple(alerts[n] for n in kept)
    for name, alert in alerts.items():
        assert (config.wanted(make_message(alert)) is not None) == (name in kept)
        assert config.wanted(make_message(alert, kind="test"))


async def test_a_sink_is_called_by_the_monitor(receiver):
    """Its coroutine runs on a thread of its own; an error is in its accounts, without its URL."""
    url = f"{receiver.url}/services/T1/B1/tok-0123456789"
    table = {"slack": {"webhook_url": url, "allow_private": True}}
    config = Config.from_mapping({"plugins": table})
    receiver.says((200,), (403, "invalid_token tok-0123456789"))
    with PerformanceMonitor(config, storage_url="memory:") as monitor:
        for _ in range(2):
            monitor.hook.deliver_alert(alert=make_alert(), message=make_message())
        until = time.monotonic() + 60
        while monitor.get_stats()["plugins"]["slack"]["calls"] < 2:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        account = monitor.get_stats()["plugins"]["slack"]
    assert len(receiver.requests) == 2
    assert account["failures"] == 1
    assert "answered 403: invalid_token ***" in account["last_error"]
