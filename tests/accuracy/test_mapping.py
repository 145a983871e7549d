"""Predictions beside outcomes: what is confidence, what means the same, what belongs together."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from perfmon.accuracy.mapping import (
    MISSING,
    Rules,
    likely_pairs,
    pairs,
    share_nothing,
    suggested,
    suggestion,
    unified,
    without_confidence,
)
from perfmon.config.config import Config

CONFIDENCE = ("confidence",)


def rules(**table):
    """The rules of an agent with this table of outcomes."""
    config = Config.from_mapping({"agents": {"a": {"outcomes": table}}})
    return Rules.of(config.outcomes_of("a"), CONFIDENCE)


def laid_out(made, predicted, actual):
    """Field, prediction and outcome of each pair."""
    return [pair[:3] for pair in pairs(made, predicted, actual)]


@pytest.mark.parametrize(
    ("predicted", "actual", "content", "confidence"),
    [
        ({"x": 1, "confidence": 0.5}, {"x": 1}, {"x": 1}, 0.5),
        ({"x": 1, "confidence": 1}, 5, {"x": 1}, 1.0),
        ({"x": 1, "confidence": True}, {}, {"x": 1, "confidence": True}, None),
        ({"x": 1, "confidence": 80}, {}, {"x": 1, "confidence": 80}, None),
        ({"x": 1, "confidence": "0.5"}, {}, {"x": 1, "confidence": "0.5"}, None),
        ({"confidence": 0.5}, {"confidence": 0.7}, {"confidence": 0.5}, None),
        ({"x": 1}, {}, {"x": 1}, None),
    ],
)
def test_a_confidence_is_a_number_in_range_that_the_outcome_has_not(
    predicted, actual, content, confidence
):
    """Anything else under its name is content; the caller's dictionary is left as it is."""
    before = dict(predicted)
    assert without_confidence(predicted, actual, CONFIDENCE) == (content, confidence)
    assert predicted == before


def test_an_agents_own_confidence_field_is_instead_of_the_general_ones():
    """And a field that is mapped is content."""
    assert rules(confidence="certainty").confidence_fields == ("certainty",)
    assert rules(fields={"sure": "confidence"}).confidence_fields == ()


def test_the_first_confidence_field_counts_and_all_are_taken_out():
    """Two names for one thing."""
    predicted = {"certainty": 0.2, "confidence": 0.9}
    assert without_confidence(predicted, {}, ("confidence", "certainty")) == ({}, 0.9)


def test_synonyms_are_one_word_in_any_case_and_any_depth():
    """Text, numbers and flags; true is not 1, and keys are left alone."""
    meanings = rules(synonyms={"approve": ["Approved", True], "one": [1]}).meanings
    value = {"approved": [" APPROVED", True, 1, 1.0, "no"], "x": {"y": ("approve", None)}}
    assert unified(value, meanings) == {
        "approved": ["approve", "approve", "one", "one", "no"], "x": {"y": ("approve", None)},
    }  # fmt: skip
    assert unified(value, {}) is value


def test_what_lies_too_deep_keeps_its_words():
    """No nesting ends the recursion of Python."""
    deep = "approved"
    for _ in range(3_000):
        deep = [deep]
    assert unified(deep, rules(synonyms={"approve": ["approved"]}).meanings) is not None


def test_mapped_fields_are_laid_side_by_side():
    """With their weights and scorers; a field of its own name needs no mapping."""
    made = rules(
        scorer="words",
        fields={"result": "recommendation", "sum": {"predicted": "total", "scorer": "numeric",
                                                    "weight": 2}},
    )  # fmt: skip
    predicted = {"recommendation": "approve", "total": 9, "why": "x", "note": "y"}
    actual = {"result": "approve", "sum": 10, "why": "z", "closed": "today"}
    assert pairs(made, predicted, actual) == [
        ("result", "approve", "approve", "words", 1.0),
        ("sum", 9, 10, "numeric", 2.0),
        ("why", "x", "z", "words", 1.0),
    ]


def test_a_mapped_field_counts_where_it_was_not_predicted_and_not_where_it_did_not_happen():
    """Of what only one of the two has, the outcome's mapped fields alone cost something."""
    made = rules(fields={"result": "recommendation", "sum": "total"})
    assert laid_out(made, {"total": 1}, {"result": "ok", "other": 1}) == [("result", MISSING, "ok")]
    assert laid_out(made, {"total": 1}, {"other": 1}) == []


def test_dots_go_into_objects_unless_a_key_has_them():
    """The whole name first."""
    made = rules(fields={"details.sum": "total.amount"})
    nested = {"details": {"sum": 1, "other": 2}}
    assert laid_out(made, {"total": {"amount": 3}, "details": {}}, nested) == [
        ("details.sum", 3, 1)
    ]
    assert laid_out(made, {"total.amount": 4}, {"details.sum": 5}) == [("details.sum", 4, 5)]
    assert laid_out(made, {"total": "x"}, nested) == [("details.sum", MISSING, 1)]


def test_a_fields_synonyms_are_besides_the_agents():
    """And win over them."""
    made = rules(
        synonyms={"yes": ["ok", "fine"]},
        fields={"x": {"predicted": "y", "synonyms": {"good": ["fine"]}}},
    )
    assert laid_out(made, {"y": "fine", "z": "fine"}, {"x": "OK", "z": "ok"}) == [
        ("x", "good", "yes"), ("z", "yes", "yes"),
    ]  # fmt: skip


def test_two_that_share_nothing_have_something_in_them():
    """Dictionaries only, and not empty ones."""
    assert share_nothing({"a": 1}, {"b": 1})
    for predicted, actual in (({"a": 1}, {"a": 2}), ({}, {"a": 1}), ({"a": 1}, {}), (1, {"a": 1})):
        assert not share_nothing(predicted, actual)


def test_the_suggestion_is_what_to_write():
    """Likely pairs, as lines of monitor.toml."""
    told = suggestion(
        "approver",
        {"recommendation": "approve", "estimated_value": 100000},
        {"result": "approved", "actual_value": 95000},
    )
    assert told.endswith(
        "share no field; if these mean the same, add to monitor.toml:"
        ' [agents.approver.outcomes.fields] result = "recommendation",'
        ' actual_value = "estimated_value"'
    )


@pytest.mark.parametrize(
    ("predicted", "actual", "found"),
    [
        ({"totalAmount": 5}, {"amount_total": 90}, {"amount_total": "totalAmount"}),
        ({"label": "spam"}, {"truth": "Spam"}, {"truth": "label"}),
        ({"recommendation": "approve"}, {"result": "rejected"}, {"result": "recommendation"}),
        ({"flag": True, "count": 3}, {"spam": False, "n": 900}, {"spam": "flag", "n": "count"}),
        ({"price": "5"}, {"price_eur": 5}, {}),
        ({"a": None}, {"b": None}, {}),
        ({"a": [1]}, {"b": [1]}, {"b": "a"}),
    ],
)
def test_likely_pairs(predicted, actual, found):
    """By name, words, value, or as the last two of a kind; never of two kinds."""
    assert likely_pairs(predicted, actual) == found


def test_where_nothing_is_alike_the_fields_are_named():
    """So that whoever knows can say which belong together."""
    told = suggestion("a b", {"x": 1}, {f"y{n}": "z" for n in range(20)})
    assert "(x)" in told
    assert "(y0, y1, " in told
    assert "..." in told
    assert '[agents."a b".outcomes.fields] of monitor.toml' in told


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=6), json_values, min_size=1, max_size=5)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = names.filter(str.strip)


@given(names, names, names)
def test_a_suggestion_can_be_pasted_into_the_file(agent, guess, real):
    """Whatever the names are, it is TOML, and says what was found."""
    told = suggestion(agent, {guess: "same"}, {real: "same"})
    header, _, line = told.partition("monitor.toml: ")[2].partition(".outcomes.fields] ")
    read = tomli.loads(f"{header}.outcomes.fields]\n{line}")
    assert read == {"agents": {agent: {"outcomes": {"fields": {real: guess}}}}}


@given(objects, objects)
def test_likely_pairs_are_fields_that_exist_each_in_one_pair(predicted, actual):
    """For any JSON objects."""
    found = likely_pairs(predicted, actual)
    assert set(found) <= set(actual)
    assert set(found.values()) <= set(predicted)
    assert len(set(found.values())) == len(found)


@given(json_values, st.lists(st.sampled_from(["a", "b", "C", 1, True]), unique=True))
def test_a_synonym_and_its_word_are_one_value(value, words):
    """In any place of any JSON value; and what is one word already stays it."""
    meanings = rules(synonyms={"word": words}).meanings
    for word in words:
        assert unified([value, word], meanings) == unified([value, "Word"], meanings)
    assert unified(unified(value, meanings), meanings) == unified(value, meanings)


@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.integers(), min_size=1))
def test_the_lines_of_a_suggestion_are_toml_that_says_the_pairs(agent, actual):
    """However agents and fields are called; where nothing is suggested there are no lines."""
    predicted = {f"{name} guessed": value for name, value in actual.items()}
    found = likely_pairs(predicted, actual)
    lines = suggested(suggestion(agent, predicted, actual))
    if found:
        fields = tomli.loads("\n".join(lines))["agents"][agent]["outcomes"]["fields"]
        assert fields == found
    else:
        assert lines == []


def test_of_a_suggestion_that_was_cut_off_whole_lines_are_left():
    """Notes have an end."""
    note = suggestion("a", {"x_total": 1, "y_name": "b"}, {"total": 1, "name": "b"})
    assert suggested(note) == ["[agents.a.outcomes.fields]", 'total = "x_total"', 'name = "y_name"']
    assert suggested(note[:-3]) == ["[agents.a.outcomes.fields]", 'total = "x_total"']
    assert suggested('another note: [agents.a.outcomes.fields] x = "y"') == []
