"""One step of the alert machine: from verdicts to pending and firing episodes of rules.

    ok --breach--> pending --`for` over--> firing --settled for `keep_firing_for`--> over --> ok

Durations are counted on a steady clock of their own: a step of the wall clock back counts nothing,
and one forward (or a time when nobody looked, such as a restart) at most `max_step`. So neither
fires nor resolves anything that was not watched for that long. An absence and a run that does not
end are over when something happens, or a person says so: never because nothing is known any more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple, Protocol

import attrs

from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import Episode, rank
from perfmon.alerts.episodes.failures import FAILED_SUFFIX
from perfmon.alerts.episodes.joining import Joining
from perfmon.alerts.episodes.memory import Dismissed, Memory
from perfmon.alerts.episodes.timing import Settings, micros
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import LASTING, Kind
from perfmon.alerts.wording.advice import Details
from perfmon.records import PerformanceAlert

ChangeKind = Literal[
    "pending", "cancelled", "firing", "escalated", "eased", "reminder", "resolved"
]  # fmt: skip
Describe = Callable[[Verdict], Details]
GONE = "the rule was removed"
UNMATCHED = "the rule no longer applies"


class Latest(Protocol):
    """Knows the newest verdicts."""

    def latest(self, key: str) -> Verdict | None:
        """The newest one of a key, or None."""
        ...


class Change(NamedTuple):
    """One thing that happened to an alert; `reason` says why it was resolved or cancelled."""

    kind: ChangeKind
    alert: PerformanceAlert
    reason: str = ""


class Standing(NamedTuple):
    """An alert that fires (or has just been resolved), for those who send messages.

    Attributes:
        alert: it, with what silences and inhibits it.
        rises, reminders, eases: how often its level rose, reminders were due, and it fell, so far.
        group_wait: how many seconds its group waits for more.
    """

    alert: PerformanceAlert
    rises: int
    reminders: int
    group_wait: float
    eases: int = 0


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
        self._waiting: list[tuple[ChangeKind, Episode, str]] = []
        self.ended: list[Episode] = []

    # Episodes of rules

    def take(self, key: str, verdict: Verdict | None) -> None:
        if self._memory.is_dismissed(key, verdict):
            return
        episode = self._memory.episodes.get(key)
        if episode is None:
            if verdict is not None and verdict.state is State.BREACH:
                self._begin(verdict)
        elif verdict is None:
            self._unseen(episode)
        else:
            episode.see(verdict, self._now)
            if episode.firing:
                self._go_on(episode, verdict)
            else:
                self._wait(episode, verdict)

    def _begin(self, verdict: Verdict) -> None:
        episode = Episode.of(verdict, self._now, self._memory.steady)
        episode.see(verdict, self._now)
        self._memory.episodes[verdict.key] = episode
        if verdict.watch.for_ > 0:
            self._waiting.append(("pending", episode, ""))
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
        episode.seen = verdict.seen or 0
        self._look_closer(episode, verdict)

    def _go_on(self, episode: Episode, verdict: Verdict) -> None:
        """While firing: rise, ease, clear, or be undecided; a failed look decides nothing."""
        steady = self._memory.steady
        episode.keep_firing_for = verdict.watch.keep_firing_for
        settled = verdict.state is State.CLEAR and verdict.settled and _happened(episode, verdict)
        undecided = verdict.state in (State.INSUFFICIENT, State.NO_DATA)
        undecided = undecided and episode.kind not in LASTING
        eases = verdict.floor is not None and rank(verdict.floor) < rank(episode.level)
        episode.clear_since = _kept(episode.clear_since, steady) if settled else None
        episode.undecided_since = _kept(episode.undecided_since, steady) if undecided else None
        episode.ease_since = _kept(episode.ease_since, steady) if eases else None
        if verdict.state is State.BREACH and rank(verdict.level) > rank(episode.level):
            assert verdict.level is not None
            episode.level = verdict.level
            self._look_closer(episode, verdict)
        self._ease_if_due(episode, verdict)
        self._end_if_due(episode)

    def _ease_if_due(self, episode: Episode, verdict: Verdict) -> None:
        since, floor = episode.ease_since, verdict.floor
        if since is None or floor is None:
            return
        if self._memory.steady - since >= self._settings.hold(episode):
            episode.level, episode.ease_since = floor, None

    def _end_if_due(self, episode: Episode) -> None:
        settings, steady = self._settings, self._memory.steady
        stale = micros(settings.stale_after)
        clear, undecided = episode.clear_since, episode.undecided_since
        if clear is not None and steady - clear >= settings.hold(episode):
            self._end(episode, "clear")
        elif undecided is not None and steady - undecided >= stale:
            self._end(episode, episode.evidence.value)

    def _unseen(self, episode: Episode) -> None:
        """Its rule is gone, or what it was about is."""
        if episode.rule.removesuffix(FAILED_SUFFIX) not in self._settings.rules:
            self._leave(episode, GONE)
        elif not episode.firing:
            self._drop(episode, State.NO_DATA.value)
        elif episode.kind is Kind.NO_RUNS:
            self._end(episode, UNMATCHED)  # its target is evaluated as long as it matches
        else:
            # Nothing is in flight any more where no run is evaluated.
            over = episode.kind is Kind.UNFINISHED
            steady = self._memory.steady
            episode.evidence = State.CLEAR if over else State.NO_DATA
            episode.clear_since = _kept(episode.clear_since, steady) if over else None
            episode.undecided_since = None if over else _kept(episode.undecided_since, steady)
            self._end_if_due(episode)

    def _leave(self, episode: Episode, reason: str) -> None:
        if episode.firing:
            self._end(episode, reason)
        else:
            self._drop(episode, reason)

    def _look_closer(self, episode: Episode, verdict: Verdict) -> None:
        """What is said of it from now on is of this moment, all of it."""
        episode.details = Details()
        if self._describe is not None:
            # An alert without its details is better than none.
            with suppress(Exception):
                episode.details = attrs.evolve(self._describe(verdict), at=episode.at)
        episode.keep()

    def _drop(self, episode: Episode, reason: str) -> None:
        del self._memory.episodes[episode.key]
        self._waiting.append(("cancelled", episode, reason))

    def _end(self, episode: Episode, reason: str) -> None:
        episode.reason = reason
        del self._memory.episodes[episode.key]
        self.ended.append(episode)

    def dismiss(self, concern: Concern, reason: str) -> None:
        """All of a concern is over, because a person says so; what goes on is not told again."""
        for one in concern.members:
            self._memory.dismissed[one.key] = Dismissed(one.level, one.bad, one.seen)
            self._end(one, reason)
        for one in self._memory.in_order():
            if one.joint == concern.key:  # what waits is about the same
                self._memory.dismissed[one.key] = Dismissed(one.level, one.bad, one.seen)
                self._drop(one, reason)

    # What they are together

    def join(self) -> Joining:
        """The alerts they make, with what happened to each."""
        joining = Joining(self._memory, self._now, self._elapsed, self.ended)
        joining.settle()
        return joining

    def remind(self, joining: Joining, concern: Concern, verdict: Verdict | None) -> None:
        """Where it is due: nobody cares for it yet, and it has been evident most of the time."""
        repeat = self._settings.repeat.get(concern.level)
        quiet = (concern.acknowledged_by, concern.silenced_by, concern.inhibited_by)
        if repeat is None or verdict is None or quiet != (None, None, None):
            return
        wait = micros(repeat)
        if (
            verdict.state is State.BREACH
            and self._memory.steady - concern.told_at >= wait
            and concern.evident >= wait // 2
        ):
            concern.reminders += 1
            concern.told_at, concern.evident = self._memory.steady, 0
            self._look_closer(concern.lead, verdict)
            joining.tell("reminder", concern)

    def changes(self, joining: Joining) -> Changes:
        now = self._now
        told = [Change(kind, pending(one, now), reason) for kind, one, reason in self._waiting]
        told += [Change(kind, alert(now), reason) for kind, alert, reason in joining.changes]
        standings = [
            Standing(alert(now), c.rises, c.reminders, group_wait(c), c.eases)
            for c, alert in joining.standings()
        ]
        return Changes(tuple(told), tuple(standings))


def pending(episode: Episode, now: int) -> PerformanceAlert:
    """An episode that is no part of an alert that fires."""
    return attrs.evolve(episode.alert(now), key=episode.joint or episode.key)


def group_wait(concern: Concern) -> float:
    """As its rules have it; the shortest counts."""
    return min(one.group_wait for one in concern.members)


def _happened(episode: Episode, verdict: Verdict) -> bool:
    """An absence is over with a run that was seen after it began, not with a clock set back."""
    return episode.kind is not Kind.NO_RUNS or (verdict.seen or 0) > episode.seen


def refresh(episode: Episode, verdict: Verdict | None, describe: Describe) -> None:
    """Find the details of the newest figures of what fires, where they are not known yet."""
    if (
        verdict is not None
        and episode.firing
        and episode.evidence is State.BREACH
        and verdict.state is State.BREACH
        and episode.details.at != episode.at
        and verdict.at == episode.at
    ):
        with suppress(Exception):  # as they were for the last message will do
            episode.details = attrs.evolve(describe(verdict), at=episode.at)


def _kept(since: int | None, now: int) -> int:
    return now if since is None else since
