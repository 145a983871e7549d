"""Figures as people read them: one way, for the page, reports, alerts, mails and the command line.

A figure is written by its unit, as the catalogue of metrics has it. What is unknown (None, NaN) is
a dash, never 0. What is less than all never reads as all, and what is more than nothing never as
nothing; of two values the larger one never reads as the smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime

UNKNOWN = "–"  # noqa: RUF001 - a dash on purpose
_MOST_DECIMALS = 4  # of a percentage
_MOST_CENTS = 8  # decimals of a dollar
_LARGE = 1e15  # from here on powers of ten are written


def figure(value: float | None, unit: str = "") -> str:
    """A value with its unit.

    Args:
        value: what is to be written; None, NaN and infinities are unknown.
        unit: `share` (of 1, written in percent), `$`, `ms` or `s` (a duration in the units that
            fit it), `x` (times), `score` (of 100), or a word that follows the number, such as
            `tokens` or `MiB`.

    >>> figure(0.618, "share"), figure(1.2, "$"), figure(1_084_641, "ms"), figure(5400, "s")
    ('61.8%', '$1.20', '18 min 5 s', '1 h 30 min')
    >>> figure(0.9996, "share"), figure(0.0004, "share"), figure(3.2, "x"), figure(1, "runs")
    ('99.96%', '0.04%', '3.2 times', '1 run')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    write = _WRITERS.get(unit)
    size = _named(abs(value), unit) if write is None else write(abs(value))
    if value < 0 and size.startswith("<"):
        return figure(0.0, unit)
    return f"-{size}" if value < 0 else size


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of 1 in percent, with more decimals where it is nearly all or nearly nothing.

    >>> percent(0.5), percent(0.995, 0), percent(0.82, 0), percent(1 - 1e-9), percent(1e-9)
    ('50.0%', '99.5%', '82%', '99.9999%', '<0.0001%')
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    size = _percent(abs(share), decimals)
    if share < 0 and size.startswith("<"):
        return _percent(0.0, decimals)
    return f"-{size}" if share < 0 else size


def change(ratio: float | None) -> str:
    """A relative change with its sign: `+12.0%`; empty where there is none to tell."""
    if ratio is None or not math.isfinite(ratio):
        return ""
    return f"{'+' if ratio > 0 else ''}{percent(ratio)}"


def interval(bounds: Sequence[float | None] | None, unit: str = "share") -> str:
    """From where to where a value lies: `71.0% to 94.0%`; empty where that is not known."""
    if not bounds or any(end is None or not math.isfinite(end) for end in bounds):
        return ""
    low, high = (figure(end, unit) for end in bounds)
    return f"{low} to {high}"


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{round(value):,}" if abs(value) < _LARGE else f"{value:.3g}"


def brief_count(value: float | None) -> str:
    """A large number in few characters: `13.4 G`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 9_999.5 and value >= 0.9995 * size:
            digits = value / size
            decimals = 2 if digits < 9.995 else 1 if digits < 99.95 else 0
            return f"{digits:,.{decimals}f} {unit}"
    return count(value)


def many(number_of: float, noun: str) -> str:
    """So many of something: `1 run`, `42 outcomes`."""
    return f"{count(number_of)} {noun}{'' if number_of == 1 else 's'}"


def sample(bounds: Sequence[float | None] | None, outcomes: float | None) -> str:
    """How far an accuracy can be relied upon: `71.0% to 94.0%, 42 outcomes`."""
    shown = interval(bounds)
    return f"{shown}{', ' if shown else ''}{many(outcomes or 0, 'outcome')}"


def sized(accuracy: float | None, outcomes: float | None) -> str:
    """An accuracy and of how many outcomes: `86.0% (42)`."""
    return UNKNOWN if accuracy is None else f"{percent(accuracy)} ({brief_count(outcomes)})"


def lasted(seconds: float) -> str:
    """How long something took or is over, in whole seconds and its two largest units.

    >>> lasted(90_061), lasted(59.4), lasted(0)
    ('1 d 1 h', '59 s', '0 s')
    """
    return _seconds(float(round(max(0.0, seconds))))


def ago(seconds: float) -> str:
    """How long ago, in its largest unit: `3 h ago`; `just now` below five seconds."""
    if seconds < 5:
        return "just now"
    number, unit = lasted(seconds).split(" ")[:2]
    return f"{number} {unit} ago"


def moment(when: datetime | str | None) -> str:
    """`2026-01-02 03:04:05 UTC`, of a time in UTC (or its ISO 8601)."""
    if not when:
        return UNKNOWN
    iso = when if isinstance(when, str) else when.isoformat()
    return f"{iso[:10]} {iso[11:19]} UTC"


# How each unit is written; values are at least 0.


def _percent(share: float, decimals: int = 1) -> str:
    rest = 100 * min(share, 1 - share)
    if rest > 0:
        decimals = min(_MOST_DECIMALS, max(decimals, -math.floor(math.log10(rest))))
    shown = f"{100 * share:,.{decimals}f}" if share < _LARGE else f"{100 * share:.3g}"
    if share < 1 and shown.startswith("100"):
        shown = "99.9999"
    if share > 0 and not shown.strip("0."):
        return f"<{10**-_MOST_DECIMALS:.{_MOST_DECIMALS}f}%"
    return f"{shown}%"


def _dollars(value: float) -> str:
    if value >= _LARGE:
        return f"${value:.3g}"
    if value == 0 or value >= 1:
        return f"${value:,.2f}"
    shown = f"{value:.{min(_MOST_CENTS, 2 - math.floor(math.log10(value)))}f}"
    whole, _, cents = shown.partition(".")
    if not shown.strip("0."):
        return f"<${10**-_MOST_CENTS:.{_MOST_CENTS}f}"
    return f"${whole}.{cents.rstrip('0'):0<2}"


def _milliseconds(value: float) -> str:
    if value < 0.001:
        return "<0.001 ms" if value else "0 ms"
    return _seconds(value / 1_000)


def _seconds(value: float) -> str:
    if 0 < value < 1e-6:
        return "<0.001 ms"
    for unit, size, below in (("ms", 0.001, 1_000), ("s", 1.0, 60)):
        shown = _three_digits(value / size)
        if 0 < float(shown) < below:
            return f"{shown} {unit}"
    if value >= _LARGE:
        return f"{value / 86_400:.3g} d"
    whole = round(value)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        number, whole = divmod(whole, size)
        if number:
            parts.append(f"{number:,} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _score(value: float) -> str:
    return f"{value if value >= 100 else min(value, 99.9):.1f}"


def _times(value: float) -> str:
    return f"{_number(value)} times"


def _named(value: float, unit: str) -> str:
    shown = _number(value)
    if shown == "1" and unit in _PLURALS:
        unit = unit[:-1]
    return f"{shown} {unit}".rstrip()


def _number(value: float) -> str:
    """Whole from 100 on, else to three digits."""
    if value >= _LARGE or 0 < value < 0.001:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value >= 99.95 else _three_digits(value)


def _three_digits(value: float) -> str:
    """Without idle zeros: 18.1, 5, 0.25."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


_PLURALS = ("runs", "tokens", "calls", "measurements", "predictions", "failures", "outcomes")
_WRITERS: dict[str, Callable[[float], str]] = {
    "share": _percent, "$": _dollars, "ms": _milliseconds, "s": _seconds, "x": _times,
    "score": _score,
}  # fmt: skip
