"""Scores a prediction: tries the scorers configured for its agent first, then all others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfmon.accuracy.mapping import (
    MISSING,
    Pair,
    Rules,
    pairs,
    share_nothing,
    suggestion,
    unified,
    without_confidence,
)
from perfmon.records import Score
from perfmon.records.measurements import Scored

if TYPE_CHECKING:
    from perfmon.config.config import Config
    from perfmon.plugins.bus import Bus
    from perfmon.plugins.worker import Implementation

HOOK = "score_outcome"
EQUALITY = "equality"
"""The name of plain equality, which answers where no scorer does."""

# Whoever else says that an outcome is wrong was asked for that verdict.
_BY_KEYS = ("scorers", EQUALITY)
_MOST_AGENTS = 20_000
_MOST_SHAPES = 16  # of unmapped outcomes that an agent gets a suggestion of their own for
_MOST_NOTES = 5
_NAN = math.nan


_new = tuple.__new__  # a NamedTuple's own way takes twice as long


class Scoring:
    """Asks the scorers on a bus, under the outcomes' rules of a configuration."""

    def __init__(self, bus: Bus, config: Config) -> None:
        self._bus = bus
        self._config = config
        self._general = Rules.of(None, config.accuracy.confidence_fields)
        self._rules: dict[str, Rules] = {}
        self._suggested: dict[str, dict[int, str]] = {}

    def reload(self, config: Config) -> None:
        """Go on under changed rules."""
        self._config = config
        self._general = Rules.of(None, config.accuracy.confidence_fields)
        self._rules, self._suggested = {}, {}

    def score(
        self,
        agent_name: str,
        predicted: Any,
        actual: Any,
        confidence: float | None = None,
        *,
        may_wait: bool = False,
    ) -> Scored:
        """Score one prediction; never fails, for JSON values.

        With `may_wait` remote scorers are asked too, which may take minutes; without, a
        prediction that is theirs is left in the state `scoring`.
        """
        try:
            rules = self._rules.get(agent_name) or self._learned(agent_name)
        except TypeError:  # no name of an agent's, which is for others to refuse
            rules = self._general
        if isinstance(predicted, dict):
            predicted, found = without_confidence(predicted, actual, rules.confidence_fields)
            if confidence is None:
                confidence = found
            if rules.fields and predicted and actual and isinstance(actual, dict):
                found_pairs = pairs(rules, predicted, actual)
                if found_pairs:
                    return self._by_field(found_pairs, confidence, may_wait=may_wait)
                return self._unmapped(agent_name, EQUALITY, predicted, actual, confidence)
        if rules.meanings:
            predicted, actual = unified(predicted, rules.meanings), unified(actual, rules.meanings)
        scored = self._ask(rules.scorer, (predicted, actual), confidence, may_wait)
        if scored[0] == 0.0 and self._is_unmapped(scored, predicted, actual):
            return self._unmapped(agent_name, scored.scorer, predicted, actual, confidence)
        return scored

    def _learned(self, agent_name: str) -> Rules:
        known, config = self._rules, self._config  # in this order, as a reload may come between
        if len(known) >= _MOST_AGENTS:
            known.clear()
            self._suggested.clear()
        table, rules = config.outcomes_of(agent_name), self._general
        if table is not None:
            rules = Rules.of(table, config.accuracy.confidence_fields)
        known[agent_name] = rules
        return rules

    def _ask(
        self,
        first: str | None,
        values: tuple[Any, Any],
        confidence: float | None,
        may_wait: bool,
    ) -> Scored:
        """The first answer, of the one that is named and then of all the others."""
        bus = self._bus
        for one in bus.chain(HOOK) if first is None else self._order(first):
            if one.remote is None:
                answer = bus.call(one, values, _checked)
            elif may_wait:
                answer, problem = bus.call_remote(one, values, _checked)
                if problem is not None:
                    return Scored(_NAN, one.plugin, "failed", confidence, note=problem)
            else:
                return Scored(_NAN, one.plugin, "scoring", confidence)
            if type(answer) is float:
                return _new(Scored, (answer, one.plugin, "measured", confidence, None, None, None))
            if answer is not None:
                if answer.confidence is not None:
                    confidence = answer.confidence
                return Scored(
                    answer.value,
                    one.plugin,
                    "measured",
                    confidence,
                    answer.correct,
                    answer.note,
                    answer.cost,
                )
        return Scored(_equality(*values), EQUALITY, "measured", confidence)

    def _order(self, first: str) -> Iterator[Implementation]:
        named = self._bus.find(HOOK, first)
        # A remote one that is out of service says so: another's answers are no substitute.
        if named is not None and (named.account.in_service or named.remote is not None):
            yield named
        for one in self._bus.chain(HOOK):
            if one.plugin != first:
                yield one

    def _by_field(self, found: list[Pair], confidence: float | None, *, may_wait: bool) -> Scored:
        """The weighted mean of the fields; a field that was not predicted scores 0."""
        parts: list[tuple[Pair, Scored]] = []
        for pair in found:
            if pair.predicted is MISSING:
                parts.append((pair, _NOTHING))
                continue
            scored = self._ask(pair.scorer, (pair.predicted, pair.actual), None, may_wait)
            if scored.state != "measured":
                note = scored.note and f"{pair.field}: {scored.note}"
                return scored._replace(confidence=confidence, note=note)
            parts.append((pair, scored))
        weight = sum([pair.weight for pair, _ in parts])
        total = sum([pair.weight * scored.score for pair, scored in parts])
        asked = [scored for _, scored in parts if scored is not _NOTHING]
        sure = next((scored for scored in asked if scored.correct is not None), _NOTHING)
        notes = [f"{pair.field}: {scored.note}" for pair, scored in parts if scored.note]
        costs = [scored.cost for scored in asked if scored.cost is not None]
        return Scored(
            min(1.0, total / weight),
            "+".join(dict.fromkeys(scored.scorer for scored in asked or [_NOTHING])),
            "measured",
            confidence if sure.confidence is None else sure.confidence,
            sure.correct,
            "; ".join(notes[:_MOST_NOTES]) or None,
            sum(costs) if costs else None,
        )

    @staticmethod
    def _is_unmapped(scored: Scored, predicted: Any, actual: Any) -> bool:
        """Whether a score of 0 says no more than that the fields have other names."""
        return (
            scored.scorer in _BY_KEYS and scored.note is None and share_nothing(predicted, actual)
        )

    def _unmapped(
        self,
        agent_name: str,
        scorer: str,
        predicted: dict[str, Any],
        actual: dict[str, Any],
        confidence: float | None,
    ) -> Scored:
        """Not wrong, only unknown as yet. Finding likely pairs is expensive, so it is kept."""
        shape = hash((tuple(predicted), tuple(actual)))  # the keys may be a megabyte
        kept = self._suggested.setdefault(agent_name, {})
        note = kept.get(shape)
        if note is None:
            # Keys that differ every time are no fields; they get the words of the first ones.
            full = len(kept) >= _MOST_SHAPES
            note = next(iter(kept.values())) if full else suggestion(agent_name, predicted, actual)
            if not full:
                kept[shape] = note
        return Scored(_NAN, scorer, "unmapped", confidence, note=note)


_NOTHING = Scored(0.0, EQUALITY, "measured")


def _checked(answer: Any) -> float | Score:
    """What a scorer answered, if it is one of the things it may."""
    if type(answer) is float and 0.0 <= answer <= 1.0:  # by far the most frequent, so first
        return answer
    if isinstance(answer, Score):
        _in_range("value", answer.value)
        for name in ("confidence", "correct"):
            part = getattr(answer, name)
            if part is not None:
                _in_range(name, part)
        if answer.note is not None and not isinstance(answer.note, str):
            raise ValueError(f"score_outcome returned the note {answer.note!r}, not text")
        cost = answer.cost
        if cost is not None and not (isinstance(cost, (int, float)) and 0 <= cost < math.inf):
            raise ValueError(f"score_outcome answered the cost {cost!r}, not dollars of at least 0")
        return answer
    return _in_range("value", answer)


def _in_range(part: str, number: Any) -> float:
    if isinstance(number, (int, float)) and 0 <= number <= 1:
        return float(number)
    raise ValueError(f"score_outcome answered the {part} {number!r}, not a number in [0, 1]")


def _equality(predicted: Any, actual: Any) -> float:
    try:
        return float(type(predicted) is type(actual) and bool(predicted == actual))
    except RecursionError:  # nested too deeply to be compared
        return 0.0
