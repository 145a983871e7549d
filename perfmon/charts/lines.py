"""Curves over time: with the band of their interval, limits, marks, and the spans of alerts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

from perfmon.charts.axes import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Scale,
    grid,
    time_scale,
    times,
    values_scale,
)
from perfmon.charts.svg import (
    TONES,
    Size,
    drawing,
    element,
    polygon,
    polyline,
    stretches,
    text,
    titled,
)

_BAND = 0.13


class Moment(NamedTuple):
    """A value at a time (epoch seconds), with its 95% interval where it has one, and its runs."""

    at: float
    value: float
    low: float = math.nan
    high: float = math.nan
    runs: int | None = None


class Line(NamedTuple):
    """A curve; its tone is one of `TONES`."""

    name: str
    moments: Sequence[Moment]
    tone: str = "first"
    width: float = 1.6


class Area(NamedTuple):
    """A range between two values over time without a curve of its own, such as a forecast's."""

    name: str
    moments: Sequence[Moment]
    tone: str = "second"


class Limit(NamedTuple):
    """A dashed line at a value."""

    value: float
    name: str = ""


class Mark(NamedTuple):
    """Something that happened at a time, such as a deploy or a change point."""

    at: float
    name: str
    tone: str = "text"
    href: str | None = None


class Span(NamedTuple):
    """From a time to another, such as the life of an alert."""

    since: float
    until: float
    name: str
    tone: str = "bad"
    href: str | None = None


def lines(
    curves: Sequence[Line],
    since: float,
    until: float,
    *,
    label: str,
    axis: Axis | None = None,
    areas: Sequence[Area] = (),
    limits: Sequence[Limit] = (),
    marks: Sequence[Mark] = (),
    spans: Sequence[Span] = (),
    zone: tzinfo = UTC,
    size: Size = Size(),  # noqa: B008 - a tuple
    with_data: bool = False,
) -> str:
    """Curves on one axis of time.

    Args:
        curves: drawn in their order, the last on top.
        since: where the axis of time begins, in epoch seconds.
        until: where it ends.
        label: says what is seen.
        axis: of the values.
        areas: ranges without a curve.
        limits: dashed lines.
        marks: what happened when.
        spans: shaded times.
        zone: the times below are in it.
        size: in units of the viewBox.
        with_data: puts the values into `data-chart` (JSON), for a script that shows them.
    """
    axis = axis or Axis()
    shaded: list[Line | Area] = [*areas, *curves]
    known = [m for one in shaded for m in one.moments]
    seen = [v for m in known for v in (m.value, m.low, m.high)]
    scale = values_scale(axis, [*seen, *(limit.value for limit in limits)], size)
    across = time_scale(since, until, size)
    place = _Place(across, scale, size)
    parts = [
        grid(scale, axis, size),
        times(across, size, zone),
        *(place.span(one) for one in spans),
        *(place.area(one.moments, one.tone) for one in shaded),
        *(place.limit(one) for one in limits),
        *(place.curve(one) for one in curves),
        *place.marks(marks),
    ]
    data = _data(curves, since, until) if with_data else None
    return drawing(size, label, parts, class_="pf-chart", data_chart=data)


class _Place(NamedTuple):
    across: Scale
    scale: Scale
    size: Size

    def curve(self, line: Line) -> str:
        points = [(self.across.at(m.at), self.scale.at(m.value)) for m in line.moments]
        drawn = "".join(
            polyline(part, tone=line.tone, width=line.width) for part in stretches(points)
        )
        return titled(drawn, line.name) if drawn else ""

    def area(self, moments: Sequence[Moment], tone: str) -> str:
        upper = [(self.across.at(m.at), self.scale.at(m.high)) for m in moments]
        lower = [(self.across.at(m.at), self.scale.at(m.low)) for m in moments]
        both = [(x, y + low) for (x, y), (_, low) in zip(upper, lower, strict=True)]
        parts, done = [], 0
        for part in stretches(both):
            start = next(n for n in range(done, len(both)) if both[n] == part[0])
            done = start + len(part)
            if len(part) > 1:
                around = upper[start:done] + lower[start:done][::-1]
                parts.append(polygon(around, tone=tone, opacity=_BAND))
        return "".join(parts)

    def span(self, one: Span) -> str:
        left, right = self.across.at(one.since), self.across.at(one.until)
        rect = element(
            "rect", x=left, y=TOP, width=max(right - left, 2.0),
            height=self.size.height - TOP - BOTTOM, class_=f"pf-{one.tone} pf-fill",
            fill=TONES[one.tone], fill_opacity="0.12",
        )  # fmt: skip
        return titled(rect, one.name, one.href)

    def limit(self, one: Limit) -> str:
        y = self.scale.at(one.value)
        line = element(
            "line", x1=LEFT, x2=self.size.width - RIGHT, y1=y, y2=y, stroke_dasharray="4 4",
            class_="pf-bad pf-stroke", stroke=TONES["bad"], stroke_opacity="0.7",
        )  # fmt: skip
        return titled(line, one.name) if math.isfinite(y) else ""

    def marks(self, marks: Iterable[Mark]) -> Iterator[str]:
        """Names stand beside their line, on rows of their own where they would overlap."""
        ends = [-math.inf, -math.inf]
        for one in sorted(marks, key=lambda mark: mark.at):
            x = self.across.at(one.at)
            width = 6 + 5.5 * len(one.name)
            row = 0 if x >= ends[0] else 1
            is_last = x + width > self.size.width - RIGHT
            line = element(
                "line", x1=x, x2=x, y1=TOP, y2=self.size.height - BOTTOM, stroke_dasharray="2 3",
                class_=f"pf-{one.tone} pf-stroke", stroke=TONES[one.tone],
            )  # fmt: skip
            words = ""
            if x >= ends[row]:
                words = text(
                    x - 3 if is_last else x + 3, TOP + 7 + 11 * row, one.name,
                    anchor="end" if is_last else "start", tone=one.tone,
                )  # fmt: skip
                ends[row] = x + width
            yield titled(line + words, one.name, one.href)


def _data(curves: Sequence[Line], since: float, until: float) -> str:
    def plain(value: float) -> float | None:
        return float(f"{value:.6g}") if math.isfinite(value) else None

    found = [
        {
            "name": curve.name,
            "tone": curve.tone,
            "points": [
                [round(m.at, 3), plain(m.value), plain(m.low), plain(m.high), m.runs]
                for m in curve.moments
            ],
        }
        for curve in curves
    ]
    values = {"since": since, "until": until, "left": LEFT, "right": RIGHT, "curves": found}
    return json.dumps(values, separators=(",", ":"))
