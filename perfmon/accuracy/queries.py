"""Queries about outcomes: accuracy, calibration, measurements, disagreements."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.accuracy.calibration import Calibration
from perfmon.accuracy.figures import (
    AccuracySummary,
    by_source,
    calibration_by_agent,
    calibration_of,
    disagreements,
    errors_of,
    figures_of,
    grouped,
    sums_of,
    superseded_of,
)
from perfmon.errors import StorageError
from perfmon.metrics.queries import Queries
from perfmon.metrics.ranges import Asked
from perfmon.records import AccuracyMeasurement, Scope, from_micros
from perfmon.storage.storage import FoundBy, Storage
from perfmon.window.cells import Stat, add_up
from perfmon.window.slots import SCORING_COST
from perfmon.window.window import Answer

MOST_SEARCHED = 20_000
"""Measurements that are looked through for tasks with several sources, or for unmapped ones."""
MOST_DISPUTED = 500
MOST_EXAMPLES = 100
_MOST_UNMAPPED = 20  # agents, and measurements of each
_PATIENCE = 3.0  # seconds a report waits for another transaction


class AccuracyQueries:
    """Answers about accuracy: figures from cells, single measurements from storage.

    Args:
        is_away: whether storage did not answer the last time.
        flush: stores what is pending, until a deadline (monotonic seconds).
    """

    def __init__(
        self,
        queries: Queries,
        storage: Storage,
        *,
        is_away: Callable[[], bool],
        flush: Callable[[float | None], None],
    ) -> None:
        self._queries = queries
        self._storage = storage
        self._is_away = is_away
        self._flush = flush

    def summary(self, asked: Asked, scope: Scope) -> AccuracySummary:
        """Everything that is known about how right agents were."""
        self._flush(None)
        answer = self._queries.answer(asked, scope, by_key=True)
        return attrs.evolve(summary_of(answer), **self._stored(answer, scope))

    def settle(self) -> None:
        """Store what is pending, for a report, which does without if storage is unavailable."""
        if not self._is_away():
            with contextlib.suppress(StorageError):
                self._flush(time.monotonic() + _PATIENCE)

    def of_answer(self, answer: Answer, scope: Scope) -> AccuracySummary:
        """The summary of cells that are read already.

        If storage is unavailable, waiting counts come from the window, and there are no examples.
        """
        summary = summary_of(answer)
        if self._is_away():
            return summary
        try:
            return attrs.evolve(summary, **self._stored(answer, scope))
        except StorageError:
            return summary

    def _stored(self, answer: Answer, scope: Scope) -> dict[str, Any]:
        """What only storage knows."""
        waiting, oldest = self._storage.waiting(scope)
        found = self._disputed(answer, scope)
        disagreeing = disagreements(found)
        return {
            "waiting": waiting,
            "oldest_waiting": None if oldest is None else from_micros(oldest),
            "compared_sources": len(found),
            "disagreeing": len(disagreeing),
            "disagreements": tuple(disagreeing[:MOST_EXAMPLES]),
            "suggestions": self._suggestions(answer, scope),
        }

    def calibration(self, asked: Asked, scope: Scope) -> Calibration:
        """Confidence against reality."""
        self._flush(None)  # what was predicted just now may have its outcome in storage
        answer = self._queries.answer(asked, scope, by_key=True)
        return calibration_of(sums_of(answer.cells))

    def measurements(self, asked: Asked, scope: Scope, by: FoundBy) -> list[AccuracyMeasurement]:
        """Single measurements from storage, newest or worst first."""
        self._flush(None)
        rows = self._storage.find_measurements(asked.since, asked.until, scope, by)
        return [AccuracyMeasurement.from_row(row) for row in rows]

    def _disputed(self, answer: Answer, scope: Scope) -> list[list[AccuracyMeasurement]]:
        since, until = _newest(answer, answer.cells.stats[:, Stat.MEASUREMENTS] > 0)
        if since >= until:
            return []
        tasks = self._storage.read_disputed(since, until, scope, MOST_DISPUTED)
        return [[AccuracyMeasurement.from_row(row) for row in task] for task in tasks]

    def _suggestions(self, answer: Answer, scope: Scope) -> tuple[str, ...]:
        """How to map what is unmapped: the notes of each agent's newest, each once."""
        cells, notes = answer.cells, dict[str, None]()
        rows = np.flatnonzero(cells.stats[:, Stat.UNMAPPED] > 0)
        names = [cells.vocabulary.keys.values[key].agent_name for key in cells.keys[rows]]
        for name in list(dict.fromkeys(names))[:_MOST_UNMAPPED]:
            own = np.zeros(len(cells), bool)
            own[rows] = [other == name for other in names]
            since, until = _newest(answer, own)
            found = self._storage.find_measurements(
                since,
                until,
                attrs.evolve(scope, agent_name=name),
                FoundBy(state="unmapped", limit=_MOST_UNMAPPED),
            )
            for row in found:
                note = AccuracyMeasurement.from_row(row).note
                if note:
                    notes[note] = None
        return tuple(notes)


def summary_of(answer: Answer) -> AccuracySummary:
    """What the cells say by themselves."""
    cells = answer.cells
    stats, sums, groups = add_up(cells.stats), sums_of(cells), grouped(cells)
    return AccuracySummary(
        overall=figures_of(stats),
        by_agent=groups["agent_name"],
        by_agent_type=groups["agent_type"],
        by_model=groups["model"],
        by_task_type=groups["task_type"],
        by_tenant=groups["tenant"],
        by_source=by_source(sums, cells.vocabulary.sources.values),
        unmapped=int(stats[Stat.UNMAPPED]),
        superseded=superseded_of(sums),
        waiting=int(stats[Stat.WAITING]),
        errors=errors_of(sums),
        calibration=calibration_of(sums),
        calibration_by_agent=calibration_by_agent(cells),
        scoring_cost=float(sums[SCORING_COST]) if len(sums) > SCORING_COST else 0.0,
        window_start=from_micros(answer.since),
        window_end=from_micros(answer.until),
    )


def _newest(answer: Answer, wanted: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The part of an answer's range that ends with its newest wanted cell, and is soon read.

    It holds about as many measurements as may be searched; what is in a slice is taken to be
    spread evenly over it.
    """
    cells, until = answer.cells, answer.until
    slices, place = np.unique(cells.slices, return_inverse=True)
    of_slice = np.flatnonzero(np.bincount(place, weights=wanted, minlength=len(slices)))
    if not len(of_slice):
        return until, until
    measurements = np.bincount(place, weights=cells.stats[:, Stat.MEASUREMENTS])
    left = float(MOST_SEARCHED)
    newest = int(of_slice[-1])
    end = until = min(until, int(slices[newest + 1])) if newest + 1 < len(slices) else until
    for number in range(newest, -1, -1):
        start = max(int(slices[number]), answer.since)
        if measurements[number] > left:
            return int(end - (end - start) * left / measurements[number]), until
        left -= measurements[number]
        end = start
    return answer.since, until
