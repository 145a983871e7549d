"""Answers of trends, detectors and forecasters about a target's metric."""

from __future__ import annotations

import math
from collections.abc import Iterable

from perfmon.alerts.evidence.verdicts import Finding, Sample
from perfmon.alerts.rules.rule import HORIZON_SECONDS
from perfmon.alerts.rules.targets import Target
from perfmon.metrics.formatting import figure
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import Asked
from perfmon.metrics.trends import UNKNOWN
from perfmon.plugins.bus import Bus
from perfmon.records import Point, Series
from perfmon.records.catalog import METRICS

_MICROS = 1_000_000
_POINTS = 60  # of a series


class Detectors:
    """Asks the plugins on the bus; `retention` (microseconds) is the longest series there is."""

    def __init__(self, queries: Queries, retention: int, bus: Bus) -> None:
        self._queries = queries
        self._retention = retention
        self._bus = bus

    def trend(self, target: Target, now: int) -> Sample:
        """Whether a metric goes the way that is watched for."""
        width = round(target.watch.stretches[0].seconds * _MICROS)
        asked = Asked(now - width + 1, now + 1, True)
        metric = METRICS[METRICS[target.watch.metric].of]
        trend = self._queries.trends(asked, target.scope)[metric.name]
        found = None if trend.direction == UNKNOWN else trend.direction == target.watch.word
        ends = (figure(value, metric.unit) for value in (trend.previous, trend.current))
        words = " to ".join(ends)
        return Sample(
            finding=Finding(found, trend.change, sample_size=trend.sample_size, words=words)
        )

    def _series(self, target: Target, now: int) -> Series:
        width = round(HORIZON_SECONDS * _MICROS)
        for stretch in target.watch.stretches:
            width = max(width, round(stretch.seconds * _MICROS))
        width = min(width, self._retention)
        asked = Asked(now - width + 1, now + 1, True)
        minutes = width / 60 / _MICROS / _POINTS
        return self._queries.timeseries(target.watch.metric, minutes, asked, target.scope)

    def anomaly(self, target: Target, now: int) -> Sample:
        """Whether the last point of a metric is anomalous to any detector."""
        series = self._series(target, now)
        answers = self._bus.ask_all("detect_anomalies", check=_scored, series=series)
        if not answers or not series.points:
            return Sample()
        last = series.points[-1]
        scores = [score for found in answers for times, score in found if times == _times(last)]
        if not scores and math.isnan(last.value):
            return Sample()  # nothing was measured: nobody knows that it is well again
        words = f"score {max(scores):.3g}" if scores else ""
        return Sample(
            finding=Finding(bool(scores), last.value, sample_size=last.count, words=words)
        )

    def forecast(self, target: Target, now: int) -> Sample:
        """What a metric is forecast to come to."""
        series = self._series(target, now)
        if not series.points:
            return Sample()
        step = series.points[0].end - series.points[0].start
        horizon = max(1, round(target.watch.within / step))
        ahead = self._bus.ask("forecast", check=_intervals, series=series, horizon=horizon)
        if not ahead:
            return Sample()
        sign = target.watch.sign
        # Of all that is forecast, what is furthest on the bad side for certain.
        low, value, high = max(ahead, key=lambda one: sign * (one[0] if sign > 0 else one[2]))
        return Sample(finding=Finding(None, value, low, high, len(series.points)))


def _times(point: Point) -> tuple[float, float]:
    """What names a point of a series: its values may be NaN, and so not even its own equal."""
    return point.start, point.end


def _scored(answer: Iterable[tuple[Point, float]]) -> list[tuple[tuple[float, float], float]]:
    """What a detector says, by the times of the points."""
    found = [(_times(point), float(score)) for point, score in answer]
    return [(times, score) for times, score in found if not math.isnan(score)]


def _intervals(answer: Iterable[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """What a forecaster says; a value without an interval is one by itself."""
    found = []
    for low, value, high in answer:
        middle = float(value)
        ends = [middle if end is None or math.isnan(end) else float(end) for end in (low, high)]
        if not math.isnan(middle):
            found.append((ends[0], middle, ends[1]))
    return found
