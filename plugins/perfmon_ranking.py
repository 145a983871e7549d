"""Scores ordered lists against the relevant items: how good a search or a choice was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import attrs

from perfmon import hookimpl
from perfmon.scorers import ValueNumbers, one_form, value_kind

if TYPE_CHECKING:
    from perfmon import Config


@attrs.frozen(kw_only=True)
class RankingConfig:
    """The table `[plugins.ranking]`.

    Attributes:
        metric: see `RankingScorer`.
        k: how many of the first items count; 0 is all.
    """

    metric: Literal["ndcg", "precision", "recall", "reciprocal_rank"] = "ndcg"
    k: int = attrs.field(default=10, validator=attrs.validators.ge(0))


class RankingScorer:
    """How good the order of a predicted list is, where the actual outcome says what is relevant.

    The actual outcome is a list of the relevant items, or a dictionary of items and their gains
    (numbers from 0, or true and false). An item that is named again counts at its first place,
    and is left out after it. All are of the first `k` predicted items:

    - `ndcg`: the discounted gain, sum of gain_i / log2(i + 1), over the best there can be.
      Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS
      20(4), 2002; with the discount log2(i + 1), as is usual since Burges et al., "Learning to
      rank using gradient descent", 2005, where theirs, log_b(i), begins at rank b.
    - `precision`: the share of those items that are relevant.
    - `recall`: the share of the relevant items, or of k where these are more, that are there.
    - `reciprocal_rank`: 1 / the place of the first relevant item, or 0. Voorhees, "The TREC-8
      question answering track report", 1999.

    Where nothing is relevant, an empty list is right. What is no such pair is passed on.

    >>> score = RankingScorer().score_outcome
    >>> round(score(["a", "b", "c"], {"a": 3, "b": 2, "c": 3}), 3)
    0.978
    >>> score(["x", "a"], ["a"]) == 1 / math.log2(3)
    True
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = RankingConfig() if config is None else config.table("ranking", RankingConfig)
        self._metric = {
            "ndcg": _ndcg,
            "precision": _precision,
            "recall": _recall,
            "reciprocal_rank": _reciprocal_rank,
        }[self._config.metric]

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float | None:
        """The metric of a list; None where the outcomes are no list and what is relevant."""
        if not isinstance(predicted, (list, tuple)):
            return None
        number = ValueNumbers(one_form)
        gains = _gains(actual, number)
        if gains is None:
            return None
        by_name = isinstance(actual, dict)
        items = dict.fromkeys(number(_name(item) if by_name else item) for item in predicted)
        best = sorted((gain for gain in gains.values() if gain), reverse=True)
        if not best:
            return float(not items)
        found = [gains.get(item, 0.0) for item in items]
        k = self._config.k or max(len(found), len(best))
        return self._metric(found[:k], best[:k])


def _gains(actual: Any, number: ValueNumbers) -> dict[int, float] | None:
    """The gain of each item, the highest being 1."""
    if isinstance(actual, (list, tuple)):
        return {number(item): 1.0 for item in actual}
    if not isinstance(actual, dict) or not all(map(_is_gain, actual.values())):
        return None
    top = max(actual.values(), default=0) or 1
    return {number(_name(item)): gain / top for item, gain in actual.items()}


def _is_gain(gain: Any) -> bool:
    kind = value_kind(gain)
    return kind == "boolean" or (kind == "number" and 0 <= gain <= 1e300)


def _name(item: Any) -> Any:
    """An item as a key of JSON, where all are text."""
    if value_kind(item) == "number" and item == item // 1 and abs(item) < 1e300:
        return str(int(item))
    return item


def _ndcg(found: list[float], best: list[float]) -> float:
    return min(1.0, _discounted(found) / _discounted(best))


def _discounted(gains: list[float]) -> float:
    return math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


def _precision(found: list[float], best: list[float]) -> float:
    del best
    return sum(gain > 0 for gain in found) / len(found) if found else 0.0


def _recall(found: list[float], best: list[float]) -> float:
    return sum(gain > 0 for gain in found) / len(best)


def _reciprocal_rank(found: list[float], best: list[float]) -> float:
    del best
    return next((1 / place for place, gain in enumerate(found, 1) if gain > 0), 0.0)
