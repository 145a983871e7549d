"""Questions about what happened: metrics, agents, trends, comparisons, series, error patterns."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import attrs
import numpy as np

from perfmon.bus import Bus
from perfmon.checks import stamp
from perfmon.config import Config
from perfmon.errors import InvalidRun
from perfmon.history import History
from perfmon.intake import Intake
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
from perfmon.roles import KnownAgent
from perfmon.scores import Targets, efficiency, reliability, specialization
from perfmon.summary import AgentCells, Span, agents_of, error_counts, metrics_of, quality_spread
from perfmon.window.cells import HOUR, MINUTE, Stat
from perfmon.window.ragged import Floats
from perfmon.window.window import Answer, add_up

Moment = datetime | float | str | None
MAX_POINTS = 2_000

# What a trend looks at: its name, the metric, whether more is better, its sum, its count.
TRENDS = (
    ("success_rate_trend", "success_rate", True, Stat.SUCCESS, Stat.RUNS),
    ("latency_trend", "avg_latency_ms", False, Stat.LATENCY, Stat.LATENCY_N),
    ("cost_trend", "cost_per_task", False, Stat.COST, Stat.COST_N),
    ("accuracy_trend", "avg_accuracy", True, Stat.ACCURACY, Stat.ACCURACY_N),
)
_LOWER_IS_BETTER = ("latency", "cost", "error", "timeout", "retry", "tokens", "memory", "cpu")
NUMERIC_METRICS = tuple(
    field.name
    for field in attrs.fields(PerformanceMetrics)
    if str(field.type) in ("int", "float") and field.name != "sample_size"
)


class Asked(NamedTuple):
    """A range of time, `[since, until)` in microseconds, and whether it ends now."""

    since: int
    until: int
    rolling: bool

    @property
    def before(self) -> Asked:
        """The range of the same length just before it."""
        return Asked(2 * self.since - self.until, self.since, False)


class Overview(NamedTuple):
    """What a report is made of, from one reading."""

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
        self.covers_from: int | None = None  # since when the window holds all of storage's runs
        self._flush = flush
        self._with_trend_analysis = with_trends
        self._targets = Targets(**attrs.asdict(config.scores))
        self._intake = intake
        self._history = history
        self._bus = bus
        self._config = config
        self._now = now
        self._looks: dict[tuple[int, Scope], tuple[int, Floats]] = {}
        self._wanted_looks: set[tuple[int, Scope]] = set()
        self._looks_lock = threading.Lock()
        self._stored_agents: list[KnownAgent] = []

    def asked(
        self, time_window_minutes: float | None, since: Moment = None, until: Moment = None
    ) -> Asked:
        """The range a caller means; `InvalidRun` where it is none."""
        now = self._now()
        if since is None and until is None:
            minutes = _window_minutes(
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

    def _in_memory(self, asked: Asked) -> bool:
        if asked.rolling:
            return asked.until - asked.since <= self._intake.window.retention
        floor = self._intake.window.floor
        return self.covers_from is not None and asked.since >= max(self.covers_from, floor)

    def _answer(self, asked: Asked, scope: Scope, *, by_key: bool = False) -> Answer:
        self._intake.take_in(with_bulks=False)
        if self._in_memory(asked):
            with self._intake.lock:
                window = self._intake.window
                window.expire(self._now())
                ask = window.by_key if by_key else window.answer
                return ask(asked.since, asked.until, scope)
        self._flush()
        return self._history.answer(asked.since, asked.until, scope)

    def system(self, asked: Asked, scope: Scope) -> PerformanceMetrics:
        answer = self._answer(asked, scope)
        metrics = metrics_of(answer.cells, _span(asked, answer))
        return self._with_trends(metrics, asked, scope, answer)

    def _with_trends(
        self, metrics: PerformanceMetrics, asked: Asked, scope: Scope, answer: Answer
    ) -> PerformanceMetrics:
        trends = self._trends(asked, scope, add_up(answer.cells.stats))
        return _trended(metrics, trends)

    def agent(self, name: str, asked: Asked, scope: Scope) -> AgentPerformance:
        scope = attrs.evolve(scope, agent_name=name)
        answer = self._answer(asked, scope, by_key=True)
        found = dict(agents_of(answer.cells, _span(asked, answer))).get(name)
        if found is None or not found.metrics.total_tasks:
            return self._absent(name, found, asked, answer)
        performance = self._performance(name, found)
        metrics = self._with_trends(found.metrics, asked, scope, answer)
        return attrs.evolve(performance, metrics=metrics)

    def agents(self, asked: Asked, scope: Scope) -> dict[str, AgentPerformance]:
        """Every agent of the window, and every one known from before, by name."""
        answer = self._answer(asked, scope, by_key=True)
        found = dict(agents_of(answer.cells, _span(asked, answer)))
        return self._performances(found, asked, answer, scope)

    def _performances(
        self, found: dict[str, AgentCells], asked: Asked, answer: Answer, scope: Scope
    ) -> dict[str, AgentPerformance]:
        result = {}
        for name in sorted({*found, *self._known_agents(scope)}):
            cells = found.get(name)
            if cells is None or not cells.metrics.total_tasks:
                result[name] = self._absent(name, cells, asked, answer)
            else:
                result[name] = self._performance(name, cells)
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

    def _absent(
        self, name: str, found: AgentCells | None, asked: Asked, answer: Answer
    ) -> AgentPerformance:
        """An agent without runs in this window: seen before, or never."""
        known = self._known_agents(Scope()).get(name)
        empty = metrics_of(answer.cells.take(np.zeros(0, np.int64)), _span(asked, answer))
        return AgentPerformance(
            agent_name=name,
            agent_type=known[0] if known else None,
            status="inactive" if known else "unknown",
            last_run=from_micros(known[1]) if known and known[1] is not None else None,
            metrics=empty if found is None else found.metrics,
        )

    def is_known(self, name: str) -> bool:
        return name in self._known_agents(Scope())

    def learn_agents(self) -> None:
        """Read from storage which agents there are; those recorded here are known anyway."""
        self._stored_agents = self._intake.storage.known_agents()

    def _known_agents(self, scope: Scope) -> dict[str, tuple[str | None, int | None]]:
        """Name to type and last run, of agents of storage and of this process."""
        self._intake.take_in(with_bulks=False)
        window = self._intake.window
        with self._intake.lock:
            last_runs = window.last_runs()
        known = [
            (CellKey(agent.tenant, agent.agent_name, agent.agent_type, None, None), agent.last_run)
            for agent in self._stored_agents
        ]
        known += list(zip(list(window.vocabulary.keys.values), last_runs, strict=False))
        newest: dict[str, tuple[str | None, int | None]] = {}
        for key, last in known:
            if scope.tenant in (None, key.tenant) and scope.agent_type in (None, key.agent_type):
                before = newest.get(key.agent_name)
                if before is None or (last or 0) > (before[1] or 0):
                    newest[key.agent_name] = (key.agent_type, last)
        return newest

    def overview(self, asked: Asked, scope: Scope, *, include_agents: bool) -> Overview:
        """Metrics, agents, trends and error patterns of one window."""
        answer = self._answer(asked, scope, by_key=True)
        span = _span(asked, answer)
        found = dict(agents_of(answer.cells, span))
        trends = self._trends(asked, scope, add_up(answer.cells.stats))
        metrics = metrics_of(answer.cells, span)
        agents = self._performances(found, asked, answer, scope) if include_agents else None
        return Overview(
            (span.start, span.end),
            _trended(metrics, trends),
            agents,
            {trend.metric: trend for trend in trends.values()},
            _error_patterns(answer, found),
        )

    def trends(self, asked: Asked, scope: Scope) -> dict[str, Trend]:
        """The four trends by the name of their metric."""
        answer = self._answer(asked, scope)
        trends = self._trends(asked, scope, add_up(answer.cells.stats))
        return {trend.metric: trend for trend in trends.values()}

    def _trends(self, asked: Asked, scope: Scope, current: Floats) -> dict[str, Trend]:
        earlier = self._stats_before(asked, scope) if self._with_trend_analysis else None
        return {
            name: self._trend(metric, up, asked, (current, earlier), (total, count))
            for name, metric, up, total, count in TRENDS
        }

    def _trend(
        self,
        metric: str,
        up: bool,
        asked: Asked,
        stats: tuple[Floats, Floats | None],
        columns: tuple[Stat, Stat],
    ) -> Trend:
        current, earlier = stats
        if earlier is None:
            return Trend(metric=metric, direction="insufficient_data")
        series = Series(
            metric=metric,
            higher_is_better=up,
            points=(_point(asked.before, earlier, columns), _point(asked, current, columns)),
        )
        answer = self._bus.ask("detect_trend", series=series)
        return (
            answer
            if isinstance(answer, Trend)
            else Trend(metric=metric, direction="insufficient_data")
        )

    def _stats_before(self, asked: Asked, scope: Scope) -> Floats | None:
        """The window before, from memory, from a look at storage, or None."""
        before = asked.before
        with self._intake.lock:
            window = self._intake.window
            if before.since >= window.floor and (asked.rolling or self._in_memory(before)):
                return window.stats(before.since, before.until, scope)
        if not asked.rolling:
            return add_up(self._history.coarse(before.since, before.until, scope).stats)
        return self._looked(asked.until - asked.since, scope)

    def _looked(self, width: int, scope: Scope) -> Floats | None:
        """What the background look at storage found for a rolling window; asks for one if none."""
        now = self._now()
        with self._looks_lock:
            found = self._looks.get((width, scope))
            if (found is None or now - found[0] > width // 20) and len(self._wanted_looks) < 100:
                self._wanted_looks.add((width, scope))
        return None if found is None or now - found[0] > width // 4 else found[1]

    def look_back(self) -> None:
        """Look at storage for the trends that were asked for; called by the writer."""
        with self._looks_lock:
            wanted, self._wanted_looks = self._wanted_looks, set()
            if len(self._looks) > 1_000:
                self._looks.clear()
        for width, scope in wanted:
            now = self._now()
            cells = self._history.coarse(now - 2 * width, now - width, scope)
            with self._looks_lock:
                self._looks[width, scope] = (now, add_up(cells.stats))

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
            "changes": {name: _change(first, second, name) for name in NUMERIC_METRICS},
        }

    def timeseries(self, metric: str, step_minutes: float, asked: Asked, scope: Scope) -> Series:
        """A metric in consecutive steps; the last one may be shorter."""
        if metric not in NUMERIC_METRICS:
            raise InvalidRun("metric", metric, f"one of {', '.join(NUMERIC_METRICS)}")
        step = round(_window_minutes(step_minutes, "step") * MINUTE)
        if not self._in_memory(asked):
            step = max(-(-step // HOUR) * HOUR, HOUR)
        if (asked.until - asked.since) / step > MAX_POINTS:
            raise InvalidRun(
                "step", step_minutes, f"such that there are at most {MAX_POINTS} points"
            )
        starts = range(asked.since, asked.until, step)
        pieces = [Asked(start, min(start + step, asked.until), False) for start in starts]
        return Series(
            metric=metric,
            higher_is_better=not any(word in metric for word in _LOWER_IS_BETTER),
            points=tuple(self._points(metric, asked, pieces, scope)),
        )

    def _points(self, metric: str, asked: Asked, pieces: list[Asked], scope: Scope) -> list[Point]:
        if self._in_memory(asked):
            self._intake.take_in(with_bulks=False)
            with self._intake.lock:
                answers = [self._intake.window.answer(p.since, p.until, scope) for p in pieces]
        else:
            whole = self._answer(asked, scope, by_key=True).cells
            answers = [
                Answer(
                    whole.take(
                        np.flatnonzero(
                            (whole.slices >= piece.since // HOUR * HOUR)
                            & (whole.slices < piece.until // HOUR * HOUR)
                        )
                    ),
                    *piece[:2],
                )
                for piece in pieces
            ]
        return [
            Point(
                piece.since / 1e6,
                piece.until / 1e6,
                float(getattr(metrics, metric)),
                metrics.sample_size,
            )
            for piece, answer in zip(pieces, answers, strict=True)
            for metrics in [metrics_of(answer.cells, Span(piece.since, piece.until))]
        ]

    def error_patterns(self, asked: Asked, scope: Scope) -> list[dict[str, Any]]:
        """Error classes, most frequent first, with their share of runs and their agents."""
        answer = self._answer(asked, scope, by_key=True)
        return _error_patterns(answer, dict(agents_of(answer.cells, _span(asked, answer))))


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


def _window_minutes(minutes: Any, field: str = "time_window_minutes") -> float:
    allowed = "a number of minutes above 0, at most 5256000 (ten years)"
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)):
        raise InvalidRun(field, minutes, allowed)
    if not 0 < minutes <= 5_256_000:
        raise InvalidRun(field, minutes, allowed)
    return float(minutes)


def _span(asked: Asked, answer: Answer) -> Span:
    """What the metrics say of their window: `(start, end]` for one that ends now."""
    if not asked.rolling:
        return Span(answer.since, answer.until)
    start = asked.since - 1 if answer.since == asked.since else answer.since
    return Span(start, asked.until - 1)


def _point(asked: Asked, stats: Floats, columns: tuple[Stat, Stat]) -> Point:
    total, count = float(stats[columns[0]]), float(stats[columns[1]])
    value = total / count if count else math.nan
    return Point(asked.since / 1e6, asked.until / 1e6, value, int(count))


def _change(current: PerformanceMetrics, other: PerformanceMetrics, name: str) -> float:
    now, then = float(getattr(current, name)), float(getattr(other, name))
    return (now - then) / abs(then) if then else math.nan
