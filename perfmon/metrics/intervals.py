"""The 95 % interval of a mean of values in [0, 1], from how many there are and two sums."""

from __future__ import annotations

import math

from perfmon.metrics.health import wilson

_Z = 1.959963984540054  # two-sided 95 %
# How far x - x * x may be from 0 on average for values that are 0 or 1: sums from which others
# were taken away are off in their last digits.
_ROUNDING = 1e-9
_FEW = (12.706204736174696, 4.302652729749462, 3.182446305284263, 2.776445105197799)


def mean_share(count: float, total: float) -> float:
    """The mean of `count` values in [0, 1] of this sum, in [0, 1] itself; NaN of nothing."""
    return min(1.0, max(0.0, total / count)) if count > 0 else math.nan


def mean_interval(count: float, total: float, squares: float) -> tuple[float, float]:
    """The 95 % interval of a mean of `count` values in [0, 1] of this sum and sum of squares.

    Where all of them are 0 or 1 it is Wilson's for a share, otherwise Student's, cut off at 0 and
    1. Nothing gives NaN, and a single value that is neither 0 nor 1 may be from anywhere.

    >>> [round(end, 3) for end in mean_interval(10, 8.0, 8.0)]
    [0.49, 0.943]
    >>> [round(end, 3) for end in mean_interval(4, 2.0, 1.08)]
    [0.24, 0.76]
    """
    if count <= 0:
        return math.nan, math.nan
    if total - squares <= _ROUNDING * count:  # x * x = x for nothing but 0 and 1
        return wilson(round(total), count)
    if count < 2:
        return 0.0, 1.0
    mean = total / count
    variance = max(0.0, squares - total * mean) / (count - 1)
    reach = student_95(count - 1) * math.sqrt(variance / count)
    return max(0.0, mean - reach), min(1.0, mean + reach)


def student_95(freedom: float) -> float:
    """The 0.975 quantile of Student's t; wrong by less than 0.011 % for whole `freedom` from 1 on.

    Up to 4 from the table. Beyond, the expansion of Cornish and Fisher in powers of 1 / freedom
    (Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5).

    >>> round(student_95(9), 3)
    2.262
    """
    if freedom < 5:
        return _FEW[max(0, int(freedom) - 1)]
    return _Z + math.fsum(term / freedom**power for power, term in enumerate(_TERMS, 1))


_TERMS = (
    (_Z**3 + _Z) / 4,
    (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96,
    (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / 384,
    (79 * _Z**9 + 776 * _Z**7 + 1482 * _Z**5 - 1920 * _Z**3 - 945 * _Z) / 92_160,
)
