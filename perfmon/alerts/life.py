"""The life of alerts: a machine that is given verdicts, step by step, and says what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perfmon.alerts.episodes import Episode
from perfmon.alerts.failures import failures
from perfmon.alerts.inhibition import inhibit
from perfmon.alerts.memory import Memory
from perfmon.alerts.settings import Settings, micros
from perfmon.alerts.silences import Silence
from perfmon.alerts.step import Changes, Describe, Step
from perfmon.alerts.verdicts import State, Verdict
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
        step = Step(self.settings, self.memory, now, describe)
        by_key = {verdict.key: verdict for verdict in verdicts}
        by_key.update(
            (verdict.key, verdict)
            for verdict in failures(self.memory, self.settings, by_key.values())
        )
        for key in sorted(self.memory.episodes.keys() | by_key.keys()):
            step.take(key, by_key.get(key))
        inhibit(self.memory.episodes.values())
        self.memory.hush(now)
        for episode in self.memory.in_order():
            step.remind(episode, by_key.get(episode.key))
        return step.changes()

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
            yield episode.clear_since + settings.hold(episode) - self.memory.steady
        if episode.undecided_since is not None:
            yield episode.undecided_since + micros(settings.stale_after) - self.memory.steady
        repeat = settings.repeat.get(episode.level)
        if repeat is not None and episode.evidence is State.BREACH:
            until = episode.told_at + micros(repeat) - self.memory.steady
            yield max(until, micros(repeat) // 2 - episode.evident)

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
