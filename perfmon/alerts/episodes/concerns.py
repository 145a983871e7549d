"""Concerns: several rules about one subject and scope form one alert with one level.

Its members are the episodes of those rules, each with a life of its own. The alert fires with the
first of them, has the level of the worst, and is over with the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2s
from typing import Any

import attrs

from perfmon.alerts.episodes.episode import Episode, rank
from perfmon.alerts.evidence.verdicts import State
from perfmon.records import AlertLevel, PerformanceAlert


@attrs.define(kw_only=True)
class Concern:
    """Times are microseconds, as in `Episode`.

    Attributes:
        key: of what it is about, the same for every time it fires.
        alert_id: of this time.
        level, peak: now, and the highest so far.
        started_at, resolved_at: the wall clock.
        began_at: the wall clock when what it is about began, found back in the runs, or None.
        since: steady, when it began to fire.
        told_at, evident: steady time of the last thing worth a message, and for how long since
            then a breach has been evident.
        rises, eases, reminders: how often its level rose and fell, and reminders were due.
        starts: how often it began to fire within a day, this time included.
        led_by: the key of the member that leads it.
        is_heard: whether nothing inhibited it at some time.
        fades_since, least: where the alert that spoke for it is over or less urgent: since when
            (steady), and how bad it has been recently at best since then.
        closed_by, comment: the person who closed it, and why; or empty.
        rest: what another version of perfmon keeps of it; written back as it is.
        members: its firing episodes; not saved.
    """

    key: str
    alert_id: str
    level: AlertLevel
    peak: AlertLevel
    started_at: int
    since: int
    began_at: int | None = None
    resolved_at: int | None = None
    told_at: int = 0
    evident: int = 0
    is_evident: bool = True
    rises: int = 0
    eases: int = 0
    reminders: int = 0
    starts: int = 1
    led_by: str = ""
    acknowledged_by: str | None = None
    silenced_by: str | None = None
    inhibited_by: str | None = None
    is_heard: bool = False
    fades_since: int | None = None
    least: float | None = None
    closed_by: str = ""
    comment: str = ""
    rest: dict[str, Any] = attrs.Factory(dict)
    members: list[Episode] = attrs.field(factory=list, eq=False, repr=False)

    @classmethod
    def of(cls, key: str, members: list[Episode], now: int, steady: int, starts: int) -> Concern:
        """One that begins to fire; the id is the same when a step is done once more."""
        alert_id = blake2s(f"{key}\0{now}\0{steady}".encode(), digest_size=10).hexdigest()
        level = max((one.level for one in members), key=rank)
        made = cls(
            key=key, alert_id=alert_id, level=level, peak=level, started_at=now, since=steady,
            told_at=steady, starts=starts, members=members,
        )  # fmt: skip
        made.share()
        return made

    @classmethod
    def going_on(cls, key: str, members: list[Episode]) -> Concern:
        """One of episodes that fired before there were concerns: it goes on under its id."""
        ordered = sorted(members, key=lambda e: (-rank(e.level), e.inhibited_by or "", e.since))
        first = next(one for one in ordered if one.alert_id)
        assert first.started_at is not None
        level = max((one.level for one in members), key=rank)
        made = cls(
            key=key, alert_id=first.alert_id, level=level, peak=level, since=first.since,
            started_at=first.started_at, told_at=first.told_at, evident=first.evident,
            rises=first.rises, reminders=first.reminders, starts=max(1, first.starts),
            acknowledged_by=first.acknowledged_by, inhibited_by=first.inhibited_by,
            members=members,
        )  # fmt: skip
        made.share()
        return made

    @property
    def lead(self) -> Episode:
        """The member that leads it."""
        return next((one for one in self.members if one.key == self.led_by), self.members[0])

    @property
    def family(self) -> str:
        return self.lead.family

    @property
    def labels(self) -> dict[str, str]:
        return self.lead.labels

    def share(self) -> None:
        """Give the members what they have in common, and find the one that leads."""
        worst = max(rank(one.level) for one in self.members)
        found = [one for one in self.members if rank(one.level) == worst]
        evident = [one for one in found if one.evidence is State.BREACH] or found
        lead = next((one for one in evident if one.key == self.led_by), None)
        self.led_by = (lead or min(evident, key=lambda one: (one.since, one.key))).key
        if self.began_at is None:
            found_back = (one.began_at for one in self.members if one.began_at is not None)
            self.began_at = min(found_back, default=None)
        for one in self.members:
            if one.alert_id not in ("", self.alert_id):
                one.former_id = one.alert_id
            one.alert_id, one.started_at = self.alert_id, self.started_at
            one.starts, one.began_at = self.starts, self.began_at

    def mark(self) -> None:
        """What is noted of it is noted of its members, too: an older version reads it there."""
        for one in self.members:
            one.acknowledged_by, one.silenced_by = self.acknowledged_by, self.silenced_by
            one.inhibited_by = self.inhibited_by

    def is_of(self, alert_id: str) -> bool:
        """Whether it goes by this id, or a member did before it was a part of it."""
        return alert_id in (self.alert_id, *(one.former_id for one in self.members))

    def matched(self) -> Iterable[dict[str, str]]:
        """What silences go by: its own key, or that of the rule that leads it."""
        lead = self.lead
        found = {**lead.matched, "level": self.level.value, "alert_id": self.alert_id}
        return found, {**found, "key": self.key}

    def resolve(self, now: int, steady: int) -> None:
        """The end. Where the wall clock went back, the steady one says how long it was."""
        self.resolved_at = now if now >= self.started_at else self.started_at + steady - self.since

    def alert(self, now: int) -> PerformanceAlert:
        """As everything outside knows it."""
        lead = self.lead
        lead.resolved_at = self.resolved_at
        told = lead.alert(now)
        more: dict[str, Any] = {}
        if len(self.members) > 1:
            more["rules"] = sorted({one.rule for one in self.members})
        if lead.name not in ("", lead.rule):
            more |= {"family": lead.name, "family_metric": lead.name_metric}
        if rank(self.peak) > rank(self.level):
            more["eased_from"] = self.peak.value
        if self.closed_by:
            more["resolved_by"] = self.closed_by
        if self.comment:
            more["comment"] = self.comment
        return attrs.evolve(
            told, key=self.key, level=self.level, details={**told.details, **more},
            acknowledged_by=self.acknowledged_by, silenced_by=self.silenced_by,
            inhibited_by=self.inhibited_by,
        )  # fmt: skip

    def former(self, now: int, member: Episode) -> PerformanceAlert:
        """What was an alert of its own before it was a part of this one, under its own id."""
        own = attrs.evolve(member, alert_id=member.former_id)
        if self.resolved_at is not None or member not in self.members:
            own.resolved_at = max(now, self.started_at)
        return attrs.evolve(own.alert(now), inhibited_by=self.key)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        found = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if field.name not in ("members", "rest")
        }
        return {**found, **self.rest}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Concern:
        """What `plain` gave; its members find it at the next step."""
        known = {f.name for f in attrs.fields(cls)} - {"members", "rest"}
        made = {name: value for name, value in plain.items() if name in known}
        made["level"], made["peak"] = AlertLevel(made["level"]), AlertLevel(made["peak"])
        return cls(**made, rest={n: value for n, value in plain.items() if n not in known})
