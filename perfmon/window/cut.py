"""The part of a minute at the edge of a window, from its raw rows: what makes edges exact.

A question about everything, or about few keys, adds up rows; cells are grouped only for answers
by key.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from perfmon.window.cells import MINUTE, Cells, add_up
from perfmon.window.columns import MeasurementColumns, RunColumns
from perfmon.window.ragged import Floats, Ints, Ragged, merge_labels

FEW = 8  # keys, which are quicker to check one by one


class RawMinute:
    """All rows of one minute, the runs in the order of time, each with its row of statistics."""

    def __init__(self, runs: RunColumns, measurements: MeasurementColumns) -> None:
        self._runs = runs.take(np.argsort(runs.at, kind="stable"))
        self._singles = self._runs.singles()
        self._measurements = measurements

    def __len__(self) -> int:
        return len(self._runs) + len(self._measurements)

    def between(self, since: int, until: int) -> Cut:
        """The rows of `[since, until)`."""
        part = slice(*self._runs.at.searchsorted((since, until)).tolist())
        measured = self._measurements
        if len(measured):
            measured = measured.take((measured.at >= since) & (measured.at < until))
        return Cut(self._runs.take(part), self._singles[part], measured.cells(MINUTE))


class Cut:
    """Some rows of a minute, which answer as a block of whole minutes does."""

    def __init__(self, runs: RunColumns, singles: Floats, measured: Cells) -> None:
        self._runs = runs
        self._singles = singles
        self._measured = measured

    def cells(self) -> Cells:
        """One cell a key, those of measurements apart."""
        return self._joined([self._runs.cells(MINUTE)], self._measured)

    def total(self) -> Cells:
        """The runs in one cell."""
        return self._joined([self._one(0, slice(None))], self._measured)

    def of_keys(self, wanted: Ints) -> Cells:
        """The cells of some keys."""
        if len(wanted) <= FEW:
            cells = [self._one(key, self._runs.keys == key) for key in wanted.tolist()]
        else:
            cells = [self._runs.take(_places(self._runs.keys, wanted)).cells(MINUTE)]
        return self._joined(cells, self._measured.take(_places(self._measured.keys, wanted)))

    def stats(self, wanted: Ints | None = None) -> Floats:
        """The rows of statistics of everything, or of some keys, not added up."""
        runs, measured = self._singles, self._measured.stats
        if wanted is not None:
            runs = runs[_places(self._runs.keys, wanted)]
            measured = measured[_places(self._measured.keys, wanted)]
        return np.concatenate([runs, measured]) if len(measured) else runs

    def _joined(self, cells: list[Cells], measured: Cells) -> Cells:
        return Cells.joined([*cells, measured], self._runs.vocabulary)

    def _one(self, key: int, rows: npt.NDArray[np.bool_] | slice) -> Cells:
        """These runs as one cell. Its sketch holds their durations as they are."""
        runs, singles = self._runs.take(rows), self._singles[rows]
        if not len(runs):
            return Cells.empty(runs.vocabulary)
        durations = runs.numbers[:, 0]
        durations = durations[~np.isnan(durations)]
        failing = runs.errors[runs.errors >= 0]
        ones = np.ones(max(len(durations), len(failing)), np.float32)
        return Cells(
            runs.vocabulary,
            runs.at[:1] // MINUTE * MINUTE,
            np.array([key]),
            add_up(singles)[np.newaxis],
            Ragged.of_rows([(durations, ones[: len(durations)])]),
            merge_labels(
                np.zeros(len(failing), np.int64),
                failing.astype(np.float64),
                ones[: len(failing)],
                1,
            ),
            Ragged.empty(1),
        )


def _places(keys: npt.NDArray[np.int32] | Ints, wanted: Ints) -> Ints:
    """Where the wanted keys are."""
    if len(wanted) == 1:
        return np.flatnonzero(keys == wanted[0])
    return np.flatnonzero(np.isin(keys, wanted))
