"""Scoring: who is asked, about what, and in which state a prediction is left."""

from __future__ import annotations

import asyncio
import math
import threading
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import Score, hookimpl
from perfmon.accuracy.scoring import Scored, Scoring
from perfmon.config.config import Config
from perfmon.plugins.bus import Bus


class Fixed:
    """Answers with a constant, and remembers what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    @hookimpl
    def score_outcome(self, predicted, actual):
        self.asked.append((predicted, actual))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Same:
    """Right or wrong."""

    @hookimpl
    def score_outcome(self, predicted, actual):
        return float(predicted == actual)


class Judge:
    """Answers from far away."""

    deadline = 60

    def __init__(self, answer):
        self.answer = answer

    @hookimpl
    async def score_outcome(self, predicted, actual):
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def buses():
    made = []
    yield made
    for bus in made:
        bus.close(5)


@pytest.fixture
def scoring(buses):
    """Makes a scoring over plugins, the last of them asked first; those in `by_name` only so."""

    def make(plugins, tables=None, by_name=()):
        bus = Bus()
        buses.append(bus)
        for name, plugin in plugins.items():
            bus.register(plugin, name, by_name=("score_outcome",) if name in by_name else ())
        return Scoring(bus, Config.from_mapping(tables or {}))

    return make


def outcomes(**table):
    return {"agents": {"a": {"outcomes": table}}}


def measured(score, scorer, **more):
    return Scored(score, scorer, "measured", **more)


def test_the_first_answer_counts_and_equality_is_the_last(scoring):
    """Who passes, raises or answers nonsense is passed over, and the latter counted."""
    bad = {"silent": Fixed(None), "raises": Fixed(ValueError("no")), "wild": Fixed(7),
           "text": Fixed("1"), "nan": Fixed(math.nan), "cost": Fixed(Score(1, cost=-1)),
           "sure": Fixed(Score(1, confidence=2)), "note": Fixed(Score(1, note=5))}  # fmt: skip
    made = scoring({"good": Fixed(0.5), **bad})
    assert made.score("a", 1, 2) == measured(0.5, "good")
    failed = {name for name, account in made._bus.accounts().items() if account["failures"]}
    assert failed == set(bad) - {"silent"}
    made = scoring(bad)
    assert made.score("a", [1], [1]) == measured(1.0, "equality")
    assert made.score("a", 1, True).score == 0.0


def test_what_else_a_scorer_says_is_kept(scoring):
    """Its pair for calibration wins over the caller's confidence."""
    made = scoring({"s": Fixed(Score(1, 0.9, 1.0, "because", 0.002))})
    assert made.score("a", 1, 2, 0.3) == measured(
        1, "s", confidence=0.9, correct=1.0, note="because", cost=0.002
    )
    assert scoring({"s": Fixed(Score(1))}).score("a", 1, 2, 0.3).confidence == 0.3


def test_a_confidence_among_the_fields_is_no_content(scoring):
    """The caller's wins, and it is taken out all the same."""
    scorer = Fixed(1)
    made = scoring({"s": scorer})
    predicted = {"x": 1, "confidence": 0.9}
    assert made.score("a", predicted, {"x": 1}).confidence == 0.9
    assert made.score("a", predicted, {"x": 1}, 0.2).confidence == 0.2
    assert scorer.asked == [({"x": 1}, {"x": 1})] * 2


def test_the_named_scorer_is_asked_first_and_others_where_it_passes(scoring):
    """Be it in the chain or asked by name only; a name that is not there changes nothing."""
    plugins = {"named": Fixed(0.1), "silent": Fixed(None), "first": Fixed(0.9)}
    for name, by_name, score in (
        ("named", (), measured(0.1, "named")),
        ("named", ("named",), measured(0.1, "named")),
        ("silent", ("silent", "named"), measured(0.9, "first")),
        ("nobody", (), measured(0.9, "first")),
    ):
        made = scoring(plugins, outcomes(scorer=name), by_name)
        assert made.score("a", 1, 2) == score
        assert made.score("other", 1, 2) == measured(0.9, "first")


def test_synonyms_are_the_same_to_every_scorer(scoring):
    """On both sides."""
    made = scoring({"same": Same()}, outcomes(synonyms={"approve": ["approved", "yes"]}))
    assert made.score("a", ["Yes"], ["APPROVED"]).score == 1.0
    assert made.score("b", ["Yes"], ["APPROVED"]).score == 0.0


def test_mapped_fields_score_by_weight(scoring):
    """Each by its scorer; one that was not predicted scores 0."""
    fields = {
        "result": "recommendation",
        "sum": {"predicted": "total", "scorer": "half", "weight": 2.0},
        "gone": "missing",
    }
    made = scoring({"half": Fixed(0.5), "same": Same()}, outcomes(fields=fields), ("half",))
    predicted, actual = {"recommendation": "x", "total": 1}, {"result": "x", "sum": 2}
    assert made.score("a", predicted, actual) == measured(2 / 3, "same+half")
    assert made.score("a", predicted, {**actual, "gone": 1}).score == 0.5
    assert made.score("a", {"z": 1}, actual) == measured(0.0, "equality")
    assert made.score("a", "x", actual) == measured(0.0, "same")


def test_what_the_scorers_of_fields_say_is_put_together(scoring):
    """Reasons with their fields, costs in all, and the first pair for calibration."""
    plugins = {
        "one": Fixed(Score(1, note="good", cost=0.5)),
        "two": Fixed(Score(0, 0.7, 0.0, "bad", 0.25)),
    }
    fields = {
        "x": {"predicted": "p", "scorer": "one"}, "y": {"predicted": "q", "scorer": "two"},
    }  # fmt: skip
    made = scoring(plugins, outcomes(fields=fields))
    assert made.score("a", {"p": 1, "q": 1}, {"x": 1, "y": 1}, 0.1) == measured(
        0.5, "one+two", confidence=0.7, correct=0.0, note="x: good; y: bad", cost=0.75
    )


EXAMPLE = (
    {"recommendation": "approve", "estimated_value": 100000},
    {"result": "approved", "actual_value": 95000},
)


def test_two_that_share_no_field_are_unmapped_and_not_wrong(scoring):
    """No score, and what to add; with that added, they are measured."""
    made = scoring({"scorers": Fixed(0.0)})
    scored = made.score("approver", {**EXAMPLE[0], "confidence": 0.8}, EXAMPLE[1])
    assert math.isnan(scored.score)
    assert scored[1:5] == ("scorers", "unmapped", 0.8, None)
    assert scored.note.endswith(
        '[agents.approver.outcomes.fields] result = "recommendation",'
        ' actual_value = "estimated_value"'
    )
    fields = {"result": "recommendation", "actual_value": "estimated_value"}
    made = scoring({"same": Same()}, outcomes(fields=fields, synonyms={"approve": ["approved"]}))
    assert made.score("a", *EXAMPLE).score == 0.5


def test_a_zero_that_has_a_reason_is_a_zero(scoring):
    """A scorer's note, a scorer that was chosen, or a key in common."""
    noted = {"scorers": Fixed(Score(0, note="the first violation"))}
    assert scoring(noted).score("a", *EXAMPLE).state == "measured"
    assert scoring({"s": Judge(0.0)}).score("a", *EXAMPLE, may_wait=True).state == "measured"
    assert scoring({"exact": Fixed(0)}).score("a", *EXAMPLE) == measured(0.0, "exact")
    made = scoring({"scorers": Fixed(0)})
    assert made.score("a", {"x": 1}, {"x": 2, "y": 1}) == measured(0.0, "scorers")
    assert made.score("a", {}, {"x": 2}) == measured(0.0, "scorers")
    assert scoring({"s": Fixed(0.1)}).score("a", *EXAMPLE) == measured(0.1, "s")


def test_a_mapping_that_fits_nothing_leaves_the_outcome_unmapped(scoring):
    """None of its fields happened, and nothing has a common name."""
    made = scoring({"s": Fixed(1)}, outcomes(fields={"decision": "recommendation"}))
    assert made.score("a", *EXAMPLE).state == "unmapped"


def test_suggestions_are_made_for_a_few_shapes_only(scoring, monkeypatch):
    """Keys that differ every time cost no time every time."""
    made = scoring({"scorers": Fixed(0)})
    calls = []
    monkeypatch.setattr(
        "perfmon.accuracy.scoring.suggestion", lambda *given: calls.append(given) or "x"
    )
    for number in range(100):
        assert made.score("a", {f"p{number}": 1}, {"x": 1}).note == "x"
        assert made.score("a", {"p0": 1}, {"x": 1}).note == "x"
    assert len(calls) == 16


def test_what_is_kept_of_a_shape_is_small(scoring):
    """An outcome may have a megabyte of keys, and agents are many."""
    made = scoring({"scorers": Same()})
    tracemalloc.start()
    for number in range(16):
        made.score("a", {f"{number}" + "p" * 200_000: 1}, {"x": 1})
    assert tracemalloc.get_traced_memory()[0] < 1_000_000
    tracemalloc.stop()


def test_a_remote_scorer_is_left_for_later_or_waited_for(scoring):
    """Those before it are asked at once, and it may pass."""
    made = scoring({"same": Same(), "judge": Judge(0.25), "first": Fixed(None)})
    scored = made.score("a", 1, 2, 0.5)
    assert math.isnan(scored.score)
    assert scored[1:] == ("judge", "scoring", 0.5, None, None, None)
    assert made.score("a", 1, 2, may_wait=True) == measured(0.25, "judge")
    assert scoring({"same": Same(), "judge": Judge(None)}).score(
        "a", 1, 1, may_wait=True
    ) == measured(1.0, "same")


def test_a_remote_scorer_that_gives_no_answer_has_failed(scoring):
    """No other's answer stands in for it, and the note says why."""
    for answer, why in (
        (ValueError("no credit"), "ValueError: no credit"),
        (5, "the value 5, not"),
    ):
        made = scoring({"same": Same(), "judge": Judge(answer)})
        scored = made.score("a", 1, 1, 0.5, may_wait=True)
        assert math.isnan(scored.score)
        assert (scored.scorer, scored.state, scored.confidence) == ("judge", "failed", 0.5)
        assert why in scored.note
        assert made._bus.accounts()["judge"]["failures"] == 1


def test_a_field_of_a_remote_scorer_leaves_the_whole_for_later(scoring):
    """And its failure is the whole's, with the field's name."""
    fields = {"x": "p", "y": {"predicted": "q", "scorer": "judge"}}
    plugins = {"judge": Judge(0.5), "same": Same()}
    made = scoring(plugins, outcomes(fields=fields), ("judge",))
    both = {"p": 1, "q": 1}, {"x": 1, "y": 1}
    assert made.score("a", *both, 0.3)[1:4] == ("judge", "scoring", 0.3)
    assert made.score("a", *both, may_wait=True) == measured(0.75, "same+judge")
    plugins["judge"].answer = ValueError("no")
    assert made.score("a", *both, may_wait=True).note == "y: ValueError: no"


def test_a_named_scorer_that_is_out_of_service(scoring):
    """A remote one says so, as no other can stand in for it; a local one is passed over."""
    made = scoring({"same": Same(), "far": Judge(1), "near": Fixed(0.5)}, outcomes(scorer="far"))
    made._bus._retire(made._bus._accounts["far"], "a reason")
    scored = made.score("a", 1, 1, may_wait=True)
    assert (scored.state, scored.scorer) == ("failed", "far")
    assert scored.note == "plugin 'far' is disabled: a reason"
    made = scoring({"same": Same(), "near": Fixed(0.5)}, outcomes(scorer="near"))
    made._bus._retire(made._bus._accounts["near"], "a reason")
    assert made.score("a", 1, 1) == measured(1.0, "same")


def test_a_scorer_that_hangs_is_taken_out(scoring):
    """It holds up the one caller it hangs in, and nobody after its deadline."""
    release, entered = threading.Event(), threading.Event()

    class Hangs:
        @hookimpl
        def score_outcome(self):
            entered.set()
            release.wait()

    made = scoring({"same": Same(), "hangs": Hangs()})
    made._bus._deadline = 0.1
    thread = threading.Thread(target=made.score, args=("a", 1, 1), daemon=True)
    thread.start()
    assert entered.wait(60)
    time.sleep(0.15)
    assert made.score("a", 1, 1) == measured(1.0, "same")
    assert not made._bus.accounts()["hangs"]["in_service"]
    release.set()
    thread.join(60)


def test_calls_are_counted(scoring):
    """From many threads at once, none is lost."""
    made = scoring({"same": Same()})
    threads = [
        threading.Thread(target=lambda: [made.score("a", 1, 1) for _ in range(2_000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = made._bus.accounts()["same"]
    assert (account["calls"], account["failures"]) == (8_000, 0)
    assert account["seconds"] > 0


def test_the_agents_it_knows_are_bounded(scoring, monkeypatch):
    """Names that never come again are forgotten; what is no name is for others to refuse."""
    monkeypatch.setattr("perfmon.accuracy.scoring._MOST_AGENTS", 10)
    made = scoring({"same": Same()}, {"agents": {"a*": {"outcomes": {"scorer": "same"}}}})
    for number in range(100):
        assert made.score(f"a{number}", 1, 1).score == 1.0
    assert len(made._rules) <= 10
    for name in ([], None, 5):
        assert made.score(name, {"x": 1}, {"x": 1}).score == 1.0


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.sampled_from(["approve", "approved", "a b", ""])
)  # fmt: skip
keys = st.sampled_from(["result", "recommendation", "a", "b", "a.b", "confidence"])
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
weights = st.floats(1e-6, 1e6)
mappings = st.dictionaries(
    keys, st.fixed_dictionaries({"predicted": keys, "weight": weights}), max_size=4
)
groups = st.sampled_from([{}, {"approve": ["approved", 1]}, {"yes": [True, "a b"], "no": [""]}])


def with_default_scorers(tables):
    import perfmon_scorers

    bus = Bus()
    bus.register(perfmon_scorers, "scorers")
    return Scoring(bus, Config.from_mapping(tables))


@given(json_values, json_values, mappings, groups)
def test_any_values_under_any_mapping_have_a_score_or_a_reason(predicted, actual, fields, synonyms):
    """In [0, 1], or NaN and unmapped with a note; and an outcome predicted by itself is right."""
    made = with_default_scorers(outcomes(fields=fields, synonyms=synonyms))
    scored = made.score("a", predicted, actual)
    if scored.state == "measured":
        assert 0 <= scored.score <= 1
    else:
        assert scored.state == "unmapped"
        assert math.isnan(scored.score)
        assert scored.note
    assert made._bus.accounts()["scorers"]["failures"] == 0
    assert made.score("other", actual, actual).score == 1.0


objects = st.dictionaries(st.sampled_from("pqrs"), scalars, min_size=1)


@given(objects, st.lists(scalars, min_size=3, max_size=3), st.lists(weights, min_size=3, max_size=3),
       st.floats(0.01, 100))  # fmt: skip
def test_only_the_proportion_of_weights_counts(predicted, real, sizes, scale):
    """All of them times anything is the same mean."""
    actual = dict(zip("xyz", real, strict=True))

    def scored(scale):
        fields = {
            name: {"predicted": guess, "weight": size * scale}
            for name, guess, size in zip("xyz", "pqr", sizes, strict=True)
        }
        return with_default_scorers(outcomes(fields=fields)).score("a", predicted, actual).score

    assert scored(1) == pytest.approx(scored(scale))


@given(json_values, json_values)
def test_a_synonym_is_as_good_as_its_word(predicted, actual):
    """On either side, for scorers and words of any kind."""
    made = with_default_scorers(outcomes(synonyms={"approve": ["approved", "ok"]}))
    swapped = {"approve": "OK", "approved": "approve"}

    def swap(value):
        if isinstance(value, dict):
            return {key: swap(part) for key, part in value.items()}
        if isinstance(value, list):
            return [swap(part) for part in value]
        return swapped.get(value, value) if isinstance(value, str) else value

    expected = made.score("a", predicted, actual)
    for one, other in ((swap(predicted), actual), (predicted, swap(actual))):
        found = made.score("a", one, other)
        assert found[:3] == expected[:3] or math.isnan(found.score + expected.score)
