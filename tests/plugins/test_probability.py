"""Probabilities: the rules are proper, and calibration gets its pair."""

from __future__ import annotations

import doctest
import math

import perfmon_probability
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from perfmon_probability import ProbabilityScorer

from perfmon import Config, ConfigError, Score

shares = st.floats(0, 1)
rules = st.sampled_from(["brier", "log"])


def probability(**table):
    return ProbabilityScorer(Config.from_mapping({"plugins": {"probability": table}})).score_outcome


def test_the_example_of_the_docstring_is_true():
    """It runs, and gives what it says."""
    assert doctest.testmod(perfmon_probability).failed == 0


@given(rules, shares, shares)
def test_a_score_is_in_0_1_and_brings_its_pair(rule, p, o):
    """The forecast and how far it happened; the honest forecast of a share is right."""
    answer = probability(rule=rule)(p, o)
    assert 0 <= answer.value <= 1
    assert (answer.confidence, answer.correct) == (p, o)
    assert probability(rule=rule)(o, o).value == 1


@given(rules, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_no_forecast_beats_the_honest_one(rule, truth, other):
    """The expected score is greatest for the true probability: the rules are proper."""
    score = probability(rule=rule)

    def expected(p):
        return truth * score(p, True).value + (1 - truth) * score(p, False).value

    assert expected(other) <= expected(truth) + 1e-12


@pytest.mark.parametrize(
    ("rule", "p", "o", "expected"),
    [
        ("brier", 0.8, True, 0.96),
        ("brier", 0.8, 0, 1 - 0.64),
        ("brier", 0.5, 0.5, 1),
        ("brier", 1, False, 0),
        ("log", 1, True, 1),
        ("log", 0.5, True, 1 - math.log(2) / math.log(1000)),
        ("log", 0.1, False, 1 + math.log(0.9) / math.log(1000)),
        ("log", 0, True, 0),
        ("log", 0.0001, True, 0),
        ("log", 1, 5e-324, 0),
    ],
)
def test_the_formulas(rule, p, o, expected):
    """Brier's square, and the straight line through the logarithm down to the floor."""
    assert probability(rule=rule)(p, o).value == pytest.approx(expected, abs=1e-12)


def test_labels_share_one_probability():
    """Half of Brier's sum over all labels; the likeliest label is what calibration asks for."""
    score = probability()
    assert score({"a": 0.7, "b": 0.2, "c": 0.1}, "b") == Score(
        pytest.approx(1 - (0.49 + 0.64 + 0.01) / 2), confidence=0.7, correct=0.0
    )
    assert score({"a": 1, "b": 0}, "a") == Score(1.0, confidence=1.0, correct=1.0)
    assert score({"a": 1}, "b") == Score(0.0, confidence=1.0, correct=0.0)
    assert score({"true": 0.6, "false": 0.4}, True).correct == 1.0
    assert score({"1": 0.6, "2": 0.4}, 1).correct == 1.0


@given(
    rules,
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1),
    st.sampled_from("abcde"),
)
def test_any_distribution_has_a_score(rule, weights, label):
    """In [0, 1]; with two labels it is that of the probability of the one."""
    total = sum(weights.values())
    assume(total > 1e-3)
    given_ = {key: weight / total for key, weight in weights.items()}
    answer = probability(rule=rule)(given_, label)
    assert 0 <= answer.value <= 1
    assert 0 <= answer.confidence <= 1
    if len(given_) == 2 and label in given_:
        alone = probability(rule=rule)(given_[label], True).value
        assert answer.value == pytest.approx(alone, abs=1e-9)


def test_rounded_probabilities_are_made_to_add_up():
    """Three thirds of two decimals are a distribution; half of one is none."""
    assert probability()(dict.fromkeys("abc", 0.33), "a").confidence == pytest.approx(1 / 3)
    assert probability()({"a": 0.5}, "a") is None
    assert probability()({"a": 0.7, "b": 0.7}, "a") is None


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [
        (True, True), (1.01, True), (-0.1, False), (math.nan, True), (0.5, "yes"), (0.5, 2),
        ("0.5", True), (0.5, None), ({}, "a"), ({"a": True}, "a"), ({"a": 1}, None), (10**400, 1),
    ],
)  # fmt: skip
def test_what_is_no_probability_is_passed_on(predicted, actual):
    """True is not one, and neither is what does not fit the question."""
    assert probability()(predicted, actual) is None


def test_the_floor_is_a_small_probability():
    """0 would let one mistake outweigh everything."""
    score = probability(rule="log", floor=0.1)
    assert score(0.05, True).value == score(0, True).value == 0
    assert score(0.2, True).value > 0
    with pytest.raises(ConfigError, match="floor = 0: must be >= 1e-09"):
        probability(floor=0)
