"""Rows of different length in three flat arrays: labels with counts (sketches, error classes)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

# A histogram of this size, in total and per entry, is quicker than a sort.
_DENSE = 1_000_000
_SPARSE = 16
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.float64] | npt.NDArray[np.float32]


@attrs.frozen(eq=False)
class Ragged:
    """Row i holds `labels[starts[i]:starts[i + 1]]`, each with its count."""

    starts: Ints
    labels: Floats
    counts: Counts

    @classmethod
    def empty(cls, rows: int) -> Ragged:
        return cls(np.zeros(rows + 1, np.int64), np.zeros(0), np.zeros(0))

    @classmethod
    def of_sorted(cls, owner: Ints, labels: Floats, counts: Counts, rows: int) -> Ragged:
        """From entries that are already sorted by the row that owns them."""
        starts = np.zeros(rows + 1, np.int64)
        np.cumsum(np.bincount(owner, minlength=rows), out=starts[1:])
        return cls(starts, labels, counts)

    @classmethod
    def joined(cls, parts: list[Ragged]) -> Ragged:
        """All rows of all parts, one after the other."""
        sizes = [len(part.labels) for part in parts]
        rows = [len(part.starts) - 1 for part in parts]
        starts = np.zeros(sum(rows) + 1, np.int64)
        starts[1:] = np.concatenate([part.starts[1:] for part in parts])
        starts[1:] += np.repeat(np.cumsum([0, *sizes[:-1]]), rows)
        return cls(
            starts,
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )

    @classmethod
    def of_rows(cls, rows: list[tuple[Floats, Counts]]) -> Ragged:
        """From each row's labels and counts."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(labels) for labels, _ in rows], out=starts[1:])
        labels, counts = zip(*rows, strict=True)
        return cls(starts, np.concatenate(labels), np.concatenate(counts))

    def negated(self) -> Ragged:
        return Ragged(self.starts, self.labels, -self.counts)

    def owners(self) -> Ints:
        """For each entry the row it belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def take(self, rows: Ints) -> Ragged:
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        where = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], lengths)
        return Ragged(starts, self.labels[where], self.counts[where])

    def row(self, index: int) -> tuple[Floats, Counts]:
        part = slice(self.starts[index], self.starts[index + 1])
        return self.labels[part], self.counts[part]

    def regrouped(self, new_row: Ints) -> tuple[Ints, Floats, Counts]:
        """Entries ordered by the new row their old row goes to; equal labels are not merged."""
        owner = new_row[self.owners()]
        order = np.argsort(owner, kind="stable")
        return owner[order], self.labels[order], self.counts[order]


def merge_labels(owner: Ints, labels: Floats, counts: Counts, rows: int) -> Ragged:
    """Add up the counts of equal labels within each row; labels are small whole numbers."""
    if not len(labels):
        return Ragged.empty(rows)
    low = labels.min()
    span = int(labels.max() - low) + 1
    if rows * span <= min(_DENSE, _SPARSE * len(labels)):
        flat = owner * span + (labels - low).astype(np.int64)
        dense = np.bincount(flat, weights=counts, minlength=rows * span).astype(float, copy=False)
        filled = np.flatnonzero(dense)
        return Ragged.of_sorted(
            filled // span, (filled % span).astype(np.float64) + low, dense[filled], rows
        )
    code, inverse = np.unique(owner * span + (labels - low).astype(np.int64), return_inverse=True)
    total: Floats = np.bincount(inverse, weights=counts, minlength=len(code)).astype(np.float64)
    return Ragged.of_sorted(code // span, (code % span).astype(np.float64) + low, total, rows)


def turned(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns. Not by `zip(*rows)`: its iterator for every row wakes the collector."""
    if not rows:
        return []
    width = len(rows[0])
    flat = list(chain.from_iterable(rows))
    return [flat[place::width] for place in range(width)]
