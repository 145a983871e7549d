"""The built-in scorers: every formula, every kind, every option, and any JSON value whatever."""

from __future__ import annotations

import copy
import doctest
import itertools
import math
from datetime import UTC, timedelta
from fractions import Fraction

import perfmon_scorers.scorers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_exact import ExactScorer
from perfmon_scorers import Scorers

from perfmon import Config, ConfigError, value_kind

score = Scorers().score_outcome


def scorer(**table):
    """The scorers' answers with a table of `monitor.toml`."""
    return Scorers(Config.from_mapping({"plugins": {"scorers": table}})).score_outcome


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
    if value_kind(left) != value_kind(right):
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
    exact = ExactScorer().score_outcome
    assert exact(predicted=90, actual=100) == exact(True, 1) == exact("a b", "b a") == 0.0
    assert exact(predicted={"a": [1, 2]}, actual={"a": [1.0, 2]}) == exact(None, None) == 1.0


def test_the_example_of_the_docstring_is_true():
    """It runs, and gives what it says."""
    assert doctest.testmod(perfmon_scorers.scorers).failed == 0


# Dates and times


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ("2024-01-01T10:00:00Z", "2024-01-01T11:00:00+01:00", 1.0),
        ("2024-01-01 10:00", "2024-01-01T10:00:00Z", 1.0),
        ("2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z", 0.0),
        ("2024-01-01T00:00:00.000001Z", "2024-01-01T00:00:00Z", 0.0),
        ("2024-01-01", "2024-01-02", 0.0),
        ("2024-01-01", "2024-01-01T23:59:59-05:00", 1.0),
        ("2024-01-02T00:00", "2024-01-01", 0.0),
        ("2024-01-01 10:00", "2024-01-01 late", 0.5),
        ("20240101", "2024-01-01", 0.0),
        ("2024-13-01 a", "2024-13-02 a", 0.5),
        ("0001-01-01T00:00+23:59", "9999-12-31T23:59:59-23:59", 0.0),
    ],
)
def test_dates_and_times_are_the_same_moment_or_not(predicted, actual, expected):
    """Whatever offset they are written with; what is no date is text."""
    assert score(predicted, actual) == expected


@given(st.datetimes(timezones=st.timezones()), st.integers(-14, 14))
def test_a_moment_is_right_in_every_offset(moment, hours):
    """The offset it is written with does not matter, in a list or on its own."""
    try:
        there = moment.astimezone(UTC) + timedelta(hours=hours)
    except OverflowError:
        return
    text = there.replace(tzinfo=None).isoformat() + f"{hours:+03d}:00"
    assert score(moment.astimezone(UTC).isoformat(), text) == 1.0
    assert score([moment.astimezone(UTC).isoformat()], [text]) == 1.0


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        ("2024-01-01T10:00Z", "2024-01-01T12:00Z", 1.0),
        ("2024-01-01T10:00Z", "2024-01-01T12:00:01Z", 0.0),
        ("2024-01-02T02:00", "2024-01-01", 1.0),
        ("2024-01-02T03:00", "2024-01-01", 0.0),
        (["2024-01-01T10:00Z", "x"], ["2024-01-01T11:00Z", "x"], 1.0),
    ],
)
def test_a_date_may_be_off_by_its_tolerance(predicted, actual, expected):
    """Up to it is right; a date alone is as far away as the nearest end of its day."""
    assert scorer(date_tolerance="2h1ms")(predicted, actual) == expected


@given(st.text(max_size=12) | st.from_regex(r"\d{4}-\d\d-\d\d.?\d?\d?", fullmatch=True))
def test_what_looks_like_a_date_never_fails(text):
    """Text that no calendar knows is scored as text."""
    assert 0 <= score(text, "2024-01-01") <= 1
    assert 0 <= score([text], ["2024-01-01T10:00"]) <= 1


# Options


@given(finite, finite, st.floats(0, 2), st.floats(0, 100))
def test_a_number_within_tolerance_is_right(predicted, actual, relative, absolute):
    """Relative or absolute, whichever reaches further; beyond, the formula is as ever."""
    answer = scorer(tolerance=relative, absolute_tolerance=absolute)(predicted, actual)
    reach = max(Fraction(relative) * abs(Fraction(actual)), Fraction(absolute))
    apart = abs(Fraction(predicted) - Fraction(actual))
    if apart <= reach:
        assert answer == 1.0
    elif apart > reach * Fraction(1 + 1e-6):
        assert answer == score(predicted, actual)


@pytest.mark.parametrize(
    ("predicted", "actual", "expected"),
    [
        (1.1, 1.0, 1.0),
        (0, 0.01, 0.0),
        (11 * 10**399, 10**400, 1.0),
        (12 * 10**399, 10**400, 0.8),
        (1.05e308, 1e308, 1.0),
        (math.inf, 1.7e308, 0.0),
        (1.7e308, math.inf, 0.0),
        (math.nan, 1.0, 0.0),
        ({"a": 1.05}, {"a": 1}, 1.0),
    ],
)
def test_tolerance_of_unusual_numbers(predicted, actual, expected):
    """Floats' own errors do not matter, nor how large a number is."""
    assert scorer(tolerance=0.1)(predicted, actual) == pytest.approx(expected)


small = st.lists(st.integers(0, 12), max_size=5)


@given(small, small.filter(bool), st.integers(0, 3))
def test_numbers_in_lists_are_matched_as_well_as_can_be(predicted, actual, reach):
    """As many as any pairing of those that are not equal allows, each prediction once."""
    spare, missing = list(predicted), []
    for number in actual:
        if number in spare:
            spare.remove(number)
        else:
            missing.append(number)
    padded = spare + [math.inf] * len(missing)
    best = max(
        sum(abs(p - m) <= reach for p, m in zip(order, missing, strict=False))
        for order in itertools.permutations(padded, len(missing))
    )
    right = len(actual) - len(missing) + best
    assert scorer(absolute_tolerance=reach)(predicted, actual) == right / len(actual)


@pytest.mark.parametrize(
    ("table", "predicted", "actual", "expected"),
    [
        ({"ignore_case": True}, "Ship IT", "ship it", 1.0),
        ({"ignore_case": True}, ["SHIP", {"a": ["IT"]}], ["ship", {"a": ["it"]}], 1.0),
        ({"ignore_case": True}, {"A": "x"}, {"a": "x"}, 0.0),
        ({"ignore_punctuation": True}, "Ship it!", "Ship, it", 1.0),
        ({"ignore_punctuation": True}, "3.5", "35", 0.0),
        ({"ignore_punctuation": True}, "?", "!", 0.0),
        ({"ignore_punctuation": True}, "2024-01-01", "2024-01-02", 0.0),
        ({"ignore_punctuation": True}, ("a.",), ("a",), 1.0),
        ({"ignore_key_case": True}, {"Price": 1}, {"price": 1}, 1.0),
        ({"ignore_key_case": True}, [{"Price": 1}], [{"price": 1}], 1.0),
        ({"ignore_key_case": True}, {"A": 1, "a": 2}, {"a": 2, "A": 1}, 1.0),
        ({"lists": "set"}, [1, 2], [1, 1, 2, 3], 2 / 3),
        ({"lists": "set", "tolerance": 0.1}, [100], [95, 105, 200], 2 / 3),
        ({"lists": "set"}, [], [1], 0.0),
        ({"lists": "sequence"}, [1, 2, 3], [1, 3, 2], (1 + 2 / 3 + 1 / 2) / 3),
        ({"lists": "sequence"}, [90, "x", 3], [100, "x"], 0.95),
        ({"lists": "sequence"}, [90], [100, 100], 0.45),
        ({"weights": {"price": 3}}, {"price": 90, "note": ""}, {"price": 100, "note": "x"},
         (1 + 0.9 * 3 / 4) / 2),
        ({"weights": {"price": 3}}, {"note": "x"}, {"price": 100, "note": "x"}, (0.25 + 1) / 2),
        ({"weights": {"id": 0}}, {"id": 1, "a": 2}, {"id": 7, "a": 2}, 1.0),
        ({"weights": {"id": 0}}, {"a": {"id": 1}}, {"a": {"id": 7}}, 1.0),
        ({"weights": {"ID": 0}, "ignore_key_case": True}, {"Id": 1, "a": 2}, {"a": 2}, 1.0),
    ],
)  # fmt: skip
def test_options(table, predicted, actual, expected):
    """Each loosens, or weighs, what it says and nothing else."""
    assert scorer(**table)(predicted, actual) == pytest.approx(expected)


tables = st.fixed_dictionaries(
    {},
    optional={
        "tolerance": st.floats(0, 1e6),
        "absolute_tolerance": st.floats(0, 1e300),
        "date_tolerance": st.sampled_from(["0s", "1d"]),
        "ignore_case": st.booleans(),
        "ignore_punctuation": st.booleans(),
        "ignore_key_case": st.booleans(),
        "lists": st.sampled_from(["multiset", "set", "sequence"]),
        "weights": st.dictionaries(words, st.floats(0, 1e6), max_size=3),
    },
)


@given(tables, json_values, json_values)
def test_any_table_keeps_what_the_defaults_promise(table, predicted, actual):
    """In [0, 1] for any two values, and 1 for an equal one."""
    answer = scorer(**table)
    result = answer(predicted, actual)
    assert type(result) is float
    assert 0.0 <= result <= 1.0
    assert answer(copy.deepcopy(actual), actual) == 1.0


@pytest.mark.parametrize("lists", ["set", "sequence"])
def test_no_option_makes_nesting_too_deep(lists):
    """Ignoring and comparing in sequence go as deep as the default."""
    same = keyed = 1
    for _ in range(20_000):
        same, keyed = [same], {"K": keyed}
    answer = scorer(lists=lists, ignore_key_case=True, weights={"x": 0})
    assert answer(same, same) == answer(keyed, keyed) == 1.0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"tolerance": -1}, "tolerance = -1: must be >= 0"),
        ({"lists": "bag"}, 'must be one of "multiset", "set", "sequence"'),
        ({"weights": {"a": -1}}, "must be numbers from 0 to 1000000, not a = -1"),
        ({"date_tolerance": 5}, "must be a duration"),
    ],
)
def test_a_mistake_in_the_table_is_told(table, words):
    """With its place and what is allowed."""
    with pytest.raises(ConfigError, match=r"\[plugins\.scorers") as found:
        scorer(**table)
    assert words in str(found.value)


def test_the_default_table_is_the_plain_scorer():
    """Without options there is nothing to ignore, and the contract's formulas hold."""
    assert scorer()({"a": [1, "B"]}, {"a": [1, "b"]}) == score({"a": [1, "B"]}, {"a": [1, "b"]})
