"""Rankings: each metric against its definition, spelled out."""

from __future__ import annotations

import doctest
import itertools
import math

import perfmon_ranking
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_ranking import RankingScorer

from perfmon import Config

ITEMS = "abcde"
lists = st.lists(st.sampled_from(ITEMS), max_size=5, unique=True)
gains = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 4), max_size=5)
cuts = st.integers(0, 6)


def ranking(**table):
    return RankingScorer(Config.from_mapping({"plugins": {"ranking": table}})).score_outcome


def discounted(order, gain, k):
    shown = order[:k] if k else order
    return sum(gain.get(item, 0) / math.log2(place + 2) for place, item in enumerate(shown))


def test_the_examples_of_the_docstring_are_true():
    """They run, and give what they say."""
    assert doctest.testmod(perfmon_ranking).failed == 0


@given(lists, gains.filter(lambda gain: any(gain.values())), cuts)
def test_ndcg_is_the_discounted_gain_over_the_best_of_all_orders(predicted, gain, k):
    """Every order is tried."""
    best = max(discounted(order, gain, k) for order in itertools.permutations(gain))
    expected = discounted(predicted, gain, k) / best
    assert ranking(k=k)(predicted, gain) == pytest.approx(expected)


@given(lists, lists.filter(bool), cuts)
def test_the_other_metrics_count_the_relevant(predicted, relevant, k):
    """Among the first k, over what was shown, over what could be, and where the first is."""
    shown = predicted[:k] if k else predicted
    hits = [item in relevant for item in shown]
    most = min(k, len(relevant)) if k else len(relevant)
    first = 1 / (hits.index(True) + 1) if True in hits else 0
    precision = sum(hits) / len(shown) if shown else 0
    for metric, expected in (
        ("precision", precision), ("recall", sum(hits) / most), ("reciprocal_rank", first),
    ):  # fmt: skip
        assert ranking(metric=metric, k=k)(predicted, relevant) == pytest.approx(expected)


@given(lists, lists)
def test_a_list_of_relevant_items_is_a_gain_of_one_for_each(predicted, relevant):
    """Order and number of the relevant items do not matter."""
    score = ranking()
    assert score(predicted, relevant) == score(predicted, dict.fromkeys(relevant[::-1], True))
    assert score(predicted, relevant) == score(predicted, relevant * 2)


@given(st.sampled_from(["ndcg", "precision", "recall", "reciprocal_rank"]), cuts,
       st.lists(st.integers(0, 3) | st.lists(st.integers(0, 1)), max_size=20))  # fmt: skip
def test_the_relevant_items_themselves_are_a_right_answer(metric, k, items):
    """Also where there are more than k, where one stands twice, and where none is hashable."""
    assert ranking(metric=metric, k=k)(items, list(items)) == 1.0


def test_an_item_counts_once():
    """Naming it again brings nothing, and takes no place."""
    assert ranking()(["a", "a", "b"], ["a", "b"]) == 1.0
    assert ranking(metric="precision")(["a", "a", "x"], ["a"]) == 0.5


def test_numbers_are_found_among_keys():
    """Keys of JSON are text; 7 and "7" are one item there, and in a list they are two."""
    assert ranking()([7, 8], {"7": 1}) == ranking()(["7"], {7: 1}) == 1.0
    assert ranking()([7], ["7"]) == ranking()([True], {"1": 1}) == 0.0


def test_where_nothing_is_relevant_nothing_is_right():
    """An empty actual outcome asks for an empty prediction."""
    for nothing in ([], {}, {"a": 0}):
        assert (ranking()([], nothing), ranking()(["a"], nothing)) == (1.0, 0.0)


@pytest.mark.parametrize("gain", [-1, math.nan, math.inf, 10**400, "1", None])
def test_a_gain_is_a_number_from_0(gain):
    """Others are no gains, and the question is passed on."""
    assert ranking()(["a"], {"a": gain}) is None


@pytest.mark.parametrize(("predicted", "actual"), [("a", ["a"]), (["a"], "a"), ({}, {"a": 1})])
def test_what_is_no_list_is_passed_on(predicted, actual):
    """And so is what says nothing of relevance."""
    assert ranking()(predicted, actual) is None
