"""Backtests: the code that evaluates live, applied to past runs.

Live, everything is evaluated every few seconds. Between two changes of what the runs say nothing
can happen but what `Machine.next_edge` tells, so only those moments of the same grid are stepped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import attrs
import numpy as np

from perfmon.alerts.backtest.rows import Flags, Ints, Rows, Track
from perfmon.alerts.episodes.episode import rank
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings, micros
from perfmon.alerts.evidence.judge import judge
from perfmon.alerts.evidence.shares import HALF, RELAXED, allowed_share, least_bad, strictness
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.grouping import Groups
from perfmon.alerts.rules.rule import HORIZON_SECONDS, LAST_RUNS, Kind, Watch
from perfmon.alerts.rules.targets import Target, alert_key, targets
from perfmon.alerts.wording.sentences import whom
from perfmon.config.config import Config
from perfmon.metrics.formatting import lasted
from perfmon.records import AlertLevel, AlertMessage, PerformanceAlert

_MICROS = 1_000_000
_MINUTE = 60 * _MICROS
_BREACH, _SETTLED, _FLOORS = 100, 1, 100
_PERIODS = {"hour": 3_600.0, "day": 86_400.0, "week": 7 * 86_400.0, "month": 31 * 86_400.0}


class Fired(NamedTuple):
    """One episode that would have been.

    Attributes:
        alert: as it was when it began to fire.
        level: the highest it rose to.
        rules: that were a part of it.
        started_at, ended_at: microseconds; the end is None where it was not over.
        reminders: how many there would have been.
        reason: why it ended.
    """

    alert: PerformanceAlert
    level: AlertLevel
    started_at: int
    rules: frozenset[str]
    ended_at: int | None = None
    reminders: int = 0
    reason: str = ""


@attrs.frozen
class Backtest:
    """What became of a range of time.

    Attributes:
        episodes: in the order of their beginnings.
        messages: where groups were given.
        until: the end of the range, microseconds.
    """

    episodes: tuple[Fired, ...]
    messages: tuple[AlertMessage, ...]
    until: int

    def summary(self) -> list[str]:
        """A line for each rule and scope that fired, such as
        `slow: agent a: would have fired 41 times; the longest 3 h`.
        """
        lines = []
        found: dict[tuple[str, str], list[Fired]] = {}
        for episode in self.episodes:
            for rule in episode.rules:
                found.setdefault((rule, episode.alert.key), []).append(episode)
        for (rule, _), own in sorted(found.items()):
            lines.append(f"{rule}: {whom(_labels(own[0].alert))}: {self._told(own)}")
        return lines

    def _told(self, episodes: list[Fired]) -> str:
        longest = max((e.ended_at or self.until) - e.started_at for e in episodes) / _MICROS
        times = "once" if len(episodes) == 1 else f"{len(episodes):,} times"
        going = "" if all(e.ended_at is not None for e in episodes) else ", still firing at the end"
        return f"would have fired {times}; the longest lasted {lasted(longest)}{going}"


def _labels(alert: PerformanceAlert) -> dict[str, str]:
    named = {"agent": alert.agent_name, "agent_type": alert.agent_type, "model": alert.model,
             "tenant": alert.tenant}  # fmt: skip
    return {name: value for name, value in named.items() if value is not None}


def backtest(
    config: Config,
    watched: Iterable[Watch],
    rows: Rows,
    since: int,
    until: int,
    groups: Groups | None = None,
    *,
    wanted: Callable[[Watch], bool] = lambda _: True,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    together: bool = False,
) -> Backtest:
    """The episodes of `[since, until)` (microseconds), each target by itself.

    What alerts do to one another (inhibition, and messages in common) is left out, unless they are
    replayed `together`. `wanted` are the watches to look at (the others still replace thresholds),
    `progress` hears how many targets of how many are done.
    """
    watched = list(watched)
    step = micros(config.alerts.evaluation_interval)
    # Steps are as far apart as nothing happens between them.
    settings = attrs.evolve(Settings.of(config.alerts, watched), max_step=math.inf)
    episodes: list[Fired] = []
    messages: list[AlertMessage] = []
    found = [target for target in targets(watched, rows.keys) if wanted(target.watch)]
    parts: dict[str, list[Target]] = {}
    for target in found:
        # Rules that form one alert are evaluated together.
        place = "" if together else alert_key(target.watch.joint, target.scope)
        parts.setdefault(place, []).append(target)
    done = 0
    for own in parts.values():
        progress(done, len(found))
        replay = _Replay([rows.track(target) for target in own], settings, step, groups)
        replay.run(since, until)
        episodes += replay.episodes
        messages += replay.messages
        done += len(own)
    episodes.sort(key=lambda episode: (episode.started_at, episode.alert.key))
    return Backtest(tuple(episodes), tuple(messages), until)


def looks_back(watched: Iterable[Watch]) -> int:
    """How long before the beginning of a range runs still count in it, in microseconds."""
    seconds = [HORIZON_SECONDS]
    for watch in watched:
        seconds += [stretch.seconds for stretch in watch.stretches]
        seconds += [_PERIODS[stretch.period] for stretch in watch.stretches if stretch.period]
        if watch.kind is Kind.NO_RUNS:
            seconds += [limit.value for limit in watch.limits]
    return micros(max(seconds))


class _Replay:
    """The past of some targets, together."""

    def __init__(
        self, tracks: list[Track], settings: Settings, step: int, groups: Groups | None
    ) -> None:
        self._tracks = tracks
        self._machine = Machine(settings)
        self._groups = groups
        self._step = step
        self._minutes = np.unique(_minutes([track.at for track in tracks]))
        self._open: dict[str, Fired] = {}
        self.episodes: list[Fired] = []
        self.messages: list[AlertMessage] = []

    def run(self, since: int, until: int) -> None:
        found = [self._changes(track, since, until) for track in self._tracks]
        times = np.unique(np.concatenate([times for times, _ in found]))
        breaches = np.unique(np.concatenate([breaches for _, breaches in found]))
        now = since - 1
        while True:
            nxt = self._next(now, times, breaches)
            if nxt is None or nxt >= until:
                break
            now = nxt
            self._look(now)
        self.episodes += self._open.values()

    def _changes(self, track: Track, since: int, until: int) -> tuple[Ints, Ints]:
        """When the result of evaluating a target changes, and when it is a breach."""
        times = self._on_grid(np.append(track.edges(), since))
        times = times[(times >= since) & (times < until)]
        states = codes(track, times)
        changes = np.flatnonzero(np.diff(states, prepend=-1))
        times, states = times[changes], states[changes]
        return times, times[states >= _BREACH]

    def _on_grid(self, times: Ints) -> Ints:
        """The first look at or after each time."""
        grid: Ints = np.unique(-(-times // self._step) * self._step)
        return grid

    def _next(self, now: int, times: Ints, breaches: Ints) -> int | None:
        """The next moment worth evaluating."""
        if not self._machine.memory.episodes:
            edge = None if self._groups is None else self._groups.next_edge()
            found = [_after(breaches, now), _grid(edge, self._step)]
        else:
            change = _after(times, now)
            # The last look before a change tells how long things have been as they were.
            before = None if change is None else change - self._step
            edges = [self._machine.next_edge()]
            edges += [] if self._groups is None else [self._groups.next_edge()]
            if len(self._machine.memory.concerns) > 1:
                # What alerts say of one another changes with every run.
                edges.append(_after(self._minutes, now))
            found = [change, before, *(_grid(edge, self._step) for edge in edges)]
        return min((time for time in found if time is not None and time > now), default=None)

    def _look(self, now: int) -> None:
        verdicts = [
            attrs.evolve(judge(track.target, track.sample(now), now), at=now)
            for track in self._tracks
        ]
        by_key = {track.target.key: track for track in self._tracks}
        changes = self._machine.step(
            now,
            verdicts,
            lambda one: by_key[one.key].describe(one),
            lambda key, begin, limit: by_key[key].count_since(begin, now, limit),
        )
        for change in changes.changes:
            self._note(change.kind, change.alert, now, change.reason)
        for alert in (standing.alert for standing in changes.standings):
            if (known := self._open.get(alert.alert_id)) is not None:
                rules = known.rules | _rules(alert)
                self._open[alert.alert_id] = known._replace(rules=rules)
        if self._groups is not None:
            self.messages += self._groups.step(now, changes.standings)

    def _note(self, kind: str, alert: PerformanceAlert, now: int, reason: str) -> None:
        known = self._open.get(alert.alert_id)
        if kind == "firing":
            self._open[alert.alert_id] = Fired(alert, alert.level, now, _rules(alert))
        elif known is not None and kind == "escalated":
            level = max(known.level, alert.level, key=rank)
            self._open[alert.alert_id] = known._replace(level=level)
        elif known is not None and kind == "reminder":
            self._open[alert.alert_id] = known._replace(reminders=known.reminders + 1)
        elif known is not None and kind == "resolved":
            del self._open[alert.alert_id]
            self.episodes.append(known._replace(ended_at=now, reason=reason))


def _rules(alert: PerformanceAlert) -> frozenset[str]:
    return frozenset((alert.rule, *alert.details.get("rules", ())))


def _minutes(times: list[Ints]) -> Ints:
    """The ends of the minutes of these times."""
    ends: Ints = (np.concatenate(times) // _MINUTE + 1) * _MINUTE
    return ends


def _after(times: Ints, now: int) -> int | None:
    place = int(np.searchsorted(times, now, "right"))
    return int(times[place]) if place < len(times) else None


def _grid(time: int | None, step: int) -> int | None:
    return None if time is None else -(-time // step) * step


def codes(track: Track, times: Ints) -> Ints:
    """A number for the result of evaluating each time: the same number, the same consequences."""
    watch = track.target.watch
    levels = {limit.level for limit in watch.limits}
    if watch.kind in (Kind.SHARE, Kind.BEYOND) and len(levels) == 1:
        return _share_codes(track, watch, times)
    found = [_code(judge(track.target, track.sample(int(now)), int(now))) for now in times]
    return np.array(found, np.int64)


def _code(verdict: Verdict) -> int:
    floor = rank(verdict.floor) + 1
    if verdict.state is State.BREACH:
        values = [limit.value for limit in verdict.watch.limits]
        place = values.index(verdict.threshold) if verdict.threshold in values else 0
        return _BREACH + place + _FLOORS * floor
    return 10 * list(State).index(verdict.state) + _SETTLED * verdict.settled + 2 * floor


def _share_codes(track: Track, watch: Watch, times: Ints) -> Ints:
    """`judge` for shares, of many moments at once; a test holds the two together."""
    counts = [track.counts(stretch, times) for stretch in watch.stretches]
    whole = counts[-2][0]
    settled = _settled(watch, counts)
    found = np.where(
        settled | (whole >= LAST_RUNS),
        10 * list(State).index(State.CLEAR) + _SETTLED * settled,
        10 * list(State).index(State.INSUFFICIENT),
    )
    for number in range(len(watch.limits) - 1, -1, -1):
        found = np.where(_breached(watch, number, counts), _BREACH + number, found)
    return np.where(whole == 0, 10 * list(State).index(State.NO_DATA), found)


_Counts = list[tuple[Ints, list[Ints]]]


def _breached(watch: Watch, number: int, counts: _Counts) -> Flags:
    allowed = allowed_share(watch, watch.limits[number])
    found = np.zeros(len(counts[0][0]), np.bool_)
    lately = ~found
    for (runs, bad), stretch in zip(counts[:-1], watch.stretches, strict=False):
        own, z = bad[number], strictness(stretch.part)
        lately &= own > allowed * runs
        beyond = own - runs * allowed > z * np.sqrt(runs * allowed * (1 - allowed))
        found |= lately & (own >= least_bad(allowed)) & beyond
    return found


def _settled(watch: Watch, counts: _Counts) -> Flags:
    allowed = allowed_share(watch, watch.limits[-1])
    (newest, newest_bad), (clearing, clearing_bad) = counts[0], counts[-1]
    found = (clearing >= LAST_RUNS) & (clearing_bad[-1] <= HALF * allowed * clearing)
    for runs, bad in counts[1:]:
        below = runs * allowed - bad[-1] > strictness(1.0) * np.sqrt(runs * allowed * (1 - allowed))
        found |= (runs >= LAST_RUNS) & below
    quiet: Flags = (newest > 0) & (newest_bad[-1] <= RELAXED * allowed * newest)
    return quiet & found
