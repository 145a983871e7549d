"""One episode of an alert: its state in the machine, and the alert it is published as."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import attrs

from perfmon.alerts.evidence.shares import allowed_share
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.rules.targets import alert_key, labels
from perfmon.alerts.wording.advice import Details, recommendation
from perfmon.alerts.wording.sentences import Situation, sentence
from perfmon.records import AlertLevel, MetricType, PerformanceAlert, from_micros, jsonable

_MICROS = 1_000_000
COUNTED = (Kind.SHARE, Kind.BEYOND, Kind.BURN, Kind.ANY, Kind.SINGLE, Kind.UNFINISHED)
"""What is bad about them are single runs."""
_ORDER = {level: place for place, level in enumerate(AlertLevel)}


def rank(level: AlertLevel | None) -> int:
    """How urgent: higher is more; -1 for none."""
    return -1 if level is None else _ORDER[level]


@attrs.frozen(kw_only=True)
class Snapshot:
    """All figures of one moment, with what there is to say beside them; as in `Episode`."""

    at: int = 0
    figures_state: State = State.BREACH
    value: float = math.nan
    threshold: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sample_size: int = 0
    bad: int = 0
    seconds: float = math.nan
    words: str = ""
    details: Details = attrs.Factory(Details)


@attrs.define(kw_only=True)
class Episode:
    """Times are microseconds: of the wall clock when shown to users, else of the
    machine's steady clock, which no step of the wall clock moves.

    Attributes:
        key, rule, labels, kind, metric, metric_type, family, unit, above: what it is about.
        joint: the key of what it is one alert with; empty until it is known.
        name, name_metric: of that alert, whichever of its rules leads.
        level: as the last verdicts have it.
        firing: or pending.
        alert_id: of the concern it is a member of; empty while pending.
        former_id: under which it was an alert of its own, before it was a member; or empty.
        breached_at: the wall clock when the breach was first seen.
        started_at: the wall clock when it began to fire, or None.
        since: steady, when it became pending; then when it began to fire.
        clear_since, undecided_since, ease_since: steady, or None.
        told_at, evident: steady time of the last thing worth a message, and for how long since
            then the breach has been evident.
        rises, reminders: how often the level rose, and how many reminders were due.
        starts: how often the alert it belongs to began to fire within a day, this time included.
        fires: how often it began to fire within a day, while that alert fired already.
        evidence: the state of the last verdict.
        value, threshold, low, high, sample_size, bad, seconds: the figures of the last breach, or
            of the last verdict that had any.
        whole_runs, whole_bad, span: of a share, the runs of the whole window, how many of them are
            bad, and how many seconds they are of.
        lately: how bad it has been at last; more is worse.
        seen: for an absence, when the last run before it ended; 0 where there was none.
        allowed: the share of bad runs up to which there is no breach, where there is such.
        for_, keep_firing_for, group_wait: seconds.
        at, figures_state: the moment of the figures, and what that look came to.
        details: what there is to say beside them, of the moment `details.at`.
        told: all that was said when there was a message last (it fired, rose, or was due for a
            reminder), of one moment.
        began_at: the wall clock when what it is about began, found back in the runs, or None.
        rest: what another version of perfmon keeps of it; written back as it is.
    """

    key: str
    rule: str
    labels: dict[str, str]
    kind: Kind
    metric: str
    metric_type: MetricType
    family: str
    unit: str
    above: bool
    word: str
    level: AlertLevel
    breached_at: int
    since: int
    joint: str = ""
    name: str = ""
    name_metric: str = ""
    firing: bool = False
    alert_id: str = ""
    former_id: str = ""
    started_at: int | None = None
    resolved_at: int | None = None
    clear_since: int | None = None
    undecided_since: int | None = None
    ease_since: int | None = None
    told_at: int = 0
    evident: int = 0
    rises: int = 0
    reminders: int = 0
    starts: int = 0
    fires: int = 0
    evidence: State = State.BREACH
    evaluated_at: int = 0
    value: float = math.nan
    threshold: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sample_size: int = 0
    bad: int = 0
    seconds: float = math.nan
    whole_runs: int = 0
    whole_bad: int = 0
    span: float = math.nan
    lately: float = math.nan
    seen: int = 0
    allowed: float = math.nan
    words: str = ""
    for_: float = 0.0
    keep_firing_for: float = 60.0
    group_wait: float = 0.0
    details: Details = attrs.Factory(Details)
    acknowledged_by: str | None = None
    silenced_by: str | None = None
    inhibited_by: str | None = None
    reason: str = ""
    at: int = 0
    figures_state: State = State.BREACH
    told: Snapshot | None = None
    began_at: int | None = None
    rest: dict[str, Any] = attrs.Factory(dict)

    @classmethod
    def of(cls, verdict: Verdict, now: int, steady: int) -> Episode:
        """One that begins with this breach, pending."""
        watch = verdict.watch
        assert verdict.level is not None
        return cls(
            key=verdict.key, rule=watch.rule, labels=labels(verdict.scope), kind=watch.kind,
            metric=watch.metric, metric_type=watch.metric_type, family=watch.family,
            unit=watch.unit, above=watch.above, word=watch.word, level=verdict.level,
            breached_at=now, since=steady, joint=alert_key(watch.joint, verdict.scope),
        )  # fmt: skip

    def see(self, verdict: Verdict, now: int) -> None:
        """Take over what the newest verdict says; one without figures leaves the last ones."""
        self.evidence, self.evaluated_at = verdict.state, now
        watch = verdict.watch  # may have changed since, or another version of perfmon said less
        self.kind, self.metric, self.metric_type = watch.kind, watch.metric, watch.metric_type
        self.family, self.unit, self.above, self.word = (
            watch.family, watch.unit, watch.above, watch.word
        )  # fmt: skip
        self.labels, self.group_wait = labels(verdict.scope), watch.group_wait
        self.joint = alert_key(watch.joint, verdict.scope)
        self.name, self.name_metric = watch.joint, watch.joint_metric or watch.metric
        # A change from 0 has no figure, and yet there is something to say of it.
        is_bare = math.isnan(verdict.value) and verdict.state is not State.BREACH
        if verdict.state is State.FAILED or is_bare:
            return
        names = (
            "value", "threshold", "low", "high", "sample_size", "bad", "seconds", "words",
        )  # fmt: skip
        for name in names:
            setattr(self, name, getattr(verdict, name))
        self.lately = _lately(verdict)
        self.whole_runs, self.whole_bad = verdict.whole
        self.span = (now - verdict.since) / _MICROS if verdict.since else math.nan
        self.at, self.figures_state = verdict.at or now, verdict.state
        if verdict.bounds[0]:
            self.seconds = (self.at + 1 - verdict.bounds[0]) / _MICROS
        limits = [limit for limit in verdict.watch.limits if limit.value == verdict.threshold]
        if limits and self.kind in (Kind.SHARE, Kind.BEYOND, Kind.BURN):
            self.allowed = allowed_share(verdict.watch, limits[0])

    def fire(self, now: int, steady: int) -> None:
        """From pending to firing; its concern gives it an id."""
        self.firing, self.started_at, self.since = True, now, steady
        self.told_at, self.evident = steady, 0

    @property
    def state(self) -> str:
        if self.resolved_at is not None:
            return "resolved"
        return "firing" if self.firing else "pending"

    @property
    def matched(self) -> dict[str, str]:
        """What silences go by."""
        own = {"rule": self.rule, "metric": self.metric, "level": self.level.value}
        return {**self.labels, **own, "key": self.key, "alert_id": self.alert_id}

    def keep(self) -> None:
        """What is known now is what is said of it from now on."""
        self.told = self._newest()
        began = self.details.began
        if began is not None and began < min(self.began_at or began + 1, self.breached_at + 1):
            self.began_at = began

    def _newest(self) -> Snapshot:
        """The newest figures, with details where those are of the same moment."""
        details = self.details if self.details.at == self.at else Details()
        names = (field.name for field in attrs.fields(Snapshot) if field.name != "details")
        return Snapshot(**{name: getattr(self, name) for name in names}, details=details)

    def _shown(self) -> Snapshot:
        """What is said of it, all of one moment: the newest, or that of the last message."""
        newest = self._newest()
        is_bare = newest.details.at != newest.at
        if self.told is not None and self.state == "firing" and self.evidence is State.BREACH:
            return self.told if is_bare else newest
        return newest

    def alert(self, now: int) -> PerformanceAlert:
        """As everything outside knows it."""
        shown = self._shown()
        situation = self._situation_of(shown)
        behind = self.told if self.told is not None and self.resolved_at is not None else shown
        details: dict[str, Any] = {
            "evidence": self.evidence.value, "bad": behind.bad, **behind.details.figures(),
        }  # fmt: skip
        if behind.at:
            details["as_of"] = jsonable(from_micros(behind.at))
        if not math.isnan(behind.seconds):
            details["window_seconds"] = behind.seconds
        if self.starts > 1:
            details["episodes_in_24h"] = self.starts
        if self.resolved_at is not None and self.started_at is not None:
            assert self.since_when is not None
            details["duration_seconds"] = (self.resolved_at - self.since_when) / _MICROS
            details["reason"] = self.reason
        return PerformanceAlert(
            alert_id=self.alert_id or self.key,
            level=self.level,
            metric_type=self.metric_type,
            message=sentence(situation),
            current_value=shown.value,
            threshold=shown.threshold,
            agent_name=self.labels.get("agent"),
            timestamp=from_micros(shown.at or self.evaluated_at or now),
            recommendation=recommendation(situation, shown.details),
            details=details,
            state=self.state,
            key=self.key,
            rule=self.rule,
            metric=self.metric,
            unit=self.unit,
            interval=(shown.low, shown.high),
            sample_size=shown.sample_size,
            agent_type=self.labels.get("agent_type"),
            model=self.labels.get("model"),
            tenant=self.labels.get("tenant"),
            started_at=_moment(self.since_when),
            fired_at=_moment(self.started_at),
            resolved_at=None if self.resolved_at is None else from_micros(self.resolved_at),
            acknowledged_by=self.acknowledged_by,
            silenced_by=self.silenced_by,
            inhibited_by=self.inhibited_by,
        )

    @property
    def since_when(self) -> int | None:
        """The wall clock since when it is so, as far as the runs tell; None while pending."""
        if self.started_at is None or self.began_at is None:
            return self.started_at
        return min(self.started_at, self.began_at)

    def _situation_of(self, shown: Snapshot) -> Situation:
        """What words are made of."""
        return Situation(
            kind=self.kind, metric=self.metric, rule=self.rule, unit=self.unit, above=self.above,
            word=self.word, labels=self.labels, value=shown.value, threshold=shown.threshold,
            low=shown.low, high=shown.high, sample_size=shown.sample_size, bad=shown.bad,
            seconds=shown.seconds, words=shown.words, state=self.state, reason=self.reason,
            evidence=self.evidence.value, starts=self.starts,
            started_at=self.since_when, resolved_at=self.resolved_at,
            errors=shown.details.errors, classes=shown.details.classes,
            unclassed=shown.details.unclassed, at=shown.at or None,
            breached=shown.figures_state is State.BREACH,
        )  # fmt: skip


def _lately(verdict: Verdict) -> float:
    """More is worse, whatever the kind."""
    if not math.isnan(verdict.lately):
        return verdict.lately
    if verdict.watch.kind in COUNTED:
        return float(verdict.bad)
    return verdict.value * verdict.watch.sign


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
