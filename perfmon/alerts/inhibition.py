"""Which alerts keep quiet because another one says it already."""

from __future__ import annotations

from collections.abc import Iterable

from perfmon.alerts.episodes import Episode, rank
from perfmon.alerts.shares import MIN_BAD
from perfmon.alerts.watch import Kind

_SHARES = (Kind.SHARE, Kind.BEYOND)
_SUMS = (Kind.NUMBER, Kind.BUDGET)


def inhibit(episodes: Iterable[Episode]) -> None:
    """Sets `inhibited_by` of every firing episode, to a key or None.

    A higher level keeps quiet what is lower about the same (successes and errors are the same) in
    the same scope. What is narrower keeps quiet what is wider, such as an agent's alert the whole
    system's, where it is at least as urgent and what is left without it would be no breach. With
    no runs it is the other way round: where nothing at all runs, no agent need be named.
    """
    firing = [episode for episode in episodes if episode.firing]
    by_place: dict[tuple[object, ...], list[Episode]] = {}
    # By how much they fix, so that a thousand agents are not each compared with all others.
    by_family: dict[str, dict[int, list[Episode]]] = {}
    for episode in firing:
        by_place.setdefault((*_place(episode), episode.family), []).append(episode)
        widths = by_family.setdefault(episode.family, {})
        widths.setdefault(len(episode.labels), []).append(episode)
    for episode in firing:
        beside = by_place[(*_place(episode), episode.family)]
        above = _higher(episode, beside) or _explaining(episode, by_family[episode.family])
        episode.inhibited_by = None if above is None else above.key


def _place(episode: Episode) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(episode.labels.items()))


def _higher(episode: Episode, beside: list[Episode]) -> Episode | None:
    worse = [other for other in beside if rank(other.level) > rank(episode.level)]
    return min(worse, key=lambda other: (-rank(other.level), other.key), default=None)


def _explaining(episode: Episode, family: dict[int, list[Episode]]) -> Episode | None:
    own = len(episode.labels)
    if episode.kind is Kind.NO_RUNS:
        fewer = (o for count, others in family.items() if count < own for o in others)
        wider = [o for o in fewer if o.kind is Kind.NO_RUNS and _is_within(episode, o)]
        return min(wider, key=lambda other: (len(other.labels), other.key), default=None)
    more = (other for count, others in family.items() if count > own for other in others)
    parts = [
        other
        for other in more
        if _is_within(other, episode)
        and (other.kind, other.metric, other.above) == (episode.kind, episode.metric, episode.above)
        and rank(other.level) >= rank(episode.level)
    ]
    if not parts or _remains(episode, _apart(parts)):
        return None
    return min(parts, key=lambda other: (-other.bad, other.key))


def _is_within(inner: Episode, outer: Episode) -> bool:
    """Whether one is about a part of what the other is about."""
    return len(inner.labels) > len(outer.labels) and outer.labels.items() <= inner.labels.items()


def _apart(parts: list[Episode]) -> list[Episode]:
    """Without those that are within another one, whose runs would count twice."""
    most = max(len(part.labels) for part in parts)
    wider = [part for part in parts if len(part.labels) < most]
    return [part for part in parts if not any(_is_within(part, other) for other in wider)]


def _remains(whole: Episode, parts: list[Episode]) -> bool:
    """Whether there would be a breach without the parts."""
    runs = whole.sample_size - sum(part.sample_size for part in parts)
    bad = whole.bad - sum(part.bad for part in parts)
    if whole.kind in _SHARES:
        return bad >= MIN_BAD and runs > 0 and bad > whole.allowed * runs
    if whole.kind in (Kind.ANY, Kind.SINGLE, Kind.UNFINISHED):
        return bad >= (MIN_BAD if whole.kind is Kind.ANY else 1)
    if whole.kind in _SUMS:
        return _is_beyond(whole, whole.value - sum(part.value for part in parts))
    if whole.kind is Kind.MEAN:
        total = whole.value * whole.sample_size
        total -= sum(part.value * part.sample_size for part in parts)
        return runs > 0 and _is_beyond(whole, total / runs)
    return True


def _is_beyond(episode: Episode, value: float) -> bool:
    return value > episode.threshold if episode.above else value < episode.threshold
