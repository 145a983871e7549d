"""95% intervals of shares and of means."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""The 0.975 quantile of the normal distribution: two-sided 95%."""
# How far x - x * x may be from 0 on average for values that are 0 or 1: sums from which others
# were taken away are off in their last digits.
_ROUNDING = 1e-9
_FEW = (12.706204736174696, 4.302652729749462, 3.182446305284263, 2.776445105197799)


def wilson(successes: float, n: float) -> tuple[float, float]:
    """The 95% interval of a share of which `successes` of `n` were seen; NaN where n is 0.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    >>> [round(end, 3) for end in wilson(1, 1)]
    [0.207, 1.0]
    """
    if n <= 0:
        return math.nan, math.nan
    share, spread = successes / n, Z_95 * Z_95 / n
    middle = share + spread / 2
    reach = math.sqrt(max(0.0, spread * (share * (1 - share) + spread / 4)))
    low = 0.0 if successes <= 0 else (middle - reach) / (1 + spread)
    high = 1.0 if successes >= n else (middle + reach) / (1 + spread)
    return _in_range(low), _in_range(high)


def _in_range(value: float) -> float:
    return min(1.0, max(0.0, value))


def mean_share(count: float, total: float) -> float:
    """The mean of `count` values in [0, 1] of this sum, in [0, 1] itself; NaN of nothing."""
    return _in_range(total / count) if count > 0 else math.nan


def mean_interval(count: float, total: float, squares: float) -> tuple[float, float]:
    """The 95% interval of a mean of `count` values in [0, 1] of this sum and sum of squares.

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
    """The 0.975 quantile of Student's t; wrong by less than 0.011% for whole `freedom` from 1 on.

    Up to 4 from the table. Beyond, the expansion of Cornish and Fisher in powers of 1 / freedom
    (Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5).

    >>> round(student_95(9), 3)
    2.262
    """
    if freedom < 5:
        return _FEW[max(0, int(freedom) - 1)]
    return Z_95 + math.fsum(term / freedom**power for power, term in enumerate(_TERMS, 1))


_TERMS = (
    (Z_95**3 + Z_95) / 4,
    (5 * Z_95**5 + 16 * Z_95**3 + 3 * Z_95) / 96,
    (3 * Z_95**7 + 19 * Z_95**5 + 17 * Z_95**3 - 15 * Z_95) / 384,
    (79 * Z_95**9 + 776 * Z_95**7 + 1482 * Z_95**5 - 1920 * Z_95**3 - 945 * Z_95) / 92_160,
)
