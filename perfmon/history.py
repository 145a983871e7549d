"""Older times, from storage: whole hours from their cells, cut hours from their runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from perfmon.records import Scope
from perfmon.roles import Storage
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Cells, Stat
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Answer

# An hour with more runs than this is not read run by run to cut it: the edge is the hour's.
MAX_CUT = 20_000


class History:
    """Answers like the window does, for any time that storage still has."""

    def __init__(self, storage: Storage, vocabulary: Vocabulary) -> None:
        self._storage = storage
        self._vocabulary = vocabulary

    def answer(self, since: int, until: int, scope: Scope) -> Answer:
        """Cells of `[since, until)`, each with its key; wider where an edge cannot be cut."""
        first, last = -(-since // HOUR) * HOUR, until // HOUR * HOUR
        cells = self._storage.read_cells(since // HOUR * HOUR, until, scope, self._vocabulary)
        inside = (cells.slices >= first) & (cells.slices < last)
        parts = [cells.take(np.flatnonzero(inside))]
        cut = cells.take(np.flatnonzero(~inside))
        for hour in np.unique(cut.slices).tolist():
            whole = cut.take(np.flatnonzero(cut.slices == hour))
            exact = self._exact(whole, max(since, hour), min(until, hour + HOUR), hour, scope)
            if exact is None:
                since, until = min(since, hour), max(until, hour + HOUR)
            parts.append(whole if exact is None else exact)
        return Answer(Cells.joined(parts, self._vocabulary), since, until)

    def coarse(self, since: int, until: int, scope: Scope) -> Cells:
        """Whole hours only, for trends."""
        return self._storage.read_cells(since // HOUR * HOUR, until, scope, self._vocabulary)

    def _exact(self, whole: Cells, since: int, until: int, hour: int, scope: Scope) -> Cells | None:
        """The cells of a part of an hour from its rows, if storage still has all of them."""
        latest, earliest = whole.stats[:, [Stat.LATEST, Stat.EARLIEST]].max(axis=0)
        if latest < until and -earliest >= since:
            return whole
        expected = whole.stats[:, [Stat.RUNS, Stat.ACCURACY_N]].sum(axis=0)
        if expected.sum() > MAX_CUT:
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
