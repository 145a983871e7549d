"""Query parameters: their allowed values in words and as a schema, and their parsing."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
from multidict import MultiMapping

from perfmon import duration_seconds
from perfmon_server.http.errors import Refusal

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MINUTES = re.compile(r"\d+(\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = r"^(\d{1,7}(\.\d{1,6})?(ms|s|m|h|d|w))+$"
_YEARS = 5_256_000  # ten, in minutes
# A number below a year of seconds is a year or a spreadsheet's day, and no time of a run.
_MOMENTS = (datetime(1971, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


def _number(text: str) -> float:
    # float() also takes "1_000", "infinity" and other scripts' digits.
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return int(value) if value == int(value) else value


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,15}", text, re.ASCII):
        raise ValueError(text)
    return int(text)


def _text(text: str, longest: int = 256) -> str:
    # What a run may be called can be asked for, a name with a line break as well.
    if not 0 < len(text) <= longest or "\0" in text or text.isspace():
        raise ValueError(text)
    return text


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def read_moment(text: str) -> datetime:
    """A time with its zone, epoch seconds, a date (its midnight UTC), or a duration before now."""
    if re.search(_DURATION, text, re.ASCII):
        return datetime.now(UTC) - timedelta(seconds=duration_seconds(text))
    if _DATE.fullmatch(text):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    elif _NUMBER.fullmatch(text):
        moment = datetime.fromtimestamp(_number(text), UTC)
    else:
        # A "+" that was not escaped arrives as a space.
        moment = datetime.fromisoformat(re.sub(r" (\d\d:\d\d)$", r"+\1", text))
    if moment.tzinfo is None or not _MOMENTS[0] <= moment <= _MOMENTS[1]:
        raise ValueError(text)
    return moment


def _step(text: str) -> float:
    minutes = float(text) if _MINUTES.fullmatch(text) else duration_seconds(text) / 60
    if not 0 < minutes < _YEARS:
        raise ValueError(text)
    return minutes


@attrs.frozen
class ParamKind:
    """A kind of value: how it is read, what is allowed in words, and its schema."""

    read: Callable[[str], Any]
    allowed: str
    schema: dict[str, Any]


NUMBER = ParamKind(_number, "a number", {"type": "number"})
INTEGER = ParamKind(_integer, "a whole number", {"type": "integer"})
TEXT = ParamKind(
    _text, "text of 1 to 256 characters", {"type": "string", "minLength": 1, "maxLength": 256}
)
ID = ParamKind(
    partial(_text, longest=512),
    "text of 1 to 512 characters",
    {"type": "string", "minLength": 1, "maxLength": 512},
)
FLAG = ParamKind(_flag, "true or false", {"type": "boolean"})
MOMENT = ParamKind(
    read_moment,
    "a time such as 2026-01-31T12:00:00Z, with its zone, a date (its midnight UTC), epoch seconds"
    " of 1971 or later, or a duration before now such as 90s, 30m, 1h, 7d or 2w",
    {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": _DURATION},
            {"type": "number", "minimum": 31_536_000},
        ]
    },
)
STEP = ParamKind(
    _step,
    "minutes, or a duration such as 30s, 5m, 1h or 1d",
    {"type": "string", "pattern": rf"^\d+(\.\d+)?$|{_DURATION}"},
)


@attrs.frozen(kw_only=True)
class Param:
    """One query parameter.

    Attributes:
        choices: the values allowed; empty for any.
        least, most: the range of a number, both ends included.
        default: documented; a parameter that is not given is not passed on.
    """

    name: str
    kind: ParamKind = TEXT
    description: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    default: Any = None
    required: bool = False

    @property
    def allowed(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = "" if self.least is None else f" of at least {self.least:g}"
        high = "" if self.most is None else f" of at most {self.most:g}"
        joint = " and" if low and high else ""
        return f"{self.kind.allowed}{low}{joint}{high}"

    def read(self, text: str) -> Any:
        """The value, or `Refusal` 400 that names the parameter and what is allowed."""
        try:
            value = self.kind.read(text)
        except (ValueError, KeyError, OverflowError, OSError):
            raise self._refusal(text) from None
        if self.choices and value not in self.choices:
            raise self._refusal(text)
        if self.least is not None and value < self.least:
            raise self._refusal(text)
        if self.most is not None and value > self.most:
            raise self._refusal(text)
        return value

    def _refusal(self, text: str) -> Refusal:
        message = f"{self.name} = {text[:80]!r}: must be {self.allowed}"
        return Refusal(400, "bad_parameter", message, field=self.name)

    @property
    def schema(self) -> dict[str, Any]:
        limits = {
            "enum": list(self.choices) or None,
            "minimum": self.least,
            "maximum": self.most,
            "default": self.default,
        }
        return self.kind.schema | {key: value for key, value in limits.items() if value is not None}


def read_query(params: Iterable[Param], query: MultiMapping[str]) -> dict[str, Any]:
    """The values of the parameters that were given; an unknown or repeated one is refused."""
    known: Mapping[str, Param] = {param.name: param for param in params}
    values: dict[str, Any] = {}
    for name, text in query.items():
        if name not in known:
            raise _unknown(name, list(known))
        if name in values:
            raise Refusal(400, "bad_parameter", f"{name} is given more than once", field=name)
        values[name] = known[name].read(text)
    for name, param in known.items():
        if param.required and name not in values:
            message = f"{name} is missing: must be {param.allowed}"
            raise Refusal(400, "bad_parameter", message, field=name)
    return values


def _unknown(name: str, known: list[str]) -> Refusal:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    allowed = "allowed are " + ", ".join(known) if known else "none are allowed here"
    message = f"unknown parameter {name[:80]!r}: {allowed}{hint}"
    return Refusal(400, "bad_parameter", message, field=name[:80])


WINDOW = Param(
    name="time_window_minutes",
    kind=NUMBER,
    description="How far back the window reaches, in minutes;"
    " by default window_size_minutes of [monitor].",
    least=1 / 60,
    most=_YEARS,
)
SCOPE = (
    Param(name="since", kind=MOMENT, description="Start of a past range, inclusive."),
    Param(name="until", kind=MOMENT, description="End of a past range, exclusive; now by default."),
    Param(name="tenant", description="Only this tenant's runs."),
    Param(name="model", description="Only runs on this model."),
    Param(name="agent_type", description="Only agents of this type."),
)
AGENT = Param(name="agent_name", description="Only this agent.")
