"""A step in the life of alerts: from verdicts to pending, firing and resolved episodes.

    ok --breach--> pending --`for` over--> firing --settled for `keep_firing_for`--> resolved --> ok

Durations are counted on a steady clock of their own: a step of the wall clock back counts nothing,
and one forward (or a time when nobody looked, such as a restart) at most `max_step`. So neither
fires nor resolves anything that was not watched for that long.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple

import attrs

from perfmon.alerts.advice import Details
from perfmon.alerts.episodes import Episode, rank
from perfmon.alerts.failures import FAILED_SUFFIX
from perfmon.alerts.memory import Memory
from perfmon.alerts.settings import Settings, micros
from perfmon.alerts.verdicts import State, Verdict
from perfmon.records import PerformanceAlert

ChangeKind = Literal["pending", "cancelled", "firing", "escalated", "reminder", "resolved"]
Describe = Callable[[Verdict], Details]


class Change(NamedTuple):
    """One thing that happened to an alert; `reason` says why it was resolved or cancelled."""

    kind: ChangeKind
    alert: PerformanceAlert
    reason: str = ""


class Standing(NamedTuple):
    """An alert that fires (or has just been resolved), for those who send messages.

    Attributes:
        alert: it, with what silences and inhibits it.
        rises, reminders: how often its level rose, and how many reminders were due, so far.
        group_wait: how many seconds its group waits for more.
    """

    alert: PerformanceAlert
    rises: int
    reminders: int
    group_wait: float


@attrs.frozen
class Changes:
    """What a step came to.

    Attributes:
        changes: in the order of the keys.
        standings: everything that fires now, and what this step resolved.
    """

    changes: tuple[Change, ...]
    standings: tuple[Standing, ...]

    def of(self, kind: ChangeKind) -> list[PerformanceAlert]:
        """The alerts of one kind of change."""
        return [change.alert for change in self.changes if change.kind == kind]


class Step:
    """One step of the machine: all episodes go on by one verdict each."""

    def __init__(
        self, settings: Settings, memory: Memory, now: int, describe: Describe | None
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._elapsed = memory.tick(now, micros(settings.max_step))
        self._now = now
        self._describe = describe
        self._changes: list[tuple[ChangeKind, Episode, str]] = []
        self._over: list[Episode] = []

    def changes(self) -> Changes:
        firing = [e for e in self._memory.in_order() if e.firing]
        standings = [
            Standing(e.alert(self._now), e.rises, e.reminders, e.group_wait)
            for e in (*firing, *self._over)
        ]
        changes = [Change(kind, e.alert(self._now), reason) for kind, e, reason in self._changes]
        return Changes(tuple(changes), tuple(standings))

    def take(self, key: str, verdict: Verdict | None) -> None:
        episode = self._memory.episodes.get(key)
        if episode is None:
            if verdict is not None and verdict.state is State.BREACH:
                self._begin(verdict)
        elif verdict is None:
            self._unseen(episode)
        else:
            before = episode.evidence
            episode.see(verdict, self._now)
            if episode.firing:
                self._go_on(episode, verdict, before)
            else:
                self._wait(episode, verdict)

    def _begin(self, verdict: Verdict) -> None:
        episode = Episode.of(verdict, self._now, self._memory.steady)
        episode.see(verdict, self._now)
        self._memory.episodes[verdict.key] = episode
        if verdict.watch.for_ > 0:
            self._tell("pending", episode)
        self._wait(episode, verdict)

    def _wait(self, episode: Episode, verdict: Verdict) -> None:
        """While pending: only an unbroken breach counts; a failed look holds the time."""
        episode.for_ = verdict.watch.for_
        if verdict.state is State.FAILED:
            episode.since += self._elapsed
        elif verdict.state is not State.BREACH:
            self._drop(episode, verdict.state.value)
        else:
            assert verdict.level is not None
            episode.level = verdict.level
            if self._memory.steady - episode.since >= micros(episode.for_):
                self._fire(episode, verdict)

    def _fire(self, episode: Episode, verdict: Verdict) -> None:
        episode.fire(self._now, self._memory.steady)
        episode.keep_firing_for = verdict.watch.keep_firing_for
        episode.starts = self._memory.count_start(episode.key, self._now)
        self._look_closer(episode, verdict)
        self._tell("firing", episode)

    def _go_on(self, episode: Episode, verdict: Verdict, before: State) -> None:
        """While firing: rise, clear, or be undecided; a failed look decides nothing."""
        steady = self._memory.steady
        episode.keep_firing_for = verdict.watch.keep_firing_for
        settled = verdict.state is State.CLEAR and verdict.settled
        undecided = verdict.state in (State.INSUFFICIENT, State.NO_DATA)
        episode.clear_since = _kept(episode.clear_since, steady) if settled else None
        episode.undecided_since = _kept(episode.undecided_since, steady) if undecided else None
        if verdict.state is State.BREACH and before is State.BREACH:
            episode.evident += self._elapsed
        if verdict.state is State.BREACH and rank(verdict.level) > rank(episode.level):
            self._rise(episode, verdict)
        self._end_if_due(episode)

    def _end_if_due(self, episode: Episode) -> None:
        settings, steady = self._settings, self._memory.steady
        stale = micros(settings.stale_after)
        clear, undecided = episode.clear_since, episode.undecided_since
        if clear is not None and steady - clear >= settings.hold(episode):
            self._resolve(episode, "clear")
        elif undecided is not None and steady - undecided >= stale:
            self._resolve(episode, episode.evidence.value)

    def _rise(self, episode: Episode, verdict: Verdict) -> None:
        assert verdict.level is not None
        episode.level = verdict.level
        episode.rises += 1
        episode.acknowledged_by = None
        episode.told_at, episode.evident = self._memory.steady, 0
        self._look_closer(episode, verdict)
        self._tell("escalated", episode)

    def _unseen(self, episode: Episode) -> None:
        """Its rule is gone, or what it was about is."""
        if episode.rule.removesuffix(FAILED_SUFFIX) not in self._settings.rules:
            self._leave(episode, "the rule is gone")
        elif not episode.firing:
            self._drop(episode, State.NO_DATA.value)
        else:
            episode.evidence, episode.clear_since = State.NO_DATA, None
            episode.undecided_since = _kept(episode.undecided_since, self._memory.steady)
            self._end_if_due(episode)

    def _leave(self, episode: Episode, reason: str) -> None:
        if episode.firing:
            self._resolve(episode, reason)
        else:
            self._drop(episode, reason)

    def remind(self, episode: Episode, verdict: Verdict | None) -> None:
        """Where it is due: nobody cares for it yet, and it has been evident most of the time."""
        repeat = self._settings.repeat.get(episode.level)
        if not episode.firing or repeat is None or verdict is None:
            return
        quiet = (episode.acknowledged_by, episode.silenced_by, episode.inhibited_by)
        wait = micros(repeat)
        if (
            verdict.state is State.BREACH
            and quiet == (None, None, None)
            and self._memory.steady - episode.told_at >= wait
            and episode.evident >= wait // 2
        ):
            episode.reminders += 1
            episode.told_at, episode.evident = self._memory.steady, 0
            self._look_closer(episode, verdict)
            self._tell("reminder", episode)

    def _look_closer(self, episode: Episode, verdict: Verdict) -> None:
        if self._describe is not None:
            # An alert without its details is better than none.
            with suppress(Exception):
                episode.details = self._describe(verdict)

    def _drop(self, episode: Episode, reason: str) -> None:
        del self._memory.episodes[episode.key]
        self._tell("cancelled", episode, reason)

    def _resolve(self, episode: Episode, reason: str) -> None:
        episode.resolve(self._now, self._memory.steady, reason)
        del self._memory.episodes[episode.key]
        self._over.append(episode)
        self._tell("resolved", episode, reason)

    def _tell(self, kind: ChangeKind, episode: Episode, reason: str = "") -> None:
        self._changes.append((kind, episode, reason))


def _kept(since: int | None, now: int) -> int:
    return now if since is None else since
