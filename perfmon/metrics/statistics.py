"""The statistics of a window from which each metric of the catalogue is computed."""

from __future__ import annotations

from typing import NamedTuple

from perfmon.records.catalog import METRICS, Metric
from perfmon.window.cells import Stat


class MadeOf(NamedTuple):
    """What a metric is made of.

    Attributes:
        of: a sum, a count or an extreme.
        among: how many have the value.
        squares: the sum of squares, or None where it is not kept.
    """

    of: Stat
    among: Stat
    squares: Stat | None


def _made_of(metric: Metric) -> MadeOf:
    squares = Stat[metric.squares] if metric.squares else None
    return MadeOf(Stat[metric.of], Stat[metric.among], squares)


MADE_OF = {
    name: _made_of(metric) for name, metric in METRICS.items() if metric.is_number and metric.of
}
"""By the name of the metric; those that no statistic gives by itself are not here."""
