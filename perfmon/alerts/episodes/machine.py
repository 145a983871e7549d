"""The state machine of alerts: takes verdicts step by step, and returns what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perfmon.alerts.episodes.comparing import Comparing, Count
from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import Episode
from perfmon.alerts.episodes.failures import failures
from perfmon.alerts.episodes.inhibition import fading_for, inhibit
from perfmon.alerts.episodes.joining import formers
from perfmon.alerts.episodes.memory import Memory
from perfmon.alerts.episodes.silence import SilenceInForce
from perfmon.alerts.episodes.step import Changes, Describe, Latest, Step, pending, refresh
from perfmon.alerts.episodes.timing import Settings, micros
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.records import PerformanceAlert


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
    def silences(self) -> tuple[SilenceInForce, ...]:
        """Those that are not over, in the order of their ends."""
        found = self.memory.silences.values()
        return tuple(sorted(found, key=lambda s: (s.ends_at, s.silence_id)))

    def alerts(
        self, now: int, latest: Latest | None = None, describe: Describe | None = None
    ) -> list[PerformanceAlert]:
        """What is pending or fires, in the order of the keys.

        With the details of its newest figures, where `latest` knows the verdict they are from and
        `describe` finds them.
        """
        memory = self.memory
        if latest is not None and describe is not None:
            for episode in memory.episodes.values():
                refresh(episode, latest.latest(episode.key), describe)
        found = [pending(e, now) for e in memory.in_order() if self._is_alone(e)]
        for concern in memory.in_concern():
            found += [concern.alert(now), *(alert(now) for alert in formers(concern))]
        return sorted(found, key=lambda alert: alert.key)

    def _is_alone(self, episode: Episode) -> bool:
        """Whether it is pending, and nothing fires that it would be a part of."""
        return not episode.firing and episode.joint not in self.memory.concerns

    def silence(
        self, matchers: Mapping[str, str], now: int, until: int, by: str, comment: str = ""
    ) -> SilenceInForce:
        """Keep quiet about what matches; see `SilenceInForce.made` for what is refused."""
        made = SilenceInForce.made(matchers, now, until, by, comment)
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
        for concern in self.memory.in_concern():
            if concern.is_of(alert_id):
                concern.acknowledged_by = by
                concern.mark()
                return concern.alert(self.memory.now or 0)
        return None

    def resolve(self, alert_id: str, now: int, by: str, comment: str = "") -> Changes | None:
        """Resolve it by hand: it fires again after a recovery, or if it worsens. None: unknown.

        Other verdicts are ignored, and no time passes.
        """
        concern = next((c for c in self.memory.in_concern() if c.is_of(alert_id)), None)
        if concern is None:
            return None
        step = Step(self.settings, self.memory, now, None)
        concern.closed_by, concern.comment = by, comment
        step.dismiss(concern, f"resolved by {by}{f': {comment}' if comment else ''}")
        return step.changes(step.join())

    # A step

    def step(
        self,
        now: int,
        verdicts: Iterable[Verdict],
        describe: Describe | None = None,
        count: Count | None = None,
    ) -> Changes:
        """Take in one verdict for each target there is, at a time in microseconds.

        A target without a verdict has no data. `describe` finds the details of a breach that
        begins to fire, rises, or is due for a reminder; where it raises they stay as they are.
        `count` counts the runs of a target anew, so that alerts are compared over the same time.
        """
        step = Step(self.settings, self.memory, now, describe)
        by_key = {verdict.key: verdict for verdict in verdicts}
        by_key.update(
            (verdict.key, verdict)
            for verdict in failures(self.memory, self.settings, by_key.values())
        )
        known = self.memory.episodes.keys() | self.memory.dismissed.keys()
        for key in sorted(known | by_key.keys()):
            step.take(key, by_key.get(key))
        joining = step.join()
        comparing = Comparing(now, count)
        inhibit(self.memory.in_concern(), self.memory.steady, self.memory.over, comparing)
        self.memory.hush(now)
        for concern in self.memory.in_concern():
            step.remind(joining, concern, by_key.get(concern.led_by))
        return step.changes(joining)

    # When something happens without new verdicts

    def next_edge(self) -> int | None:
        """The next time (microseconds) at which the same verdicts would change something."""
        if self.memory.now is None:
            return None
        memory = self.memory
        waits = [wait for episode in memory.episodes.values() for wait in self._waits(episode)]
        waits += [wait for concern in memory.in_concern() for wait in self._reminds(concern)]
        edges = [self.memory.now + wait for wait in waits if wait > 0]
        edges += [silence.ends_at for silence in self.memory.silences.values()]
        return min(edges, default=None)

    def _waits(self, episode: Episode) -> Iterable[int]:
        settings = self.settings
        if not episode.firing:
            yield episode.since + micros(episode.for_) - self.memory.steady
            return
        if episode.clear_since is not None:
            yield episode.clear_since + settings.hold(episode) - self.memory.steady
        if episode.undecided_since is not None:
            yield episode.undecided_since + micros(settings.stale_after) - self.memory.steady
        if episode.ease_since is not None:
            yield episode.ease_since + settings.hold(episode) - self.memory.steady

    def _reminds(self, concern: Concern) -> Iterable[int]:
        repeat = self.settings.repeat.get(concern.level)
        if repeat is not None and concern.lead.evidence is State.BREACH:
            until = concern.told_at + micros(repeat) - self.memory.steady
            yield max(until, micros(repeat) // 2 - concern.evident)
        patience = fading_for(concern)
        if patience is not None:
            yield patience - self.memory.steady

    # As JSON

    def to_json(self) -> str:
        """Everything but the settings."""
        return self.memory.to_json()

    @classmethod
    def from_json(cls, settings: Settings, text: str) -> Machine:
        """The machine of `to_json`, under settings that may have changed meanwhile.

        Raises:
            ValueError: it is no JSON object.
        """
        return cls(settings, Memory.from_json(text))
