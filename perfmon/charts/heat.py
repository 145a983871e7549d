"""A grid of cells by two names, such as weekday and hour: the higher, the darker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from perfmon.charts.axes import has_place
from perfmon.charts.svg import TONES, Size, drawing, element, text, titled

_LEFT, _TOP = 46, 14


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    label: str,
    told: Callable[[float], str] = "{:g}".format,
    tone: str = "first",
    size: Size = Size(),  # noqa: B008 - a tuple
) -> str:
    """A value for each row and column; unknown ones are empty.

    Args:
        rows: their names.
        columns: their names; of many, only some are written.
        values: a sequence for each row.
        label: says what is seen.
        told: writes a value.
        tone: one of `TONES`; the largest value has it in full.
        size: in units of the viewBox.
    """
    most = max((v for row in values for v in row if has_place(v)), default=0.0)
    width = (size.width - _LEFT) / max(len(columns), 1)
    height = (size.height - _TOP) / max(len(rows), 1)
    every = max(1, math.ceil(30 / width))
    parts = [
        text(_LEFT + width * (place + 0.5), 10, name, anchor="middle")
        for place, name in enumerate(columns)
        if place % every == 0
    ]
    for down, (name, row) in enumerate(zip(rows, values, strict=True)):
        y = _TOP + height * down
        parts.append(text(_LEFT - 5, y + height / 2 + 3, name, anchor="end"))
        for across, value in enumerate(row):
            if not has_place(value):
                continue
            share = value / most if most > 0 else 0.0
            rect = element(
                "rect",
                x=_LEFT + width * across,
                y=y,
                width=max(width - 1, 0.5),
                height=max(height - 1, 0.5),
                class_=f"pf-{tone} pf-fill",
                fill=TONES[tone],
                fill_opacity=f"{0.08 + 0.92 * max(share, 0.0):.2f}",
            )
            parts.append(titled(rect, f"{name} {columns[across]}: {told(value)}"))
    return drawing(size, label, parts, class_="pf-chart")
