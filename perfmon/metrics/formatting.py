"""Numbers for people; unknown values are a dash, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "–"  # noqa: RUF001 - a dash on purpose


def count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def brief_count(value: float | None) -> str:
    """A large number in few characters: `13.4 G`."""
    if value is None:
        return UNKNOWN
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 9_999.5 and value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:,.0f}"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def percent(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    shown = f"{100 * value:.1f}"
    # 99.97 % must not read as all of them, nor one failure in 10,000 as none.
    if shown == "100.0" and value < 1:
        shown = "99.9"
    if shown == "0.0" and value > 0:
        shown = "<0.1"
    return f"{shown} %"


def interval(bounds: Sequence[float | None] | None) -> str:
    if not bounds or None in bounds:
        return ""
    low, high = bounds
    return f"95 %: {percent(low)} to {percent(high)}"


def between(bounds: Sequence[float | None] | None) -> str:
    """An interval in few characters: `71.0 to 94.0 %`."""
    shown = interval(bounds).removeprefix("95 %: ")
    return shown.replace(" %", "", 1)


def many(number_of: float, noun: str) -> str:
    return f"{count(number_of)} {noun}{'' if number_of == 1 else 's'}"


def sample(bounds: Sequence[float | None] | None, outcomes: float | None) -> str:
    """How far an accuracy can be relied upon: `71.0 to 94.0 %, 42 outcomes`."""
    shown = between(bounds)
    return f"{shown}{', ' if shown else ''}{many(outcomes or 0, 'outcome')}"


def sized(accuracy: float | None, outcomes: float | None) -> str:
    """An accuracy and of how many outcomes: `86.0 % (42)`."""
    return UNKNOWN if accuracy is None else f"{percent(accuracy)} ({brief_count(outcomes)})"


def score(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with thousands separators and without trailing zeros."""
    if value is None:
        return UNKNOWN
    if value and abs(value) < 10**-digits:
        return f"{value:.3g}"
    shown = f"{value:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def dollars(value: float | None) -> str:
    return UNKNOWN if value is None else f"${number(value)}"


def brief_dollars(value: float | None) -> str:
    """A cost in few characters."""
    if value is None:
        return UNKNOWN
    if value >= 10_000:
        return f"${value:,.0f}"
    return f"${value:.2f}" if value >= 0.1 or value == 0 else f"${value:.2g}"


def milliseconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{number(value, 3)} ms"


def span(value_ms: float | None) -> str:
    """A duration in the unit that fits it."""
    if value_ms is None:
        return UNKNOWN
    for unit, size, below in _UNITS:
        if float(f"{value_ms:.3g}") < below:
            return f"{float(_three_digits(value_ms / size)):g} {unit}"
    return f"{value_ms / 86_400_000:,.1f} d"


# Each unit is used as far as two of the next one, so that 90 s does not read 1.5 min.
_UNITS = (
    ("ms", 1, 1_000), ("s", 1_000, 120_000), ("min", 60_000, 7_200_000),
    ("h", 3_600_000, 172_800_000),
)  # fmt: skip


def change(value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:+.1f} %"


def moment(iso: str | None) -> str:
    """`2026-01-02T03:04:05.678Z` as `2026-01-02 03:04:05 UTC`."""
    if not iso:
        return UNKNOWN
    return f"{iso[:10]} {iso[11:19]} UTC"
