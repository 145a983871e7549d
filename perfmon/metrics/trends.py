"""Trends: a window compared with the previous one, as far as memory or storage has it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from perfmon.errors import StorageError
from perfmon.metrics.history import MAX_CUT, History
from perfmon.metrics.ranges import Asked
from perfmon.metrics.statistics import MADE_OF, MadeOf
from perfmon.metrics.summary import agent_groups
from perfmon.plugins.bus import Bus
from perfmon.records import Point, Scope, Series, Trend
from perfmon.records.catalog import METRICS, TRENDS
from perfmon.window.cells import HOUR, Stat, add_up
from perfmon.window.live import LiveWindow
from perfmon.window.ragged import Floats, Ints

UNKNOWN = "insufficient_data"
_MOST_LOOKS = 1_000
_MOST_WANTED = 100
_LONG = 12 * HOUR


class Looked(NamedTuple):
    """A metric that has a trend: its sum over its number is its value."""

    name: str
    metric: str
    higher_is_better: bool | None
    made: MadeOf


def _looked(name: str) -> Looked:
    metric = METRICS[METRICS[name].of]
    return Looked(name, metric.name, metric.higher_is_better, MADE_OF[metric.name])


LOOKED_AT = tuple(map(_looked, TRENDS))
ByAgent = dict[str, Floats]


class Trends:
    """The four trends of any window, by the names of their fields in `PerformanceMetrics`."""

    def __init__(
        self,
        window: LiveWindow,
        history: History,
        bus: Bus,
        now: Callable[[], int],
        in_memory: Callable[[Asked], bool],
        flush: Callable[[], None],
    ) -> None:
        self._window = window
        self._history = history
        self._bus = bus
        self._now = now
        self._in_memory = in_memory
        self._flush = flush
        self._looks: dict[tuple[int, Scope], tuple[int, ByAgent]] = {}
        self._wanted: set[tuple[int, Scope]] = set()
        self._lock = threading.Lock()

    def of(self, asked: Asked, scope: Scope, current: Floats) -> dict[str, Trend]:
        """The trends of everything in a scope; `current` is the window's statistics."""
        return self._between(asked, current, self._before(asked, scope))

    def by_agent(
        self, asked: Asked, scope: Scope, current: Mapping[str, Floats]
    ) -> dict[str, dict[str, Trend]]:
        """The trends of each agent of the window."""
        before = self._before_by_agent(asked, scope)
        return {
            name: self._between(asked, stats, None if before is None else before.get(name))
            for name, stats in current.items()
        }

    def _between(self, asked: Asked, current: Floats, earlier: Floats | None) -> dict[str, Trend]:
        return {looked.name: self._trend(looked, asked, current, earlier) for looked in LOOKED_AT}

    def _trend(
        self, looked: Looked, asked: Asked, current: Floats, earlier: Floats | None
    ) -> Trend:
        if earlier is None:
            return Trend(metric=looked.metric, direction=UNKNOWN)
        points = _point(looked, asked.before, earlier), _point(looked, asked, current)
        series = Series(
            metric=looked.metric, higher_is_better=looked.higher_is_better, points=points
        )
        answer = self._bus.ask("detect_trend", series=series)
        return (
            answer if isinstance(answer, Trend) else Trend(metric=looked.metric, direction=UNKNOWN)
        )

    def _is_held(self, asked: Asked) -> bool:
        """Whether memory has the window before, unless it was forgotten since."""
        return self._in_memory(asked.before._replace(rolling=asked.rolling))

    def _before(self, asked: Asked, scope: Scope) -> Floats | None:
        before = asked.before
        if self._is_held(asked):
            held = self._window.held_stats(before.since, before.until, scope)
            if held is not None:
                return held
        by_agent = self._stored(asked, scope)
        return None if by_agent is None else add_up(_stacked(by_agent))

    def _before_by_agent(self, asked: Asked, scope: Scope) -> ByAgent | None:
        before = asked.before
        if self._is_held(asked):
            held = self._window.held_by_key(before.since, before.until, scope)
            if held is not None:
                return self._by_agent(held.cells.keys, held.cells.stats)
        return self._stored(asked, scope)

    def _stored(self, asked: Asked, scope: Scope) -> ByAgent | None:
        """From storage: read now for a question about history, else what was read behind it."""
        if not asked.rolling:
            try:
                self._flush()
                return self._read(asked.before, scope)
            except StorageError:
                return None  # the window itself may well be in memory
        now, wanted = self._now(), (asked.width, scope)
        with self._lock:
            at, found = self._looks.get(wanted, (None, None))
            is_old = at is None or now - at > asked.width // 20
            if is_old and len(self._wanted) < _MOST_WANTED:
                self._wanted.add(wanted)
        return None if at is None or now - at > asked.width // 4 else found

    def look_back(self) -> None:
        """Read from storage what trends were asked for; called behind the questions."""
        with self._lock:
            wanted, self._wanted = self._wanted, set()
            if len(self._looks) > _MOST_LOOKS:
                self._looks.clear()
        for width, scope in wanted:
            now = self._now()
            # Whoever asks again has it looked for again.
            with suppress(StorageError):
                found = self._read(Asked(now - 2 * width, now - width, False), scope)
                with self._lock:
                    self._looks[width, scope] = (now, found)

    def _read(self, asked: Asked, scope: Scope) -> ByAgent:
        # The edges of a long window weigh little, and are not worth reading run by run.
        max_cut = 0 if asked.width >= _LONG else MAX_CUT
        cells = self._history.within(asked.since, asked.until, scope, max_cut=max_cut)
        return self._by_agent(cells.keys, cells.stats)

    def _by_agent(self, keys: Ints, stats: Floats) -> ByAgent:
        names, group = agent_groups(keys, self._window.vocabulary)
        order = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[order], np.arange(len(names) + 1)).tolist()
        return {
            name: add_up(stats[order[bounds[number] : bounds[number + 1]]])
            for number, name in enumerate(names)
        }


def _stacked(by_agent: ByAgent) -> Floats:
    return np.stack(list(by_agent.values())) if by_agent else np.zeros((0, len(Stat)))


def _point(looked: Looked, asked: Asked, stats: Floats) -> Point:
    total, count = float(stats[looked.made.of]), float(stats[looked.made.among])
    value = total / count if count else math.nan
    return Point(asked.since / 1e6, asked.until / 1e6, value, int(count))
