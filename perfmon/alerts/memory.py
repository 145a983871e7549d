"""What the machine of alerts remembers, and that as JSON."""

from __future__ import annotations

import json
from typing import Any

import attrs

from perfmon.alerts.episodes import Episode
from perfmon.alerts.saved import (
    each,
    episode_of,
    object_of,
    of_kind,
    plain_episode,
    rest_of,
    silence_of,
)
from perfmon.alerts.silences import Silence

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
        rest: what another version keeps here; written back as it is.
    """

    now: int | None = None
    steady: int = 0
    episodes: dict[str, Episode] = attrs.Factory(dict)
    starts: dict[str, list[int]] = attrs.Factory(dict)
    failed: dict[str, int] = attrs.Factory(dict)
    silences: dict[str, Silence] = attrs.Factory(dict)
    cleaned_at: int | None = attrs.field(default=None, eq=False)
    rest: dict[str, Any] = attrs.field(factory=dict, kw_only=True)

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
                "episodes": [plain_episode(episode) for episode in self.in_order()],
                "starts": self.starts,
                "failed": self.failed,
                "silences": [attrs.asdict(silence) for silence in self.silences.values()],
                **self.rest,
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Memory:
        """What `to_json` wrote, of any version; `ValueError` for what is no JSON object."""
        raw = object_of(text)
        episodes = each("a saved episode of an alert", raw.get("episodes"), episode_of)
        silences = each("a saved silence", raw.get("silences"), silence_of)
        return cls(
            raw.get("now"),
            raw.get("steady") or 0,
            {episode.key: episode for episode in episodes},
            of_kind(list, raw.get("starts")),
            of_kind(int, raw.get("failed")),
            {silence.silence_id: silence for silence in silences},
            rest=rest_of(raw, _SAVED),
        )


_SAVED = ("version", "now", "steady", "episodes", "starts", "failed", "silences")


def _near(starts: list[int], now: int) -> list[int]:
    """Those within a day of now, on either side: time can go backwards."""
    return [start for start in starts if abs(now - start) < _DAY]
