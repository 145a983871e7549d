"""Notifications: messages by sink and group, each with what is new to that sink.

Level-triggered: active alerts are compared with what a sink was sent, so that nothing is lost or
sent twice when a step is repeated. A sink gets the end of an alert if, and only if, it got its
start, even if the alert is silenced or inhibited by then. An alert that eases below the level of a
sink is finished for it: the sink is notified that it eased, and not of its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2s
from typing import Any, Literal, NamedTuple

import attrs

from perfmon.alerts.episodes.episode import rank
from perfmon.alerts.episodes.saved_versions import each, object_of, of_kind, rest_of
from perfmon.alerts.episodes.step import Standing
from perfmon.alerts.episodes.timing import micros
from perfmon.config import AlertsTable
from perfmon.delivery.terms import SinkTerms
from perfmon.records import AlertMessage, PerformanceAlert, from_micros

VERSION = 1
Kind = Literal["firing", "escalated", "reminder", "eased", "resolved"]
_ALERT_FIELDS = frozenset(field.name for field in attrs.fields(PerformanceAlert))
_KINDS: tuple[Kind, ...] = ("firing", "escalated", "reminder", "eased", "resolved")
_ENDS = ("eased", "resolved")


@attrs.frozen(kw_only=True)
class Grouping:
    """What messages have in common, and how far apart they are (seconds).

    Attributes:
        group_by: of `tenant`, `agent`, `agent_type`, `model`, `rule` and `level`; empty is one
            group of all.
        interval: between two messages of one group to one sink.
        link: the dashboard's address, or None.
    """

    group_by: tuple[str, ...] = ("tenant",)
    interval: float = 30.0
    link: str | None = None

    @classmethod
    def of(cls, alerts: AlertsTable, link: str | None = None) -> Grouping:
        """That of a configuration."""
        return cls(group_by=tuple(alerts.group_by), interval=alerts.group_interval, link=link)

    def group(self, alert: PerformanceAlert) -> str:
        """The group of an alert, readable: `tenant=acme`, or `all`."""
        fields = {
            "agent": alert.agent_name, "agent_type": alert.agent_type, "model": alert.model,
            "tenant": alert.tenant, "rule": alert.rule, "level": alert.level.value,
        }  # fmt: skip
        parts = [f"{name}={fields[name]}" for name in self.group_by if fields[name] is not None]
        return ",".join(parts) or "all"


@attrs.define(kw_only=True)
class Told:
    """What a sink was sent about an alert.

    Attributes:
        alert: as it was last sent.
        group: the group it was sent in; its end is sent there, too.
        rises, reminders: as last sent.
        eased: whether it heard that the alert fell below the level it receives.
        rest, unknown: what another version keeps here, and of the alert; written back as they are.
    """

    alert: PerformanceAlert
    group: str
    rises: int
    reminders: int
    eased: bool = False
    rest: tuple[Any, ...] = ()
    unknown: dict[str, Any] = attrs.Factory(dict)

    @classmethod
    def of(cls, row: list[Any]) -> Told:
        """What `row` gave."""
        plain, group, rises, reminders, *rest = row
        eased = bool(rest and rest.pop(0) is True)
        unknown = rest_of(plain, _ALERT_FIELDS)
        return cls(
            alert=PerformanceAlert.from_plain(plain),
            group=group,
            rises=rises,
            reminders=reminders,
            eased=eased,
            rest=tuple(rest),
            unknown=unknown,
        )

    @property
    def row(self) -> list[Any]:
        """As JSON values."""
        plain = {**self.alert.to_plain(), **self.unknown}
        return [plain, self.group, self.rises, self.reminders, self.eased, *self.rest]


@attrs.define(kw_only=True)
class _Pace:
    """When a group of a sink is due (None where nothing waits), and when it was last sent to."""

    due_at: int | None = None
    sent_at: int | None = None


class _Untold(NamedTuple):
    """What a sink has not been told of an alert."""

    kind: Kind
    standing: Standing

    @property
    def order(self) -> tuple[object, ...]:
        """The most urgent first; what is over last."""
        alert = self.standing.alert
        last = _ENDS.index(self.kind) + 1 if self.kind in _ENDS else 0
        return last, -rank(alert.level), str(alert.started_at), alert.alert_id

    @property
    def version(self) -> str:
        """The same for the same news, however often it is found out."""
        standing = self.standing
        counts = f"{standing.rises}:{standing.reminders}"
        if standing.eases and self.kind != "resolved":
            counts = f"{counts}:{standing.eases}"
        return f"{self.kind}:{standing.alert.alert_id}:{counts}"


class Groups:
    """All groups of all sinks. Pure, as the machine is; `to_json` is the whole of it.

    An episode that is over before its group was due was never told, and is not told any more; with
    `keep_firing_for` above the group's interval there is none.
    """

    def __init__(self, grouping: Grouping, sinks: Iterable[SinkTerms]) -> None:
        self.grouping = grouping
        self.sinks = tuple(sinks)
        self._told: dict[str, dict[str, Told]] = {}
        self._over: dict[str, PerformanceAlert] = {}
        self._paces: dict[str, dict[str, _Pace]] = {}
        self._rest: dict[str, Any] = {}  # what another version keeps here

    def told(self, sink: str) -> dict[str, Told]:
        """What a sink knows to be firing and not yet to be over, by alert id."""
        return dict(self._told.get(sink, {}))

    def note_over(self, alerts: Iterable[PerformanceAlert]) -> None:
        """These are over; sinks notified of them receive it at the next step."""
        self._over.update((alert.alert_id, alert) for alert in alerts)

    def step(self, now: int, standings: Iterable[Standing]) -> list[AlertMessage]:
        """The messages to send now, given all that fires and what has just been resolved."""
        standings = list(standings)
        firing = {s.alert.alert_id: s for s in standings if s.alert.state == "firing"}
        self._over.update(
            (s.alert.alert_id, s.alert) for s in standings if s.alert.state == "resolved"
        )
        messages = [m for sink in self.sinks for m in self._for_sink(sink, now, firing)]
        self._forget(now)
        return messages

    def next_edge(self) -> int | None:
        """The next time (microseconds) at which something that waits is due, or None."""
        dues = [pace.due_at for paces in self._paces.values() for pace in paces.values()]
        return min((due for due in dues if due is not None), default=None)

    def _for_sink(
        self, sink: SinkTerms, now: int, firing: dict[str, Standing]
    ) -> Iterator[AlertMessage]:
        waiting: dict[str, list[_Untold]] = {}
        for group, news in self._news(sink, now, firing):
            waiting.setdefault(group, []).append(news)
        paces = self._paces.setdefault(sink.name, {})
        for group in sorted(paces.keys() | waiting.keys()):
            pace = paces.setdefault(group, _Pace())
            self._set_due(pace, waiting.get(group, []), now)
            if pace.due_at is not None and pace.due_at <= now:
                pace.sent_at, pace.due_at = now, None
                yield self._message(sink, group, waiting[group], now)

    def _news(
        self, sink: SinkTerms, now: int, firing: dict[str, Standing]
    ) -> Iterator[tuple[str, _Untold]]:
        told = self._told.setdefault(sink.name, {})
        for alert_id, standing in firing.items():
            known = told.get(alert_id)
            kind = _kind(sink, standing, known)
            if kind is not None:
                group = self.grouping.group(standing.alert) if known is None else known.group
                yield group, _Untold(kind, standing)
        for alert_id, known in list(told.items()):
            if known.eased and alert_id not in firing:
                del told[alert_id]  # it was over for this sink before
            elif alert_id not in firing:
                alert = self._over.setdefault(alert_id, _lost(known.alert, now))
                yield known.group, _Untold("resolved", Standing(alert, known.rises, 0, 0.0))

    def _set_due(self, pace: _Pace, waiting: list[_Untold], now: int) -> None:
        """A first message waits for company, a further one for the interval too."""
        if not waiting:
            pace.due_at = None
            return
        wait = now + micros(min(news.standing.group_wait for news in waiting))
        due = wait if pace.due_at is None else min(pace.due_at, wait)
        if pace.sent_at is not None:
            pace.sent_at = min(pace.sent_at, now)  # time can go backwards
            due = max(due, pace.sent_at + micros(self.grouping.interval))
        pace.due_at = due

    def _message(
        self, sink: SinkTerms, group: str, waiting: list[_Untold], now: int
    ) -> AlertMessage:
        """One message of all that is new; with it the sink is notified."""
        waiting = sorted(waiting, key=lambda news: news.order)
        told = self._told[sink.name]
        for kind, standing in waiting:
            alert = standing.alert
            if kind == "resolved":
                del told[alert.alert_id]
            else:
                told[alert.alert_id] = Told(
                    alert=alert, group=group, rises=standing.rises, reminders=standing.reminders,
                    eased=rank(alert.level) < rank(sink.min_level),
                )  # fmt: skip
        kinds = {news.kind for news in waiting}
        listed = waiting[: sink.most]
        return AlertMessage(
            message_id=_message_id(sink.name, group, waiting),
            sink=sink.name,
            group=group,
            kind=next(kind for kind in _KINDS if kind in kinds),
            alerts=tuple(news.standing.alert for news in listed),
            left_out=len(waiting) - len(listed),
            created_at=from_micros(now),
            link=self.grouping.link,
        )

    def _forget(self, now: int) -> None:
        """Sinks that are gone, groups that are quiet, and ends that every sink has received."""
        names = {sink.name for sink in self.sinks}
        self._told = {name: told for name, told in self._told.items() if name in names}
        interval = micros(self.grouping.interval)
        self._paces = {
            name: {
                group: pace
                for group, pace in paces.items()
                if pace.due_at is not None
                or (pace.sent_at is not None and now - pace.sent_at < interval)
            }
            for name, paces in self._paces.items()
            if name in names
        }
        known = {alert_id for told in self._told.values() for alert_id in told}
        self._over = {alert_id: over for alert_id, over in self._over.items() if alert_id in known}

    def to_json(self) -> str:
        """Everything but grouping and sinks."""
        return json.dumps(
            {
                "version": VERSION,
                "told": {
                    sink: [one.row for one in told.values()] for sink, told in self._told.items()
                },
                "over": [alert.to_plain() for alert in self._over.values()],
                "paces": {
                    sink: {group: [pace.due_at, pace.sent_at] for group, pace in paces.items()}
                    for sink, paces in self._paces.items()
                },
                **self._rest,
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, grouping: Grouping, sinks: Iterable[SinkTerms], text: str) -> Groups:
        """What `to_json` wrote, of any version, for sinks that may have changed meanwhile.

        Raises:
            ValueError: it is no JSON object.
        """
        raw = object_of(text)
        groups = cls(grouping, sinks)
        for sink, rows in of_kind(list, raw.get("told")).items():
            own = each(f"what {sink} was sent about an alert", rows, Told.of)
            groups._told[sink] = {one.alert.alert_id: one for one in own}
        over = each("a saved end of an alert", raw.get("over"), PerformanceAlert.from_plain)
        groups._over = {alert.alert_id: alert for alert in over}
        for sink, paces in of_kind(dict, raw.get("paces")).items():
            groups._paces[sink] = {
                group: _Pace(due_at=due, sent_at=sent)
                for group, (due, sent, *_) in of_kind(list, paces).items()
            }
        groups._rest = rest_of(raw, ("version", "told", "over", "paces"))
        return groups


def _kind(sink: SinkTerms, standing: Standing, known: Told | None) -> Kind | None:
    """What is new to a sink of an alert that fires."""
    alert = standing.alert
    is_below = rank(alert.level) < rank(sink.min_level)
    change = 0 if known is None else rank(alert.level) - rank(known.alert.level)
    if known is not None and is_below:
        # For this sink it is the end, which it hears of, whatever silences or inhibits it.
        return "eased" if change < 0 and not known.eased else None
    if alert.silenced_by is not None or alert.inhibited_by is not None:
        return None
    if known is None:
        return None if is_below else "firing"
    if change:
        return "escalated" if change > 0 else "eased"
    return "reminder" if standing.reminders > known.reminders else None


def _lost(alert: PerformanceAlert, now: int) -> PerformanceAlert:
    """The end of an alert that nobody knows any more, such as after its state was lost."""
    details = {**alert.details, "reason": "it is no longer known"}
    return attrs.evolve(alert, state="resolved", resolved_at=from_micros(now), details=details)


def _message_id(sink: str, group: str, waiting: list[_Untold]) -> str:
    parts = [sink, group, *sorted(news.version for news in waiting)]
    return f"msg_{blake2s(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"
