"""When outcomes are the same."""

from __future__ import annotations

import doctest

import pytest

from perfmon import ValueNumbers, plain_text, same_value, value_kind
from perfmon.records import equality


def test_the_examples_of_the_docstrings_are_true():
    """They run, and give what they say."""
    assert doctest.testmod(equality).failed == 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"), (True, "boolean"), (1, "number"), (1.5, "number"), ("", "string"),
        ([], "list"), ((), "tuple"), ({}, "dictionary"), (object(), "other"),
    ],
)  # fmt: skip
def test_every_value_has_a_kind(value, kind):
    """Those of JSON, a tuple, and any other."""
    assert value_kind(value) == kind


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (float("nan"), float("nan"), True),
        ({"a": [1], "b": {}}, {"b": {}, "a": [1]}, True),
        ([1, 2], [2, 1], False),
        ([1], (1,), False),
        ([{"a": True}], [{"a": 1}], False),
        (10**400, 10**400 + 1, False),
    ],
)
def test_equal_means_value_and_kind(left, right, same):
    """At every depth; the order of keys does not matter, that of elements does."""
    assert same_value(left, right) is same


def test_numbers_are_shared_by_equal_values_alone():
    """However often, and in whatever order, they are asked for."""
    number = ValueNumbers()
    first, other, again = number([{"a": 1}]), number([{"a": 2}]), number([{"a": 1.0}])
    assert first == again != other


def test_plain_text_ignores_what_it_is_told_to():
    """Nothing by default; signs that are no punctuation, and text of nothing else, stay."""
    assert plain_text("It's, x+1!") == "It's, x+1!"
    assert plain_text("It's, x+1!", ignore_punctuation=True) == "It s x+1"
    assert plain_text("STRASSE", ignore_case=True) == plain_text("straße", ignore_case=True)
    assert plain_text("-5, 3.5; no-5 10:30.", ignore_punctuation=True) == "-5 3.5 no 5 10:30"
    assert plain_text("...", ignore_punctuation=True) == "..."
