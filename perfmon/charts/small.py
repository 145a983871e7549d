"""Small ones, for a line of text or a row of a table: strips and sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perfmon.charts.axes import Scale, has_place
from perfmon.charts.svg import TONES, Size, drawing, element, polyline, stretches, titled


class Slot(NamedTuple):
    """A slice of a strip: its tone, what it says, and where it leads."""

    tone: str = "none"
    name: str = ""
    href: str | None = None


def strip(
    slots: Sequence[Slot],
    *,
    label: str,
    size: Size = Size(192, 18),  # noqa: B008 - a tuple
) -> str:
    """Slices of time side by side, such as the last 24 hours of an agent; the oldest is first."""
    step = size.width / max(len(slots), 1)
    parts = []
    for place, slot in enumerate(slots):
        rect = element(
            "rect", x=place * step, y=1, width=max(step - 1, 0.5), height=size.height - 2,
            class_=f"pf-{slot.tone} pf-fill", fill=TONES[slot.tone],
        )  # fmt: skip
        parts.append(titled(rect, slot.name, slot.href))
    return drawing(size, label, parts, class_="pf-strip")


def sparkline(
    values: Sequence[float],
    *,
    label: str,
    tone: str = "first",
    size: Size = Size(80, 18),  # noqa: B008 - a tuple
) -> str:
    """A curve without axes; the values are equally far apart."""
    known = [value for value in values if has_place(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high <= low:
        low, high = low - 1, high + 1
    across = Scale(0, max(len(values) - 1, 1), 1, size.width - 1)
    up = Scale(low, high, size.height - 2, 2)
    points = [(across.at(place), up.at(value)) for place, value in enumerate(values)]
    drawn = [polyline(part, tone=tone, width=1.3) for part in stretches(points)]
    return drawing(size, label, drawn, class_="pf-spark")
