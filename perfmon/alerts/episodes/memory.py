"""The state of the alert machine, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs

from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import Episode, rank
from perfmon.alerts.episodes.saved_versions import (
    each,
    episode_of,
    object_of,
    of_kind,
    plain_episode,
    rest_of,
    silence_of,
)
from perfmon.alerts.episodes.silence import SilenceInForce
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import Kind
from perfmon.records import AlertLevel

VERSION = 1
_DAY = 86_400 * 1_000_000


@attrs.define
class Memory:
    """Everything but the settings; times in microseconds.

    Attributes:
        now: the wall clock at the last step, or None.
        steady: the machine's own clock.
        episodes: what is pending or fires of each rule, by key.
        concerns: the alerts that fire, by key; what fires of each rule is a member of one.
        over: the alerts that were over within the last day, by key.
        dismissed: the breaches that a person closed and that go on, by key.
        starts: when alerts began to fire within the last day, by key; the wall clock.
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
    silences: dict[str, SilenceInForce] = attrs.Factory(dict)
    concerns: dict[str, Concern] = attrs.Factory(dict)
    dismissed: dict[str, Dismissed] = attrs.Factory(dict)
    over: dict[str, Over] = attrs.Factory(dict)
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

    def in_concern(self) -> list[Concern]:
        """All alerts that fire, in the order of their keys."""
        return [concern for _, concern in sorted(self.concerns.items()) if concern.members]

    def note_over(self, concern: Concern) -> None:
        """Remember for a day that it is over."""
        self.over = {k: one for k, one in self.over.items() if self.steady - one.ended < _DAY}
        self.over[concern.key] = Over(concern.family, concern.labels, concern.peak, self.steady)

    def is_dismissed(self, key: str, verdict: Verdict | None) -> bool:
        """Whether a person closed what a verdict is about; until it is over or worse."""
        known = self.dismissed.get(key)
        if known is None:
            return False
        if verdict is None or not known.goes_on(verdict):
            del self.dismissed[key]
            return False
        return True

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
            episode.silenced_by = _hushed(ordered, [episode.matched]) if ordered else None
        for concern in self.in_concern():
            concern.silenced_by = _hushed(ordered, concern.matched()) if ordered else None
            concern.mark()

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
                "concerns": [concern.plain() for concern in self.in_concern()],
                "over": {key: list(one) for key, one in self.over.items()},
                "dismissed": {key: list(one) for key, one in self.dismissed.items()},
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
        concerns = each("a saved alert", raw.get("concerns"), Concern.of_plain)
        memory = cls(
            raw.get("now"),
            raw.get("steady") or 0,
            {episode.key: episode for episode in episodes},
            of_kind(list, raw.get("starts")),
            of_kind(int, raw.get("failed")),
            {silence.silence_id: silence for silence in silences},
            {concern.key: concern for concern in concerns},
            {
                key: Dismissed(AlertLevel(level), bad, seen)
                for key, (level, bad, seen) in of_kind(list, raw.get("dismissed")).items()
            },
            {
                key: Over(family, of_kind(str, own), AlertLevel(level), ended)
                for key, (family, own, level, ended) in of_kind(list, raw.get("over")).items()
            },
            rest=rest_of(raw, _SAVED),
        )
        memory.link()
        return memory

    def link(self) -> None:
        """Give the concerns their members; before there were any, each episode was an alert."""
        members: dict[str, list[Episode]] = {}
        for episode in self.in_order():
            if episode.firing and episode.alert_id:
                members.setdefault(episode.joint or episode.key, []).append(episode)
        for key, own in members.items():
            known = self.concerns.get(key)
            if known is None or known.alert_id not in {one.alert_id for one in own}:
                self.concerns[key] = Concern.going_on(key, own)
            else:
                known.members = own


class Over(NamedTuple):
    """An alert that is over: what it was about, how urgent at most, and since when (steady)."""

    family: str
    labels: dict[str, str]
    level: AlertLevel
    ended: int


class Dismissed(NamedTuple):
    """A breach as it was when a person closed its alert."""

    level: AlertLevel
    bad: int
    seen: int

    def goes_on(self, verdict: Verdict) -> bool:
        """Whether it is still the very same one."""
        if verdict.watch.kind is Kind.NO_RUNS:
            return (verdict.seen or 0) <= self.seen
        if verdict.state is State.BREACH:
            more = verdict.watch.kind is Kind.UNFINISHED and verdict.bad > self.bad
            return rank(verdict.level) <= rank(self.level) and not more
        return not (verdict.state is State.CLEAR and verdict.settled)


_SAVED = (
    "version", "now", "steady", "episodes", "starts", "failed", "silences", "concerns", "over",
    "dismissed",
)  # fmt: skip


def _hushed(silences: list[SilenceInForce], labels: Iterable[dict[str, str]]) -> str | None:
    """The silence that ends first, of those that match any of these labels."""
    found = list(labels)
    hushed = (one.silence_id for one in silences if any(map(one.matches, found)))
    return next(hushed, None)


def _near(starts: list[int], now: int) -> list[int]:
    """Those within a day of now, on either side: time can go backwards."""
    return [start for start in starts if abs(now - start) < _DAY]
