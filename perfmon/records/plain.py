"""Values as numbers of microseconds, and as plain JSON."""

from __future__ import annotations

import enum
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

NAN = math.nan
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime | float) -> int:
    """UTC microseconds since the epoch, the unit of time inside perfmon."""
    if isinstance(moment, datetime):
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return round(moment * 1_000_000)


def from_micros(micros: float) -> datetime:
    """The aware UTC datetime of a stamp in microseconds."""
    return _EPOCH + timedelta(microseconds=int(micros))


def jsonable(value: Any) -> Any:
    """Records as plain JSON values: NaN is null, times are ISO 8601 in UTC with `Z`."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if attrs.has(type(value)):
        return {f.name: jsonable(getattr(value, f.name)) for f in attrs.fields(type(value))}
    if isinstance(value, enum.Enum):
        return value.value
    return value
