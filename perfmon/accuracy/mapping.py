"""Maps predictions to outcomes: confidence, synonyms, fields, likely pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import attrs

from perfmon.config import FieldTable, OutcomesTable, Synonyms, value_key
from perfmon.records.text_forms import alike

_DEEPEST = 64  # what lies deeper keeps its own words
_MOST_FIELDS = 12  # considered for likely pairs
_LONGEST = 60
_ALIKE = 0.4
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SUGGESTED = (
    "the prediction and the actual outcome share no field;"
    " if these mean the same, add to monitor.toml: "
)
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAME = rf"(?:[A-Za-z0-9_-]+|{_QUOTED})"
_HEADER = re.compile(rf"(\[agents\.{_NAME}\.outcomes\.fields\]) ")
_PAIR = re.compile(rf"({_NAME} = {_QUOTED})(?:, |\Z)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class _Missing:
    """Stands where a field is not."""


MISSING = _Missing()

Meanings = Mapping[tuple[str, Any], str]
"""The word for each value that has one, by `value_key`."""


class Pair(NamedTuple):
    """A field of the actual outcome, and what was predicted for it, or `MISSING`."""

    field: str
    predicted: Any
    actual: Any
    scorer: str | None
    weight: float


@attrs.frozen
class FieldPath:
    """Where a field is in an outcome: by its whole name, else step by step at its dots."""

    name: str

    def root(self, outcome: Mapping[str, Any]) -> str:
        """The key of the outcome itself under which the field is."""
        whole, first = _written(self.name, outcome), self.name.partition(".")[0]
        return whole if whole in outcome else _written(first, outcome)

    def value(self, outcome: Mapping[str, Any]) -> Any:
        """What is there, or `MISSING`."""
        whole = _written(self.name, outcome)
        if whole in outcome:
            return outcome[whole]
        found: Any = outcome
        for name in self.name.split("."):
            step = _written(name, found) if isinstance(found, dict) else name
            if not isinstance(found, dict) or step not in found:
                return MISSING
            found = found[step]
        return found


def _written(name: str, outcome: Mapping[str, Any]) -> str:
    """A name as this outcome writes it."""
    if name in outcome:
        return name
    other: str = alike((name,), outcome).get(name, name)
    return other


@attrs.frozen
class Field:
    """A field of the actual outcome whose prediction has another name, or scorer, or weight."""

    actual: FieldPath
    predicted: FieldPath
    scorer: str | None
    weight: float
    meanings: Meanings

    @classmethod
    def of(cls, name: str, table: FieldTable, outcomes: OutcomesTable) -> Field:
        return cls(
            FieldPath(name),
            FieldPath(table.predicted),
            table.scorer or outcomes.scorer,
            table.weight,
            {**_meanings(outcomes.synonyms), **_meanings(table.synonyms)},
        )


@attrs.frozen
class Rules:
    """How the outcomes of one agent compare, ready for use.

    Attributes:
        confidence_fields: the fields of a prediction that may be its confidence, the first first.
        scorer: who is asked first, about the whole or about a field that names nobody.
        meanings: the agent's synonyms.
        fields: what is mapped; empty compares outcomes as a whole.
    """

    confidence_fields: tuple[str, ...] = ()
    scorer: str | None = None
    meanings: Meanings = attrs.Factory(dict)
    fields: tuple[Field, ...] = ()

    @classmethod
    def of(cls, table: OutcomesTable | None, confidence_fields: Iterable[str]) -> Rules:
        """The rules of an agent's table (None: it has none) under the general fields."""
        if table is None:
            return cls(tuple(confidence_fields))
        if table.confidence is not None:
            confidence_fields = (table.confidence,)
        mapped = {field.predicted for field in table.fields.values()}
        return cls(
            tuple(name for name in confidence_fields if name not in mapped),
            table.scorer,
            _meanings(table.synonyms),
            tuple(Field.of(name, field, table) for name, field in table.fields.items()),
        )


def _meanings(synonyms: Synonyms) -> dict[tuple[str, Any], str]:
    found = {}
    for word, values in synonyms.items():
        for value in (word, *values):
            key = value_key(value)
            assert key is not None  # checked with the table
            found[key] = word
    return found


def without_confidence(
    predicted: dict[str, Any], actual: Any, fields: tuple[str, ...]
) -> tuple[dict[str, Any], float | None]:
    """What a prediction says, and how sure it says it is.

    A confidence is a number in [0, 1]. A field that the actual outcome has as well is content.
    """
    confidence = None
    for name in fields:
        if name not in predicted:
            continue
        given = predicted[name]
        if (
            isinstance(given, (int, float))
            and not isinstance(given, bool)
            and 0 <= given <= 1
            and not (isinstance(actual, dict) and name in actual)
        ):
            predicted = {key: value for key, value in predicted.items() if key != name}
            if confidence is None:
                confidence = float(given)
    return predicted, confidence


def unified(value: Any, meanings: Meanings) -> Any:
    """The same with one word for each group of synonyms, inside lists and dictionaries too."""
    return _unified(value, meanings, 0) if meanings else value


def _unified(value: Any, meanings: Meanings, depth: int) -> Any:
    if isinstance(value, dict):
        if depth < _DEEPEST:
            return {key: _unified(part, meanings, depth + 1) for key, part in value.items()}
    elif isinstance(value, (list, tuple)):
        if depth < _DEEPEST:
            parts = [_unified(part, meanings, depth + 1) for part in value]
            return tuple(parts) if isinstance(value, tuple) else parts
    else:
        key = value_key(value)
        if key is not None:
            return meanings.get(key, value)
    return value


def pairs(rules: Rules, predicted: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Pair]:
    """The fields of the actual outcome that count, each beside its prediction.

    Those that are mapped, as far as the outcome has them; and others that both have under one
    name, with a weight of 1. Fields that only one of them has, and no mapping names, count for
    nothing: real outcomes carry much that no agent was asked for. To count one, map it.
    """
    found, mapped = [], set()
    for field in rules.fields:
        real = field.actual.value(actual)
        if real is not MISSING:
            mapped.add(field.actual.root(actual))
            guess, meanings = field.predicted.value(predicted), field.meanings
            found.append(
                Pair(
                    field.actual.name,
                    guess if guess is MISSING else unified(guess, meanings),
                    unified(real, meanings),
                    field.scorer,
                    field.weight,
                )
            )
    others = alike(actual, predicted)
    for name, real in actual.items():
        said = others.get(name, name)
        if said in predicted and name not in mapped:
            guess = unified(predicted[said], rules.meanings)
            found.append(Pair(name, guess, unified(real, rules.meanings), rules.scorer, 1.0))
    return found


def share_nothing(predicted: Any, actual: Any) -> bool:
    """Whether two dictionaries have something in them each, and no key in common."""
    return (
        isinstance(predicted, dict)
        and isinstance(actual, dict)
        and bool(predicted)
        and bool(actual)
        and predicted.keys().isdisjoint(actual)
        and not alike(actual, predicted)
    )


def suggestion(agent_name: str, predicted: Mapping[str, Any], actual: Mapping[str, Any]) -> str:
    """What to add to monitor.toml for two outcomes that share no field, in a sentence."""
    header = f"[agents.{_key(agent_name)}.outcomes.fields]"
    found = likely_pairs(predicted, actual)
    if found:
        lines = ", ".join(f"{_key(real)} = {_text(guess)}" for real, guess in found.items())
        return f"{_SUGGESTED}{header} {lines}"
    return (
        f"the prediction ({_listed(predicted)}) and the actual outcome ({_listed(actual)}) share"
        f" no field; set in {header} of monitor.toml which belong together"
    )


def suggested(note: str) -> list[str]:
    """The lines of monitor.toml that a `suggestion` has, the table's header first, or none.

    >>> suggested(suggestion("approver", {"recommendation": "yes"}, {"result": "yes"}))
    ['[agents.approver.outcomes.fields]', 'result = "recommendation"']
    """
    header = _HEADER.match(note, len(_SUGGESTED)) if note.startswith(_SUGGESTED) else None
    if header is None:
        return []
    lines, place = [header[1]], header.end()
    # Of a long one that was cut off, what is whole.
    while pair := _PAIR.match(note, place):
        lines.append(pair[1])
        place = pair.end()
    return lines if len(lines) > 1 else []


def likely_pairs(predicted: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, str]:
    """The fields that seem to be the same, by field of the actual outcome.

    Alike are fields of one kind of value with similar names, common words in them, or similar
    values; and the only two of a kind that are left.
    """
    real, guess = dict(_nameable(actual)), dict(_nameable(predicted))
    ranked = sorted(
        ((_likeness(a, real[a], p, guess[p]), a, p) for a in real for p in guess),
        key=lambda found: -found[0],
    )
    found: dict[str, str] = {}
    for likeness, a, p in ranked:
        if likeness >= _ALIKE and a not in found and p not in found.values():
            found[a] = p
    for kind in {_kind(real[a]) for a in real if real[a] is not None}:
        left = [a for a in real if a not in found and _kind(real[a]) == kind]
        free = [p for p in guess if p not in found.values() and _kind(guess[p]) == kind]
        if len(left) == len(free) == 1:
            found[left[0]] = free[0]
    return {name: found[name] for name in real if name in found}


def _nameable(outcome: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in list(outcome)[:_MOST_FIELDS]:
        if isinstance(name, str) and name.strip() and len(name) <= _LONGEST:
            yield name, outcome[name]


def _likeness(name: str, value: Any, other: str, other_value: Any) -> float:
    """In [0, 1]; what is unlike in kind is unlike, whatever it is called."""
    if _kind(value) != _kind(other_value):
        return 0.0
    words, others = _words(name), _words(other)
    common = len(words & others) / max(1, min(len(words), len(others)))
    return 0.6 * max(_ratio(name, other), common) + 0.4 * _value_likeness(value, other_value)


def _value_likeness(value: Any, other: Any) -> float:
    if isinstance(value, bool):
        return 0.5 if value == other else 0.0  # every second one is
    if isinstance(value, str):
        ratio = _ratio(value, other)
        return ratio if ratio >= 0.6 else 0.0  # any two words have some letters in common
    if isinstance(value, (int, float)):
        if value == other:
            return 1.0
        low, high = sorted((value, other))
        try:
            return max(0.0, float(low / high if low > 0 else high / low))
        except (ZeroDivisionError, OverflowError):
            return 0.0
    return 0.5 if isinstance(value, (dict, list, tuple)) else 0.0


def _ratio(text: str, other: str) -> float:
    return SequenceMatcher(
        None, text[:_LONGEST].casefold(), other[:_LONGEST].casefold(), autojunk=False
    ).ratio()


def _words(name: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(name)}


def _kind(value: Any) -> type:
    kinds = (bool, (int, float), str, dict, (list, tuple))
    found = next((kind for kind in kinds if isinstance(value, kind)), type(value))
    return found[0] if isinstance(found, tuple) else found


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(outcome: Mapping[str, Any]) -> str:
    names = [str(name)[:_LONGEST] for name in list(outcome)[:_MOST_FIELDS]]
    return ", ".join(names) + (", ..." if len(outcome) > _MOST_FIELDS else "")
