"""Scores predictions against real outcomes: numbers, strings, dictionaries, lists, any JSON value.

Kinds are null, boolean, number, string, list, tuple and dictionary; values of different kinds
score 0, so True is not 1 and a list is not a tuple. Equal values score 1. Text is compared as it
is written, case included.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from perfmon import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

# Each level halves the weight of the next: what differs below changes no score by over 2**-64.
_DEEPEST = 64


@hookimpl(trylast=True)  # anybody else's scorer answers first
def score_outcome(predicted: Any, actual: Any) -> float:
    """How right a prediction was, in [0, 1]; never fails, for any JSON value.

    - numbers: 1 - |predicted - actual| / |actual|, at least 0; for an actual 0 only 0 is right
    - strings: the share of the actual words that were predicted
    - dictionaries: (share of the keys predicted + mean score of their values) / 2, recursively
    - lists: the share of the actual elements that were predicted, each as often as it occurs

    An empty actual outcome asks for an equal prediction. What only the prediction has costs
    nothing.

    >>> score_outcome(90, 100)
    0.9
    >>> score_outcome({"action": "sell", "price": 90}, {"action": "buy", "price": 100})
    0.725
    """
    return _score(predicted, actual, 0)


class ExactScorer:
    """Right or wrong: 1 for an outcome equal in value and kind, else 0."""

    def __init__(self, config: Any = None) -> None:
        del config

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float:
        """Whether two JSON values are the same; 1 and 1.0 are, 1 and True are not."""
        return float(_equal(predicted, actual))


def _score(predicted: Any, actual: Any, depth: int) -> float:
    kind = _kind(actual)
    if _kind(predicted) != kind:
        return 0.0
    return _FORMULAS[kind](predicted, actual, depth)


_KINDS: dict[type, str] = {
    type(None): "null", bool: "boolean", int: "number", float: "number",
    str: "string", list: "list", tuple: "tuple", dict: "dictionary",
}  # fmt: skip


def _kind(value: Any) -> str:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    bases = (_KINDS[base] for base in type(value).__mro__ if base in _KINDS)
    return next(bases, "other")


def _number_score(predicted: float, actual: float, depth: int) -> float:
    del depth
    if predicted == actual:
        return 1.0
    try:
        score = 1.0 - abs(predicted - actual) / abs(actual)
    except ZeroDivisionError:
        return 0.0
    except OverflowError:
        return _huge_number_score(predicted, actual)
    if score > 0.0:
        return score
    return float(_is_nan(predicted) and _is_nan(actual))


def _is_nan(value: float) -> bool:
    return value != value  # noqa: PLR0124 - math.isnan fails for whole numbers beyond a float


def _huge_number_score(predicted: float, actual: float) -> float:
    """The same formula where the numbers, or their ratio, are beyond what a float holds."""
    try:
        wrong = abs(Fraction(predicted) - Fraction(actual)) / abs(Fraction(actual))
    except (OverflowError, ValueError):  # one of them is infinite or not a number
        return 0.0
    return float(max(Fraction(0), 1 - wrong))


def _string_score(predicted: str, actual: str, depth: int) -> float:
    del depth
    if predicted == actual:
        return 1.0
    words = set(actual.split())
    return len(words.intersection(predicted.split())) / len(words) if words else 0.0


def _dictionary_score(predicted: dict[Any, Any], actual: dict[Any, Any], depth: int) -> float:
    if not actual:
        return float(not predicted)
    if depth >= _DEEPEST:
        return float(_equal(predicted, actual))
    shared = [key for key in actual if key in predicted]
    if not shared:
        return 0.0
    values = sum([_score(predicted[key], actual[key], depth + 1) for key in shared])
    return (len(shared) / len(actual) + values / len(shared)) / 2


def _list_score(predicted: list[Any], actual: list[Any], depth: int) -> float:
    del depth
    if not actual:
        return float(not predicted)
    numbers: _Numbers = {}
    available = Counter(_numbered(element, numbers) for element in predicted)
    wanted = Counter(_numbered(element, numbers) for element in actual)
    return (wanted & available).total() / len(actual)


def _same_score(predicted: Any, actual: Any, depth: int) -> float:
    del depth
    try:
        return float(predicted is actual or bool(predicted == actual))
    except Exception:  # values that are not JSON may refuse to be compared
        return 0.0


_FORMULAS: dict[str, Callable[[Any, Any, int], float]] = {
    "null": _same_score,
    "boolean": _same_score,
    "number": _number_score,
    "string": _string_score,
    "list": _list_score,
    "tuple": _list_score,
    "dictionary": _dictionary_score,
    "other": _same_score,
}

_Numbers = dict[tuple[Any, ...], int]


def _equal(left: Any, right: Any) -> bool:
    numbers: _Numbers = {}
    return _numbered(left, numbers) == _numbered(right, numbers)


def _numbered(value: Any, numbers: _Numbers) -> int:
    """A number that equal values share, whether or not they can be hashed.

    Works from the inside out without recursion, so that no nesting is too deep.
    """
    kind = _kind(value)
    if kind not in _INSIDE:
        return numbers.setdefault(_leaf(kind, value), len(numbers))
    done: list[int] = []
    open_: list[tuple[str, Any, bool]] = [(kind, value, False)]
    while open_:
        kind, part, ready = open_.pop()
        if kind not in _INSIDE:
            done.append(numbers.setdefault(_leaf(kind, part), len(numbers)))
        elif ready:
            inside = [done.pop() for _ in part]
            done.append(numbers.setdefault(_branch(kind, part, inside), len(numbers)))
        else:
            open_.append((kind, part, True))
            open_.extend((_kind(child), child, False) for child in _INSIDE[kind](part))
    return done.pop()


_INSIDE: dict[str, Callable[[Any], Any]] = {"list": iter, "tuple": iter, "dictionary": dict.values}


def _branch(kind: str, part: Any, inside: list[int]) -> tuple[Any, ...]:
    # Children were finished last first, so they come off the stack in their own order.
    if kind == "dictionary":
        return kind, frozenset(zip(part, inside, strict=True))
    return kind, *inside


def _leaf(kind: str, value: Any) -> tuple[Any, ...]:
    if kind == "other":
        return kind, id(value)
    return (kind, "nan") if kind == "number" and _is_nan(value) else (kind, value)
