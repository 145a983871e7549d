"""From episodes of rules to alerts: they start, escalate, ease and resolve together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import Episode, rank
from perfmon.alerts.episodes.memory import Memory
from perfmon.alerts.evidence.verdicts import State
from perfmon.records import PerformanceAlert

_Alert = Callable[[int], PerformanceAlert]


class Joining:
    """What a step does to concerns, after their episodes went on.

    Args:
        ended: the firing episodes that are over.

    Attributes:
        changes: what happened, the alert as a function of the time it is reported, and the reason.
    """

    def __init__(self, memory: Memory, now: int, elapsed: int, ended: Iterable[Episode]) -> None:
        self._memory = memory
        self._now = now
        self._elapsed = elapsed
        self._ended = list(ended)
        self._over: list[tuple[Concern, _Alert]] = []
        self.changes: list[tuple[Any, _Alert, str]] = []

    def settle(self) -> None:
        """Give every firing episode its concern, and every concern its level."""
        members: dict[str, list[Episode]] = {}
        for episode in self._memory.in_order():
            if episode.firing:
                members.setdefault(episode.joint or episode.key, []).append(episode)
        held = {i for own in members.values() for e in own for i in (e.alert_id, e.former_id) if i}
        for key in sorted(self._memory.concerns.keys() | members.keys()):
            self._one(key, members.get(key, []), held)
        for episode in self._ended:
            self._end_former(episode)

    def _one(self, key: str, members: list[Episode], held: set[str]) -> None:
        concern = self._memory.concerns.get(key)
        ids = {one.alert_id for one in members if one.alert_id}
        if concern is not None and ids and concern.alert_id not in ids:
            # Another version of perfmon ended it, and began another one.
            concern = self._memory.concerns.pop(key, None) and None
        if concern is None:
            if ids:
                self._memory.concerns[key] = concern = Concern.going_on(key, members)
                self._go_on(concern)
            elif members:
                self._begin(key, members)
            return
        concern.members = members or self._still_breaching(concern)
        if concern.members:
            self._go_on(concern)
        else:
            del self._memory.concerns[key]
            concern.members = [one for one in self._ended if one.alert_id == concern.alert_id]
            if concern.alert_id not in held:  # else it goes on under another key
                self._resolve(concern)

    def _begin(self, key: str, members: list[Episode]) -> None:
        memory = self._memory
        starts = memory.count_start(key, self._now)
        concern = Concern.of(key, members, self._now, memory.steady, starts)
        memory.concerns[key] = concern
        self.tell("firing", concern)

    def _still_breaching(self, concern: Concern) -> list[Episode]:
        """What waits for its `for` need not, where the alert about the very same fires already."""
        waiting = [
            one
            for one in self._memory.in_order()
            if not one.firing and one.joint == concern.key and one.evidence is State.BREACH
        ]
        for one in waiting:
            one.fire(self._now, self._memory.steady)
        return waiting

    def _go_on(self, concern: Concern) -> None:
        for one in concern.members:
            if not one.alert_id:
                one.fires = self._memory.count_start(f"{one.key} again", self._now)
        is_evident = any(one.evidence is State.BREACH for one in concern.members)
        if is_evident and concern.is_evident:
            concern.evident += self._elapsed
        concern.is_evident = is_evident
        level = max((one.level for one in concern.members), key=rank)
        change = rank(level) - rank(concern.level)
        concern.level, concern.peak = level, max(concern.peak, level, key=rank)
        concern.share()
        if change > 0:
            concern.rises += 1
            concern.acknowledged_by = None
            concern.told_at, concern.evident = self._memory.steady, 0
            self.tell("escalated", concern)
        elif change < 0:
            concern.eases += 1
            self.tell("eased", concern)

    def _resolve(self, concern: Concern) -> None:
        if not concern.members:
            return  # it was over in another version's time, and nothing is known of it
        concern.share()
        concern.resolve(self._now, self._memory.steady)
        self._memory.note_over(concern)
        self._over.append((concern, concern.alert))
        self.tell("resolved", concern, concern.lead.reason)

    def _end_former(self, episode: Episode) -> None:
        """What was an alert of its own before is over by itself, too."""
        if not episode.former_id:
            return
        known = self._memory.concerns.get(episode.joint)
        concern = known or next(
            (one for one, _ in self._over if one.alert_id == episode.alert_id), None
        )
        if concern is not None:
            alert = _former(concern, episode)
            self._over.append((concern, alert))
            self.changes.append(("resolved", alert, episode.reason))

    def tell(self, kind: str, concern: Concern, reason: str = "") -> None:
        self.changes.append((kind, concern.alert, reason))

    def standings(self) -> Iterator[tuple[Concern, _Alert]]:
        """Everything that fires, and what is over now."""
        for concern in self._memory.in_concern():
            yield concern, concern.alert
            yield from ((concern, alert) for alert in formers(concern))
        yield from self._over


def formers(concern: Concern) -> list[_Alert]:
    """Its members that were alerts of their own before, under those ids."""
    return [_former(concern, one) for one in concern.members if one.former_id]


def _former(concern: Concern, member: Episode) -> _Alert:
    return lambda now: concern.former(now, member)
