"""An alert has one JSON form, which another version's alerts can be read from."""

from __future__ import annotations

import json
import math

import pytest

from perfmon import AlertLevel, MetricType, PerformanceAlert
from perfmon.alerts.grouping import Told
from perfmon.testing import make_alert


def same(one, other):
    """NaN is like NaN here."""
    return repr(one) == repr(other)


def test_an_alert_is_read_back_from_its_values():
    """By whichever way it was written."""
    alert = make_alert(1, current_value=math.nan, details={"errors": {"Timeout": 3}})
    plain = alert.to_plain()
    assert plain == json.loads(alert.to_json()) == json.loads(json.dumps(plain))
    assert plain["current_value"] is None
    assert same(PerformanceAlert.from_plain(plain), alert)
    assert same(PerformanceAlert.from_json(alert.to_json()), alert)


def test_fields_of_another_version_are_passed_over():
    """In storage, in messages, and in what the evaluator has saved, where they are kept."""
    later = make_alert(1).to_plain() | {"weather": {"rain": 1}, "level": "apocalyptic"}
    for read in (PerformanceAlert.from_plain(later), PerformanceAlert.from_json(json.dumps(later))):
        assert (read.alert_id, read.level) == (later["alert_id"], AlertLevel.CRITICAL)
    told = Told.of([later, "all", 0, 0, False])
    assert told.row[0]["weather"] == {"rain": 1}


def test_what_an_older_version_did_not_have_is_as_by_default():
    """Only the id must be there, and what is there must be of its kind."""
    read = PerformanceAlert.from_plain({"alert_id": "a"})
    assert (read.message, read.metric_type, read.rule) == ("", MetricType.ERROR_RATE, "")
    assert math.isnan(read.threshold)
    for wrong in ({}, {"alert_id": "a", "sample_size": "many"}):
        with pytest.raises(ValueError, match=r"alert_id|sample_size"):
            PerformanceAlert.from_plain(wrong)
