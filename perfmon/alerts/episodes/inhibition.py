"""Inhibition: which alerts are suppressed because another one has the same cause.

The alert that fired first stays the one that is reported, so that one problem is reported once. A
suppressed alert does not fire when the other one resolves or eases, unless what came since is a
breach by itself. What has recovered everywhere but in the longer memory of a wider window is no
news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from perfmon.alerts.episodes.comparing import SHARES, Comparing, holds
from perfmon.alerts.episodes.concerns import Concern
from perfmon.alerts.episodes.episode import COUNTED, Episode, rank
from perfmon.alerts.episodes.memory import Over
from perfmon.alerts.evidence.shares import MIN_BAD
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.rules.rule import Kind

_WORSE = 0.1  # of a value: so much beyond its best
_MICROS = 1_000_000
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


def inhibit(
    concerns: Iterable[Concern], steady: int, over: Mapping[str, Over], comparing: Comparing
) -> None:
    """Sets `inhibited_by` of every alert that fires, to a key or None.

    A higher level keeps quiet what is lower about the same (successes and errors are the same) in
    the same scope. What is narrower keeps quiet what is wider, such as an agent's alert the whole
    system's, where it is at least as urgent and what is left without it would be no breach; and
    the other way round where the wider one spoke first, and the narrower one alone is why, or is
    no worse than the whole. With no runs the wider one always speaks: where nothing at all runs,
    no agent need be named. `over` are those that are over, of whose runs others may still tell;
    `comparing` knows of all of them at the time of this look.
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
        speakers[concern.key] = higher or _by_parts(concern, family, comparing)
    for concern in firing:
        if speakers[concern.key] is None:
            wider = families[concern.family].wider(concern)
            speaking = [one for one in wider if _speaks(one, speakers[one.key], concern)]
            speakers[concern.key] = _by_whole(concern, speaking, comparing)
    by_key = {concern.key: concern for concern in firing}
    for concern in firing:
        if concern.since == steady and over:
            _mind_aftermath(concern, steady, over)
        speaker = speakers[concern.key]
        if speaker is not None:
            concern.inhibited_by, concern.fades_since, concern.least = speaker.key, None, None
        else:
            _speak_up(concern, by_key, steady, comparing)


def _place(concern: Concern) -> tuple[object, ...]:
    return (*sorted(concern.labels.items()), concern.family)


def _higher(concern: Concern, beside: list[Concern]) -> Concern | None:
    worse = [other for other in beside if rank(other.level) > rank(concern.level)]
    return min(worse, key=lambda other: (-rank(other.level), other.key), default=None)


def _by_parts(whole: Concern, family: _Family, comparing: Comparing) -> Concern | None:
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
    if not found or comparing.remains(lead, [twin for _, twin in found]):
        return None
    return min(found, key=lambda one: (-one[1].bad, one[0].key))[0]


def _by_whole(part: Concern, wider: list[Concern], comparing: Comparing) -> Concern | None:
    """A wider one that spoke first, and of which this one says nothing new."""
    found = [
        whole
        for whole in wider
        if rank(whole.level) >= rank(part.level)
        and (_is_first(whole, part) or part.inhibited_by == whole.key)
        and (twin := _twin(whole, part.lead)) is not None
        and (not comparing.remains(twin, [part.lead]) or comparing.is_no_worse(part.lead, twin))
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


def _is_within(inner: Concern, outer: Concern) -> bool:
    """Whether one is about a part of what the other is about."""
    return holds(outer.labels, inner.labels)


# What was kept quiet, when the other one is over or eases


def _speak_up(
    concern: Concern, by_key: dict[str, Concern], steady: int, comparing: Comparing
) -> None:
    """Let it be heard, where nothing speaks for it, and did not before, or it is news."""
    before = concern.inhibited_by
    concern.is_heard = concern.is_heard or before is None
    if before is None:
        return
    if not _is_over(concern, by_key.get(before)):
        if concern.lead.evidence is State.BREACH:  # which the other one explains no more
            concern.inhibited_by, concern.fades_since, concern.least = None, None, None
        return
    now = concern.lead.lately
    if concern.fades_since is None:
        concern.fades_since = steady
    concern.least = now if concern.least is None else min(concern.least, now)
    if _is_news(concern, steady, comparing):
        concern.inhibited_by, concern.fades_since, concern.least = None, None, None


def _mind_aftermath(concern: Concern, steady: int, over: Mapping[str, Over]) -> None:
    """What is over and was about the same, of a time that its runs are of, spoke for it.

    That may be the alert itself: what its window remembers of last time was reported then.
    """
    lead = concern.lead
    if concern.inhibited_by is not None or lead.kind not in SHARES or not lead.span > 0:
        return
    found = [
        (one.ended, key)
        for key, one in over.items()
        if one.family == concern.family
        and steady - one.ended < lead.span * _MICROS
        and rank(one.level) >= rank(concern.level)
        and (
            key == concern.key
            or holds(one.labels, concern.labels)
            or holds(concern.labels, one.labels)
        )
    ]
    if found:
        concern.fades_since, concern.inhibited_by = max(found)


def _is_over(concern: Concern, speaker: Concern | None) -> bool:
    """Whether what spoke for it is over or less urgent, rather than no explanation any more.

    Where the whole is no more in breach, what its part still has is of the time when it was.
    """
    if speaker is None or speaker is concern or rank(speaker.level) < rank(concern.level):
        return True
    return _is_within(concern, speaker) and speaker.lead.evidence is not State.BREACH


def _is_news(concern: Concern, steady: int, comparing: Comparing) -> bool:
    """Whether it is a breach by what came since; an absence speaks up after a while."""
    lead, patience = concern.lead, fading_for(concern)
    if patience is not None:
        return steady >= patience
    assert concern.fades_since is not None
    assert concern.least is not None
    fresh = comparing.is_fresh(lead, comparing.now - (steady - concern.fades_since))
    if fresh is not None:
        return fresh
    worse = MIN_BAD if lead.kind in COUNTED else _WORSE * abs(concern.least)
    return lead.evidence is State.BREACH and lead.lately >= concern.least + worse


def fading_for(concern: Concern) -> int | None:
    """Until when (steady) an absence keeps quiet for that reason; None for anything else."""
    if concern.fades_since is None or concern.lead.kind is not Kind.NO_RUNS:
        return None
    return concern.fades_since + round(min(concern.lead.threshold, _PATIENCE) * _MICROS)
