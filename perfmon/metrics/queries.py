"""Questions about what happened: metrics, agents, trends, comparisons, series, error patterns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import attrs
import numpy as np

from perfmon.config.config import Config
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.health import Targets, efficiency, reliability, specialization
from perfmon.metrics.history import History
from perfmon.metrics.ranges import Asked, Moment, minutes_of
from perfmon.metrics.summary import (
    AgentCells,
    Span,
    agents_of,
    error_counts,
    metrics_of,
    quality_spread,
)
from perfmon.metrics.trends import LOOKED_AT, UNKNOWN, Trends
from perfmon.plugins.bus import Bus
from perfmon.recording.intake import Intake
from perfmon.records import (
    AgentPerformance,
    CellKey,
    PerformanceMetrics,
    Point,
    Scope,
    Series,
    Trend,
    from_micros,
)
from perfmon.records.catalog import METRICS, NUMBERS, counted_by
from perfmon.records.measurements import ANY_AGENT
from perfmon.records.validation import stamp
from perfmon.storage.storage import KnownAgent
from perfmon.window.cells import HOUR, MINUTE, Stat, add_up
from perfmon.window.window import Answer

MAX_POINTS = 2_000
_PATIENCE = 0.05  # seconds a question waits for what others stored
_SELDOM = 3.0  # seconds after which it looks itself: usually the writer has


class Known(NamedTuple):
    """An agent's newest type, and when its last run ended (microseconds)."""

    agent_type: str | None
    last_run: int | None


class Overview(NamedTuple):
    """What a report is made of, from one reading."""

    answer: Answer
    window: tuple[int, int]
    metrics: PerformanceMetrics
    agents: dict[str, AgentPerformance] | None
    trends: dict[str, Trend]
    error_patterns: list[dict[str, Any]]


class Queries:
    """Answers from the window, or from storage for older times, in the same terms."""

    def __init__(
        self,
        intake: Intake,
        history: History,
        bus: Bus,
        config: Config,
        now: Callable[[], int],
        *,
        flush: Callable[[], None],
        with_trends: bool,
    ) -> None:
        self._flush = flush
        self._targets = Targets(**attrs.asdict(config.scores))
        self._intake = intake
        self._history = history
        self._config = config
        self._now = now
        # The agents that storage knows, by name, and what they are made from.
        self._by_name: tuple[Any, dict[str, list[KnownAgent]]] = None, {}
        self.trending = (
            Trends(intake, history, bus, now, self.in_memory, flush) if with_trends else None
        )

    def reload(self, config: Config) -> None:
        """Go on under a changed configuration."""
        self._config = config
        self._targets = Targets(**attrs.asdict(config.scores))

    def asked(
        self, time_window_minutes: float | None, since: Moment = None, until: Moment = None
    ) -> Asked:
        """The range a caller means; `InvalidRun` where it is none."""
        now = self._now()
        if since is None and until is None:
            minutes = minutes_of(
                self._config.monitor.window_size_minutes
                if time_window_minutes is None
                else time_window_minutes
            )
            # (now - w, now] in whole microseconds.
            return Asked(now - round(minutes * MINUTE) + 1, now + 1, True)
        if time_window_minutes is not None:
            raise InvalidRun(
                "time_window_minutes", time_window_minutes, "left out where since or until is given"
            )
        end = now + 1 if until is None else stamp("until", until, None)
        first = self._intake.storage.oldest() if since is None else stamp("since", since, None)
        start = end if first is None else min(first, end) if since is None else first
        if start > end:
            raise InvalidRun("since", since, "before until")
        return Asked(start, end, False)

    def in_memory(self, asked: Asked) -> bool:
        """Whether a range is answered from memory."""
        window = self._intake.window
        complete = window.complete_from
        if asked.rolling:
            return asked.width <= window.retention and (complete is None or asked.since >= complete)
        if complete is None or not self._intake.others.is_current:
            return False
        # What is too old by now is forgotten before the answer.
        return asked.since >= max(complete, window.floor, self._now() - window.retention)

    def answer(self, asked: Asked, scope: Scope, *, by_key: bool = False) -> Answer:
        """The cells of a range: the window's, or storage's for older times."""
        self._intake.take_in(with_bulks=False)
        with suppress(StorageError):  # what is in memory is told all the same
            self._intake.others.look(_SELDOM, _PATIENCE)
        if self.in_memory(asked):
            with self._intake.lock:
                window = self._intake.window
                window.expire(self._now())
                ask = window.by_key if by_key else window.answer
                return ask(asked.since, asked.until, scope)
        self._flush()
        return self._history.answer(asked.since, asked.until, scope)

    def system(self, asked: Asked, scope: Scope) -> PerformanceMetrics:
        answer = self.answer(asked, scope)
        metrics = metrics_of(answer.cells, _span(asked, answer))
        return self._with_trends(metrics, asked, scope, answer)

    def _with_trends(
        self, metrics: PerformanceMetrics, asked: Asked, scope: Scope, answer: Answer
    ) -> PerformanceMetrics:
        return _trended(metrics, self._trends(asked, scope, answer))

    def _trends(self, asked: Asked, scope: Scope, answer: Answer) -> dict[str, Trend]:
        if self.trending is None:
            return {
                looked.name: Trend(metric=looked.metric, direction=UNKNOWN) for looked in LOOKED_AT
            }
        return self.trending.of(asked, scope, add_up(answer.cells.stats))

    def agent(self, name: str, asked: Asked, scope: Scope) -> AgentPerformance:
        scope = attrs.evolve(scope, agent_name=name)
        answer = self.answer(asked, scope)
        found = dict(agents_of(answer.cells, _span(asked, answer))).get(name)
        if found is None or not found.metrics.total_tasks:
            # Asked for by name it was seen before, though perhaps not with this type.
            known = self._known_agents(Scope(tenant=scope.tenant)).get(name)
            return self._absent(name, found, known, asked, answer)
        performance = self._performance(name, found)
        metrics = self._with_trends(found.metrics, asked, scope, answer)
        return attrs.evolve(performance, metrics=metrics)

    def agents(self, asked: Asked, scope: Scope) -> dict[str, AgentPerformance]:
        """Every agent of the window, and every one known from before, by name."""
        answer = self.answer(asked, scope, by_key=True)
        found = dict(agents_of(answer.cells, _span(asked, answer)))
        return self._performances(found, asked, answer, scope)

    def _performances(
        self, found: dict[str, AgentCells], asked: Asked, answer: Answer, scope: Scope
    ) -> dict[str, AgentPerformance]:
        trends = {}
        if self.trending is not None:
            trends = self.trending.by_agent(asked, scope, {n: a.stats for n, a in found.items()})
        result = {}
        known = self._known_agents(scope)
        for name in sorted({*found, *known}):
            cells = found.get(name)
            if cells is None or not cells.metrics.total_tasks:
                result[name] = self._absent(name, cells, known.get(name), asked, answer)
            else:
                metrics = _trended(cells.metrics, trends.get(name, {}))
                result[name] = attrs.evolve(self._performance(name, cells), metrics=metrics)
        return result

    def _performance(self, name: str, found: AgentCells) -> AgentPerformance:
        return AgentPerformance(
            agent_name=name,
            agent_type=found.agent_type,
            status="active",
            last_run=None if found.last_run is None else from_micros(found.last_run),
            metrics=found.metrics,
            reliability_score=reliability(found.metrics),
            efficiency_score=efficiency(found.metrics, self._targets),
            specialization_score=self._specialization(name, found),
        )

    def _specialization(self, name: str, found: AgentCells) -> float:
        types = found.by_task_type
        wanted = types.keys() & set(self._config.specialties.get(name, ()))
        if not wanted:
            named = {kind: row for kind, row in types.items() if kind is not None}
            most = max(named, key=lambda kind: named[kind][Stat.RUNS], default=None)
            wanted = set(types) if most is None else {most}
        stats = add_up(np.stack([types[kind] for kind in wanted]))
        rate = stats[Stat.SUCCESS] / stats[Stat.RUNS] if stats[Stat.RUNS] else math.nan
        return specialization(float(rate), *quality_spread(stats))

    @staticmethod
    def _absent(
        name: str, found: AgentCells | None, known: Known | None, asked: Asked, answer: Answer
    ) -> AgentPerformance:
        """An agent without runs in this window: seen before, or never."""
        empty = metrics_of(answer.cells.take(np.zeros(0, np.int64)), _span(asked, answer))
        return AgentPerformance(
            agent_name=name,
            agent_type=known.agent_type if known else None,
            status="inactive" if known else "unknown",
            last_run=from_micros(known.last_run) if known and known.last_run else None,
            metrics=empty if found is None else found.metrics,
        )

    def _known_agents(self, scope: Scope) -> dict[str, Known]:
        """What is known of the agents of a scope's tenant and type, here and in storage."""
        self._intake.take_in(with_bulks=False)
        window = self._intake.window
        with self._intake.lock:
            last_runs = window.keys.last_runs()
        known = [
            (CellKey(agent.tenant, agent.agent_name, agent.agent_type, None, None), agent.last_run)
            for agent in self._intake.stored_agents.values()
        ]
        known += list(zip(list(window.vocabulary.keys.values), last_runs, strict=False))
        newest: dict[str, Known] = {}
        for key, last in known:
            if key.agent_name == ANY_AGENT:
                continue
            if scope.tenant in (None, key.tenant) and scope.agent_type in (None, key.agent_type):
                before = newest.get(key.agent_name)
                if before is None or (last or 0) > (before[1] or 0):
                    newest[key.agent_name] = Known(key.agent_type, last)
        return newest

    def last_run(self, scope: Scope) -> int | None:
        """When the last run of a scope ended (microseconds), of any age; None for none."""
        self._intake.take_in(with_bulks=False)
        with self._intake.lock:
            last = self._intake.window.keys.last_run(scope)
            floor = self._intake.window.floor
        if last is not None and last >= floor:
            return last  # storage knew of none after it
        found = [] if last is None else [last]
        for agent in self._stored(scope.agent_name):
            key = CellKey(agent.tenant, agent.agent_name, agent.agent_type, None, None)
            if agent.last_run and scope.model is None and scope.matches(key):
                found.append(agent.last_run)
        return max(found, default=None)

    def _stored(self, agent_name: str | None) -> Iterable[KnownAgent]:
        """The agents of a name that storage knows; None is all."""
        stored = self._intake.stored_agents
        if agent_name is None:
            return stored.values()
        if self._by_name[0] is not stored:
            by_name: dict[str, list[KnownAgent]] = {}
            for agent in stored.values():
                by_name.setdefault(agent.agent_name, []).append(agent)
            self._by_name = stored, by_name
        return self._by_name[1].get(agent_name, ())

    def overview(self, asked: Asked, scope: Scope, *, include_agents: bool) -> Overview:
        """Metrics, agents, trends and error patterns of one window."""
        answer = self.answer(asked, scope, by_key=True)
        span = _span(asked, answer)
        found = dict(agents_of(answer.cells, span))
        trends = self._trends(asked, scope, answer)
        metrics = metrics_of(answer.cells, span)
        agents = self._performances(found, asked, answer, scope) if include_agents else None
        return Overview(
            answer,
            (span.start, span.end),
            _trended(metrics, trends),
            agents,
            {trend.metric: trend for trend in trends.values()},
            _error_patterns(answer, found),
        )

    def trends(self, asked: Asked, scope: Scope) -> dict[str, Trend]:
        """The four trends by the name of their metric."""
        answer = self.answer(asked, scope)
        trends = self._trends(asked, scope, answer)
        return {trend.metric: trend for trend in trends.values()}

    def compare(
        self, window_minutes: float | None, against: str | tuple[Moment, Moment], scope: Scope
    ) -> dict[str, Any]:
        """A window beside another: both, and the relative change of each metric."""
        current = self.asked(window_minutes)
        if against == "previous":
            other = current.before
        elif against == "same-time-yesterday":
            other = Asked(current.since - 24 * HOUR, current.until - 24 * HOUR, False)
        elif isinstance(against, tuple) and len(against) == 2:
            other = self.asked(None, against[0], against[1])
        else:
            raise InvalidRun("against", against, "previous, same-time-yesterday or (since, until)")
        first, second = self.system(current, scope), self.system(other, scope)
        return {
            "current": first,
            "against": second,
            "changes": {name: _change(first, second, name) for name in NUMBERS},
        }

    def timeseries(self, metric: str, step_minutes: float, asked: Asked, scope: Scope) -> Series:
        """A metric in consecutive steps; the last one may be shorter.

        From history the steps begin with the hour, and the first one may be shorter too.
        """
        if metric not in NUMBERS:
            raise InvalidRun("metric", metric, f"one of {', '.join(NUMBERS)}")
        step = max(round(minutes_of(step_minutes, "step") * MINUTE), 1)
        if not self.in_memory(asked):
            step = max(-(-step // HOUR) * HOUR, HOUR)
        if (asked.until - asked.since) / step > MAX_POINTS:
            raise InvalidRun(
                "step", step_minutes, f"such that there are at most {MAX_POINTS} points"
            )
        return Series(
            metric=metric,
            higher_is_better=METRICS[metric].higher_is_better,
            points=tuple(_point(metric, piece) for piece in self._pieces(asked, scope, step)),
        )

    def _pieces(self, asked: Asked, scope: Scope, step: int) -> list[Answer]:
        if self.in_memory(asked):
            self._intake.take_in(with_bulks=False)
            starts = range(asked.since, asked.until, step)
            with self._intake.lock:
                window = self._intake.window
                return [window.answer(at, min(at + step, asked.until), scope) for at in starts]
        cells, since, until = self.answer(asked, scope, by_key=True)
        cells = cells.take(np.argsort(cells.slices, kind="stable"))
        starts = range(since // HOUR * HOUR, until, step) if since < until else range(0)
        bounds = np.searchsorted(cells.slices, [*starts, until]).tolist()
        return [
            Answer(
                cells.take(np.arange(bounds[number], bounds[number + 1])),
                max(start, since),
                min(start + step, until),
            )
            for number, start in enumerate(starts)
        ]

    def error_patterns(self, asked: Asked, scope: Scope) -> list[dict[str, Any]]:
        """Error classes, most frequent first, with their share of runs and their agents."""
        answer = self.answer(asked, scope, by_key=True)
        return _error_patterns(answer, dict(agents_of(answer.cells, _span(asked, answer))))


def _point(metric: str, piece: Answer) -> Point:
    metrics = metrics_of(piece.cells, Span(piece.since, piece.until))
    value = float(getattr(metrics, metric))
    interval = METRICS[metric].interval
    bounds = getattr(metrics, interval) if interval else (math.nan, math.nan)
    count = getattr(metrics, counted_by(metric))
    return Point(piece.since / 1e6, piece.until / 1e6, value, count, *bounds)


def _trended(metrics: PerformanceMetrics, trends: dict[str, Trend]) -> PerformanceMetrics:
    directions: dict[str, Any] = {name: trend.direction for name, trend in trends.items()}
    return attrs.evolve(metrics, **directions)


def _error_patterns(answer: Answer, found: dict[str, AgentCells]) -> list[dict[str, Any]]:
    runs = float(add_up(answer.cells.stats)[Stat.RUNS])
    agents: dict[str, dict[str, int]] = {}
    for name, agent in found.items():
        for error, count in agent.metrics.errors.items():
            agents.setdefault(error, {})[name] = count
    return [
        {
            "error_type": error,
            "count": count,
            "share": count / runs if runs else math.nan,
            "agents": dict(sorted(agents[error].items(), key=lambda item: -item[1])),
        }
        for error, count in error_counts(answer.cells).items()
    ]


def _span(asked: Asked, answer: Answer) -> Span:
    """What the metrics say of their window: `(start, end]` for one that ends now."""
    if not asked.rolling:
        return Span(answer.since, answer.until)
    start = asked.since - 1 if answer.since == asked.since else answer.since
    return Span(start, asked.until - 1)


def _change(current: PerformanceMetrics, other: PerformanceMetrics, name: str) -> float:
    now, then = float(getattr(current, name)), float(getattr(other, name))
    return (now - then) / abs(then) if then else math.nan
