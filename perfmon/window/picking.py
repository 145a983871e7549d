"""Selects the cells of some keys from cells sorted by key, one per key."""

from __future__ import annotations

import numpy as np

from perfmon.window.cells import Cells
from perfmon.window.ragged import Ints, Ragged
from perfmon.window.vocabulary import Vocabulary


def rows_of(cells: Cells, wanted: Ints) -> Ints:
    """Where the wanted keys are; cells are sorted by key."""
    if not len(wanted) or not len(cells):
        return np.zeros(0, np.int64)
    places = np.minimum(np.searchsorted(cells.keys, wanted), len(cells) - 1)
    found: Ints = places[cells.keys[places] == wanted]
    return found


def places_of(parts: list[Cells], wanted: list[int]) -> list[tuple[Cells, int]]:
    """Where the cells of few keys are; those of a part are sorted by key."""
    found = []
    for cells in parts:
        for key in wanted:
            row = int(cells.keys.searchsorted(key))
            if row < len(cells.keys) and cells.keys[row] == key:
                found.append((cells, row))
    return found


def picked(parts: list[Cells], wanted: list[int], vocabulary: Vocabulary) -> Cells:
    """The cells of few keys, row by row: much quicker than taking arrays apart."""
    found = places_of(parts, wanted)
    if not found:
        return Cells.empty(vocabulary)
    return Cells(
        vocabulary,
        np.array([cells.slices[row] for cells, row in found], np.int64),
        np.array([cells.keys[row] for cells, row in found], np.int64),
        np.stack([cells.stats[row] for cells, row in found]),
        Ragged.of_rows([cells.latencies.row(row) for cells, row in found]),
        Ragged.of_rows([cells.errors.row(row) for cells, row in found]),
        Ragged.of_rows([cells.outcomes.row(row) for cells, row in found]),
    )


def selected(cells: Cells, wanted: Ints) -> Cells:
    """The cells of many keys."""
    rows = rows_of(cells, wanted)
    return cells.take(rows) if len(rows) < len(cells) else cells
