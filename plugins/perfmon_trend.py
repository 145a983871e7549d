"""The trend of a metric: improving, stable or degrading between two neighbouring windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from perfmon import METRICS, Point, Series, Trend, hookimpl, wilson

if TYPE_CHECKING:
    from perfmon import Config


@attrs.frozen(kw_only=True)
class TrendConfig:
    """The table `[plugins.trend]`.

    Attributes:
        band: a relative change up to this much is stable.
        min_samples: what each of the two windows must hold before anything is said.
    """

    band: float = attrs.field(default=0.05, validator=attrs.validators.ge(0))
    min_samples: int = attrs.field(default=10, validator=attrs.validators.ge(1))


class TrendDetector:
    """Compares the last two windows of a series.

    Within the band the metric is `stable`; beyond it `improving` or `degrading` by its good
    direction. It is `insufficient_data` where a window has no value or too few samples, where the
    metric has no good direction, and for a rate also where chance explains the change as well:
    where the 95% interval of the difference holds 0 (Newcombe, "Interval estimation for the
    difference between independent proportions", 1998, method 10). `sample_size` is that of the
    smaller window.

    >>> import random
    >>> from perfmon import METRICS, Point, Series
    >>> rng = random.Random(42)
    >>> latencies = [rng.lognormvariate(7.0, 0.1) * (1.0 if i < 50 else 1.3) for i in range(100)]
    >>> points = tuple(
    ...     Point(start, start + 50, sum(latencies[start : start + 50]) / 50, 50)
    ...     for start in (0, 50)
    ... )
    >>> series = Series(metric="avg_latency_ms", higher_is_better=False, points=points)
    >>> trend = TrendDetector().detect_trend(series)
    >>> trend.direction, round(trend.change, 1)
    ('degrading', 0.3)
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = TrendConfig() if config is None else config.table("trend", TrendConfig)

    @hookimpl(trylast=True)  # anybody else's detector answers first
    def detect_trend(self, series: Series) -> Trend:
        """How the metric moved from the last window but one to the last."""
        if len(series.points) < 2:
            return Trend(metric=series.metric, direction="insufficient_data")
        previous, current = series.points[-2:]
        return Trend(
            metric=series.metric,
            direction=self._direction(series, previous, current),
            change=_change(previous.value, current.value),
            previous=previous.value,
            current=current.value,
            sample_size=min(previous.count, current.count),
        )

    def _direction(self, series: Series, previous: Point, current: Point) -> str:
        enough = min(previous.count, current.count) >= self._config.min_samples
        if not enough or not math.isfinite(previous.value) or not math.isfinite(current.value):
            return "insufficient_data"
        if series.higher_is_better is None:
            return "insufficient_data"  # to tell whether it is for the better
        difference = current.value - previous.value
        # Floats make 0.95 - 1.00 a little more than 5%.
        if abs(difference) <= self._config.band * abs(previous.value) * (1 + 1e-9):
            return "stable"
        known = METRICS.get(series.metric)
        is_proportion = known is not None and known.is_proportion
        if is_proportion and not _beyond_chance(previous, current):
            return "insufficient_data"
        return "improving" if (difference > 0) == series.higher_is_better else "degrading"


def _change(previous: float, current: float) -> float:
    """The relative change; NaN where there is no base to relate it to, 0 where nothing moved."""
    if previous == current:
        return 0.0
    return (current - previous) / abs(previous) if previous else math.nan


def _beyond_chance(previous: Point, current: Point) -> bool:
    low, high = sorted((previous, current), key=lambda point: point.value)
    _, low_end = wilson(low.value * low.count, low.count)
    high_end, _ = wilson(high.value * high.count, high.count)
    reach = math.hypot(low_end - low.value, high.value - high_end)
    return high.value - low.value > reach
