"""The newest cells of some runs, minute by minute: the basis of evidence."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from perfmon.window.cells import STATS, Cells, add_up
from perfmon.window.ragged import Counts, Floats, Ints


class Tail:
    """Cells of the time since `since` (microseconds), the newest first.

    Attributes:
        slices: when each cell's minute began.
        stats: each cell's row of statistics.
        parts: the cells they are, and which row of them.
    """

    def __init__(
        self,
        since: int,
        slices: Ints,
        stats: Floats,
        parts: list[tuple[Cells, int]],
        whole: Tail | None = None,
    ) -> None:
        self.since = since
        self.slices = slices
        self.stats = stats
        self.parts = parts
        self._whole = whole

    def __len__(self) -> int:
        return len(self.slices)

    @classmethod
    def joined(cls, since: int, held: Iterable[tuple[int, Cells, int]]) -> Tail:
        """From minutes, each with cells and a row of them."""
        rows = list(held)
        stats = np.array([cells.stats[row] for _, cells, row in rows]).reshape(-1, STATS)
        slices = np.array([minute for minute, _, _ in rows], np.int64)
        return cls(since, slices, stats, [(cells, row) for _, cells, row in rows])

    @classmethod
    def of(cls, cells: Cells, since: int) -> Tail:
        """That of an answer."""
        order = np.argsort(-cells.slices, kind="stable")
        parts = [(cells, row) for row in order.tolist()]
        return cls(since, cells.slices[order], cells.stats[order], parts)

    def within(self, since: int) -> Tail:
        """The part of it since a later time; what is known of the whole is not looked up again."""
        end = int(np.searchsorted(-self.slices, -since, side="right"))
        whole = self if self._whole is None else self._whole
        return Tail(since, self.slices[:end], self.stats[:end], self.parts[:end], whole)

    def and_before(self, since: int, held: list[tuple[int, Cells, int]]) -> Tail:
        """With what comes before it, back to `since`."""
        if not held:
            return self
        more = Tail.joined(since, held)
        return Tail(
            since,
            np.concatenate([self.slices, more.slices]),
            np.concatenate([self.stats, more.stats]),
            self.parts + more.parts,
        )

    @property
    def oldest(self) -> int | None:
        """When the oldest minute that has something began."""
        return int(self.slices[-1]) if len(self.slices) else None

    @cached_property
    def totals(self) -> Floats:
        """All rows of statistics in one."""
        return add_up(self.stats)

    def latencies(self) -> tuple[Floats, Counts]:
        """All durations (milliseconds) with their counts."""
        whole = self if self._whole is None else self._whole
        values, counts, ends = whole.durations
        end = ends[len(self)]
        return values[:end], counts[:end]

    @cached_property
    def durations(self) -> tuple[Floats, Counts, list[int]]:
        """Values and counts of all cells, and where those of the first cells end."""
        rows = [cells.latencies.row(row) for cells, row in self.parts]
        ends = np.cumsum([0, *(len(values) for values, _ in rows)]).tolist()
        if not rows:
            return np.zeros(0), np.zeros(0), ends
        values, counts = zip(*rows, strict=True)
        return np.concatenate(values), np.concatenate(counts), ends
