"""Scales: from values and times to places in a drawing, and the round numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from perfmon.charts.svg import TONES, Size, element, text

LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 18
_STEPS = (  # seconds, and how a tick is written
    (60, "%H:%M"), (300, "%H:%M"), (600, "%H:%M"), (1800, "%H:%M"), (3600, "%H:%M"),
    (3 * 3600, "%H:%M"), (6 * 3600, "%H:%M"), (12 * 3600, "%a %H:%M"), (86_400, "%a %d"),
    (2 * 86_400, "%b %d"), (7 * 86_400, "%b %d"), (14 * 86_400, "%b %d"), (28 * 86_400, "%b %d"),
    (91 * 86_400, "%b %Y"), (365 * 86_400, "%Y"),
)  # fmt: skip
_MOST_TICKS = 7
_LARGEST, _SMALLEST = 1e15, 1e-12  # beyond them there is nothing to be seen


class Axis(NamedTuple):
    """The axis of values.

    Attributes:
        low, high: its ends where they are given, such as 0 and 1 of a share; else of the values.
        log: by the powers of ten; values of 0 and less are gaps on it.
        told: writes a value.
        ticks: about how many lines.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    told: Callable[[float], str] = "{:g}".format
    ticks: int = 3


class Scale(NamedTuple):
    """Values onto a stretch of the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value is; NaN for what has no place."""
        if not math.isfinite(value) or (self.log and value <= 0):
            return math.nan
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else self[:2]
        place = math.log10(value) if self.log else value
        share = (place - low) / (high - low)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


def has_place(value: float, *, log: bool = False) -> bool:
    """Whether an axis reaches to a value: to NaN, infinity and the absurd none does."""
    return abs(value) <= _LARGEST and (not log or value >= _SMALLEST)


def values_scale(axis: Axis, values: Iterable[float], size: Size) -> Scale:
    """The axis of values, with a little room above what is drawn."""
    known = [v for v in values if has_place(v, log=axis.log)]
    low = axis.low if axis.low is not None else min(known, default=1.0 if axis.log else 0.0)
    high = axis.high if axis.high is not None else max(known, default=10.0 if axis.log else 1.0)
    if axis.log:
        low = 10.0 ** (math.floor(math.log10(low) * 2) / 2)
        high = max(10.0 ** (math.ceil(math.log10(high) * 2) / 2), low * 10**0.5)
    else:
        if axis.low is None and low > 0 and low < high / 2:
            low = 0.0  # what begins far from 0 need not show it
        if axis.high is None:
            high = _round_up(high, low, axis.ticks)
        if high <= low:
            high = low + (abs(low) or 1.0)
    return Scale(low, high, size.height - BOTTOM, TOP, axis.log)


def _round_up(high: float, low: float, ticks: int) -> float:
    step = _step((high - low) / ticks)
    return step * math.ceil(high / step - 1e-9) if step else high


def _step(wanted: float) -> float:
    """1, 2 or 5 times a power of ten."""
    if not wanted > 0 or not math.isfinite(wanted):
        return 0.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= wanted * (1 - 1e-9))


def value_ticks(scale: Scale, ticks: int) -> list[float]:
    """Round values between the ends."""
    if scale.log:
        first, last = math.ceil(math.log10(scale.low) - 1e-9), math.floor(math.log10(scale.high))
        found = [10.0**power for power in range(first, last + 1)]
        if len(found) > ticks + 1:
            found = found[:: math.ceil(len(found) / (ticks + 1))]
        return found or [scale.low, scale.high]
    step = _step((scale.high - scale.low) / ticks)
    if not step:
        return []
    first = math.ceil(scale.low / step - 1e-9)
    return [n * step for n in range(first, math.floor(scale.high / step + 1e-9) + 1)]


def time_ticks(since: float, until: float, zone: tzinfo = UTC) -> Iterator[tuple[float, str]]:
    """Round times of a zone, as epoch seconds, with how they are written."""
    width = until - since
    step, form = next((s for s in _STEPS if width / s[0] <= _MOST_TICKS), _STEPS[-1])
    moment = datetime.fromtimestamp(since, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = moment.replace(tzinfo=None)
    count = math.floor((since - moment.timestamp()) / step) if step < 86_400 else 0
    while True:
        # Counted by the zone's own clock, which may be set in between.
        local = midnight + timedelta(seconds=count * step)
        at = local.replace(tzinfo=zone).timestamp()
        count += 1
        if at > until:
            return
        if at < since:
            continue
        is_day = step < 86_400 and not (local.hour or local.minute) and width > 43_200
        yield at, local.strftime("%a %d" if is_day else form)


def grid(scale: Scale, axis: Axis, size: Size) -> str:
    """The lines of the values, with their numbers."""
    parts = []
    for value in value_ticks(scale, axis.ticks):
        y = scale.at(value)
        parts.append(
            element(
                "line", x1=LEFT, x2=size.width - RIGHT, y1=y, y2=y, class_="pf-grid",
                stroke=TONES["grid"],
            )
        )  # fmt: skip
        parts.append(text(LEFT - 5, y + 3, axis.told(value), anchor="end"))
    return "".join(parts)


def times(scale: Scale, size: Size, zone: tzinfo) -> str:
    """The times below."""
    parts = []
    for at, words in time_ticks(scale.low, scale.high, zone):
        x = scale.at(at)
        anchor = "end" if x > size.width - RIGHT - 20 else "middle" if x > LEFT + 14 else "start"
        parts.append(text(x, size.height - 5, words, anchor=anchor))
    return "".join(parts)


def time_scale(since: float, until: float, size: Size) -> Scale:
    """The axis of times, in epoch seconds."""
    return Scale(since, max(until, since + 1e-6), LEFT, size.width - RIGHT)
