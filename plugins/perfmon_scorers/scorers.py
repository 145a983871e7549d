"""The scorers themselves: one formula per kind of outcome.

Values of different kinds score 0, so True is not 1 and a list is not a tuple. Equal values score
1. Text is compared as it is written, case included, unless `[plugins.scorers]` says otherwise.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from perfmon import hookimpl
from perfmon.scorers import (
    ValueNumbers,
    alike,
    one_form,
    same_value,
    value_kind,
    words_of,
)
from perfmon_scorers.dates import may_be_date, seconds_apart
from perfmon_scorers.near import count_near
from perfmon_scorers.numeric import bounds, relative_score
from perfmon_scorers.plain import has_to_ignore, without_ignored
from perfmon_scorers.settings import ScorersConfig

if TYPE_CHECKING:
    from perfmon import Config

# In dictionaries each level halves the weight of the next: what differs below changes no score
# by over 2**-64. Lists in sequence are compared for equality from here on.
_DEEPEST = 64


class Scorers:
    """How right a prediction was, in [0, 1]; never fails, for any JSON value.

    - numbers: 1 - |predicted - actual| / |actual|, at least 0; for an actual 0 only 0 is right
    - strings: the share of the actual words that were predicted; the form of Unicode makes no
      difference, and letters of scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer,
      Burmese) count one by one
    - strings that both are a date or time (ISO 8601): 1 for the same moment, else 0; without an
      offset it is UTC's, and a date alone is right for every time of its day
    - dictionaries: (share of the keys predicted + mean score of their values) / 2, recursively
    - lists: the share of the actual elements that were predicted, each as often as it occurs

    An empty actual outcome asks for an equal prediction. What only the prediction has costs
    nothing.

    >>> score = Scorers().score_outcome
    >>> score(90, 100)
    0.9
    >>> score({"action": "sell", "price": 90}, {"action": "buy", "price": 100})
    0.725
    >>> score("2024-01-01T11:00:00+01:00", "2024-01-01T10:00:00Z")
    1.0
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = ScorersConfig() if config is None else config.table("scorers", ScorersConfig)
        self._is_tolerant = self._config.is_tolerant
        self._has_to_ignore = has_to_ignore(self._config)
        weights = self._config.weights
        self._weights = {self._config.key(key): weight for key, weight in weights.items()}
        self._of_kind = {
            "null": _same_score,
            "boolean": _same_score,
            "number": self._number_score,
            "string": self._string_score,
            "list": self._list_score,
            "tuple": self._list_score,
            "dictionary": self._dictionary_score,
            "other": _same_score,
        }
        # A short cut, for most outcomes are of these types.
        self._of_type = {
            kind: self._of_kind[value_kind(kind())] for kind in (int, float, str, dict, list)
        }

    @hookimpl(trylast=True)  # anybody else's scorer answers first
    def score_outcome(self, predicted: Any, actual: Any) -> float:
        """The score of a prediction, by the kind of what really happened."""
        if self._has_to_ignore:
            predicted = without_ignored(predicted, self._config)
            actual = without_ignored(actual, self._config)
        return self._score(predicted, actual, 0)

    def _score(self, predicted: Any, actual: Any, depth: int) -> float:
        formula = self._of_type.get(type(actual))
        if formula is not None and type(predicted) is type(actual):
            return formula(predicted, actual, depth)
        kind = value_kind(actual)
        if value_kind(predicted) != kind:
            return 0.0
        return self._of_kind[kind](predicted, actual, depth)

    def _number_score(self, predicted: float, actual: float, depth: int) -> float:
        del depth
        if predicted == actual:
            return 1.0
        if self._is_tolerant:
            low, high = bounds(actual, self._config.tolerance, self._config.absolute_tolerance)
            if low <= predicted <= high:
                return 1.0
        return relative_score(predicted, actual)

    def _string_score(self, predicted: str, actual: str, depth: int) -> float:
        del depth
        if predicted == actual:
            return 1.0
        if not (actual.isascii() and predicted.isascii()):
            predicted, actual = one_form(predicted), one_form(actual)
            if predicted == actual:
                return 1.0
        # Nearly no ordinary text gets beyond this line.
        if actual[4:5] == "-" == predicted[4:5]:
            apart = seconds_apart(predicted, actual)
            if apart is not None:
                return float(apart <= self._config.date_tolerance)
        if actual.isascii() and predicted.isascii():
            words = set(actual.split())
            return len(words.intersection(predicted.split())) / len(words) if words else 0.0
        words = set(words_of(actual))
        return len(words.intersection(words_of(predicted))) / len(words) if words else 0.0

    def _dictionary_score(
        self, predicted: dict[Any, Any], actual: dict[Any, Any], depth: int
    ) -> float:
        if not actual:
            return float(not predicted)
        if depth >= _DEEPEST:
            return float(same_value(predicted, actual))
        shared = [key for key in actual if key in predicted]
        if len(shared) < len(actual) and (others := alike(actual, predicted)):
            predicted = predicted | {key: predicted[other] for key, other in others.items()}
            shared = [key for key in actual if key in predicted]
        if not shared:
            return 0.0
        values = [self._score(predicted[key], actual[key], depth + 1) for key in shared]
        if not self._weights:
            return (len(shared) / len(actual) + sum(values) / len(shared)) / 2
        weights = [self._weight(key) for key in shared]
        mean = sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)
        return (sum(weights) / sum(map(self._weight, actual)) + mean) / 2

    def _weight(self, key: Any) -> float:
        return self._weights.get(self._config.key(key), 1.0)

    def _list_score(self, predicted: list[Any], actual: list[Any], depth: int) -> float:
        if not actual:
            return float(not predicted)
        if self._config.lists == "sequence":
            return self._sequence_score(predicted, actual, depth)
        number = ValueNumbers(one_form)
        offered, asked = list(map(number, predicted)), list(map(number, actual))
        as_set = self._config.lists == "set"
        available, wanted = Counter(offered), Counter(set(asked) if as_set else asked)
        right = (wanted & available).total()
        if right < wanted.total() and (self._is_tolerant or any(map(may_be_date, actual))):
            elements = dict(zip(offered + asked, (*predicted, *actual), strict=True))
            rest = (available if as_set else available - wanted).elements()
            missing = (wanted - available).elements()
            right += count_near(
                [elements[n] for n in rest],
                [elements[n] for n in missing],
                self._config,
                once=not as_set,
            )
        return right / wanted.total()

    def _sequence_score(self, predicted: list[Any], actual: list[Any], depth: int) -> float:
        if depth >= _DEEPEST:
            return float(same_value(predicted, actual))
        pairs = zip(predicted, actual, strict=False)  # one of them may be longer
        return sum(self._score(p, a, depth + 1) for p, a in pairs) / len(actual)


def _same_score(predicted: Any, actual: Any, depth: int) -> float:
    del depth
    try:
        return float(predicted is actual or bool(predicted == actual))
    except Exception:  # values that are not JSON may refuse to be compared
        return 0.0
