"""Validators that describe in words what they accept, and durations."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import attrs

from perfmon.config.secret import redacted

Duration = Annotated[float, "a duration"]
"""Seconds as a float; written "500ms", "5s", "2m", "1h30m", "4h", "1d" or "2w"."""
SecretText = Annotated[str, "a secret"]
"""Text that may also be given as { env = } or { file = }."""

DURATION = 'a duration such as "500ms", "5s", "2m", "4h" or "1d"'
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)


@attrs.frozen
class Allowed:
    """A validator that says in words what it accepts; None is always left alone."""

    words: str
    accepts: Callable[[Any], bool]

    def __call__(self, _instance: Any, _attribute: Any, value: Any) -> None:
        if value is not None and not self.accepts(value):
            raise ValueError(f"must be {self.words}")


def whole(low: int, high: int) -> Allowed:
    """Accepts whole numbers in [low, high]."""
    return Allowed(f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def above_zero(unit: str = "") -> Allowed:
    """Accepts numbers greater than 0."""
    return Allowed(f"a number above 0{unit and f', in {unit}'}", lambda value: value > 0)


a_while = Allowed('a duration above 0 such as "5s" or "2m"', lambda value: value > 0)
share = Allowed("a number in [0, 1]", lambda value: 0 <= value <= 1)
between_0_and_1 = Allowed("a number above 0 and below 1", lambda value: 0 < value < 1)
some_text = Allowed("text that is not empty", lambda value: bool(value.strip()))


def duration_seconds(text: Any) -> float:
    """The seconds of a duration such as "1h30m", "500ms" or "2w", or `ValueError`."""
    if isinstance(text, str) and re.fullmatch(rf"({_PART.pattern})+", text, re.ASCII):
        return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(text))
    raise ValueError(f"must be {DURATION}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def shown(value: Any) -> str:
    """A value as TOML writes it, shortened, without credentials."""
    if isinstance(value, Mapping):
        return "a table"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    text = redacted(text)
    return text if len(text) <= 80 else text[:77] + "..."
