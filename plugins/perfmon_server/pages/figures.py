"""Numbers and times as people read them; what was not measured is a dash."""

from __future__ import annotations

import math
from datetime import datetime

NONE = "–"  # noqa: RUF001 - a dash, set as one
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def percent(value: float) -> str:
    return f"{value * 100:.1f} %" if math.isfinite(value) else NONE


def between(bounds: tuple[float, float]) -> str:
    """An interval of shares in whole per cent, never narrower than it is: `71 to 95 %`."""
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{math.floor(low * 100)} to {math.ceil(high * 100)} %"


def score(value: float | None) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:.0f}"


def milliseconds(value: float) -> str:
    """In the unit that leaves a few digits: µs, ms, s, min or h."""
    if not math.isfinite(value):
        return NONE
    if value < 1:
        return "0 ms" if value == 0 else f"{value * 1000:.3g} µs"
    if value < 1000:
        return f"{value:.3g} ms" if value < 999.5 else "1.0 s"
    if value < 120_000:
        return f"{value / 1000:.1f} s"
    return f"{value / 60_000:,.1f} min" if value < 7_200_000 else f"{value / 3_600_000:,.1f} h"


def dollars(value: float) -> str:
    if not math.isfinite(value):
        return NONE
    digits = 2 if value == 0 or value >= 1 else min(8, 2 - math.floor(math.log10(value)))
    return f"${value:,.{digits}f}"


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in its largest unit."""
    if moment is None:
        return NONE
    seconds = (now - moment).total_seconds()
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now" if seconds < 5 else f"{seconds:.0f} s ago"
