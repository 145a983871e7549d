"""Older periods, from storage: whole hours from their cells, partial hours from their runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from perfmon.records import Scope
from perfmon.storage.storage import Storage
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Cells, Stat
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Answer

# An hour with more runs than this is not read run by run to cut it: the edge is the hour's.
MAX_CUT = 20_000


class _Edge(NamedTuple):
    """An hour that a range cuts: its start, its cells, and those of its part inside, if known."""

    hour: int
    whole: Cells
    cut: Cells | None


class History:
    """Answers like the window does, for any time that storage still has."""

    def __init__(self, storage: Storage, vocabulary: Vocabulary) -> None:
        self._storage = storage
        self._vocabulary = vocabulary

    def oldest(self) -> int | None:
        """When what is stored begins; None where nothing is."""
        return self._storage.oldest()

    def answer(self, since: int, until: int, scope: Scope) -> Answer:
        """Cells of `[since, until)`, each with its key; wider where an edge cannot be cut."""
        inside, edges = self._cells(since, until, scope, MAX_CUT)
        for edge in edges:
            if edge.cut is None:
                since, until = min(since, edge.hour), max(until, edge.hour + HOUR)
        parts = [inside, *(edge.whole if edge.cut is None else edge.cut for edge in edges)]
        return Answer(Cells.joined(parts, self._vocabulary), since, until)

    def within(self, since: int, until: int, scope: Scope, *, max_cut: int = MAX_CUT) -> Cells:
        """The same, but never wider: an edge of more than `max_cut` runs is left out."""
        inside, edges = self._cells(since, until, scope, max_cut)
        parts = [inside, *(edge.cut for edge in edges if edge.cut is not None)]
        return Cells.joined(parts, self._vocabulary)

    def _cells(
        self, since: int, until: int, scope: Scope, max_cut: int
    ) -> tuple[Cells, list[_Edge]]:
        """The cells of the whole hours, and the hours that the range cuts."""
        first, last = -(-since // HOUR) * HOUR, until // HOUR * HOUR
        cells = self._storage.read_cells(since // HOUR * HOUR, until, scope, self._vocabulary)
        inside = (cells.slices >= first) & (cells.slices < last)
        edges = []
        for hour in np.unique(cells.slices[~inside]).tolist():
            whole = cells.take(np.flatnonzero(cells.slices == hour))
            part = Answer(whole, max(since, hour), min(until, hour + HOUR))
            edges.append(_Edge(hour, whole, self._cut(part, hour, scope, max_cut)))
        return cells.take(np.flatnonzero(inside)), edges

    def _cut(self, part: Answer, hour: int, scope: Scope, max_cut: int) -> Cells | None:
        """The cells of a part of an hour from its rows, if storage still has all of them."""
        whole, since, until = part
        latest, earliest = whole.stats[:, [Stat.LATEST, Stat.EARLIEST]].max(axis=0)
        if latest < until and -earliest >= since:
            return whole
        expected = whole.stats[:, [Stat.RUNS, Stat.MEASUREMENTS]].sum(axis=0)
        if expected.sum() > max_cut:
            return None
        runs = _flat(self._storage.read_runs(hour, hour + HOUR, scope))
        measurements = _flat(self._storage.read_measurements(hour, hour + HOUR, scope))
        if (len(runs), len(measurements)) != tuple(expected.astype(int)):
            return None
        batch = Batch(runs, measurements, self._vocabulary)
        at = batch.run_columns.at, batch.measurement_columns.at
        return batch.cells(HOUR, *[(times >= since) & (times < until) for times in at])


def _flat(chunks: Iterator[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return [row for chunk in chunks for row in chunk]
