"""Intervals of means: Wilson's for shares, Student's for the rest."""

from __future__ import annotations

import doctest
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon.metrics import intervals
from perfmon.metrics.intervals import mean_interval, mean_share, student_95, wilson

# The 0.975 quantile, as every table has it.
TABLE = {
    1: 12.706204736, 2: 4.302652730, 3: 3.182446305, 4: 2.776445105, 5: 2.570581837, 6: 2.446911851,
    7: 2.364624252, 8: 2.306004135, 9: 2.262157163, 10: 2.228138852, 15: 2.131449546, 20: 2.085963447,
    30: 2.042272456, 60: 2.000297822, 120: 1.979930405, 1_000: 1.962339081, 10**9: 1.959963987,
}  # fmt: skip


def interval_of(values):
    return mean_interval(len(values), math.fsum(values), math.fsum(x * x for x in values))


@pytest.mark.parametrize(("freedom", "quantile"), TABLE.items())
def test_students_quantile(freedom, quantile):
    """Within a tenth of what is allowed: 0.1%."""
    assert student_95(freedom) == pytest.approx(quantile, rel=1.1e-4)


def test_students_quantile_falls_towards_the_normal_one():
    """Without a step where the table ends."""
    quantiles = [student_95(freedom) for freedom in range(1, 500)]
    assert quantiles == sorted(quantiles, reverse=True)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1))
def test_right_or_wrong_is_a_share(values):
    """Wilson's interval wherever there is nothing between 0 and 1."""
    assert interval_of(values) == wilson(sum(values), len(values))


def test_sums_that_others_were_taken_away_from():
    """What was superseded leaves a rounding error behind: shares stay shares, and within 1."""
    total = squares = 0.0
    for score in (0.3, 0.1, *[1.0] * 5):
        total, squares = total + score, squares + score * score
    total, squares = total - 0.1 - 0.3, squares - 0.1 * 0.1 - 0.3 * 0.3
    assert total > 5.0
    assert mean_share(5, total) == 1.0
    assert mean_interval(5, total, squares) == wilson(5, 5)


def test_graded_values_have_students_interval():
    """By hand: mean 0.5, standard deviation 0.1, four values."""
    values = [0.4, 0.6, 0.4, 0.6]
    reach = 3.182446305 * math.sqrt(0.04 / 3 / 4)
    assert interval_of(values) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_nothing_is_known_of_nothing():
    """And of one graded value nearly as little."""
    assert all(math.isnan(end) for end in mean_interval(0, 0.0, 0.0))
    assert interval_of([0.3]) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_an_interval_holds_its_mean(values):
    """And stays in [0, 1]."""
    low, high = interval_of(values)
    mean = math.fsum(values) / len(values)
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """For graded values of a known mean."""
    rng = random.Random(3)
    held = 0
    for _ in range(2_000):
        low, high = interval_of([rng.random() for _ in range(12)])
        held += low <= 0.5 <= high
    assert 0.93 < held / 2_000 < 0.97


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(intervals).failed == 0


def test_sums_that_something_was_taken_from_are_still_of_zeros_and_ones():
    """What rounding leaves behind makes no certainty of five right answers."""
    low, high = mean_interval(5, 4.999999999999999, 4.999999999999998)
    assert (round(low, 2), round(high, 6)) == (0.57, 1.0)
