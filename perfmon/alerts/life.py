"""The life of alerts: a machine from verdicts to pending, firing and resolved episodes.

    ok --breach--> pending --`for` over--> firing --settled for `keep_firing_for`--> resolved --> ok

Durations are counted on a steady clock of its own: a step of the wall clock back counts nothing,
and one forward (or a time when nobody looked, such as a restart) at most `max_step`. So neither
fires nor resolves anything that was not watched for that long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Literal, NamedTuple

import attrs

from perfmon.alerts.episodes import Episode, rank
from perfmon.alerts.inhibition import inhibit
from perfmon.alerts.memory import Memory
from perfmon.alerts.silences import Silence
from perfmon.alerts.targets import alert_key
from perfmon.alerts.verdicts import State, Verdict
from perfmon.alerts.watch import Kind, Limit, Watch
from perfmon.alerts.words import Details
from perfmon.records import AlertLevel, MetricType, PerformanceAlert, Scope
from perfmon.sections import AlertsTable

FAILED_SUFFIX = ": evaluation failed"
_MICROS = 1_000_000
ChangeKind = Literal["pending", "cancelled", "firing", "escalated", "reminder", "resolved"]
Describe = Callable[[Verdict], Details]


@attrs.frozen(kw_only=True)
class Settings:
    """How long things take; seconds.

    Attributes:
        rules: the names of all watches; an alert of another one resolves.
        repeat: between reminders, by level; None is never.
        stale_after: so long without data (or without enough) ends what fires, with that reason.
        flapping_starts, flapping_hold: a key that began to fire so often within 24 hours flaps,
            and is then kept firing for at least so long.
        failures: so many failed evaluations in a row are an alert.
        max_step: the most that counts of the time between two steps.
    """

    rules: frozenset[str]
    repeat: Mapping[AlertLevel, float | None] = attrs.field(
        factory=lambda: {AlertLevel.CRITICAL: 4 * 3600.0, AlertLevel.WARNING: 24 * 3600.0}
    )
    stale_after: float = 3600.0
    flapping_starts: int = 4
    flapping_hold: float = 3600.0
    failures: int = 3
    max_step: float = 60.0

    @classmethod
    def of(cls, alerts: AlertsTable, watched: Iterable[Watch]) -> Settings:
        """Those of a configuration."""
        repeat = alerts.repeat
        return cls(
            rules=frozenset(watch.rule for watch in watched),
            repeat={
                AlertLevel.CRITICAL: repeat.critical,
                AlertLevel.WARNING: repeat.warning,
                AlertLevel.INFO: repeat.info,
            },
            max_step=max(60.0, 4 * alerts.evaluation_interval),
        )


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


class Machine:
    """All alerts. Not for several threads at once; nothing here waits, reads or writes.

    `to_json` is the whole of it and may be stored after each step that changed something, in one
    transaction with what follows from it; what is lost of a younger state is only how long things
    have lasted.
    """

    def __init__(self, settings: Settings, memory: Memory | None = None) -> None:
        self.settings = settings
        self.memory = Memory() if memory is None else memory

    # What it is asked and told

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Those that are not over, in the order of their ends."""
        found = self.memory.silences.values()
        return tuple(sorted(found, key=lambda s: (s.ends_at, s.silence_id)))

    def alerts(self, now: int) -> list[PerformanceAlert]:
        """What is pending or fires."""
        return [episode.alert(now) for episode in self.memory.in_order()]

    def silence(
        self, matchers: Mapping[str, str], now: int, until: int, by: str, comment: str = ""
    ) -> Silence:
        """Keep quiet about what matches; see `Silence.made` for what is refused."""
        made = Silence.made(matchers, now, until, by, comment)
        self.memory.silences[made.silence_id] = made
        self.memory.hush(now)
        return made

    def unsilence(self, silence_id: str) -> bool:
        """End a silence; False where there is none."""
        found = self.memory.silences.pop(silence_id, None)
        if found is not None and self.memory.now is not None:
            self.memory.hush(self.memory.now)
        return found is not None

    def acknowledge(self, alert_id: str, by: str) -> PerformanceAlert | None:
        """Somebody takes care of it: no more reminders, until it is worse. None where unknown."""
        for episode in self.memory.episodes.values():
            if episode.firing and episode.alert_id == alert_id:
                episode.acknowledged_by = by
                return episode.alert(self.memory.now or 0)
        return None

    # A step

    def step(
        self, now: int, verdicts: Iterable[Verdict], describe: Describe | None = None
    ) -> Changes:
        """Take in one verdict for each target there is, at a time in microseconds.

        A target without a verdict has no data. `describe` finds the details of a breach that
        begins to fire, rises, or is due for a reminder; where it raises they stay as they are.
        """
        step = _Step(self, now, describe)
        by_key = {verdict.key: verdict for verdict in verdicts}
        by_key.update((verdict.key, verdict) for verdict in self._failures(by_key.values()))
        for key in sorted(self.memory.episodes.keys() | by_key.keys()):
            step.take(key, by_key.get(key))
        inhibit(self.memory.episodes.values())
        self.memory.hush(now)
        for episode in self.memory.in_order():
            step.remind(episode, by_key.get(episode.key))
        return step.changes()

    def _failures(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """A verdict about each rule whose evaluation fails, or has failed."""
        failed: dict[str, list[Verdict]] = {}
        for verdict in verdicts:
            if verdict.state is State.FAILED:
                failed.setdefault(verdict.watch.rule, []).append(verdict)
        self.memory.failed = {rule: self.memory.failed.get(rule, 0) + 1 for rule in failed}
        known = {e.rule.removesuffix(FAILED_SUFFIX) for e in self.memory.episodes.values()
                 if e.rule.endswith(FAILED_SUFFIX)}  # fmt: skip
        found = []
        for rule in sorted({*failed, *(known & self.settings.rules)}):
            own = failed.get(rule, [])
            if own and self.memory.failed[rule] < self.settings.failures and rule not in known:
                continue
            found.append(_failure(rule, own))
        return found

    # When something happens without new verdicts

    def next_edge(self) -> int | None:
        """The next time (microseconds) at which the same verdicts would change something."""
        if self.memory.now is None:
            return None
        waits = [wait for episode in self.memory.episodes.values() for wait in self._waits(episode)]
        edges = [self.memory.now + wait for wait in waits if wait > 0]
        edges += [silence.ends_at for silence in self.memory.silences.values()]
        return min(edges, default=None)

    def _waits(self, episode: Episode) -> Iterable[int]:
        settings = self.settings
        if not episode.firing:
            yield episode.since + micros(episode.for_) - self.memory.steady
            return
        if episode.clear_since is not None:
            yield episode.clear_since + self.hold(episode) - self.memory.steady
        if episode.undecided_since is not None:
            yield episode.undecided_since + micros(settings.stale_after) - self.memory.steady
        repeat = settings.repeat.get(episode.level)
        if repeat is not None and episode.evidence is State.BREACH:
            until = episode.told_at + micros(repeat) - self.memory.steady
            yield max(until, micros(repeat) // 2 - episode.evident)

    def hold(self, episode: Episode) -> int:
        """How long an episode must be settled before it is resolved, in microseconds."""
        hold = episode.keep_firing_for
        if episode.starts >= self.settings.flapping_starts:
            hold = max(hold, self.settings.flapping_hold)
        return micros(hold)

    # As JSON

    def to_json(self) -> str:
        """Everything but the settings."""
        return self.memory.to_json()

    @classmethod
    def from_json(cls, settings: Settings, text: str) -> Machine:
        """The machine of `to_json`, under settings that may have changed meanwhile.

        Raises:
            ValueError: a state of a version that is not known.
        """
        return cls(settings, Memory.from_json(text))


class _Step:
    """One step of a machine."""

    def __init__(self, machine: Machine, now: int, describe: Describe | None) -> None:
        self._machine = machine
        self._memory = machine.memory
        self._elapsed = machine.memory.tick(now, micros(machine.settings.max_step))
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
        machine, steady = self._machine, self._memory.steady
        stale = micros(machine.settings.stale_after)
        clear, undecided = episode.clear_since, episode.undecided_since
        if clear is not None and steady - clear >= machine.hold(episode):
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
        if episode.rule.removesuffix(FAILED_SUFFIX) not in self._machine.settings.rules:
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
        machine = self._machine
        repeat = machine.settings.repeat.get(episode.level)
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


def micros(seconds: float) -> int:
    """Whole microseconds; for ever is more than there are."""
    return 2**62 if math.isinf(seconds) else round(seconds * _MICROS)


def _kept(since: int | None, now: int) -> int:
    return now if since is None else since


def _failure(rule: str, failed: list[Verdict]) -> Verdict:
    """A verdict about the evaluation of a rule."""
    watch = Watch(
        rule=f"{rule}{FAILED_SUFFIX}", kind=Kind.NUMBER, metric_type=MetricType.ERROR_RATE,
        unit="failures", limits=(Limit(AlertLevel.WARNING, 0.0),), keep_firing_for=0.0,
    )  # fmt: skip
    return Verdict(
        key=alert_key(watch.rule, Scope()), watch=watch, scope=Scope(),
        state=State.BREACH if failed else State.CLEAR, settled=True,
        level=AlertLevel.WARNING if failed else None, value=float(len(failed)), threshold=0.0,
        words=failed[0].words if failed else "",
    )  # fmt: skip
