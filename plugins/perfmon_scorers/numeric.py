"""Numbers: their scoring formula, also beyond float range, and tolerances."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

# Floats make 1.1 - 1.0 a little more than 10%.
_SLACK = 1 + 1e-9


def is_nan(value: float) -> bool:
    """As math.isnan, which fails for whole numbers beyond a float."""
    return value != value  # noqa: PLR0124


def relative_score(predicted: float, actual: float) -> float:
    """1 - |predicted - actual| / |actual|, at least 0, for numbers that are not equal."""
    try:
        score = 1.0 - abs(predicted - actual) / abs(actual)
    except ZeroDivisionError:
        return 0.0
    except OverflowError:
        return _huge_score(predicted, actual)
    if score > 0.0:
        return score
    return float(is_nan(predicted) and is_nan(actual))


def _huge_score(predicted: float, actual: float) -> float:
    """The same formula where the numbers, or their ratio, are beyond what a float holds."""
    try:
        wrong = abs(Fraction(predicted) - Fraction(actual)) / abs(Fraction(actual))
    except (OverflowError, ValueError):  # one of them is infinite or not a number
        return 0.0
    return float(max(Fraction(0), 1 - wrong))


def bounds(actual: float, relative: float, absolute: float) -> tuple[Any, Any]:
    """From where to where a prediction is right; nowhere for what is not finite."""
    try:
        reach = max(relative * abs(actual), absolute) * _SLACK
        if math.isfinite(actual - reach) and math.isfinite(actual + reach):
            return actual - reach, actual + reach
    except OverflowError:
        pass
    try:
        exact = Fraction(actual)
    except (OverflowError, ValueError):
        return 1, 0
    far = max(Fraction(relative) * abs(exact), Fraction(absolute)) * Fraction(_SLACK)
    return exact - far, exact + far
