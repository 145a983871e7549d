"""The asymmetric cost of errors."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction

import perfmon_numeric_cost
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_numeric_cost import NumericCostScorer

from perfmon import Config, ConfigError

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**400)
weights = st.floats(0, 1e3)


def cost(**table):
    return NumericCostScorer(
        Config.from_mapping({"plugins": {"numeric_cost": table}})
    ).score_outcome


def test_the_example_of_the_docstring_is_true():
    """It runs, and gives what it says."""
    assert doctest.testmod(perfmon_numeric_cost).failed == 0


@given(numbers, numbers, weights, weights, st.none() | st.floats(1e-3, 1e6))
def test_the_formula_holds_in_exact_arithmetic(predicted, actual, over, under, scale):
    """1 - weight * |error| / scale, at least 0, however large the numbers are."""
    score = cost(over=over, under=under, scale=scale or "relative")(predicted, actual)
    weight = Fraction(over if predicted > actual else under)
    error = abs(Fraction(predicted) - Fraction(actual))
    unit = Fraction(scale) if scale else abs(Fraction(actual))
    if error * weight == 0:
        assert score == 1
    elif not unit:
        assert score == 0
    else:
        assert score == pytest.approx(float(max(0, 1 - weight * error / unit)), abs=1e-6)


@pytest.mark.parametrize(
    ("table", "predicted", "actual", "expected"),
    [
        ({}, 90, 100, 0.9),
        ({}, 1, 0, 0.0),
        ({}, 0, 0.0, 1.0),
        ({"scale": 50}, 90, 100, 0.8),
        ({"scale": 50}, 1, 0, 0.98),
        ({"over": 2}, 110, 100, 0.8),
        ({"under": 0}, 1, 100, 1.0),
        ({"tolerance": 0.1}, 1.1, 1.0, 1.0),
        ({"tolerance": 0.1}, 1.2, 1.0, 0.8),
        ({"scale": 50, "tolerance": 0.1}, 105, 100, 1.0),
        ({"over": 2}, -90, -100, 0.8),
    ],
)
def test_options(table, predicted, actual, expected):
    """Too much and too little have their own weight, and an error its scale and tolerance."""
    assert cost(**table)(predicted, actual) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "actual"), [(True, 1), (1, None), ("1", 1), (math.nan, 1), (1, math.inf), ([], 1)]
)
def test_what_is_no_finite_number_is_passed_on(predicted, actual):
    """Others may have an answer."""
    assert cost()(predicted, actual) is None


@pytest.mark.parametrize("scale", ["absolute", 0, -1, True, None, [1]])
def test_a_scale_is_relative_or_a_number(scale):
    """And the mistake is told with its place."""
    with pytest.raises(ConfigError, match=r'numeric_cost\] scale = .*must be "relative" or a n'):
        cost(scale=scale)
