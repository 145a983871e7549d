"""The built-in scorers: every formula, every kind, and any JSON value whatever."""

from __future__ import annotations

import copy
import math

import perfmon_scorers
import pytest
from hypothesis import given
from hypothesis import strategies as st

score = perfmon_scorers.score_outcome

numbers = st.integers() | st.floats() | st.integers(10**300, 10**400)
words = st.lists(st.sampled_from(["ship", "refund", "wait", "é", "Ship"]), max_size=6).map(" ".join)
scalars = st.none() | st.booleans() | numbers | words | st.text(max_size=20)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | words, inner, max_size=4)
    ),
    max_leaves=12,
)
finite = st.floats(-1e9, 1e9).filter(lambda number: abs(number) > 1e-9)


@given(json_values, json_values)
def test_a_score_is_a_float_in_0_1_for_any_two_json_values(predicted, actual):
    """Nothing that JSON can say makes a score leave [0, 1] or fail."""
    result = score(predicted=predicted, actual=actual)
    assert type(result) is float
    assert 0.0 <= result <= 1.0


@given(json_values)
def test_equal_values_score_exactly_1(value):
    """An equal prediction is entirely right, however it is built."""
    assert score(predicted=copy.deepcopy(value), actual=value) == 1.0


@given(json_values, json_values)
def test_swapping_kinds_never_helps(left, right):
    """Where the kinds differ both ways score 0."""
    if perfmon_scorers._kind(left) != perfmon_scorers._kind(right):
        assert score(left, right) == score(right, left) == 0.0


@given(finite, finite)
def test_numbers_follow_their_formula(predicted, actual):
    """1 - |predicted - actual| / |actual|, never below 0, and the same when both signs flip."""
    expected = max(0.0, 1 - abs(predicted - actual) / abs(actual))
    assert score(predicted, actual) == pytest.approx(expected)
    assert score(-predicted, -actual) == score(predicted, actual)


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_lists_of_one_length_are_symmetric_and_ignore_order(left, right):
    """A multiset has no order, and for equal lengths nobody is the longer one."""
    size = min(len(left), len(right))
    left, right = left[:size], right[:size]
    assert score(left, right) == score(right, left) == score(left[::-1], right)


@given(st.dictionaries(words, json_values, min_size=1, max_size=4), words, json_values)
def test_keys_that_only_the_prediction_has_cost_nothing(actual, key, value):
    """Saying more than was asked for is not wrong."""
    assert score({key: value} | actual, actual) == 1.0


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        (90, 100, 0.9),
        (110.0, 100, 0.9),
        (300, 100, 0.0),
        (-90, -100, 0.9),
        (0, 0.0, 1.0),
        (0.001, 0, 0.0),
        (1, 1.0, 1.0),
        (10**400, 10**400 + 1, 1.0),
        (5 * 10**399, 10**400, 0.5),
        (3 * 10**400, 10**400, 0.0),
        (10**400, 1e308, 0.0),
        (1e308, -1e308, 0.0),
        (1, 5e-324, 0.0),
        (math.nan, 1, 0.0),
        (1, math.nan, 0.0),
        (math.nan, 10**400, 0.0),
        (math.inf, math.inf, 1.0),
        (-math.inf, math.inf, 0.0),
        (1, math.inf, 0.0),
    ],
)
def test_numbers(predicted, actual, expected):
    """Numbers are compared relative to what really happened; an actual 0 asks for 0."""
    assert score(predicted, actual) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ("ship it now", "ship it today", 2 / 3),
        ("now ship", "ship now", 1.0),
        ("ship ship ship", "ship it", 0.5),
        ("Ship", "ship", 0.0),
        ("", "", 1.0),
        (" ", " ", 1.0),
        ("anything", "", 0.0),
        ("", "ship", 0.0),
        ("ship  it", "ship\nit", 1.0),
        ("x^2 + 1", "x^2 + 2", 2 / 3),
    ],
)
def test_strings(predicted, actual, expected):
    """The share of the actual words that the prediction has."""
    assert score(predicted, actual) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ({"price": 90}, {"price": 100}, 0.95),
        ({"action": "sell", "price": 90}, {"action": "buy", "price": 100}, (1 + 0.45) / 2),
        ({"price": 100}, {"price": 100, "action": "buy"}, (0.5 + 1) / 2),
        ({"price": 100, "note": "x"}, {"price": 100}, 1.0),
        ({"Price": 100}, {"price": 100}, 0.0),
        ({}, {"price": 100}, 0.0),
        ({"price": 100}, {}, 0.0),
        ({}, {}, 1.0),
        ({"ok": 1}, {"ok": True}, 0.5),
        ({"a": {"b": 90}}, {"a": {"b": 100}}, (1 + 0.95) / 2),
        ({"a": None}, {"a": None}, 1.0),
    ],
)
def test_dictionaries(predicted, actual, expected):
    """Half for the keys, half for the mean score of the shared keys' values."""
    assert score(predicted, actual) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ([1, 2, 3], [1, 2, 4], 2 / 3),
        ([3, 2, 1], [1, 2, 3], 1.0),
        ([1], [1, 1], 0.5),
        ([1, 1, 1], [1], 1.0),
        ([True], [1], 0.0),
        ([1.0], [1], 1.0),
        ([], [1], 0.0),
        ([1], [], 0.0),
        ([], [], 1.0),
        ([{"a": [1]}, [2]], [[2], {"a": [1]}], 1.0),
        ([[1, 2]], [[2, 1]], 0.0),
        ([None, "x"], ["x", "y"], 0.5),
        ([(1, 2)], [[1, 2]], 0.0),
        ((1, 2), (2, 1), 1.0),
    ],
)
def test_lists(predicted, actual, expected):
    """Elements count as often as they occur, whether or not they can be hashed."""
    assert score(predicted, actual) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [
        (True, 1),
        (1, True),
        (0, False),
        (None, 0),
        (None, ""),
        ("1", 1),
        ([1], (1,)),
        ({}, []),
        (None, False),
    ],
)
def test_different_kinds_score_0(predicted, actual):
    """True is not 1, a list is not a tuple, null is nothing but null."""
    assert score(predicted, actual) == 0.0


@pytest.mark.parametrize("depth", [50, 2_000, 20_000])
def test_nesting_is_never_too_deep(depth):
    """Lists and dictionaries within one another for as long as memory lasts."""
    same, other = [1], [2]
    keyed, unlike = {"k": 1}, {"k": 2}
    for _ in range(depth):
        same, other = [same], [other]
        keyed, unlike = {"k": keyed}, {"k": unlike}
    assert score(same, same) == score(keyed, keyed) == 1.0
    assert score(other, same) == 0.0
    assert 1 - 2**-40 <= score(unlike, keyed) <= 1


def test_elements_are_told_apart_by_kind_at_every_depth():
    """Equality inside a list is as strict as outside, for keys and values alike."""
    assert score([{"a": [True]}], [{"a": [1]}]) == 0.0
    assert score([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]) == 1.0
    assert score([{"a": 1}], [{"b": 1}]) == 0.0


def test_exact_is_right_or_wrong():
    """The exact scorer knows nothing in between, and compares kinds as well."""
    exact = perfmon_scorers.ExactScorer().score_outcome
    assert exact(predicted=90, actual=100) == exact(True, 1) == exact("a b", "b a") == 0.0
    assert exact(predicted={"a": [1, 2]}, actual={"a": [1.0, 2]}) == exact(None, None) == 1.0
