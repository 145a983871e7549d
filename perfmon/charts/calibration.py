"""The reliability diagram: stated confidence against observed accuracy, with the counts below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from perfmon.charts.axes import Scale
from perfmon.charts.svg import TONES, Size, drawing, element, text, titled

_LEFT, _TOP, _STRIP, _FOOT = 40, 8, 40, 30


class Bin(NamedTuple):
    """Outcomes whose confidence lies in [low, high): mean confidence, accuracy, its interval."""

    low: float
    high: float
    confidence: float
    accuracy: float
    interval: tuple[float, float]
    outcomes: int


def calibration(
    bins: Sequence[Bin],
    *,
    label: str,
    size: Size = Size(360, 400),  # noqa: B008 - a tuple
) -> str:
    """A point for each bin with the 95% interval of its accuracy; on the diagonal, an agent is
    right as often as it says. A bin whose interval misses the diagonal has another tone.
    """
    right, bottom = size.width - 8, size.height - _FOOT
    across = Scale(0, 1, _LEFT, right)
    up = Scale(0, 1, bottom - _STRIP - 8, _TOP)
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = across.at(tick), up.at(tick)
        words = f"{tick:.0%}"
        parts += [
            element("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="pf-grid", stroke=TONES["grid"]),
            text(_LEFT - 5, y + 3, words, anchor="end"),
            text(x, bottom + 12, words, anchor="middle"),
        ]
    parts.append(
        element(
            "line",
            x1=across.at(0),
            y1=up.at(0),
            x2=across.at(1),
            y2=up.at(1),
            class_="pf-text pf-stroke",
            stroke=TONES["text"],
            stroke_dasharray="5 5",
        )
    )
    parts.append(text((_LEFT + right) / 2, size.height - 4, "stated confidence", anchor="middle"))
    known = [one for one in bins if one.outcomes and math.isfinite(one.confidence + one.accuracy)]
    most = max((one.outcomes for one in known), default=1)
    parts += [_bin(one, across, up, bottom, most) for one in known]
    return drawing(size, label, parts, class_="pf-calibration")


def _bin(one: Bin, across: Scale, up: Scale, bottom: float, most: int) -> str:
    low, high = one.interval
    tone = "good" if low <= one.confidence <= high else "bad"
    x, height = across.at(one.confidence), max(1.5, _STRIP * one.outcomes / most)
    left, right = across.at(one.low) + 1, across.at(one.high) - 1
    return titled(
        element(
            "line",
            x1=x,
            x2=x,
            y1=up.at(low),
            y2=up.at(high),
            class_=f"pf-{tone} pf-stroke",
            stroke=TONES[tone],
            stroke_width=2.0,
        )
        + element(
            "circle",
            cx=x,
            cy=up.at(one.accuracy),
            r=3 + 4 * math.sqrt(one.outcomes / most),
            class_=f"pf-{tone} pf-fill",
            fill=TONES[tone],
        )
        + element(
            "rect",
            x=left,
            y=bottom - height,
            width=max(right - left, 1),
            height=height,
            class_="pf-none pf-fill",
            fill=TONES["none"],
        ),
        f"says {one.confidence:.1%}, is right {one.accuracy:.1%}"
        f" ({low:.1%} to {high:.1%}), {one.outcomes:,} outcomes",
    )
