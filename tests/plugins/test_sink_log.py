"""The log sink: one line an alert, whatever its text."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta

import pytest
from perfmon_log import LogSink

from perfmon import AlertLevel, Config
from perfmon.testing import check_sink, make_alert, make_message


def sink(**table):
    return LogSink(Config.from_mapping({"plugins": {"log": table}}))


@pytest.fixture
def lines(caplog, monkeypatch):
    seen, logger = [], logging.getLogger("perfmon.alerts")
    keeper = logging.Handler()
    keeper.emit = seen.append
    caplog.set_level(logging.DEBUG, "perfmon.alerts")
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(keeper)
    yield seen
    logger.removeHandler(keeper)


def fields(record):
    found = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', record.getMessage())
    return {name: json.loads(text) if text[0] == '"' else text for name, text in found}


async def test_an_alert_is_one_line_of_its_level(lines):
    """With who, what and how much."""
    alerts = [make_alert(n, level=level) for n, level in enumerate(AlertLevel)]
    await sink().deliver_alert(make_message(*alerts))
    assert [line.levelno for line in lines] == [logging.INFO, logging.WARNING, logging.CRITICAL]
    told = fields(lines[2])
    assert {
        "alert": "critical",
        "id": "episode-2",
        "agent": "agent-2",
        "value": "0.4",
        "threshold": "0.15",
    }.items() <= told.items()
    assert told["message"] == "agent agent-2: error rate 40.0% is above 15.0%"


async def test_the_end_of_an_alert_is_no_alarm(lines):
    """It is of the level INFO, however urgent the alert was."""
    over = make_alert(state="resolved", resolved_at=make_alert().started_at + timedelta(minutes=1))
    await sink().deliver_alert(make_message(over, kind="resolved"))
    assert (lines[0].levelno, fields(lines[0])["alert"]) == (logging.INFO, "resolved")
    await sink(send_resolved=False).deliver_alert(make_message(over, kind="resolved"))
    assert len(lines) == 1


async def test_what_is_below_the_level_is_left_out(lines):
    """A test is always told."""
    low = make_alert(level=AlertLevel.INFO)
    await sink(min_level="warning").deliver_alert(make_message(low, make_alert(2)))
    assert [fields(line)["id"] for line in lines] == ["episode-2"]
    await sink(min_level="warning").deliver_alert(make_message(low, kind="test"))
    assert fields(lines[1])["alert"] == "test"


def test_no_text_breaks_a_line(lines):
    """Nor makes one that looks like another's."""
    assert check_sink(sink().deliver_alert) == []
    assert all(line.getMessage().isprintable() for line in lines)
    assert {fields(line)["severity"] for line in lines} == {"info", "warning", "critical"}
    assert all(len(line.getMessage()) < 3_000 for line in lines)
