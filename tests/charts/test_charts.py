"""Charts: well-formed whatever the values and texts, gaps as gaps, round times of the reader's zone."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import charts
from perfmon.charts.axes import time_ticks

SVG = "{http://www.w3.org/2000/svg}"
PLACES = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"}
START, DAY = 1_700_000_000.0, 86_400.0
anything = st.floats(allow_nan=True, allow_infinity=True)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


def drawn(markup):
    root = ET.fromstring(markup)
    for one in root.iter():
        for name in PLACES & set(one.keys()):
            assert not re.search("nan|inf|e", one.get(name)), (name, one.get(name))
    return root


def values(root, name):
    return list(root.iter(SVG + name))


@settings(max_examples=60)
@given(st.lists(st.tuples(anything, anything, anything), max_size=20), words, st.booleans())
def test_any_values_and_texts_make_well_formed_charts(found, name, log):
    """Values without a place are left out, and no text is markup."""
    moments = [charts.Moment(START + n * 60, *three, n) for n, three in enumerate(found)]
    span = charts.Span(START, START + 60, name, href=f"/alerts/{name}")
    root = drawn(
        charts.lines(
            [charts.Line(name, moments)], START, START + 3600, label=name,
            axis=charts.Axis(log=log, told=lambda value: name), areas=[charts.Area(name, moments)],
            limits=[charts.Limit(value, name) for value, _, _ in found[:2]],
            marks=[charts.Mark(START + 5, name)], spans=[span], with_data=True,
        )
    )  # fmt: skip
    assert root.find(SVG + "title").text in (name, None)
    bars = [charts.Bar(START, START + 60, three) for three in found]
    drawn(charts.bars(bars, [name] * 3, START, START + 3600, label=name))
    drawn(charts.sparkline([value for value, _, _ in found], label=name))
    drawn(charts.strip([charts.Slot("good", name, name)] * len(found), label=name))
    drawn(charts.heat([name], [name] * len(found), [[one for one, _, _ in found]], label=name))


HOSTILE = "<script>alert(1)</script>\"'&"


def test_hostile_text_stays_text():
    """In titles, labels, links and data."""
    markup = charts.lines(
        [charts.Line(HOSTILE, [charts.Moment(START, 1.0)])], START, START + 60, label=HOSTILE,
        marks=[charts.Mark(START + 1, HOSTILE, href=f"/x?{HOSTILE}")], with_data=True,
    )  # fmt: skip
    root = drawn(markup)
    assert "<script" not in markup
    assert root.find(SVG + "title").text == HOSTILE
    assert json.loads(root.get("data-chart"))["curves"][0]["name"] == HOSTILE


def test_a_gap_is_a_gap():
    """Two pieces and a dot, not a line across what nobody knows."""
    known = [1.0, 2.0, math.nan, 3.0, math.nan, math.nan, 4.0, 5.0]
    moments = [charts.Moment(START + n, value) for n, value in enumerate(known)]
    root = drawn(charts.lines([charts.Line("x", moments)], START, START + 7, label="x"))
    assert [len(one.get("points").split()) for one in values(root, "polyline")] == [2, 2]
    assert len(values(root, "circle")) == 1


def test_a_band_ends_where_its_interval_is_unknown():
    """One shape for each piece."""
    lows = [0.8, 0.8, math.nan, 0.7, 0.7]
    moments = [charts.Moment(START + n, 0.9, low, 1.0) for n, low in enumerate(lows)]
    root = drawn(charts.lines([charts.Line("x", moments)], START, START + 4, label="x"))
    assert [len(one.get("points").split()) for one in values(root, "polygon")] == [4, 4]


def test_values_stand_where_the_axis_says():
    """From the bottom to the top, and no further."""
    moments = [
        charts.Moment(START, 0.0),
        charts.Moment(START + 1, 1.0),
        charts.Moment(START + 2, 9),
    ]
    axis = charts.Axis(low=0, high=1)
    root = drawn(charts.lines([charts.Line("x", moments)], START, START + 2, label="x", axis=axis))
    (line,) = values(root, "polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert heights == [142, 8, 8]


def test_a_logarithmic_axis_has_decades():
    """Each ten times the one below; 0 has no place on it."""
    moments = [charts.Moment(START + n, value) for n, value in enumerate([0, 10, 100, 1000])]
    axis = charts.Axis(log=True, told="{:g} ms".format)
    root = drawn(charts.lines([charts.Line("x", moments)], START, START + 3, label="x", axis=axis))
    told = [one.text for one in values(root, "text")]
    assert [one for one in told if one.endswith("ms")] == ["10 ms", "100 ms", "1000 ms"]
    assert len(values(root, "polyline")[0].get("points").split()) == 3


@pytest.mark.parametrize(
    ("since", "hours", "zone", "wanted"),
    [
        ("2026-03-29T00:00+01:00", 24, "Europe/Berlin", ["Sun 29", "06:00", "12:00", "18:00"]),
        ("2026-01-05T09:10+00:00", 1, "UTC", ["09:10", "09:20", "09:30", "09:40", "09:50"]),
        ("2026-01-05T00:00+00:00", 24 * 7, "UTC", ["Mon 05", "Tue 06", "Wed 07"]),
        ("2026-01-05T20:00+05:30", 6, "Asia/Kolkata", ["20:00", "21:00", "22:00"]),
    ],
)
def test_times_are_round_in_the_readers_zone(since, hours, zone, wanted):
    """Also on the day when its clock is set."""
    start = datetime.fromisoformat(since).timestamp()
    ticks = list(time_ticks(start, start + hours * 3600, ZoneInfo(zone)))
    assert [words for _, words in ticks][: len(wanted)] == wanted
    assert len(ticks) <= 8
    assert all(start <= at <= start + hours * 3600 for at, _ in ticks)


def test_bars_are_as_high_as_their_parts():
    """Stacked, the first at the bottom; what is unknown is left out."""
    bar = charts.Bar(START, START + 3600, [1.0, math.nan, 3.0], "/runs")
    axis = charts.Axis(high=4.0)
    root = drawn(charts.bars([bar], ["a", "b", "c"], START, START + DAY, label="x", axis=axis))
    low, high = values(root, "rect")
    assert float(high.get("height")) == pytest.approx(3 * float(low.get("height")), abs=0.3)
    assert root.find(f".//{SVG}a").get("href") == "/runs"
    assert root.find(f".//{SVG}a/{SVG}title").text == "4, c: 3, a: 1"


def test_a_histogram_leaves_out_what_is_empty():
    """A bar for each count above 0."""
    root = drawn(
        charts.histogram([1, 10, 100, 1000], [5, 0, 2], label="x", axis=charts.Axis(log=True))
    )
    assert len(values(root, "rect")) == 2


def test_a_calibration_tells_who_is_off():
    """The interval that misses the diagonal has another tone."""
    bins = [
        charts.Bin(0.8, 0.9, 0.85, 0.84, (0.75, 0.9), 40),
        charts.Bin(0.9, 1.0, 0.95, 0.5, (0.4, 0.6), 80),
        charts.Bin(0.1, 0.2, math.nan, math.nan, (math.nan, math.nan), 0),
    ]
    root = drawn(charts.calibration(bins, label="x"))
    tones = [one.get("class") for one in values(root, "circle")]
    assert tones == ["pf-good pf-fill", "pf-bad pf-fill"]


def test_nothing_in_a_chart_needs_a_permission():
    """A page that forbids inline style and script shows it as it is."""
    moments = [charts.Moment(START, 1.0), charts.Moment(START + 1, 2.0)]
    markup = charts.lines([charts.Line("x", moments)], START, START + 1, label="x")
    for forbidden in ("style=", "<style", "<script", "onclick", "http:", "url("):
        assert forbidden not in markup.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_times_of_utc_are_the_default():
    """As everywhere."""
    start = datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp()
    moments = [charts.Moment(start, 1.0), charts.Moment(start + 3600, 2.0)]
    root = drawn(charts.lines([charts.Line("x", moments)], start, start + 3600, label="x"))
    assert "09:30" in [one.text for one in values(root, "text")]
