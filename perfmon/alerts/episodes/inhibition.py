"""Which alerts keep quiet because another one says it already.

What spoke first speaks on, so that the same trouble is told once; and what was kept quiet does not
speak up when the other one is over or eases, unless it has got worse since. What is over everywhere
but in the longer memory of a wider window is no news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import COUNTED, Episode, rank
from perfmon.alerts.episodes.memory import Over
from perfmon.alerts.evidence.shares import MIN_BAD, Z_95, is_beyond, least_bad, strictness
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.rules.rule import Kind

_SHARES = (Kind.SHARE, Kind.BEYOND)
_SUMS = (Kind.NUMBER, Kind.BUDGET)
_WORSE = 0.1  # of a value: so much beyond its best
_MICROS = 1_000_000
_SURE = strictness(1 / 12)  # it is asked at every look, for hours
_PATIENCE = 900.0  # seconds at most until an absence speaks up that a wider one spoke for


class _Family(NamedTuple):
    """The alerts of one subject, by how many dimensions they fix.

    So a thousand agents are not each compared with all others.
    """

    by_width: dict[int, list[Concern]]

    def narrower(self, concern: Concern) -> list[Concern]:
        own = len(concern.labels)
        found = (
            other for count, others in self.by_width.items() if count > own for other in others
        )
        return [other for other in found if _is_within(other, concern)]

    def wider(self, concern: Concern) -> list[Concern]:
        own = len(concern.labels)
        found = (
            other for count, others in self.by_width.items() if count < own for other in others
        )
        return [other for other in found if _is_within(concern, other)]


def inhibit(concerns: Iterable[Concern], steady: int, over: Mapping[str, Over]) -> None:
    """Sets `inhibited_by` of every alert that fires, to a key or None.

    A higher level keeps quiet what is lower about the same (successes and errors are the same) in
    the same scope. What is narrower keeps quiet what is wider, such as an agent's alert the whole
    system's, where it is at least as urgent and what is left without it would be no breach; and
    the other way round where the wider one spoke first, and the narrower one alone is why, or is
    no worse than the whole. With no runs the wider one always speaks: where nothing at all runs,
    no agent need be named. `over` are those that are over, of whose runs others may still tell.
    """
    firing = list(concerns)
    by_place: dict[tuple[object, ...], list[Concern]] = {}
    families: dict[str, _Family] = {}
    for concern in firing:
        by_place.setdefault(_place(concern), []).append(concern)
        widths = families.setdefault(concern.family, _Family({})).by_width
        widths.setdefault(len(concern.labels), []).append(concern)
    speakers: dict[str, Concern | None] = {}
    for concern in firing:
        family = families[concern.family]
        higher = _higher(concern, by_place[_place(concern)])
        speakers[concern.key] = higher or _by_parts(concern, family)
    for concern in firing:
        if speakers[concern.key] is None:
            wider = families[concern.family].wider(concern)
            speaking = [one for one in wider if _speaks(one, speakers[one.key], concern)]
            speakers[concern.key] = _by_whole(concern, speaking)
    by_key = {concern.key: concern for concern in firing}
    for concern in firing:
        if concern.since == steady and over:
            concern.inhibited_by = concern.inhibited_by or _aftermath(concern, steady, over)
        _hush(concern, speakers[concern.key], by_key, steady)


def _place(concern: Concern) -> tuple[object, ...]:
    return (*sorted(concern.labels.items()), concern.family)


def _higher(concern: Concern, beside: list[Concern]) -> Concern | None:
    worse = [other for other in beside if rank(other.level) > rank(concern.level)]
    return min(worse, key=lambda other: (-rank(other.level), other.key), default=None)


def _by_parts(whole: Concern, family: _Family) -> Concern | None:
    """The worst of the narrower ones, where they explain the whole."""
    lead = whole.lead
    if lead.kind is Kind.NO_RUNS:
        wider = [other for other in family.wider(whole) if other.lead.kind is Kind.NO_RUNS]
        return min(wider, key=lambda other: (len(other.labels), other.key), default=None)
    found = [
        (other, twin)
        for other in family.narrower(whole)
        if (twin := _twin(other, lead)) is not None
        and rank(other.level) >= rank(whole.level)
        and (not _is_first(whole, other) or whole.inhibited_by == other.key)
    ]
    if not found or _remains(lead, _apart([twin for _, twin in found])):
        return None
    return min(found, key=lambda one: (-one[1].bad, one[0].key))[0]


def _by_whole(part: Concern, wider: list[Concern]) -> Concern | None:
    """A wider one that spoke first, and of which this one says nothing new."""
    found = [
        whole
        for whole in wider
        if rank(whole.level) >= rank(part.level)
        and (_is_first(whole, part) or part.inhibited_by == whole.key)
        and (twin := _twin(whole, part.lead)) is not None
        and (not _remains(twin, [part.lead]) or _is_no_worse(part.lead, twin))
    ]
    return min(found, key=lambda other: (len(other.labels), other.key), default=None)


def _speaks(whole: Concern, speaker: Concern | None, part: Concern) -> bool:
    """Whether a wider one can speak for a part: it is heard, or was before another part spoke."""
    return speaker is None or (whole.is_heard and speaker is not part)


def _is_first(whole: Concern, part: Concern) -> bool:
    """Whether the wider one spoke first: it is as urgent or more, or has been so for longer."""
    if rank(whole.level) != rank(part.level):
        return rank(whole.level) > rank(part.level)
    return whole.since < part.since


def _twin(concern: Concern, lead: Episode) -> Episode | None:
    """The member that is about the very same as an episode of another scope."""
    wanted = (lead.kind, lead.metric, lead.above)
    same = (one for one in concern.members if (one.kind, one.metric, one.above) == wanted)
    return next(same, None)


def _is_within(inner: Concern | Episode, outer: Concern | Episode) -> bool:
    """Whether one is about a part of what the other is about."""
    return _holds(outer.labels, inner.labels)


def _apart(parts: list[Episode]) -> list[Episode]:
    """Without those that are within another one, whose runs would count twice."""
    most = max(len(part.labels) for part in parts)
    wider = [part for part in parts if len(part.labels) < most]
    return [part for part in parts if not any(_is_within(part, other) for other in wider)]


def _remains(whole: Episode, parts: list[Episode]) -> bool:
    """Whether there would be a breach without the parts, by the evidence that it takes."""
    if whole.kind in _SHARES:
        runs, bad = _rest(whole, parts)
        enough = runs > 0 and bad >= least_bad(whole.allowed)
        return enough and is_beyond(runs, bad, whole.allowed, Z_95)
    bad = whole.bad - sum(part.bad for part in parts)
    if whole.kind in (Kind.ANY, Kind.SINGLE, Kind.UNFINISHED):
        return bad >= (MIN_BAD if whole.kind is Kind.ANY else 1)
    if whole.kind in _SUMS:
        return _is_beyond(whole, whole.value - sum(part.value for part in parts))
    if whole.kind is Kind.MEAN:
        runs = whole.sample_size - sum(part.sample_size for part in parts)
        total = whole.value * whole.sample_size
        total -= sum(part.value * part.sample_size for part in parts)
        return runs > 0 and _is_beyond(whole, total / runs)
    return True


def _rest(whole: Episode, parts: list[Episode]) -> tuple[int, int]:
    """Runs and bad ones without the parts: of the whole window, so that all are of one time.

    A part with few runs has them from a longer time; only so much of them is in the whole's.
    """
    if not whole.whole_runs:  # of another version of perfmon
        size = whole.sample_size - sum(part.sample_size for part in parts)
        return size, whole.bad - sum(part.bad for part in parts)
    runs = [part.whole_runs * _in_it(part, whole) for part in parts]
    # What is bad is what came last.
    bad = [min(part.whole_bad, own) for part, own in zip(parts, runs, strict=True)]
    return round(whole.whole_runs - sum(runs)), round(whole.whole_bad - sum(bad))


def _in_it(part: Episode, whole: Episode) -> float:
    known = part.span > 0 and whole.span > 0
    return min(1.0, whole.span / part.span) if known else 1.0


def _is_beyond(episode: Episode, value: float) -> bool:
    return value > episode.threshold if episode.above else value < episode.threshold


def _is_no_worse(part: Episode, whole: Episode) -> bool:
    """Whether a part is as bad as the whole, so that naming it says nothing new."""
    if whole.kind in _SHARES and part.sample_size and whole.sample_size:
        share = whole.bad / whole.sample_size
        return not is_beyond(part.sample_size, part.bad, share, _SURE)
    if whole.kind is Kind.MEAN:
        return part.value <= whole.value if whole.above else part.value >= whole.value
    return False


# What was kept quiet, when the other one is over or eases


def _hush(
    concern: Concern, speaker: Concern | None, by_key: dict[str, Concern], steady: int
) -> None:
    if speaker is not None:
        concern.inhibited_by, concern.fades_since, concern.least = speaker.key, None, None
        return
    before = concern.inhibited_by
    concern.is_heard = concern.is_heard or before is None
    if before is None:
        return
    if not _is_over(concern, by_key.get(before)):
        if concern.lead.evidence is State.BREACH:  # which the other one explains no more
            concern.inhibited_by, concern.fades_since, concern.least = None, None, None
        return
    now = concern.lead.lately
    if concern.fades_since is None or concern.least is None:
        concern.fades_since, concern.least = steady, now
    concern.least = min(concern.least, now)
    if _is_news(concern, steady):
        concern.inhibited_by, concern.fades_since, concern.least = None, None, None


def _aftermath(concern: Concern, steady: int, over: Mapping[str, Over]) -> str | None:
    """What is over and was about the same, of a time that its runs are of, too."""
    lead = concern.lead
    if lead.kind not in _SHARES or not lead.span > 0:
        return None
    found = [
        key
        for key, one in over.items()
        if one.family == concern.family
        and steady - one.ended < lead.span * _MICROS
        and rank(one.level) >= rank(concern.level)
        and (_holds(one.labels, concern.labels) or _holds(concern.labels, one.labels))
    ]
    return min(found, default=None)


def _holds(outer: Mapping[str, str], inner: Mapping[str, str]) -> bool:
    return len(inner) > len(outer) and outer.items() <= inner.items()


def _is_over(concern: Concern, speaker: Concern | None) -> bool:
    """Whether what spoke for it is over or less urgent, rather than no explanation any more."""
    return speaker is None or rank(speaker.level) < rank(concern.level)


def _is_news(concern: Concern, steady: int) -> bool:
    """Whether it got worse since then; an absence speaks up after a while."""
    lead, patience = concern.lead, fading_for(concern)
    if patience is not None:
        return steady >= patience
    assert concern.least is not None
    worse = MIN_BAD if lead.kind in COUNTED else _WORSE * abs(concern.least)
    return lead.evidence is State.BREACH and lead.lately >= concern.least + worse


def fading_for(concern: Concern) -> int | None:
    """Until when (steady) an absence keeps quiet for that reason; None for anything else."""
    if concern.fades_since is None or concern.lead.kind is not Kind.NO_RUNS:
        return None
    return concern.fades_since + round(min(concern.lead.threshold, _PATIENCE) * _MICROS)
