"""Scores numbers where overestimates cost differently from underestimates."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import hookimpl
from perfmon.scorers import value_kind

if TYPE_CHECKING:
    from perfmon import Config


def _check_scale(_instance: Any, _attribute: Any, scale: Any) -> None:
    is_number = value_kind(scale) == "number" and 0 < scale <= 1e300
    if scale != "relative" and not is_number:
        raise ValueError('must be "relative" or a number above 0')


def _weight() -> Any:
    return attrs.field(default=1.0, validator=attrs.validators.ge(0))


@attrs.frozen(kw_only=True)
class NumericCostConfig:
    """The table `[plugins.numeric_cost]`.

    Attributes:
        scale: the error that is worth nothing: a number in the outcome's unit, or `relative`,
            which is as much as the actual number.
        over, under: how much more than that a number above, or below, the actual one costs.
        tolerance: up to this share of the scale a number is right.
    """

    scale: Any = attrs.field(default="relative", validator=_check_scale)
    over: float = _weight()
    under: float = _weight()
    tolerance: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))


class NumericCostScorer:
    """1 - weight * |predicted - actual| / scale, at least 0; the weight is by its direction.

    For an actual 0 and a relative scale only 0 is right. Whatever is no pair of finite numbers
    is passed on.

    >>> from perfmon import Config
    >>> table = {"over": 0.5, "under": 2.0}
    >>> scorer = NumericCostScorer(Config.from_mapping({"plugins": {"numeric_cost": table}}))
    >>> scorer.score_outcome(120, 100), scorer.score_outcome(80, 100)
    (0.9, 0.6)
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = (
            NumericCostConfig()
            if config is None
            else config.table("numeric_cost", NumericCostConfig)
        )

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float | None:
        """The score of a number; None where one of the outcomes is none."""
        if not _is_finite(predicted) or not _is_finite(actual):
            return None
        try:
            score = self._score(predicted, actual, float)
        except OverflowError:
            score = self._score(predicted, actual, Fraction)
        return float(score)

    def _score(self, predicted: Any, actual: Any, exact: Any) -> Any:
        weight = exact(self._config.over if predicted > actual else self._config.under)
        if predicted == actual or not weight:
            return 1
        relative = self._config.scale == "relative"
        scale = abs(exact(actual)) if relative else exact(self._config.scale)
        error = abs(exact(predicted) - exact(actual))
        # Floats make 1.1 - 1.0 a little more than 10%.
        if error <= exact(self._config.tolerance) * scale * exact(1 + 1e-9):
            return 1
        return max(0, 1 - weight * (error / scale)) if scale else 0


def _is_finite(value: Any) -> bool:
    kind = value_kind(value)
    return kind == "number" and (isinstance(value, int) or math.isfinite(value))
