"""The similarity of texts: every method, and what is left to others."""

from __future__ import annotations

import doctest

import perfmon_similarity
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_similarity import SimilarityScorer

from perfmon import Config, ConfigError

texts = st.text(alphabet="ab cé.", max_size=12)


def similarity(**table):
    return SimilarityScorer(Config.from_mapping({"plugins": {"similarity": table}})).score_outcome


def common(left, right):
    """The length of the longest common subsequence, by the book."""
    rows = [[0] * (len(right) + 1)]
    for a in left:
        row = [0]
        for place, b in enumerate(right):
            row.append(rows[-1][place] + 1 if a == b else max(row[-1], rows[-1][place + 1]))
        rows.append(row)
    return rows[-1][-1]


def test_the_example_of_the_docstring_is_true():
    """It runs, and gives what it says."""
    assert doctest.testmod(perfmon_similarity).failed == 0


@given(texts, texts)
def test_edit_is_twice_what_is_common_over_both_lengths(predicted, actual):
    """The normalised Indel similarity, found by another way."""
    lengths = len(predicted) + len(actual)
    expected = 2 * common(predicted, actual) / lengths if lengths else 1.0
    assert similarity()(predicted, actual) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("table", "predicted", "actual", "expected"),
    [
        ({"method": "token_sort"}, "now ship it", "ship it now", 1.0),
        ({"method": "token_set"}, "ship it now now", "ship it", 1.0),
        ({"method": "partial"}, "please ship it now", "ship it", 1.0),
        ({}, "SHIP", "ship", 0.0),
        ({"ignore_case": True}, "SHIP", "ship", 1.0),
        ({"ignore_punctuation": True}, "ship, it!", "ship it", 1.0),
        ({"method": "token_set"}, "", "", 1.0),
        ({"method": "partial"}, "", "ship", 0.0),
    ],
)
def test_methods_and_options(table, predicted, actual, expected):
    """Order, surplus words, surroundings, case and punctuation matter, or do not."""
    assert similarity(**table)(predicted, actual) == expected


@pytest.mark.parametrize("method", ["edit", "token_sort", "token_set", "partial"])
@given(predicted=st.text(max_size=15), actual=st.text(max_size=15))
def test_any_two_texts_are_alike_from_0_to_1(method, predicted, actual):
    """Whatever letters they have; the same text is entirely right."""
    answer = similarity(method=method)
    assert 0 <= answer(predicted, actual) <= 1
    assert answer(actual, actual) == 1


@pytest.mark.parametrize(("predicted", "actual"), [("1", 1), (["a"], ["a"]), (None, "a")])
def test_what_is_no_text_is_passed_on(predicted, actual):
    """Both must be text."""
    assert similarity()(predicted, actual) is None


def test_long_texts_are_passed_on():
    """So that nobody waits for them; `partial` takes longest, and has the lower limit."""
    for table, longest in (({}, 20_000), ({"method": "partial"}, 2_000)):
        assert similarity(**table)("a" * longest, "a") is not None
        assert similarity(**table)("a" * (longest + 1), "a") is None
    assert similarity(max_characters=3)("abcd", "abcd") is None


def test_an_unknown_method_is_told():
    """With those that are known."""
    with pytest.raises(ConfigError, match='must be one of "edit", "token_sort"'):
        similarity(method="edti")
