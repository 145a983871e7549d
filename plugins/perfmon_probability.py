"""Scores probabilities against outcomes, and provides the pair for calibration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import attrs

from perfmon import Score, hookimpl
from perfmon.scorers import one_form, value_kind

if TYPE_CHECKING:
    from perfmon import Config

# How far from 1 the probabilities of a dictionary may add up: two decimals of several labels.
_ROUNDING = 0.02


@attrs.frozen(kw_only=True)
class ProbabilityConfig:
    """The table `[plugins.probability]`.

    Attributes:
        rule: `brier` or `log`; see `ProbabilityScorer`.
        floor: for `log`: a smaller probability counts as this one.
    """

    rule: Literal["brier", "log"] = "brier"
    floor: float = attrs.field(
        default=0.001,
        validator=[attrs.validators.ge(1e-9), attrs.validators.le(0.5)],
    )


class ProbabilityScorer:
    """How good a probability was, by a proper scoring rule, in [0, 1].

    The prediction is a probability (a number in [0, 1], not true or false) and the actual
    outcome true, false, or how far it happened in [0, 1], such as 0.5 for a tie. Or the
    prediction is a dictionary of labels and their probabilities, which add up to 1, and the
    actual outcome one label; a label that has none had 0. Anything else is passed on.

    - `brier`: 1 - (p - o)^2, and for labels 1 - half the sum of those squares. Brier,
      "Verification of forecasts expressed in terms of probability", 1950.
    - `log`: 1 - ln(1 / p) / ln(1 / floor), at least 0, where p is the probability of what
      happened: a straight line through the logarithmic score (Good, "Rational decisions",
      1952), so that a mean of it rewards honest probabilities. Of a curve that bends it into
      [0, 1], such as p itself, the mean would reward exaggeration. For an outcome in between,
      the divergence of Kullback and Leibler from p takes the place of ln(1 / p).

    The pair for calibration is p and whether it happened; for labels, the probability of the
    likeliest one and whether that was right.

    >>> ProbabilityScorer().score_outcome(0.8, True)
    Score(value=0.96, confidence=0.8, correct=1.0, note=None, cost=None)
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = (
            ProbabilityConfig()
            if config is None
            else config.table("probability", ProbabilityConfig)
        )

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> Score | None:
        """The score of a probability; None where the prediction is none."""
        if isinstance(predicted, dict):
            return self._score_labels(predicted, actual)
        happened = float(actual) if isinstance(actual, bool) else actual
        if not _is_probability(predicted) or not _is_probability(happened):
            return None
        p, o = float(predicted), float(happened)
        value = 1 - (p - o) ** 2 if self._config.rule == "brier" else self._log_score(p, o)
        return Score(value, confidence=p, correct=o)

    def _score_labels(self, predicted: dict[Any, Any], actual: Any) -> Score | None:
        label = _label(actual)
        total = _total(predicted)
        if label is None or total is None:
            return None
        shares: dict[str | None, float] = {}
        for key, p in predicted.items():
            name = _label(key)
            shares[name] = shares.get(name, 0.0) + p / total
        likeliest = max(shares, key=lambda key: shares[key])
        if self._config.rule == "brier":
            wrong = {key: p - (key == label) for key, p in ({label: 0.0} | shares).items()}
            value = 1 - math.fsum(error * error for error in wrong.values()) / 2
        else:
            value = self._log_score(shares.get(label, 0.0), 1.0)
        return Score(
            min(1.0, max(0.0, value)),
            confidence=min(1.0, shares[likeliest]),
            correct=float(likeliest == label),
        )

    def _log_score(self, p: float, o: float) -> float:
        divergence = self._surprise(o, p) + self._surprise(1 - o, 1 - p)
        return min(1.0, max(0.0, 1 - divergence / math.log(self._config.floor)))

    def _surprise(self, actual: float, predicted: float) -> float:
        if not actual:
            return 0.0
        return actual * (math.log(max(predicted, self._config.floor)) - math.log(actual))


def _is_probability(value: Any) -> bool:
    return value_kind(value) == "number" and 0 <= value <= 1


def _total(predicted: dict[Any, Any]) -> float | None:
    """What the probabilities of a dictionary add up to, if they are some."""
    if not all(map(_is_probability, predicted.values())):
        return None
    total = math.fsum(predicted.values())
    return total if abs(total - 1) <= _ROUNDING + 1e-9 else None


def _label(value: Any) -> str | None:
    """A label as a key of JSON, where all are text."""
    kind = value_kind(value)
    if kind == "boolean":
        return str(value).lower()
    if kind == "number" and value == value // 1 and abs(value) < 1e300:
        return str(int(value))
    return one_form(value) if kind == "string" else None
