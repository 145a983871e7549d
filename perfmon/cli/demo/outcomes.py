"""Simulated predictions of each kind, with their outcomes and an auditor's opinion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

_LABELS = ("refund", "delivery", "password", "complaint", "praise", "other")
_CLAUSES = ("liability", "term", "notice", "payment", "warranty", "venue", "secrecy", "renewal")
_SUPPLIERS = ("Birch & Sons", "Copperfield", "Dunmore Ltd", "Elm Street Foods")


# What predictions of each kind score on average where they are right, and where not.
_SCORES = {"number": (0.98, 0.73), "label": (1.0, 0.0), "fields": (1.0, 0.71),
           "items": (1.0, 0.43), "estimate": (1.0, 0.0)}  # fmt: skip


def expected_score(kind: str, chance: float) -> float:
    """What a prediction scores on average that is right with this chance: an honest confidence."""
    right, wrong = _SCORES[kind]
    return right * chance + wrong * (1 - chance)


def second_opinion(rng: Random, actual: Any) -> Any:
    """Another outcome than this one: what an auditor finds who disagrees."""
    if isinstance(actual, dict):
        return {**actual, "total": round(actual["total"] * rng.uniform(0.5, 0.95), 2)}
    return rng.choice([label for label in _LABELS if label != actual])


def outcome(rng: Random, kind: str, *, right: bool) -> tuple[Any, Any]:
    """A predicted and an actual outcome; they agree where `right`, else they differ in part."""
    predicted, actual = _KINDS[kind](rng, right)
    return predicted, actual


def _number(rng: Random, right: bool) -> tuple[float, float]:
    actual = round(rng.lognormvariate(4.5, 0.6), 1)
    error = rng.gauss(0, 0.03 if right else 0.35)
    return round(max(0.0, actual * (1 + error)), 1), actual


def _label(rng: Random, right: bool) -> tuple[str, str]:
    actual, other = rng.sample(_LABELS, 2)
    return actual if right else other, actual


def _fields(rng: Random, right: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    total = round(rng.lognormvariate(5, 1), 2)
    actual = {
        "supplier": rng.choice(_SUPPLIERS),
        "total": total,
        "currency": rng.choice(("EUR", "USD", "GBP")),
    }
    if right:
        return dict(actual), actual
    wrong = {**actual, "total": round(total * rng.uniform(0.1, 0.9), 2)}
    wrong.pop(rng.choice(("supplier", "currency")))
    return wrong, actual


def _items(rng: Random, right: bool) -> tuple[list[str], list[str]]:
    actual = rng.sample(_CLAUSES, rng.randint(2, 5))
    return list(actual) if right else actual[: len(actual) // 2], actual


def _estimate(rng: Random, right: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """No field of the one is one of the other, as nobody has said yet which belong together."""
    value, actual = _number(rng, right)
    moved = rng.choice(("up", "down"))
    return {"estimated_value": value, "direction": moved}, {"actual_value": actual, "moved": moved}


_KINDS = {"number": _number, "label": _label, "fields": _fields, "items": _items,
          "estimate": _estimate}  # fmt: skip
