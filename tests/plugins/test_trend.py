"""The trend between two windows: its band, its good direction, and what the samples support."""

from __future__ import annotations

import doctest
import math

import perfmon_trend
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_trend import TrendDetector

from perfmon import Config, ConfigError, Point, Series


def trend_of(*values, metric="avg_latency_ms", higher_is_better=False, count=100, detector=None):
    points = tuple(Point(60.0 * i, 60.0 * i + 60, value, count) for i, value in enumerate(values))
    series = Series(metric=metric, higher_is_better=higher_is_better, points=points)
    return (detector or TrendDetector()).detect_trend(series=series)


@pytest.mark.parametrize(
    ("previous", "current", "falling_is_good", "rising_is_good"),
    [
        (100, 100, "stable", "stable"),
        (100, 105, "stable", "stable"),
        (100, 95, "stable", "stable"),
        (1.0, 0.95, "stable", "stable"),
        (100, 105.1, "degrading", "improving"),
        (100, 94.9, "improving", "degrading"),
        (0, 0, "stable", "stable"),
        (0, 0.1, "degrading", "improving"),
        (0.1, 0, "improving", "degrading"),
    ],
)
def test_a_change_beyond_the_band_has_a_direction(
    previous, current, falling_is_good, rising_is_good
):
    """Within 5% of the window before a metric is stable, whatever is good for it."""
    assert trend_of(previous, current).direction == falling_is_good
    assert trend_of(previous, current, higher_is_better=True).direction == rising_is_good


def test_a_trend_says_by_how_much_and_from_what():
    """The relative change, both values, and the smaller sample."""
    trend = trend_of(200, 250, count=40)
    assert (trend.metric, trend.change, trend.previous, trend.current, trend.sample_size) == (
        "avg_latency_ms",
        0.25,
        200,
        250,
        40,
    )


def test_a_change_from_nothing_has_no_size():
    """Nothing can be said relative to 0, but the direction stays."""
    trend = trend_of(0, 3)
    assert trend.direction == "degrading"
    assert math.isnan(trend.change)
    assert trend_of(0, 0).change == 0.0


@pytest.mark.parametrize(
    "values", [(), (100,), (math.nan, 100), (100, math.nan), (math.inf, 100), (100, math.inf)]
)
def test_without_two_values_there_is_no_trend(values):
    """One window, or a window in which nothing was measured, is not enough."""
    assert trend_of(*values).direction == "insufficient_data"


def test_only_the_last_two_windows_count():
    """What happened before them is another trend's."""
    assert trend_of(1, 1000, 100, 100).direction == "stable"
    assert trend_of(math.nan, 100, 200).direction == "degrading"


def test_too_few_samples_are_no_trend():
    """Either window may be the one that is too small."""
    assert trend_of(100, 200, count=9).direction == "insufficient_data"
    assert trend_of(100, 200, count=10).direction == "degrading"


@pytest.mark.parametrize(
    ("previous", "current", "count", "direction"),
    [
        (0.9, 0.7, 10, "insufficient_data"),
        (0.9, 0.7, 100, "degrading"),
        (0.70, 0.78, 60, "insufficient_data"),
        (0.70, 0.78, 600, "improving"),
        (1.0, 0.5, 10, "degrading"),
        (0.0, 0.2, 10, "insufficient_data"),
        (0.0, 0.2, 50, "improving"),
        (0.9, 0.9, 10, "stable"),
    ],
)
def test_a_rate_must_move_by_more_than_chance(previous, current, count, direction):
    """Two failures in ten runs after one in ten are no news."""
    trend = trend_of(previous, current, metric="success_rate", higher_is_better=True, count=count)
    assert trend.direction == direction


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000), st.booleans())
def test_turning_the_good_direction_turns_the_trend(previous, current, count, rising_is_good):
    """Improving and degrading are mirror images, whatever the figures."""
    mirror = {"improving": "degrading", "degrading": "improving"}
    one = trend_of(
        previous, current, metric="error_rate", count=count, higher_is_better=rising_is_good
    )
    other = trend_of(
        previous, current, metric="error_rate", count=count, higher_is_better=not rising_is_good
    )
    assert other.direction == mirror.get(one.direction, one.direction)


def test_band_and_samples_are_configurable():
    """`[plugins.trend]` says how much is much."""
    table = {"plugins": {"trend": {"band": 0.5, "min_samples": 2}}}
    detector = TrendDetector(Config.from_mapping(table))
    assert trend_of(100, 140, count=2, detector=detector).direction == "stable"
    assert trend_of(100, 160, count=2, detector=detector).direction == "degrading"


def test_a_wrong_table_is_refused():
    """The table is checked like the rest of the configuration."""
    with pytest.raises(ConfigError, match="band"):
        TrendDetector(Config.from_mapping({"plugins": {"trend": {"band": -1}}}))


def test_the_example_in_the_docstring_is_true():
    """The documentation runs."""
    assert doctest.testmod(perfmon_trend).failed == 0
