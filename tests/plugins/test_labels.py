"""Labels: what counts as the same one, partial credit, and lists of them."""

from __future__ import annotations

import doctest

import perfmon_labels
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_labels import LabelScorer

from perfmon import Config, ConfigError


def labels(**table):
    return LabelScorer(Config.from_mapping({"plugins": {"labels": table}})).score_outcome


def test_the_example_of_the_docstring_is_true():
    """It runs, and gives what it says."""
    assert doctest.testmod(perfmon_labels).failed == 0


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [
        ("  Needs\n review", "needs review"),
        (True, "TRUE"),
        ("1", 1),
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, 0),
    ],
)
def test_one_label_may_be_written_in_many_ways(predicted, actual):
    """Case, spaces, and whether it is text or a number or a boolean make no difference."""
    assert labels()(predicted, actual) == labels()(actual, predicted) == 1.0


def test_a_number_may_have_more_digits_than_python_writes():
    """It is the same label all the same, and its neighbour is not."""
    assert labels()(10**5000, 10**5000) == 1.0
    assert labels()(10**5000, 10**5000 + 1) == 0.0


@pytest.mark.parametrize(
    ("predicted", "actual"), [("yes", "no"), (True, 1), (False, ""), ("1", "1.0"), ("yes.", "yes")]
)
def test_another_label_is_wrong(predicted, actual):
    """And nothing lies in between."""
    assert labels()(predicted, actual) == 0.0


def test_what_makes_a_difference_is_chosen():
    """Case may, punctuation may not."""
    assert labels(ignore_case=False)("Yes", "yes") == 0.0
    assert labels(ignore_punctuation=True)("Yes.", "yes") == 1.0
    assert labels(ignore_punctuation=True)("-1", -1) == 1.0
    assert labels(ignore_punctuation=True)("-1", 1) == 0.0


def test_synonyms_are_one_label():
    """Among themselves and with their name, however they are written."""
    score = labels(synonyms={"Approve": ["approved", "Yes", "true"]})
    assert score("YES", "approve") == score(True, "approved") == score(["yes"], ["Approve"]) == 1.0
    assert score("no", "approve") == 0.0


def test_a_synonym_belongs_to_one_label():
    """Two would make the answer depend on their order."""
    with pytest.raises(ConfigError, match="'YES' already belongs to 'approve'"):
        labels(synonyms={"approve": ["yes"], "buy": ["YES"]})


def test_a_wrong_label_may_have_partial_credit():
    """By what was predicted and what was true, in this direction alone, and by synonyms too."""
    score = labels(synonyms={"yes": ["y"]}, partial={"maybe": {"Y": 0.5}})
    assert score("Maybe", "yes") == 0.5
    assert score("yes", "maybe") == 0.0
    assert score("maybe", "maybe") == 1.0


def test_credit_is_in_0_1():
    """Nothing is better than right."""
    with pytest.raises(ConfigError, match=r"must be numbers in \[0, 1\], not maybe.yes = 2"):
        labels(partial={"maybe": {"yes": 2}})


tags = st.lists(st.sampled_from(["a", "B", "c", 1, True]), max_size=5)


@given(tags, tags)
def test_lists_of_labels_have_the_f1_of_their_sets(predicted, actual):
    """The harmonic mean of precision and recall; two empty lists agree."""
    left, right = ({str(tag).lower() for tag in tags} for tags in (predicted, actual))
    shared = len(left & right)
    expected = float(left == right)
    if shared:
        precision, recall = shared / len(left), shared / len(right)
        expected = 2 * precision * recall / (precision + recall)
    assert labels()(predicted, actual) == pytest.approx(expected)


def test_a_label_beside_a_list_is_a_list_of_one():
    """One of two is right."""
    assert labels()("a", ["a", "b"]) == labels()(["a", "b"], "a") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("predicted", "actual"), [(None, "a"), ("a", {}), (["a", None], ["a"]), ([["a"]], ["a"])]
)
def test_what_is_no_label_is_passed_on(predicted, actual):
    """Null, dictionaries, and lists with such things in them."""
    assert labels()(predicted, actual) is None
