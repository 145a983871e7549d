"""Validates runs: every field is checked, or rejected with its reason."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from perfmon.errors import InvalidRun, spelled
from perfmon.records.stamps import SURELY_SECONDS, AssumedTime, not_seconds

# The order of a run's row, from the journal to storage. The five keys of a cell come in one
# piece (row[1:6]), so that finding a run's cell is one slice.
RUN_FIELDS = (
    "run_id", "tenant", "agent_name", "agent_type", "model", "task_type",
    "timestamp", "status", "duration_ms", "tokens_used", "input_tokens", "output_tokens",
    "cached_tokens", "cost", "memory_mb", "cpu_ms", "quality_score", "confidence",
    "api_calls", "retries", "timed_out", "error_type", "task_id", "metadata",
)  # fmt: skip
STATUS_CODES = {"success": 0, "failure": 1, "partial": 2}
MAX_ID = 512
MAX_NAME = 256
MAX_ERROR = 200
MAX_JSON = 65_536  # bytes, as the three above
MAX_AHEAD_US = 5 * 60 * 1_000_000
# Datetime's own range, a day inside it: 0001-01-02 to 9999-12-30.
MIN_STAMP_US = -62_135_510_400_000_000
MAX_STAMP_US = 253_402_214_400_000_000
_EXACT = 2**53
_SECONDS = frozenset((float, int, AssumedTime))
_CLOCKS_ARE_SET = 946_684_800_000_000  # the year 2000; before it, a clock is a test's own
_LEAVES = frozenset({str, int, float, bool, type(None)})


def _json_encoder() -> Callable[[Any], str]:
    """An encoder that is made once: `json.dumps`, and even its encoder, would make one a call."""
    slow = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return slow.encode
    # Without markers a circle is a RecursionError and no ValueError; both are refused alike.
    quick = make(
        None, slow.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return lambda value: "".join(quick(value, 0))


_encoded = _json_encoder()
quick_json = msgspec.json.Encoder().encode


def text(field: str, value: Any, longest: int = MAX_NAME) -> str:
    """Text of a limited number of bytes as UTF-8, or `InvalidRun`."""
    # What is plainly good, first: this is called for every name of every measurement.
    if (
        type(value) is str
        and 0 < len(value) <= longest
        and value.isascii()
        and value.isprintable()
        and not value.isspace()
    ):
        return value
    if (
        isinstance(value, str)
        and 0 < len(value) <= longest
        and "\0" not in value
        and value.strip()
        and (value.isascii() or _fits(value, longest))
    ):
        return str.__str__(value)  # a text enumeration's value, not its name
    raise InvalidRun(field, value, f"text of 1 to {longest} bytes, without NUL")


def _fits(value: str, longest: int) -> bool:
    try:
        return len(value.encode()) <= longest
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def optional_text(field: str, value: Any, longest: int = MAX_NAME) -> str | None:
    return None if value is None else text(field, value, longest)


def cut_text(field: str, value: Any, longest: int = MAX_NAME) -> str | None:
    """Text whose end is left off where it is too long, or None; refused for any other reason."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) * 4 > longest:
        value = _head(str.__str__(value), longest)
    return text(field, value, longest)


def _head(value: str, longest: int) -> str:
    with suppress(UnicodeEncodeError):  # which is refused later
        head = value[:longest].encode()[:longest].decode(errors="ignore")
        return head if head.strip() else _head(value.strip(), longest) if value.strip() else head
    return value[:longest]


def _number(field: str, value: Any, allowed: str) -> float | int:
    if type(value) is float and math.isfinite(value):  # by far the most frequent, so first
        return value
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return value
    # Decimal, the type of money, is deliberately not a numbers.Real.
    is_number = isinstance(value, numbers.Real) or type(value).__name__ == "Decimal"
    if not is_number or isinstance(value, bool):
        raise InvalidRun(field, value, allowed)
    try:
        plain: float | int = int(value) if isinstance(value, numbers.Integral) else float(value)
        finite = math.isfinite(plain)
    except (OverflowError, ValueError):
        raise InvalidRun(field, value, allowed) from None
    if not finite:
        raise InvalidRun(field, value, allowed)
    return plain


def amount(field: str, value: Any) -> float | int | None:
    if value is None:
        return None
    allowed = "a finite number of at least 0"
    number = _number(field, value, allowed)
    if not 0 <= number <= 1e15:
        raise InvalidRun(field, value, allowed if number < 0 else "at most 1e15")
    return number


def share(field: str, value: Any) -> float | int | None:
    if value is None:
        return None
    number = _number(field, value, "a number in [0, 1]")
    if not 0 <= number <= 1:
        raise InvalidRun(field, value, "a number in [0, 1]")
    return number


def count(field: str, value: Any) -> int:
    allowed = "a whole number of at least 0"
    number = _number(field, value, allowed)
    if number != int(number) or not 0 <= number <= 2**31 - 1:
        raise InvalidRun(field, value, allowed)
    return int(number)


def optional_count(field: str, value: Any) -> int | None:
    return None if value is None else count(field, value)


def flag(field: str, value: Any) -> int:
    # 0 or 1 in a row: a database driver takes a whole number ten times as fast as a bool.
    if isinstance(value, bool):
        return int(value)
    raise InvalidRun(field, value, "true or false")


def status_code(field: str, value: Any) -> int:
    code = STATUS_CODES.get(value) if isinstance(value, str) else None
    if code is None:
        raise InvalidRun(field, value, "success, failure or partial")
    return code


def stamp(field: str, value: Any, now_us: int | None) -> int:
    """Microseconds of an aware datetime, ISO 8601 text or epoch seconds; up to 5 min ahead is now.

    `now_us=None` leaves out the comparison with the clock.
    """
    allowed = "an aware datetime, ISO 8601 with a zone, or epoch seconds"
    if value is None:
        return now_us or 0
    # By far the most frequent, so first: plain seconds of the past.
    if now_us is not None and type(value) in _SECONDS and SURELY_SECONDS < value < 1e11:
        past: int = round(value * 1_000_000)
        if past <= now_us:
            return past
    when = value
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidRun(field, value, allowed) from None
    if isinstance(when, datetime):
        if when.utcoffset() is None:
            raise InvalidRun(field, value, allowed)
        delta = when - datetime(1970, 1, 1, tzinfo=UTC)
        micros: float = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    else:
        number = _number(field, value, allowed)
        if (now_us is None or now_us > _CLOCKS_ARE_SET) and (other := not_seconds(number)):
            raise InvalidRun(field, value, f"{allowed}, and not {other}")
        micros = number * 1_000_000
    if not MIN_STAMP_US < micros < MAX_STAMP_US:
        raise InvalidRun(field, value, "a time in the years 1 to 9999 (numbers are epoch seconds)")
    return _not_ahead(field, value, round(micros), now_us)


def _not_ahead(field: str, value: Any, micros: int, now_us: int | None) -> int:
    if now_us is None or micros <= now_us:
        return micros
    if micros > now_us + MAX_AHEAD_US:
        clocks = f"it is {_told(micros)}, the clock says {_told(now_us)}"
        raise InvalidRun(field, value, f"at most 5 minutes ahead of the clock ({clocks})")
    return now_us


def _told(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"


def json_text(field: str, value: Any, longest: int = MAX_JSON) -> str:
    """Any JSON value as text, of bounded length; half a surrogate pair becomes U+FFFD."""
    kind = type(value)
    if kind is int and -_EXACT <= value <= _EXACT:
        return repr(value)
    if kind is float and math.isfinite(value):
        return repr(value)
    encoded = _json(field, value)
    size = _bytes(encoded, longest)
    if size > longest:
        raise InvalidRun(field, value, f"at most {longest} bytes as JSON, not {size}")
    return encoded


def _json(field: str, value: Any) -> str:
    try:
        encoded = _encoded(value)
    except Exception as problem:  # the caller's own objects may raise anything
        raise InvalidRun(field, value, f"a JSON value ({spelled(problem)})") from None
    if not encoded.isascii():
        encoded = encoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return encoded


def _bytes(encoded: str, longest: int) -> int:
    """How long it is as UTF-8, exact where that is near `longest` or beyond."""
    size = len(encoded)
    return len(encoded.encode()) if size * 4 > longest else size


def as_read(value: Any, encoded: str) -> Any:
    """A JSON value as it is read from its text: there a tuple is a list, and every key is text."""
    if type(value) in _LEAVES or _is_plain(value):
        return value
    try:
        return json.loads(encoded)
    except RecursionError:  # what could be written in so deep a nesting need not be readable
        return value


def _is_plain(value: Any) -> bool:
    parts = [value]
    for part in parts:  # it grows meanwhile, so that no nesting is too deep
        kind = type(part)
        if kind is dict:
            if any(type(key) is not str for key in part):
                return False
            parts += part.values()
        elif kind is list:
            parts += part
        elif kind not in _LEAVES:
            return False
    return True


def metadata_text(field: str, value: Any) -> str | None:
    """A dictionary as JSON; what is too large is left out whole.

    Every way in writes it like this, so that a repeat is equal to the first.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRun(field, value, "a dictionary")
    encoded = _metadata_json(field, value)
    return None if _bytes(encoded, MAX_JSON) > MAX_JSON else encoded


def whole_metadata(field: str, value: Mapping[Any, Any]) -> bytes:
    """A dictionary as JSON whatever its size, its keys in order: the same for the same values."""
    encoded = _metadata_json(field, value)
    with suppress(msgspec.DecodeError, RecursionError):  # what could be written
        return _in_order(msgspec.json.decode(encoded))
    return encoded.encode()


_in_order = msgspec.json.Encoder(order="sorted").encode


def _metadata_json(field: str, value: Mapping[Any, Any]) -> str:
    with suppress(Exception):  # the caller's own objects may raise anything
        return quick_json(value).decode()
    with suppress(Exception):
        return _json(field, dict(value))
    # What JSON has no form for (a path, an exception) is kept as its text.
    try:
        readable = _plain(value, 0)
    except Exception as problem:
        raise InvalidRun(field, value, f"a dictionary ({spelled(problem)})") from None
    return _json(field, readable)


def _plain(value: Any, depth: int) -> Any:
    if depth > 50:
        return spelled(value, repr)[:200]
    if isinstance(value, Mapping):
        return {spelled(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return spelled(value)


def error_text(field: str, value: Any) -> str | None:
    # Callers pass str(exception) here; the head is what tells classes apart.
    return cut_text(field, value, MAX_ERROR)


_AMOUNTS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cached_tokens",
    "cost", "memory_mb", "cpu_ms",
)  # fmt: skip
_RUN_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "run_id": lambda field, value: text(field, value, MAX_ID),
    "tenant": text,
    "agent_name": text,
    "agent_type": cut_text,
    "model": cut_text,
    "status": status_code,
    **dict.fromkeys(_AMOUNTS, amount),
    "quality_score": share,
    "confidence": share,
    "api_calls": optional_count,
    "retries": optional_count,
    "timed_out": flag,
    "error_type": error_text,
    "task_id": lambda field, value: optional_text(field, value, MAX_ID),
    "metadata": metadata_text,
}
_RUN_DEFAULTS = {"tenant": "default", "timed_out": False}
_RUN_KNOWN = frozenset(RUN_FIELDS)


def checked_run(fields: Mapping[str, Any], now_us: int | None) -> tuple[Any, ...]:
    """The row of a run, in the order of `RUN_FIELDS`, or `InvalidRun` for its first bad field."""
    for name in fields:
        if name not in _RUN_KNOWN:
            allowed = f"one of the fields {', '.join(RUN_FIELDS)}"
            raise InvalidRun(spelled(name), fields[name], allowed)
    row: dict[str, Any] = {}
    for name, check in _RUN_CHECKS.items():
        value = fields.get(name)
        row[name] = check(name, _RUN_DEFAULTS.get(name) if value is None else value)
    row["timestamp"] = stamp("timestamp", fields.get("timestamp"), now_us)
    row["task_type"] = task_type_of(fields)
    if row["tokens_used"] is None and (row["input_tokens"], row["output_tokens"]) != (None, None):
        row["tokens_used"] = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    return tuple(row[name] for name in RUN_FIELDS)


def check_given(fields: Mapping[str, Any]) -> None:
    """`InvalidRun` where `checked_run` would refuse a value that is given; much quicker.

    The fields have the names of a run's.
    """
    for name, value in fields.items():
        if value is not None and name not in _CHECKED_APART:
            _RUN_CHECKS[name](name, value)
    stamp("timestamp", fields.get("timestamp"), None)
    task_type_of(fields)


_CHECKED_APART = frozenset(("timestamp", "task_type"))


def task_type_of(fields: Mapping[str, Any]) -> str | None:
    """The task type of a run or measurement: given, or in its metadata."""
    given = fields.get("task_type")
    if given is not None:
        return cut_text("task_type", given)
    metadata = fields.get("metadata")
    found = metadata.get("task_type") if isinstance(metadata, Mapping) else None
    if found is None:
        return None
    if isinstance(found, str) and not found.strip():
        return None
    return cut_text("metadata.task_type", found if isinstance(found, str) else spelled(found))
