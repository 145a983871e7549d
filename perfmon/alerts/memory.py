"""What the machine of alerts remembers, and that as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import attrs

from perfmon.alerts.advice import Details
from perfmon.alerts.episodes import Episode
from perfmon.alerts.silences import Silence
from perfmon.alerts.verdicts import State
from perfmon.alerts.watch import Kind
from perfmon.records import AlertLevel, MetricType

VERSION = 1
_DAY = 86_400 * 1_000_000


@attrs.define
class Memory:
    """Everything but the settings; times in microseconds.

    Attributes:
        now: the wall clock at the last step, or None.
        steady: the machine's own clock.
        episodes: what is pending or fires, by key.
        starts: when episodes began to fire within the last day, by key; the wall clock.
        failed: for how many steps in a row a rule's evaluation has failed.
        silences: those that are not over, by id.
        cleaned_at: when old starts were forgotten; not kept.
    """

    now: int | None = None
    steady: int = 0
    episodes: dict[str, Episode] = attrs.Factory(dict)
    starts: dict[str, list[int]] = attrs.Factory(dict)
    failed: dict[str, int] = attrs.Factory(dict)
    silences: dict[str, Silence] = attrs.Factory(dict)
    cleaned_at: int | None = attrs.field(default=None, eq=False)

    def tick(self, now: int, most: int) -> int:
        """Let time pass; returns the steady time that did, at most `most` and never less than 0."""
        elapsed = 0 if self.now is None else min(max(0, now - self.now), most)
        self.now = now
        self.steady += elapsed
        return elapsed

    def in_order(self) -> list[Episode]:
        """All episodes in the order of their keys."""
        return [episode for _, episode in sorted(self.episodes.items())]

    def count_start(self, key: str, now: int) -> int:
        """How many episodes of a key began to fire within a day, with the one that does now."""
        if self.cleaned_at != now:
            self.starts = {k: near for k, old in self.starts.items() if (near := _near(old, now))}
            self.cleaned_at = now
        self.starts[key] = [*self.starts.get(key, []), now]
        return len(self.starts[key])

    def hush(self, now: int) -> None:
        """Forget silences that are over, and tell each episode which one it is under."""
        self.silences = {i: s for i, s in self.silences.items() if s.ends_at > now}
        ordered = sorted(self.silences.values(), key=lambda s: (s.ends_at, s.silence_id))
        for episode in self.episodes.values():
            matched = episode.matched if ordered else {}
            hushed = (silence.silence_id for silence in ordered if silence.matches(matched))
            episode.silenced_by = next(hushed, None)

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(
            {
                "version": VERSION,
                "now": self.now,
                "steady": self.steady,
                "episodes": [_plain(episode) for episode in self.in_order()],
                "starts": self.starts,
                "failed": self.failed,
                "silences": [attrs.asdict(silence) for silence in self.silences.values()],
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Memory:
        """What `to_json` wrote; `ValueError` for a version that is not known."""
        raw = json.loads(text)
        if raw.get("version") != VERSION:
            found = raw.get("version")
            raise ValueError(f"the state of alerts has version {found!r}, not {VERSION}")
        return cls(
            raw["now"],
            raw["steady"],
            {plain["key"]: _episode(plain) for plain in raw["episodes"]},
            raw["starts"],
            raw["failed"],
            {plain["silence_id"]: Silence(**plain) for plain in raw["silences"]},
        )


def _near(starts: list[int], now: int) -> list[int]:
    """Those within a day of now, on either side: time can go backwards."""
    return [start for start in starts if abs(now - start) < _DAY]


def _plain(episode: Episode) -> dict[str, Any]:
    return {name: _finite(value) for name, value in attrs.asdict(episode).items()}


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


_ENUMS: dict[str, Callable[[Any], Any]] = {
    "kind": Kind, "metric_type": MetricType, "level": AlertLevel, "evidence": State,
    "details": Details.of,
}  # fmt: skip
_FLOATS = frozenset(field.name for field in attrs.fields(Episode) if str(field.type) == "float")


def _episode(plain: dict[str, Any]) -> Episode:
    made = dict(plain)
    for name, value in plain.items():
        if name in _ENUMS:
            made[name] = _ENUMS[name](value)
        elif name in _FLOATS and value is None:
            made[name] = math.nan
    return Episode(**made)
