"""Queries about runs: metrics, agents, trends, comparisons, series, error patterns."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import attrs
import numpy as np

from perfmon.config.config import Config
from perfmon.errors import InvalidRun, StorageError
from perfmon.metrics.agents import AgentFigures, absent
from perfmon.metrics.history import History
from perfmon.metrics.known_agents import KnownAgents
from perfmon.metrics.ranges import Asked, Moment, minutes_of
from perfmon.metrics.summary import (
    AgentCells,
    Span,
    agents_of,
    error_counts,
    metrics_of,
)
from perfmon.metrics.trends import LOOKED_AT, UNKNOWN, Trends
from perfmon.plugins.bus import Bus
from perfmon.records import (
    AgentPerformance,
    PerformanceMetrics,
    Point,
    Scope,
    Series,
    Trend,
)
from perfmon.records.catalog import METRICS, NUMBERS, counted_by
from perfmon.records.validation import stamp
from perfmon.storage.storage import Watcher
from perfmon.window.cells import HOUR, MINUTE, Stat, add_up
from perfmon.window.live import LiveWindow
from perfmon.window.window import Answer

MAX_POINTS = 2_000
_PATIENCE = 0.05  # seconds a question waits for what others stored
_SELDOM = 3.0  # seconds after which it looks itself: usually the writer has


class Overview(NamedTuple):
    """What a report is made of, from one reading."""

    answer: Answer
    window: tuple[int, int]
    metrics: PerformanceMetrics
    agents: dict[str, AgentPerformance] | None
    trends: dict[str, Trend]
    error_patterns: list[dict[str, Any]]


class Queries:
    """Answers from the window, or from storage for older times, in the same terms.

    Args:
        take_in: brings what was recorded into the window.
        others: brings in what other processes store.
        flush: stores what is pending, for an answer from storage.
    """

    def __init__(
        self,
        window: LiveWindow,
        history: History,
        known: KnownAgents,
        bus: Bus,
        config: Config,
        now: Callable[[], int],
        *,
        take_in: Callable[[], None],
        others: Watcher,
        flush: Callable[[], None],
        with_trends: bool,
    ) -> None:
        self._take_in = take_in
        self._others = others
        self._flush = flush
        self._window = window
        self._history = history
        self._known = known
        self._now = now
        self._figures = AgentFigures(config)
        self.trending = (
            Trends(window, history, bus, now, self.in_memory, flush) if with_trends else None
        )

    def reload(self, config: Config) -> None:
        """Go on under a changed configuration."""
        self._figures = AgentFigures(config)

    def asked(
        self, time_window_minutes: float | None, since: Moment = None, until: Moment = None
    ) -> Asked:
        """The range a caller means; `InvalidRun` where it is none."""
        now = self._now()
        if since is None and until is None:
            minutes = minutes_of(time_window_minutes)
            # (now - w, now] in whole microseconds.
            return Asked(now - round(minutes * MINUTE) + 1, now + 1, True)
        if time_window_minutes is not None:
            raise InvalidRun(
                "time_window_minutes", time_window_minutes, "omitted when since or until is given"
            )
        end = now + 1 if until is None else stamp("until", until, None)
        first = self._history.oldest() if since is None else stamp("since", since, None)
        start = end if first is None else min(first, end) if since is None else first
        if start > end:
            raise InvalidRun("since", since, "before until")
        return Asked(start, end, False)

    def in_memory(self, asked: Asked) -> bool:
        """Whether a range is answered from memory."""
        window, complete = self._window, self._window.complete_from
        if asked.rolling:
            return asked.width <= window.retention and (complete is None or asked.since >= complete)
        if complete is None or not self._others.is_current:
            return False
        # What is too old by now is forgotten before the answer.
        return asked.since >= max(complete, window.floor, self._now() - window.retention)

    def answer(self, asked: Asked, scope: Scope, *, by_key: bool = False) -> Answer:
        """The cells of a range: the window's, or storage's for older times."""
        self._take_in()
        with suppress(StorageError):  # what is in memory is reported anyway
            self._others.look(_SELDOM, _PATIENCE)
        if self.in_memory(asked):
            return self._window.answer(asked.since, asked.until, scope, by_key=by_key)
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
            known = self._known.newest(Scope(tenant=scope.tenant)).get(name)
            return absent(name, found, known, _nothing(asked, answer))
        performance = self._figures.performance(name, found)
        metrics = self._with_trends(found.metrics, asked, scope, answer)
        return attrs.evolve(performance, metrics=metrics)

    def agents(self, asked: Asked, scope: Scope) -> dict[str, AgentPerformance]:
        """Every agent of the window, and every one known from before, by name."""
        answer = self.answer(asked, scope, by_key=True)
        found = dict(agents_of(answer.cells, _span(asked, answer)))
        return self._performances(found, asked, answer, scope)

    def last_run(self, scope: Scope) -> int | None:
        """When the last run of a scope ended (microseconds), of any age; None for none."""
        self._take_in()
        return self._known.last_run(scope)

    def _performances(
        self, found: dict[str, AgentCells], asked: Asked, answer: Answer, scope: Scope
    ) -> dict[str, AgentPerformance]:
        trends = {}
        if self.trending is not None:
            trends = self.trending.by_agent(asked, scope, {n: a.stats for n, a in found.items()})
        known, empty = self._known.newest(scope), _nothing(asked, answer)
        result = {}
        for name in sorted({*found, *known}):
            cells = found.get(name)
            if cells is None or not cells.metrics.total_tasks:
                result[name] = absent(name, cells, known.get(name), empty)
            else:
                metrics = _trended(cells.metrics, trends.get(name, {}))
                performance = self._figures.performance(name, cells)
                result[name] = attrs.evolve(performance, metrics=metrics)
        return result

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
            self._take_in()
            return self._window.pieces(asked.since, asked.until, step, scope)
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


def _nothing(asked: Asked, answer: Answer) -> PerformanceMetrics:
    """The metrics of an agent without runs in a window."""
    return metrics_of(answer.cells.take(np.zeros(0, np.int64)), _span(asked, answer))


def _span(asked: Asked, answer: Answer) -> Span:
    """What the metrics say of their window: `(start, end]` for one that ends now."""
    if not asked.rolling:
        return Span(answer.since, answer.until)
    start = asked.since - 1 if answer.since == asked.since else answer.since
    return Span(start, asked.until - 1)


def _change(current: PerformanceMetrics, other: PerformanceMetrics, name: str) -> float:
    now, then = float(getattr(current, name)), float(getattr(other, name))
    return (now - then) / abs(then) if then else math.nan
