"""A cell: all runs of one key in one slice of time, as counts, sums, extremes and a sketch.

Cells merge in any order, and travel to storage and back as bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy as np

from perfmon.records import CellKey
from perfmon.window import sketch, slots
from perfmon.window.ragged import Floats, Ints, Ragged, merge_labels
from perfmon.window.vocabulary import Vocabulary

MINUTE = 60_000_000
HOUR = 60 * MINUTE


class Stat(enum.IntEnum):
    """The columns of `Cells.stats`. Names ending in `_N` count the runs that have the value."""

    RUNS = 0
    SUCCESS = 1
    FAILURE = 2
    PARTIAL = 3
    TIMED_OUT = 4
    RETRIED = 5
    API_CALLS = 6
    LATENCY_N = 7
    LATENCY = 8
    LATENCY_SQ = 9
    TOKENS_N = 10
    TOKENS = 11
    TOKENS_SQ = 12
    INPUT_TOKENS = 13
    OUTPUT_TOKENS = 14
    COST_N = 15
    COST = 16
    COST_SQ = 17
    MEMORY_N = 18
    MEMORY = 19
    CPU_N = 20
    CPU = 21
    QUALITY_N = 22
    QUALITY = 23
    QUALITY_SQ = 24
    CONFIDENCE_N = 25
    CONFIDENCE = 26
    ACCURACY_N = 27
    ACCURACY = 28
    ACCURACY_SQ = 29
    MEASUREMENTS = 30  # rows of the measurements, in any state
    DIRECT = 31  # measured without a prediction that waited
    WAITING = 32  # predictions without an outcome
    ANSWERED = 33  # predictions with one
    UNMAPPED = 34
    API_CALLS_N = 35
    RETRIES_N = 36
    FAILED_COST_N = 37  # failures whose cost is known
    FAILED_COST = 38
    # Extremes from here on: the larger one stays.
    LATENCY_MAX = 39
    MEMORY_MAX = 40
    LAST_RUN = 41  # microseconds
    LATEST = 42  # of runs and measurements
    EARLIEST = 43  # of both, negated


STATS = len(Stat)
FIRST_EXTREME = int(Stat.LATENCY_MAX)
# Of cells stored by older versions: how many sums came before the five extremes.
_BEFORE_PREDICTIONS, _BEFORE_UNKNOWN_CALLS = 30, 35


class PackedCell(NamedTuple):
    """A cell as storage keeps it. The bytes are little-endian doubles, label and count in turn."""

    slice_start: int
    key: CellKey
    stats: bytes
    sketch: bytes
    errors: bytes | None
    outcomes: bytes | None = None


@attrs.frozen(eq=False)
class Cells:
    """Many cells, a row each.

    Attributes:
        vocabulary: what the key and error numbers stand for.
        slices: the start of each cell's slice, UTC microseconds.
        keys: each cell's key number.
        stats: shape (cells, len(Stat)).
        latencies: each cell's sketch of durations in milliseconds.
        errors: each cell's error classes (numbers of the vocabulary) with their counts.
        outcomes: each cell's sums over its measurements, by their slot (`perfmon.window.slots`).
    """

    vocabulary: Vocabulary
    slices: Ints
    keys: Ints
    stats: Floats
    latencies: Ragged
    errors: Ragged
    outcomes: Ragged

    def __len__(self) -> int:
        return len(self.slices)

    @classmethod
    def empty(cls, vocabulary: Vocabulary) -> Cells:
        nothing = np.zeros(0, np.int64)
        return cls(
            vocabulary,
            nothing,
            nothing,
            np.zeros((0, STATS)),
            Ragged.empty(0),
            Ragged.empty(0),
            Ragged.empty(0),
        )

    @classmethod
    def joined(cls, parts: Iterable[Cells], vocabulary: Vocabulary) -> Cells:
        """All cells of all parts side by side, not merged."""
        filled = [part for part in parts if len(part)]
        if not filled:
            return cls.empty(vocabulary)
        if len(filled) == 1:
            return filled[0]
        return cls(
            vocabulary,
            np.concatenate([part.slices for part in filled]),
            np.concatenate([part.keys for part in filled]),
            np.concatenate([part.stats for part in filled]),
            Ragged.joined([part.latencies for part in filled]),
            Ragged.joined([part.errors for part in filled]),
            Ragged.joined([part.outcomes for part in filled]),
        )

    def take(self, rows: Ints) -> Cells:
        return Cells(
            self.vocabulary,
            self.slices[rows],
            self.keys[rows],
            self.stats[rows],
            self.latencies.take(rows),
            self.errors.take(rows),
            self.outcomes.take(rows),
        )

    def merged(self, width: int | None = None) -> Cells:
        """One cell for each key and slice; `width` (microseconds) makes the slices wider first."""
        slices = self.slices if width is None else self.slices // width * width
        if not len(self):
            return self
        order = np.lexsort((self.keys, slices))
        slices, keys = slices[order], self.keys[order]
        fresh = np.ones(len(order), bool)
        fresh[1:] = (slices[1:] != slices[:-1]) | (keys[1:] != keys[:-1])
        if fresh.all():
            return attrs.evolve(self.take(order), slices=slices)
        firsts = np.flatnonzero(fresh)
        row_of = np.empty(len(order), np.int64)
        row_of[order] = np.cumsum(fresh) - 1
        return self._grouped(row_of, order, firsts, slices[firsts], keys[firsts])

    def by_group(self, group: Ints, groups: int) -> Cells:
        """One cell for each group, where `group` numbers the group of every cell."""
        order = np.argsort(group, kind="stable")
        present, firsts = np.unique(group[order], return_index=True)
        if len(present) != groups:
            raise ValueError("every group needs a cell")
        zeros = np.zeros(groups, np.int64)
        return self._grouped(group, order, firsts, zeros, present)

    def _grouped(self, row_of: Ints, order: Ints, firsts: Ints, slices: Ints, keys: Ints) -> Cells:
        rows = len(firsts)
        ordered = self.stats[order]
        stats = np.empty((rows, STATS))
        stats[:, :FIRST_EXTREME] = np.add.reduceat(ordered[:, :FIRST_EXTREME], firsts, axis=0)
        stats[:, FIRST_EXTREME:] = np.maximum.reduceat(ordered[:, FIRST_EXTREME:], firsts, axis=0)
        latencies = sketch.merged(*self.latencies.regrouped(row_of), rows)
        errors = merge_labels(*self.errors.regrouped(row_of), rows)
        outcomes = merge_labels(*self.outcomes.regrouped(row_of), rows)
        return Cells(self.vocabulary, slices, keys, stats, latencies, errors, outcomes)

    def negated(self) -> Cells:
        """Cells that take these away where they are merged; extremes stay as they are."""
        stats = -self.stats
        stats[:, FIRST_EXTREME:] = -np.inf
        return attrs.evolve(
            self,
            stats=stats,
            latencies=self.latencies.negated(),
            errors=self.errors.negated(),
            outcomes=self.outcomes.negated(),
        )

    def total(self) -> Cells:
        """Everything in one cell (or none)."""
        return self.by_group(np.zeros(len(self), np.int64), 1) if len(self) > 1 else self

    def packed(self) -> Iterable[PackedCell]:
        """Each cell as storage keeps it."""
        entries = np.column_stack([self.latencies.labels, self.latencies.counts])
        for row in range(len(self)):
            start, end = self.latencies.starts[row], self.latencies.starts[row + 1]
            classes, counts = self.errors.row(row)
            errors = None
            if len(classes):
                names = [self.vocabulary.errors.values[int(number)] for number in classes]
                errors = msgspec.json.encode(
                    dict(zip(names, counts.astype(int).tolist(), strict=True))
                )
            yield PackedCell(
                int(self.slices[row]),
                self.vocabulary.keys.values[self.keys[row]],
                self.stats[row].astype("<f8").tobytes(),
                entries[start:end].astype("<f8").tobytes(),
                errors,
                slots.packed(*self.outcomes.row(row), self.vocabulary.sources.values),
            )

    @classmethod
    def unpacked(cls, packed: Iterable[PackedCell], vocabulary: Vocabulary) -> Cells:
        """The cells that `packed` made, numbered by this vocabulary."""
        flat: list[Any] = list(chain.from_iterable(packed))
        if not flat:
            return cls.empty(vocabulary)
        starts, keys, stats, sketches, errors, outcomes = (flat[n::6] for n in range(6))
        rows = len(starts)
        stats = [_current(row) for row in stats]
        entries = np.frombuffer(b"".join(sketches), "<f8").astype(np.float64).reshape(-1, 2)
        bounds = np.zeros(rows + 1, np.int64)
        np.cumsum(np.fromiter(map(len, sketches), np.int64, rows) // 16, out=bounds[1:])
        owner, labels, counts = [], [], []
        for row, known in enumerate(errors):
            if known is not None:
                for name, count in msgspec.json.decode(known, type=dict[str, float]).items():
                    owner.append(row)
                    labels.append(vocabulary.error_number(name))
                    counts.append(count)
        return cls(
            vocabulary,
            np.array(starts, np.int64),
            np.fromiter((vocabulary.key_number(key) for key in keys), np.int64, rows),
            np.frombuffer(b"".join(stats), "<f8").astype(np.float64).reshape(rows, STATS),
            Ragged(bounds, entries[:, 0].copy(), entries[:, 1].copy()),
            Ragged.of_sorted(
                np.array(owner, np.int64), np.array(labels, float), np.array(counts, float), rows
            ),
            slots.unpacked(outcomes, vocabulary.source_number),
        )


def add_up(stats: Floats) -> Floats:
    """One row of statistics from many: sums of counts and sums, the largest of extremes."""
    total = np.full(STATS, -np.inf)
    total[:FIRST_EXTREME] = stats[:, :FIRST_EXTREME].sum(axis=0)
    if len(stats):
        total[FIRST_EXTREME:] = stats[:, FIRST_EXTREME:].max(axis=0)
    return total


def _current(stats: bytes) -> bytes:
    """A row of statistics as it is now, from one that may be older."""
    sums = len(stats) // 8 - (STATS - FIRST_EXTREME)
    if sums == FIRST_EXTREME:
        return stats
    old = np.frombuffer(stats, "<f8")
    new = np.zeros(STATS, "<f8")
    new[:sums], new[FIRST_EXTREME:] = old[:sums], old[sums:]
    if sums <= _BEFORE_PREDICTIONS:
        new[[Stat.MEASUREMENTS, Stat.DIRECT]] = old[Stat.ACCURACY_N]
    if sums <= _BEFORE_UNKNOWN_CALLS:  # every run had both, if by default
        new[[Stat.API_CALLS_N, Stat.RETRIES_N]] = old[Stat.RUNS]
    return new.tobytes()
