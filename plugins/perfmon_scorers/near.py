"""List elements that are right without being equal: numbers and times within tolerance."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from perfmon.scorers import value_kind
from perfmon_scorers.dates import is_day, micros, moment
from perfmon_scorers.numeric import bounds, is_nan
from perfmon_scorers.settings import ScorersConfig

_AGES = 1e12  # seconds: longer than from the first date to the last


def count_near(
    predicted: Iterable[Any], missing: Iterable[Any], config: ScorersConfig, *, once: bool
) -> int:
    """How many of the missing elements have a prediction within tolerance.

    With `once` a prediction serves one of them: the lowest that is left, the missing element
    that reaches least far up first, which serves the most that can be served.
    """
    points: dict[str, list[Any]] = {}
    for element in predicted:
        for kind, place in _placed(element, config):
            points.setdefault(kind, []).append(place)
    for places in points.values():
        places.sort()
    wanted = [(kind, *_ends(kind, p, config)) for e in missing for kind, p in _placed(e, config)]
    found = 0
    for kind, low, high in sorted(wanted, key=lambda ends: ends[2]):
        places = points.get(kind, [])
        first = bisect_left(places, low)
        if first < len(places) and places[first] <= high:
            found += 1
            if once:
                del places[first]
    return found


def _placed(element: Any, config: ScorersConfig) -> Iterable[tuple[str, Any]]:
    """An element's kind and its place on a line, if it is one that may be near another."""
    kind = value_kind(element)
    if kind == "number" and config.is_tolerant and not is_nan(element):
        yield kind, element
    elif kind == "string" and (time := moment(element)):
        yield ("day" if is_day(element) else "moment"), micros(time)


def _ends(kind: str, place: Any, config: ScorersConfig) -> tuple[Any, Any]:
    if kind == "number":
        return bounds(place, config.tolerance, config.absolute_tolerance)
    # In whole microseconds: a float has not room enough for those of our days.
    reach = round(min(config.date_tolerance, _AGES) * 1e6)
    return place - reach, place + reach
