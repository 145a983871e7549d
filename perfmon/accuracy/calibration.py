"""Calibration: stated confidence against observed accuracy, computed from sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import attrs

from perfmon.metrics.formatting import many, percent
from perfmon.metrics.intervals import Z_95, mean_interval, mean_share

BINS = 10
MIN_OUTCOMES = 30
"""With fewer outcomes nothing is said about an agent."""

WELL, OVER, UNDER = "well calibrated", "over-confident", "under-confident"
NOT_ENOUGH = "not enough outcomes"

# The same for the worst of ten bins (Bonferroni): ten looks find something by chance more often.
_Z_OF_BINS = 2.807033768343811
_WORTH_SAYING = 0.02


class BinSums(NamedTuple):
    """Sums over the outcomes whose confidence c lies in a bin; o is how right each was.

    Sums of several sources add up field by field.
    """

    count: float = 0  # type: ignore[assignment] # a tuple has a method of this name
    confidence: float = 0.0
    correct: float = 0.0
    confidence_sq: float = 0.0
    correct_sq: float = 0.0
    product: float = 0.0


@attrs.frozen(kw_only=True)
class CalibrationBin:
    """What came of the outcomes whose confidence was in [low, high).

    Attributes:
        low, high: the bin; the last one holds 1 as well.
        count: how many outcomes.
        confidence: what was said on average, NaN for an empty bin.
        accuracy: how right they were on average, NaN for an empty bin.
        interval: the 95% interval of `accuracy`.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


@attrs.frozen(kw_only=True)
class Calibration:
    """How far confidence can be believed; every figure is NaN where there are no outcomes.

    The Brier score is the mean of (c - o)² over confidences c and outcomes o, both in [0, 1].
    By bins it is exactly

        reliability - resolution + uncertainty + within_bin_variance - within_bin_covariance

    after Murphy, "A new vector partition of the probability score" (1973), and Stephenson, Coelho
    and Jolliffe, "Two extra components in the Brier score decomposition" (2008), for what varies
    within a bin.

    Attributes:
        bins: ten of them, also empty ones.
        count: how many outcomes had a confidence.
        confidence, accuracy: their means: what was said, and what was so.
        expected_calibration_error: the mean distance of the two, bin by bin, in [0, 1]; what
            chance alone makes of it grows with the number of bins and shrinks with the outcomes.
        brier_score: in [0, 1], the lower the better.
        reliability: the mean squared distance between what was said and what was so; 0 is best.
        resolution: how far the bins tell right from wrong; the higher the better.
        uncertainty: the variance of the outcomes, for which the agent cannot be blamed.
        within_bin_variance: of the confidences inside their bins.
        within_bin_covariance: twice that of confidences and outcomes inside their bins.
        verdict: `well calibrated`, `over-confident`, `under-confident` or `not enough outcomes`,
            by the means over all outcomes.
        sentence: the verdict in words, and the worst bin where the means hide one.
    """

    bins: tuple[CalibrationBin, ...]
    count: int
    confidence: float
    accuracy: float
    expected_calibration_error: float
    brier_score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float
    verdict: str
    sentence: str


def bin_of(confidence: float) -> int:
    """The bin of a confidence in [0, 1].

    >>> [bin_of(confidence) for confidence in (0.0, 0.55, 1.0)]
    [0, 5, 9]
    """
    return min(int(confidence * BINS), BINS - 1)


def calibration(bins: Sequence[BinSums]) -> Calibration:
    """The calibration of ten bins of sums.

    An agent is over- or under-confident where the mean confidence is off by more than 2 points
    and by more than chance explains (z test, 5%). The standard error is the larger one of the
    sample's and of what honest confidences would have (Spiegelhalter, "Probabilistic prediction
    in patient management and clinical trials", 1986): thirty answers given with 95% that are all
    right vary in nothing, and prove nothing.

    >>> sums = BinSums(312, 255.84, 190.0, 209.8, 190.0, 155.8)
    >>> calibration([*[BinSums()] * 8, sums, BinSums()]).sentence.partition(" (")[0]
    'stated confidence 82% on average, observed accuracy 61%'
    """
    whole = BinSums(*map(math.fsum, zip(*bins, strict=True)))
    made = tuple(_bin(place, sums) for place, sums in enumerate(bins))
    verdict = _verdict(whole)
    return Calibration(
        bins=made,
        count=int(whole.count),
        confidence=mean_share(whole.count, whole.confidence),
        accuracy=mean_share(whole.count, whole.correct),
        expected_calibration_error=_over_bins(made, lambda b: abs(b.confidence - b.accuracy)),
        brier_score=_mean(_squared_error(whole), whole.count),
        **_parts(bins, made, whole),
        verdict=verdict,
        sentence=_sentence(whole, verdict, bins),
    )


def _bin(place: int, sums: BinSums) -> CalibrationBin:
    return CalibrationBin(
        low=place / BINS,
        high=(place + 1) / BINS,
        count=int(sums.count),
        confidence=mean_share(sums.count, sums.confidence),
        accuracy=mean_share(sums.count, sums.correct),
        interval=mean_interval(sums.count, sums.correct, sums.correct_sq),
    )


def _parts(
    bins: Sequence[BinSums], made: Sequence[CalibrationBin], whole: BinSums
) -> dict[str, float]:
    """What the Brier score is made of."""
    accuracy = _mean(whole.correct, whole.count)
    inside = [_inside(sums) for sums in bins if sums.count]
    return {
        "reliability": _over_bins(made, lambda b: (b.confidence - b.accuracy) ** 2),
        "resolution": _over_bins(made, lambda b: (b.accuracy - accuracy) ** 2),
        "uncertainty": _mean(whole.correct_sq - whole.correct * accuracy, whole.count),
        "within_bin_variance": _mean(math.fsum(spread for spread, _ in inside), whole.count),
        "within_bin_covariance": _mean(2 * math.fsum(both for _, both in inside), whole.count),
    }


def _inside(sums: BinSums) -> tuple[float, float]:
    """The squared deviations of a bin's confidences, and their products with the outcomes'."""
    mean = sums.confidence / sums.count
    return (
        max(0.0, sums.confidence_sq - sums.confidence * mean),
        sums.product - sums.correct * mean,
    )


def _squared_error(sums: BinSums) -> float:
    """Σ (c - o)²."""
    return max(0.0, sums.confidence_sq - 2 * sums.product + sums.correct_sq)


def _gap(sums: BinSums, z: float) -> float:
    """By how much more was said than was so, on average; 0 where chance may have done it."""
    count = sums.count
    gap = (sums.confidence - sums.correct) / count
    spread = max(0.0, _squared_error(sums) - count * gap**2) / (count - 1)
    if_honest = max(0.0, sums.confidence - sums.confidence_sq) / count
    error = math.sqrt(max(spread, if_honest) / count)
    return gap if abs(gap) > max(z * error, _WORTH_SAYING) else 0.0


def _verdict(whole: BinSums) -> str:
    if whole.count < MIN_OUTCOMES:
        return NOT_ENOUGH
    gap = _gap(whole, Z_95)
    return WELL if not gap else OVER if gap > 0 else UNDER


def _sentence(whole: BinSums, verdict: str, bins: Sequence[BinSums]) -> str:
    if not whole.count:
        return "no outcomes with a stated confidence"
    said, so = _means(whole)
    means = f"stated confidence {percent(said, 0)} on average, observed accuracy {percent(so, 0)}"
    outcomes = many(whole.count, "outcome")
    if verdict == NOT_ENOUGH:
        return f"{means} ({verdict}: {whole.count:.0f} of {MIN_OUTCOMES})"
    if verdict == WELL:
        return f"{means} (well calibrated, {outcomes}){_worst(bins)}"
    return f"{means} ({verdict} by {_points(said, so)} points, {outcomes})"


def _worst(bins: Sequence[BinSums]) -> str:
    """A remark on the bin that is farthest off, if one is: the means may make up for each other."""
    tested = [sums for sums in bins if sums.count >= MIN_OUTCOMES and _gap(sums, _Z_OF_BINS)]
    if not tested:
        return ""
    said, so = _means(max(tested, key=lambda sums: abs(_gap(sums, _Z_OF_BINS)) * sums.count))
    return f"; but at a stated {percent(said, 0)} it is right {percent(so, 0)} of the time"


def _means(sums: BinSums) -> tuple[float, float]:
    """How sure it was and how right, on average."""
    return sums.confidence / sums.count, sums.correct / sums.count


def _points(said: float, so: float) -> int:
    """By how many points, of the percentages as they are written."""
    return abs(round(100 * said) - round(100 * so))


def _over_bins(made: Sequence[CalibrationBin], of: Callable[[CalibrationBin], float]) -> float:
    """The mean over the filled bins, each weighted by its outcomes."""
    filled = [each for each in made if each.count]
    total = math.fsum(each.count * of(each) for each in filled)
    return _mean(total, sum(each.count for each in filled))


def _mean(total: float, count: float) -> float:
    return total / count if count else math.nan
