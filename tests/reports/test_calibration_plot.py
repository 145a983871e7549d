"""The reliability diagram: well-formed, complete, and only of what there is."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon.accuracy.calibration import BINS, BinSums, calibration
from perfmon.reports.calibration import calibration_plot

SVG = "{http://www.w3.org/2000/svg}"


def bin_sums(place, count, right):
    c = (place + 0.5) / BINS
    return BinSums(count, count * c, right, count * c * c, right, right * c)


def plot_of(counts):
    """The figure of bins with so many outcomes, half of them right."""
    return calibration_plot(
        calibration([bin_sums(place, count, count // 2) for place, count in enumerate(counts)])
    )


@given(st.lists(st.integers(0, 10**9), min_size=BINS, max_size=BINS).filter(any))
def test_every_filled_bin_is_drawn_and_no_other(counts):
    """A point, its interval, a bar of the strip, and a row of the table for each."""
    figure = ET.fromstring(plot_of(counts))
    filled = sum(map(bool, counts))
    assert len(figure.findall(f".//{SVG}circle")) == filled
    assert len(figure.findall(f".//{SVG}line[@class='bar']")) == filled
    assert len(figure.findall(f".//{SVG}rect")) == filled
    assert len(figure.findall(".//tbody/tr")) == filled


@given(st.lists(st.integers(0, 10**9), min_size=BINS, max_size=BINS).filter(any))
def test_all_numbers_are_finite_and_inside_the_drawing(counts):
    """No NaN, and nothing beyond the viewBox."""
    figure = ET.fromstring(plot_of(counts))
    svg = figure.find(f"{SVG}svg")
    width, height = map(float, svg.get("viewBox").split()[2:])
    for element in svg.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"):
            if name in element.attrib:
                limit = height if "y" in name or name == "height" else width
                assert 0 <= float(element.get(name)) <= limit
    assert not re.search(r"\b(nan|inf)\b", ET.tostring(figure, "unicode", "text"), re.IGNORECASE)


def test_points_stand_where_they_were_measured():
    """At mean confidence and accuracy: on the line where the two are the same."""
    sums = [bin_sums(place, 0, 0) for place in range(BINS)]
    sums[2], sums[8] = bin_sums(2, 100, 25), bin_sums(8, 25, 5)
    figure = ET.fromstring(calibration_plot(calibration(sums)))
    ideal = figure.find(f".//{SVG}line[@class='ideal']")
    x1, y1, x2, y2 = (float(ideal.get(name)) for name in ("x1", "y1", "x2", "y2"))
    places = [
        ((float(c.get("cx")) - x1) / (x2 - x1), (float(c.get("cy")) - y1) / (y2 - y1))
        for c in figure.findall(f".//{SVG}circle")
    ]
    assert places[0] == pytest.approx((0.25, 0.25), abs=1e-3)
    assert places[1] == pytest.approx((0.85, 0.2), abs=1e-3)
    sizes = [float(c.get("r")) for c in figure.findall(f".//{SVG}circle")]
    assert sizes[0] > sizes[1]
    sides = [g.get("class") for g in figure.findall(f".//{SVG}g[@class]")]
    assert sides == ["on", "off"]


def test_nothing_is_drawn_of_nothing():
    """A sentence says so."""
    written = plot_of([0] * BINS)
    assert ET.fromstring(written).text == "Calibration: no outcomes with a stated confidence."
    assert "svg" not in written


def test_a_bin_without_finite_numbers_is_left_out():
    """It would draw itself nowhere."""
    made = calibration([bin_sums(place, 10, 5) for place in range(BINS)])
    broken = attrs.evolve(made.bins[3], accuracy=math.nan)
    figure = ET.fromstring(
        calibration_plot(attrs.evolve(made, bins=(*made.bins[:3], broken, *made.bins[4:])))
    )
    assert len(figure.findall(f".//{SVG}circle")) == BINS - 1


def test_words_are_escaped():
    """Whoever wrote the sentence."""
    made = attrs.evolve(calibration([bin_sums(p, 10, 5) for p in range(BINS)]), sentence="<b>&</b>")
    assert ET.fromstring(calibration_plot(made)).find("figcaption").text == "Overall: <b>&</b>."


def test_who_cannot_see_it_is_told():
    """A title, a description, and a table with the numbers."""
    figure = ET.fromstring(plot_of([0, 0, 0, 0, 40, 0, 0, 0, 0, 1_000]))
    svg = figure.find(f"{SVG}svg")
    assert svg.get("role") == "img"
    assert svg.find(f"{SVG}title").text.startswith("Calibration")
    assert "observed accuracy 50%" in svg.find(f"{SVG}desc").text
    rows = [[cell.text for cell in row] for row in figure.findall(".//tbody/tr")]
    assert rows == [
        ["40% to 50%", "40", "45.0%", "50.0%", "35.2% to 64.8%"],
        ["90% to 100%", "1,000", "95.0%", "50.0%", "46.9% to 53.1%"],
    ]
