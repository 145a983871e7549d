"""Saved alert state, written by any version of perfmon.

What is not known here is kept and written back; what is not there has its default; what cannot be
read at all costs itself only. So nothing that fires is announced again after a downgrade. A
version that gives a field another meaning gives it another name, too.
"""

from __future__ import annotations

import enum
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from perfmon.alerts.episodes.episode import Episode, Snapshot
from perfmon.alerts.episodes.silence import SilenceInForce
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.rules.rule import DIMENSIONS, Kind
from perfmon.alerts.wording.advice import Details
from perfmon.records import AlertLevel, MetricType

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)
_log = logging.getLogger("perfmon")
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


def object_of(text: str | bytes) -> dict[str, Any]:
    """The JSON object of a saved text; `ValueError` for anything else."""
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError(f"it is not an object, but {type(raw).__name__}")  # noqa: TRY004
    return raw


def each(what: str, found: Iterable[Any] | None, read: Callable[[Any], T]) -> Iterator[T]:
    """All that can be read; what cannot is left out, with a line in the log."""
    for plain in found or ():
        try:
            yield read(plain)
        except UNREADABLE as problem:
            _log.warning("%s cannot be read and is ignored: %r", what, problem)


def rest_of(plain: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What is in a saved object beyond what is known."""
    known = set(known)
    return {name: value for name, value in plain.items() if name not in known}


def of_kind(kind: type[T], plain: Any) -> dict[str, T]:
    """The entries of a saved mapping whose values are of a kind."""
    found = plain.items() if isinstance(plain, dict) else ()
    return {name: value for name, value in found if isinstance(value, kind)}


# Episodes


def plain_episode(episode: Episode) -> dict[str, Any]:
    """An episode as JSON values, with what another version knows of it."""
    plain = {name: _finite(value) for name, value in attrs.asdict(episode).items()}
    rest, told = plain.pop("rest"), plain["told"]
    plain["details"] = _sparse(plain["details"])
    if told is not None:
        told["details"] = _sparse(told["details"])
        # Mostly the newest figures; a state may hold a thousand of them.
        plain["told"] = {name: value for name, value in told.items() if value != plain[name]}
    return {**plain, **rest}


def _sparse(details: dict[str, Any]) -> dict[str, Any]:
    """What is known of details."""
    rest = details.pop("rest")
    return {name: value for name, value in {**details, **rest}.items() if not _is_bare(value)}


def _is_bare(value: Any) -> bool:
    """Whether it is the default of a field: a rate of 0.0 is known."""
    return value is None or (isinstance(value, int | dict | list | tuple) and not value)


def episode_of(plain: dict[str, Any]) -> Episode:
    """The episode of `plain_episode`."""
    made = {name: value for name, value in plain.items() if name in _FIELDS}
    rest = rest_of(plain, _FIELDS)
    for name in _FLOATS & made.keys():
        made[name] = math.nan if made[name] is None else float(made[name])
    made["level"] = member(AlertLevel, made.get("level"), AlertLevel.CRITICAL)
    made["evidence"] = member(State, made.get("evidence"), State.NO_DATA)
    made["details"] = Details.of(of_kind(object, made.get("details")))
    made["figures_state"] = member(State, made.get("figures_state"), State.BREACH)
    made["told"] = _snapshot_of(made.get("told"), plain)
    for name, fallback in (("kind", Kind.NUMBER), ("metric_type", MetricType.ERROR_RATE)):
        saved, made[name] = made.get(name), member(type(fallback), made.get(name), fallback)
        if saved is not None and saved != made[name]:
            rest[name] = saved  # for versions that know it
    own = of_kind(str, made.get("labels"))
    made["labels"] = {name: value for name, value in own.items() if name in DIMENSIONS}
    began = made.get("started_at") or 0
    return Episode(**{**_MISSING, "breached_at": began, **made}, rest=rest)


def _snapshot_of(told: Any, newest: Mapping[str, Any]) -> Snapshot | None:
    """What was said last; what it does not name is as in the newest figures."""
    if not isinstance(told, dict):
        return None
    both = {**newest, **told}
    made = {field.name: both[field.name] for field in attrs.fields(Snapshot) if field.name in both}
    for field in attrs.fields(Snapshot):
        if str(field.type) == "float" and made.get(field.name) is None:
            made[field.name] = math.nan
    made["figures_state"] = member(State, made.get("figures_state"), State.BREACH)
    made["details"] = Details.of(of_kind(object, made.get("details")))
    return Snapshot(**made)


_FIELDS = frozenset(field.name for field in attrs.fields(Episode)) - {"rest"}
_FLOATS = frozenset(field.name for field in attrs.fields(Episode) if str(field.type) == "float")
_MISSING: dict[str, Any] = {
    "metric": "", "family": "", "unit": "", "above": True, "word": "", "since": 0,
}  # fmt: skip


def member(kind: type[E], value: Any, fallback: E) -> E:
    """The member of a value; the fallback for one that is not known."""
    try:
        return kind(value)
    except ValueError:
        return fallback


def silence_of(plain: dict[str, Any]) -> SilenceInForce:
    """The silence of its JSON values."""
    known = {field.name for field in attrs.fields(SilenceInForce)}
    return SilenceInForce(**{name: value for name, value in plain.items() if name in known})


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
