"""What the checks refuse, and what they make of values that nobody expected."""

from __future__ import annotations

import enum
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import AccuracyMeasurement, ConfigError, InvalidRun
from perfmon.records import from_micros
from perfmon.records.measurements import MEASUREMENT_FIELDS, checked_measurement
from perfmon.records.validation import (
    json_text,
    metadata_text,
    stamp,
    text,
)

AHEAD, BEHIND = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


class Wordless:
    """An object that has no text for itself."""

    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


class Level(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is its name
    HIGH = "high"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=AHEAD),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=BEHIND),
        "0001-01-01T00:00:00+14:00",
        -62_135_596_800,
        253_402_300_799,
    ],
)
def test_a_time_at_the_end_of_the_calendar_is_refused(moment):
    """Whichever way it is spelled: in another zone it would be of no year at all."""
    with pytest.raises(InvalidRun, match="the years 1 to 9999"):
        stamp("timestamp", moment, None)


@given(st.datetimes(timezones=st.sampled_from([UTC, AHEAD, BEHIND])))
def test_a_time_is_taken_exactly_or_refused(moment):
    """What is accepted can be shown again."""
    try:
        at = stamp("timestamp", moment, None)
    except InvalidRun:
        assert moment.year in (1, 9999)
    else:
        assert from_micros(at) == moment


def test_what_has_no_words_is_named_by_its_class():
    """No object of the caller's makes its run raise anything but `InvalidRun`."""
    assert metadata_text("metadata", {"x": Wordless()}) == '{"x":"<Wordless>"}'
    assert metadata_text("metadata", {Wordless(): 1}) == '{"<Wordless>":1}'
    with pytest.raises(InvalidRun, match="cost = <Wordless>: must be a finite number"):
        raise InvalidRun("cost", Wordless(), "a finite number")
    with pytest.raises(InvalidRun, match="timestamp = <Wordless>"):
        stamp("timestamp", Wordless(), None)


def test_keys_of_metadata_become_text():
    """As they do in JSON, whichever way the run is recorded."""
    assert metadata_text("metadata", {1: "x", "two": {3: 4}}) == '{"1":"x","two":{"3":4}}'
    assert metadata_text("metadata", {(1, 2): None}) == '{"(1, 2)":null}'
    with pytest.raises(InvalidRun, match="must be a dictionary"):
        metadata_text("metadata", ["notes"])


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=[])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(exclude_categories=[])), inner, max_size=3),
    ),
)


@given(json_values)
def test_what_is_kept_can_always_be_read(value):
    """Half a surrogate pair, which is no character, becomes U+FFFD; all else stays."""
    kept = json_text("actual_outcome", value)
    found = msgspec.json.decode(kept.encode())
    if "\N{REPLACEMENT CHARACTER}" not in kept:
        assert found == value


def test_an_outcome_with_half_a_character_is_a_measurement():
    """Such text comes out of models that were cut off within an emoji."""
    fields = dict(
        measurement_id="m", agent_name="a", task_id="t", accuracy_score=1.0,
        predicted_outcome="cut \ud83d", actual_outcome=["\ud83d\ude00", "caf\u00e9"],
    )  # fmt: skip
    row = checked_measurement(fields, 0)
    assert len(row) == len(MEASUREMENT_FIELDS)
    measurement = AccuracyMeasurement.from_row(row)
    assert measurement.predicted_outcome == "cut \N{REPLACEMENT CHARACTER}"
    assert measurement.actual_outcome == ["\N{GRINNING FACE}", "caf\u00e9"]


def test_the_length_of_json_is_in_bytes():
    """So that what fits is the same in every alphabet."""
    assert json_text("metadata", "e" * 8, longest=10) == '"eeeeeeee"'
    with pytest.raises(InvalidRun, match="at most 10 bytes as JSON, not 18"):
        json_text("metadata", "\u00e9" * 8, longest=10)


def test_odd_numbers_and_enumerations():
    """A signalling NaN is refused as a NaN; a member of a text enumeration is its value."""
    with pytest.raises(InvalidRun, match="timestamp"):
        stamp("timestamp", Decimal("sNaN"), None)
    assert text("agent_type", Level.HIGH) == "high"
    assert type(text("agent_type", Level.HIGH)) is str


def test_errors_travel_between_processes():
    """A pool of workers hands them to its caller as they were."""
    refused = pickle.loads(pickle.dumps(InvalidRun("cost", -1, "a finite number of at least 0")))
    assert (refused.field, refused.value) == ("cost", -1)
    assert str(refused) == "cost = -1: must be a finite number of at least 0"
    mistakes = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert (mistakes.mistakes, str(mistakes)) == (["one", "two"], "one\ntwo")


def test_a_refused_time_is_told_as_people_write_it():
    """Not as Python's constructor."""
    refused = InvalidRun("since", datetime(2026, 1, 1, tzinfo=UTC), "before until")
    assert str(refused) == "since = 2026-01-01T00:00:00+00:00: must be before until"


def test_a_time_to_come_is_told_beside_the_clock():
    """Epoch seconds tell nobody what is wrong."""
    with pytest.raises(InvalidRun, match="it is 2033-05-18T03:33:20Z, the clock says 2001-09"):
        stamp("timestamp", 2_000_000_000.0, 1_000_000_000_000_000)
