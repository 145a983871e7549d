"""Calibration from sums: against brute force, and words only where there is evidence."""

from __future__ import annotations

import doctest
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import jsonable
from perfmon.accuracy import calibration as module
from perfmon.accuracy.calibration import BINS, BinSums, bin_of, calibration

FIGURES = (
    "confidence", "accuracy", "expected_calibration_error", "brier_score", "reliability",
    "resolution", "uncertainty", "within_bin_variance", "within_bin_covariance",
)  # fmt: skip
shares = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.1, 0.3, 0.7, 0.9])
pairs = st.lists(st.tuples(shares, shares | st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


def sums_of(outcomes):
    bins = [BinSums() for _ in range(BINS)]
    for c, o in outcomes:
        added = BinSums(1, c, o, c * c, o * o, c * o)
        at = bin_of(c)
        bins[at] = BinSums(*(a + b for a, b in zip(bins[at], added, strict=True)))
    return bins


def of(outcomes):
    return calibration(sums_of(outcomes))


def answers(confidence, right, wrong):
    return [(confidence, 1.0)] * right + [(confidence, 0.0)] * wrong


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


def brute_force(outcomes):
    """Everything from the outcomes themselves."""
    n, overall = len(outcomes), mean(o for _, o in outcomes)
    groups = {}
    for c, o in outcomes:
        groups.setdefault(bin_of(c), []).append((c, o))
    found = dict.fromkeys(FIGURES, 0.0)
    for group in groups.values():
        share, c_mean, o_mean = len(group) / n, mean(c for c, _ in group), mean(o for _, o in group)
        found["expected_calibration_error"] += share * abs(c_mean - o_mean)
        found["reliability"] += share * (c_mean - o_mean) ** 2
        found["resolution"] += share * (o_mean - overall) ** 2
        found["within_bin_variance"] += share * mean((c - c_mean) ** 2 for c, _ in group)
        both = mean((c - c_mean) * (o - o_mean) for c, o in group)
        found["within_bin_covariance"] += 2 * share * both
    found["uncertainty"] = mean((o - overall) ** 2 for _, o in outcomes)
    found["brier_score"] = mean((c - o) ** 2 for c, o in outcomes)
    found["confidence"], found["accuracy"] = mean(c for c, _ in outcomes), overall
    return found


@given(pairs)
def test_every_figure_is_that_of_the_outcomes(outcomes):
    """Sums per bin are enough."""
    made, expected = of(outcomes), brute_force(outcomes)
    for name in FIGURES:
        assert getattr(made, name) == pytest.approx(expected[name], abs=1e-9), name
    assert made.count == sum(each.count for each in made.bins) == len(outcomes)


@given(pairs)
def test_the_parts_add_up_to_the_brier_score(outcomes):
    """Exactly, for confidences that vary within their bins and for graded outcomes."""
    made = of(outcomes)
    murphy = made.reliability - made.resolution + made.uncertainty
    inside = made.within_bin_variance - made.within_bin_covariance
    assert murphy + inside == pytest.approx(made.brier_score, abs=1e-12)


@given(pairs)
def test_each_bin_has_its_means_within_its_limits(outcomes):
    """And the interval of its accuracy around it."""
    for each in of(outcomes).bins:
        if each.count:
            assert each.low - 1e-12 <= each.confidence <= each.high + 1e-12
            assert each.interval[0] - 1e-12 <= each.accuracy <= each.interval[1] + 1e-12
        else:
            assert math.isnan(each.confidence)
            assert math.isnan(each.accuracy)


def test_nothing_is_known_of_nothing():
    """Ten empty bins, NaN throughout, null in JSON."""
    made = of([])
    assert len(made.bins) == BINS
    assert made.count == 0
    assert all(math.isnan(getattr(made, name)) for name in FIGURES)
    assert (made.verdict, made.sentence) == (
        "not enough outcomes",
        "no outcomes with a stated confidence",
    )
    assert jsonable(made)["brier_score"] is None


@pytest.mark.parametrize(
    ("outcomes", "verdict", "words"),
    [
        (answers(0.82, 190, 122), "over-confident",
         "stated confidence 82% on average, observed accuracy 61% (over-confident by 21 points, 312 outcomes)"),
        (answers(0.5, 900, 100), "under-confident",
         "stated confidence 50% on average, observed accuracy 90% (under-confident by 40 points, 1,000 outcomes)"),
        (answers(0.8, 79, 21), "well calibrated",
         "stated confidence 80% on average, observed accuracy 79% (well calibrated, 100 outcomes)"),
        (answers(0.9, 0, 29), "not enough outcomes",
         "stated confidence 90% on average, observed accuracy 0% (not enough outcomes: 29 of 30)"),
    ],
)  # fmt: skip
def test_the_verdict_is_in_words_people_understand(outcomes, verdict, words):
    """What was said, what was so, and how many outcomes that is."""
    made = of(outcomes)
    assert (made.verdict, made.sentence) == (verdict, words)


def test_a_difference_nobody_minds_is_none():
    """Two points or less, however many outcomes prove them."""
    made = of(answers(0.8, 782_000, 218_000))
    assert made.verdict == "well calibrated"
    assert of(answers(0.8, 770_000, 230_000)).verdict == "over-confident"


def test_a_difference_within_chance_is_none():
    """Six points from forty outcomes say nothing, from four thousand a lot."""
    assert of(answers(0.8, 30, 10)).verdict == "well calibrated"
    assert of(answers(0.8, 2_960, 1_040)).verdict == "over-confident"


def test_outcomes_that_do_not_vary_prove_no_more_than_others():
    """Thirty right answers given with 95% happen to one honest agent in five."""
    assert of(answers(0.95, 30, 0)).verdict == "well calibrated"
    assert of(answers(0.6, 30, 0)).verdict == "under-confident"
    assert of(answers(1.0, 20, 10)).verdict == "over-confident"


def test_graded_outcomes_count_as_graded():
    """Half right, every time, is not well calibrated at 90%."""
    assert of([(0.9, 0.5)] * 40).verdict == "over-confident"


def test_means_that_hide_a_bin_are_called_so():
    """Over-confident at the top and under-confident at the bottom cancel out."""
    made = of(answers(0.9, 210, 210) + answers(0.1, 200, 200))
    assert made.verdict == "well calibrated"
    assert made.sentence.endswith("; but at a stated 90% it is right 50% of the time")
    assert made.expected_calibration_error == pytest.approx(0.4)


def test_an_honest_agent_is_rarely_blamed():
    """In about one of twenty, for the chance that is granted."""
    rng = random.Random(11)
    blamed = hidden = 0
    for _ in range(400):
        said = [rng.random() for _ in range(300)]
        made = of([(c, float(rng.random() < c)) for c in said])
        blamed += made.verdict != "well calibrated"
        hidden += "but where" in made.sentence
    assert blamed < 0.08 * 400
    assert hidden < 0.08 * 400


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(module).failed == 0
