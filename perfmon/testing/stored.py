"""The full contents of a storage, and cells to compare them with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmon.records import CellKey, Scope
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Cells
from perfmon.window.slots import FIRST_SOURCE, IN_SOURCE
from perfmon.window.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfmon.storage.storage import Row, Storage, Stored

ALWAYS = (-(2**62), 2**62)


def plain_cells(cells: Cells) -> dict[tuple[int, CellKey], tuple[Any, ...]]:
    """Cells as plain values for a comparison: stats, sorted sketch entries, error counts."""
    plain = {}
    merged = cells.merged()
    for row in range(len(merged)):
        labels, counts = merged.latencies.row(row)
        sketch: dict[float, float] = {}
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
            sketch[label] = sketch.get(label, 0) + count
        classes, totals = merged.errors.row(row)
        names = [merged.vocabulary.errors.values[int(number)] for number in classes]
        key = (int(merged.slices[row]), merged.vocabulary.keys.values[merged.keys[row]])
        errors = dict(zip(names, totals.tolist(), strict=True))
        plain[key] = (merged.stats[row], sorted(sketch.items()), errors, _outcomes(merged, row))
    return plain


def _outcomes(cells: Cells, row: int) -> dict[tuple[str, int], float]:
    """The sums over a cell's measurements, those that are 0 left out."""
    found = {}
    for label, value in zip(*(part.tolist() for part in cells.outcomes.row(row)), strict=True):
        if abs(value) > 1e-9:
            number, place = divmod(int(label) - FIRST_SOURCE, IN_SOURCE)
            source = "" if number < 0 else cells.vocabulary.sources.values[number]
            found[source, place if source else int(label)] = value
    return found


def assert_same_cells(found: Cells, expected: Cells) -> None:
    """Equal, but for the last digits of sums that were added up, or taken away, in any order."""
    left, right = plain_cells(found), plain_cells(expected)
    assert left.keys() == right.keys()
    for key, (stats, sketch, errors, outcomes) in left.items():
        np.testing.assert_allclose(stats, right[key][0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.array(sketch), np.array(right[key][1]), rtol=1e-9)
        assert errors == right[key][2]
        assert outcomes.keys() == right[key][3].keys()
        for slot, value in outcomes.items():
            assert math.isclose(value, right[key][3][slot], rel_tol=1e-9, abs_tol=1e-9), slot


def stored(
    storage: Storage,
    runs: Sequence[Row] = (),
    measurements: Sequence[Row] = (),
    vocabulary: Vocabulary | None = None,
) -> Stored:
    """Store rows as one batch."""
    return storage.store(Batch(list(runs), list(measurements), vocabulary or Vocabulary()))


def runs_of(storage: Storage, scope: Scope | None = None, **limit: Any) -> list[Row]:
    """All the runs that storage has."""
    chunks = storage.read_runs(*ALWAYS, scope or Scope(), **limit)
    return [row for chunk in chunks for row in chunk]


def measurements_of(storage: Storage, scope: Scope | None = None, **limit: Any) -> list[Row]:
    """All the measurements that storage has."""
    chunks = storage.read_measurements(*ALWAYS, scope or Scope(), **limit)
    return [row for chunk in chunks for row in chunk]


def cells_of(storage: Storage, scope: Scope | None = None) -> Cells:
    """All the cells that storage has, those of several writers merged."""
    return storage.read_cells(*ALWAYS, scope or Scope(), Vocabulary()).merged()


def expected_cells(runs: Sequence[Row], measurements: Sequence[Row] = ()) -> Cells:
    return Batch(list(runs), list(measurements), Vocabulary()).cells(HOUR)
