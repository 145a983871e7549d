"""A block: the cells of one minute or hour, as recorded and as queried."""

from __future__ import annotations

import numpy as np

from perfmon.window.cells import Cells, Stat
from perfmon.window.cut import FEW
from perfmon.window.picking import places_of, rows_of
from perfmon.window.ragged import Floats, Ints

_PARTS = 16
# What tells whether measurements were amended.
_COMPARED = [
    Stat.MEASUREMENTS, Stat.WAITING, Stat.DIRECT, Stat.UNMAPPED, Stat.ACCURACY_N, Stat.ACCURACY,
]  # fmt: skip
_NO_MASKS = np.zeros(0, np.int64)


class Block:
    """The cells of one minute or hour; parts are merged when somebody looks.

    Of an hour `masks` has a bit for each minute of each cell.
    """

    __slots__ = ("_parts", "_totals", "masks")

    def __init__(self, cells: Cells, masks: Ints = _NO_MASKS) -> None:
        self._parts = [cells]
        self.masks = masks
        # The parts' totals apart: they are small, and asked for most often.
        self._totals: list[Cells] = []

    def add(self, cells: Cells) -> None:
        if self._totals:
            self._totals.append(cells.total())
        self._parts.append(cells)
        if len(self._parts) > _PARTS:
            self.cells()

    def cells(self) -> Cells:
        """One cell a key, sorted by key."""
        if len(self._parts) > 1:
            self._parts = [Cells.joined(self._parts, self._parts[0].vocabulary).merged()]
        return self._parts[0]

    def total(self) -> Cells:
        if not self._totals:
            self._totals = [part.total() for part in self._parts]
        if len(self._totals) > 1:
            self._totals = [Cells.joined(self._totals, self._parts[0].vocabulary).total()]
        return self._totals[0]

    def of(self, wanted: Ints | None) -> list[tuple[Cells, int]]:
        """The cells of some keys, or (None) the total, and the rows of them."""
        if wanted is None:
            return [(self.total(), 0)]
        cells = self.cells()
        if len(wanted) <= FEW:
            return places_of([cells], wanted.tolist())
        return [(cells, row) for row in rows_of(cells, wanted).tolist()]

    def lies_in(self, since: int, until: int) -> bool:
        """Whether all of it happened in `[since, until)`."""
        stats = self.total().stats[0]
        return bool(stats[Stat.LATEST] < until and -stats[Stat.EARLIEST] >= since)

    def counts(self) -> tuple[int, int]:
        """Runs and measurements."""
        stats = self.total().stats[0]
        return int(stats[Stat.RUNS]), int(stats[Stat.MEASUREMENTS])

    def differs(self, cells: Cells) -> bool:
        """Whether its measurements are in other states than those of these cells."""
        held, there = self.total(), cells.total()
        sums, others = _slots(held), _slots(there)
        longest = max(len(sums), len(others))
        return not (
            np.allclose(held.stats[0, _COMPARED], there.stats[0, _COMPARED])
            and np.allclose(_padded(sums, longest), _padded(others, longest))
        )


def _slots(cells: Cells) -> Floats:
    """The sums of one cell's slots."""
    labels = cells.outcomes.labels.astype(np.int64)
    sums: Floats = np.bincount(labels, weights=cells.outcomes.counts).astype(np.float64)
    return sums


def _padded(sums: Floats, length: int) -> Floats:
    return np.append(sums, np.zeros(length - len(sums)))
