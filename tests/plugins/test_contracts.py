"""Every plugin that ships is found by its entry point and holds to what `perfmon.testing` asks."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from perfmon import Config, Series
from perfmon.records import Point
from perfmon.testing import check_plugin, check_scorer

ENTRIES = {entry.name: entry for entry in entry_points(group="perfmon")}
# The server is run, it observes nothing: it has no hook.
WITH_HOOKS = ("sql", "scorers", "exact", "trend", "recommend")


def made(name: str) -> object:
    loaded = ENTRIES[name].load()
    return loaded(Config()) if isinstance(loaded, type) else loaded


@pytest.mark.parametrize("name", WITH_HOOKS)
def test_a_plugin_registers(name):
    """Its entry point loads, and each of its hooks exists with the arguments it takes."""
    assert check_plugin(made(name), name)


@pytest.mark.parametrize("name", ["scorers", "exact"])
def test_a_scorer_answers_for_any_outcome(name):
    """In [0, 1], for any JSON value whatever."""
    check_scorer(made(name).score_outcome)


@pytest.mark.parametrize("name", ["trend"])
def test_a_trend_detector_answers_for_any_series(name):
    """One of the four words, also where a window is empty."""
    empty, some = Point(0, 60, float("nan"), 0), Point(60, 120, 0.5, 100)
    for points in ((), (some,), (empty, empty), (empty, some), (some, empty), (some, some)):
        series = Series(metric="success_rate", higher_is_better=True, points=points)
        trend = made(name).detect_trend(series)
        assert trend.direction in {"improving", "stable", "degrading", "insufficient_data"}


def test_every_entry_point_is_checked_here():
    """A plugin that is added is added here too."""
    ours = {name for name, entry in ENTRIES.items() if entry.dist.name == "agent-perfmon"}
    assert ours == {*WITH_HOOKS, "server"}
