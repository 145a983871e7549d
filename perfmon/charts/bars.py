"""Bars: stacked over time, side by side by name, and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

from perfmon.charts.axes import (
    LEFT,
    RIGHT,
    Axis,
    Scale,
    grid,
    has_place,
    time_scale,
    times,
    values_scale,
)
from perfmon.charts.svg import STACK, TONES, Size, drawing, element, text, titled


class Bar(NamedTuple):
    """What is stacked in one slice of time (epoch seconds): the parts in the order of the names."""

    since: float
    until: float
    parts: Sequence[float]
    href: str | None = None


def bars(
    found: Sequence[Bar],
    names: Sequence[str],
    since: float,
    until: float,
    *,
    label: str,
    axis: Axis | None = None,
    zone: tzinfo = UTC,
    size: Size = Size(),  # noqa: B008 - a tuple
) -> str:
    """Stacked bars over time, such as the cost of each hour by agent.

    Args:
        found: the bars; unknown parts are left out.
        names: of the parts, the lowest first.
        since: where the axis of time begins, in epoch seconds.
        until: where it ends.
        label: says what is seen.
        axis: of the values; begins at 0 where it says nothing else.
        zone: the times below are in it.
        size: in units of the viewBox.
    """
    axis = axis or Axis()
    axis = axis._replace(low=0.0) if axis.low is None else axis
    totals = [sum(part for part in bar.parts if has_place(part)) for bar in found]
    scale = values_scale(axis, totals, size)
    across = time_scale(since, until, size)
    parts = [grid(scale, axis, size), times(across, size, zone)]
    for bar, total in zip(found, totals, strict=True):
        drawn = _stacked(bar, across, scale)
        told = [
            f"{name}: {axis.told(part)}"
            for name, part in zip(names, bar.parts, strict=True)
            if has_place(part) and part
        ]
        if drawn:
            parts.append(titled(drawn, ", ".join([axis.told(total), *told[::-1]]), bar.href))
    return drawing(size, label, parts, class_="pf-chart")


def _stacked(bar: Bar, across: Scale, scale: Scale) -> str:
    left, right = across.at(bar.since), across.at(bar.until)
    gap = min(1.5, (right - left) / 5)
    below, parts = 0.0, []
    for place, part in enumerate(bar.parts):
        if not has_place(part) or part <= 0:
            continue
        bottom, top = scale.at(below), scale.at(below + part)
        below += part
        color = place % len(STACK)
        parts.append(
            element(
                "rect", x=left, y=top, width=max(right - left - gap, 0.5), height=bottom - top,
                class_=f"pf-stack{color}", fill=STACK[color],
            )
        )  # fmt: skip
    return "".join(parts)


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    label: str,
    axis: Axis | None = None,
    tone: str = "first",
    size: Size = Size(320, 120),  # noqa: B008 - a tuple
) -> str:
    """How often values were between two edges.

    Args:
        edges: one more than counts, ascending; on an axis of powers of ten where `axis.log`.
        counts: of the values between each edge and the next.
        label: says what is seen.
        axis: of the values, along the bottom.
        tone: one of `TONES`.
        size: in units of the viewBox.
    """
    axis = axis or Axis()
    across = Scale(edges[0], edges[-1], LEFT, size.width - RIGHT, axis.log)
    up = values_scale(Axis(low=0.0), counts, size)
    parts = [grid(up, Axis(ticks=2), size)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if not (count > 0 and has_place(count)):
            continue
        left, right, top = across.at(low), across.at(high), up.at(count)
        rect = element(
            "rect", x=left, y=top, width=max(right - left - 1, 0.5), height=up.start - top,
            class_=f"pf-{tone} pf-fill", fill=TONES[tone],
        )  # fmt: skip
        parts.append(titled(rect, f"{axis.told(low)} to {axis.told(high)}: {count:g}"))
    for place, value in ((LEFT, edges[0]), (size.width - RIGHT, edges[-1])):
        anchor = "start" if place == LEFT else "end"
        parts.append(text(place, size.height - 5, axis.told(value), anchor=anchor))
    return drawing(size, label, parts, class_="pf-chart")
