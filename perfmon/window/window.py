"""What happened lately, held in memory, answered for any slice of it at a bounded cost.

Minutes hold cells; an hour's cells are made from its minutes when first asked for. A window is
whole hours where it can be, minutes around them, and the raw runs of the two minutes it cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from perfmon.records import Scope
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, MINUTE, STATS, Cells, Stat
from perfmon.window.columns import NUMBERS, MeasurementColumns, RunColumns
from perfmon.window.ragged import Ints, Ragged
from perfmon.window.recent import Recent
from perfmon.window.vocabulary import Vocabulary

_PARTS = 16
_FEW = 8  # keys
_MOST_SCOPES = 1_000
_NO_KEYS = np.zeros(0, np.int64)
Mask = npt.NDArray[np.bool_]
StatRow = npt.NDArray[np.float64]


class Block:
    """The cells of one minute or hour; parts are merged when somebody looks."""

    __slots__ = ("_parts", "_totals")

    def __init__(self, cells: Cells) -> None:
        self._parts = [cells]
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

    def lies_in(self, since: int, until: int) -> bool:
        """Whether all of it happened in `[since, until)`."""
        latest, earliest = self.total().stats[0, [Stat.LATEST, Stat.EARLIEST]]
        return bool(latest < until and -earliest >= since)

    def counts(self) -> tuple[int, int]:
        """Runs and measurements."""
        both = self.total().stats[:, [Stat.RUNS, Stat.ACCURACY_N]].sum(axis=0)
        return int(both[0]), int(both[1])


class Answer(NamedTuple):
    """Cells that together are what happened in `[since, until)`, UTC microseconds."""

    cells: Cells
    since: int
    until: int


class Receipted(NamedTuple):
    """Where a batch lies in the window, so that storage's verdict can be carried out."""

    runs_first: int
    runs_kept: Ints
    measurements_first: int
    measurements_kept: Ints


class Prepared(NamedTuple):
    """A batch made ready for the window."""

    all_runs: RunColumns
    runs: RunColumns
    measurements: MeasurementColumns
    runs_kept: Ints
    measurements_kept: Ints
    cells: tuple[Cells, Cells]


class Window:
    """Runs and measurements of the last `retention` microseconds, at most `max_runs` of them raw.

    Not thread-safe: its owner holds a lock. `floor` is the oldest time it answers for;
    `complete_from` since when it has all that storage has, None if history was never loaded.
    """

    def __init__(self, vocabulary: Vocabulary, retention: int, max_runs: int) -> None:
        self.vocabulary = vocabulary
        self.retention = retention
        self.floor = -(2**62)
        self.complete_from: int | None = None
        self._expired = -(2**62)
        self._last_runs = np.zeros(64, np.int64)
        self._scopes: dict[Scope, tuple[int, Ints]] = {}
        self._minutes: dict[int, Block] = {}
        self._hours: dict[int, Block] = {}
        nothing = np.zeros(0, np.int64)
        narrow = np.zeros(0, np.int32)
        self._runs = Recent(
            RunColumns(
                vocabulary, nothing, narrow, np.zeros(0, np.uint8),
                np.zeros((0, len(NUMBERS))), narrow,
            ),
            max_runs,
        )  # fmt: skip
        self._measurements = Recent(
            MeasurementColumns(vocabulary, nothing, narrow, np.zeros(0)), max_runs
        )

    def __len__(self) -> int:
        """How many runs are held raw."""
        return len(self._runs)

    def prepare(self, batch: Batch, runs_in: Mask, measurements_in: Mask, now: int) -> Prepared:
        """The columns and cells of the rows of these masks, if not too old; needs no lock."""
        floor = now - self.retention
        runs, measurements = batch.run_columns, batch.measurement_columns
        runs_kept = np.flatnonzero(runs_in & (runs.at >= floor))
        measurements_kept = np.flatnonzero(measurements_in & (measurements.at >= floor))
        if len(runs_kept) < len(runs):
            runs = runs.take(runs_kept)
        if len(measurements_kept) < len(measurements):
            measurements = measurements.take(measurements_kept)
        whole = len(runs_kept) == len(batch.runs), len(measurements_kept) == len(batch.measurements)
        cells = (
            batch.minutes[0] if whole[0] else runs.cells(MINUTE),
            batch.minutes[1] if whole[1] else measurements.cells(MINUTE),
        )
        return Prepared(batch.run_columns, runs, measurements, runs_kept, measurements_kept, cells)

    def add(self, prepared: Prepared, now: int) -> Receipted:
        """Take in what was made ready."""
        self.expire(now)
        self._note_last_runs(prepared.all_runs)
        runs_first = self._runs.add(prepared.runs)
        measurements_first = self._measurements.add(prepared.measurements)
        for cells in prepared.cells:
            self._add_cells(cells)
        return Receipted(
            runs_first, prepared.runs_kept, measurements_first, prepared.measurements_kept
        )

    def _note_last_runs(self, runs: RunColumns) -> None:
        known = len(self.vocabulary.keys.values)
        if known > len(self._last_runs):
            grown = np.zeros(2 * known, np.int64)
            grown[: len(self._last_runs)] = self._last_runs
            self._last_runs = grown
        np.maximum.at(self._last_runs, runs.keys, runs.at)

    def last_runs(self) -> list[int | None]:
        """For each key of the vocabulary when its last run ended, of any age."""
        return [at or None for at in self._last_runs[: len(self.vocabulary.keys.values)].tolist()]

    def last_type(self, agent: tuple[str, str]) -> tuple[int, str | None]:
        """When the last run of an agent (tenant, name) ended, 0 if it has none, and its type."""
        numbers = [n for n in self.vocabulary.keys_of(agent) if n < len(self._last_runs)]
        if not numbers:
            return 0, None
        last = max(numbers, key=self._last_runs.__getitem__)
        return int(self._last_runs[last]), self.vocabulary.keys.values[last].agent_type

    def _add_cells(self, cells: Cells) -> None:
        if not len(cells):
            return
        # Cells come sorted by slice: each minute's are neighbours.
        bounds = np.flatnonzero(np.diff(cells.slices, prepend=cells.slices[0] - 1))
        for start, end in zip(bounds, [*bounds[1:], len(cells)], strict=True):
            whole = len(bounds) == 1
            part = cells if whole else cells.take(np.arange(start, end))
            self._put(int(cells.slices[start]), part)

    def _put(self, minute: int, cells: Cells) -> None:
        block = self._minutes.get(minute)
        if block is None:
            self._minutes[minute] = Block(cells)
        else:
            block.add(cells)
        self._hours.pop(minute // HOUR * HOUR, None)

    def retract(self, where: Receipted, batch: Batch, runs: Mask, measurements: Mask) -> None:
        """Take back the rows of these masks, which storage already had."""
        runs &= np.isin(np.arange(len(runs)), where.runs_kept)
        measurements &= np.isin(np.arange(len(measurements)), where.measurements_kept)
        for held, columns, kept, first, gone in (
            (self._runs, batch.run_columns, where.runs_kept, where.runs_first, runs),
            (
                self._measurements,
                batch.measurement_columns,
                where.measurements_kept,
                where.measurements_first,
                measurements,
            ),
        ):
            places = np.flatnonzero(gone)
            held.remove(first + np.searchsorted(kept, places))
            self._add_cells(columns.take(places).cells(MINUTE).negated())
        minutes = np.concatenate([batch.times[0][runs], batch.times[1][measurements]])
        for minute in np.unique(minutes // MINUTE * MINUTE).tolist():
            self._rebuild(minute)

    def _rebuild(self, minute: int) -> None:
        """Make a minute's cells anew, if all of its rows are still here raw."""
        block = self._minutes[minute]
        runs = self._runs.between(minute, minute + MINUTE)
        measurements = self._measurements.between(minute, minute + MINUTE)
        if (len(runs), len(measurements)) == block.counts():
            self._forget_minute(minute)
            self._add_cells(runs.cells(MINUTE))
            self._add_cells(measurements.cells(MINUTE))

    def _forget_minute(self, minute: int) -> None:
        self._minutes.pop(minute, None)
        self._hours.pop(minute // HOUR * HOUR, None)

    def drop(self, minute: int) -> None:
        """Forget a minute, its raw rows too."""
        self._forget_minute(minute)
        self._runs.remove_between(minute, minute + MINUTE)
        self._measurements.remove_between(minute, minute + MINUTE)

    def missing(self, batch: Batch, since: int, until: int) -> tuple[int, list[int]]:
        """Of the minutes in `[since, until)` those of which a batch has more, and how much more."""
        more, minutes = 0, []
        counts = [_per_minute(at) for at in batch.times]
        for minute in sorted({*counts[0], *counts[1]}):
            if since <= minute < until:
                block = self._minutes.get(minute)
                held = block.counts() if block is not None else (0, 0)
                there = counts[0].get(minute, 0), counts[1].get(minute, 0)
                if there[0] > held[0] or there[1] > held[1]:
                    more += max(sum(there) - sum(held), 0)
                    minutes.append(minute)
        return more, minutes

    def expire(self, now: int) -> None:
        """Forget what is older than the retention; the floor follows a clock that is set back."""
        self.floor = now - self.retention
        first = self.floor // MINUTE * MINUTE
        if first <= self._expired:
            return
        self._expired = first
        for minute in [minute for minute in self._minutes if minute < first]:
            del self._minutes[minute]
        for hour in [hour for hour in self._hours if hour + HOUR <= first]:
            del self._hours[hour]
        self._hours.pop(first // HOUR * HOUR, None)
        self._runs.forget_before(first)
        self._measurements.forget_before(first)

    def answer(self, since: int, until: int, scope: Scope) -> Answer:
        """The cells of `[since, until)` that match, whole totals where everything does."""
        blocks, edges, since, until = self._blocks(since, until)
        if scope.is_everything:
            parts = [block.total() for block in blocks]
            parts += edges
            return Answer(Cells.joined(parts, self.vocabulary), since, until)
        wanted = self._wanted(scope)
        parts = list(self._each(blocks, edges))
        if len(wanted) <= _FEW:
            return Answer(_picked(parts, wanted.tolist(), self.vocabulary), since, until)
        parts = [_select(part, wanted) for part in parts]
        return Answer(Cells.joined(parts, self.vocabulary), since, until)

    def by_key(self, since: int, until: int, scope: Scope) -> Answer:
        """The same, never totals: each cell keeps its key."""
        blocks, edges, since, until = self._blocks(since, until)
        joined = Cells.joined([block.cells() for block in blocks] + edges, self.vocabulary)
        if not scope.is_everything:
            wanted = np.isin(joined.keys, self._wanted(scope))
            joined = joined.take(np.flatnonzero(wanted))
        return Answer(joined, since, until)

    def stats(self, since: int, until: int, scope: Scope) -> StatRow:
        """Only counts, sums and extremes, in one row: quicker, for trends."""
        blocks, edges, _, _ = self._blocks(since, until, bare=True)
        if scope.is_everything:
            rows = [block.total().stats for block in blocks] + [edge.stats for edge in edges]
        else:
            wanted = self._wanted(scope)
            parts = list(self._each(blocks, edges))
            if len(wanted) <= _FEW:
                found = _places(parts, wanted.tolist())
                rows = [cells.stats[row : row + 1] for cells, row in found]
            else:
                rows = [cells.stats[_rows(cells, wanted)] for cells in parts]
        return add_up(np.concatenate(rows) if rows else np.zeros((0, STATS)))

    @staticmethod
    def _each(blocks: list[Block], edges: list[Cells]) -> Iterator[Cells]:
        yield from (block.cells() for block in blocks)
        yield from edges

    def _wanted(self, scope: Scope) -> Ints:
        keys = self.vocabulary.keys.values
        known, wanted = self._scopes.get(scope, (0, _NO_KEYS))
        if known < len(keys):
            # Keys are only added: those looked at before need not be looked at again.
            more = [n for n in range(known, len(keys)) if scope.matches(keys[n])]
            known, wanted = len(keys), np.append(wanted, np.array(more, np.int64))
            if len(self._scopes) > _MOST_SCOPES:
                self._scopes.clear()
            self._scopes[scope] = known, wanted
        return wanted

    def _blocks(
        self, since: int, until: int, *, bare: bool = False
    ) -> tuple[list[Block], list[Cells], int, int]:
        """Blocks that lie inside, cells of the cut minutes, and the range they really cover."""
        edges: list[Cells] = []
        blocks: list[Block] = []
        first, last = -(-since // MINUTE) * MINUTE, until // MINUTE * MINUTE
        if first > last:  # both cuts in one minute
            cells, since, until = self._cut(since // MINUTE * MINUTE, since, until, bare=bare)
            return blocks, [cells] if len(cells) else [], since, until
        if since < first:
            cells, since, _ = self._cut(first - MINUTE, since, first, bare=bare)
            edges.append(cells)
        if until > last:
            cells, _, until = self._cut(last, last, until, bare=bare)
            edges.append(cells)
        blocks.extend(self._whole(first, last))
        return blocks, [edge for edge in edges if len(edge)], since, until

    def _whole(self, first: int, last: int) -> Iterator[Block]:
        """Blocks of whole minutes, in whole hours where they fit."""
        if (last - first) // MINUTE > 2 * len(self._minutes) + 120:
            first, last = self._clipped(first, last)
        moment = first
        while moment < last:
            if moment % HOUR == 0 and moment + HOUR <= last:
                hour = self._hour(moment)
                if hour is not None:
                    yield hour
                moment += HOUR
            else:
                minute = self._minutes.get(moment)
                if minute is not None:
                    yield minute
                moment += MINUTE

    def _clipped(self, first: int, last: int) -> tuple[int, int]:
        # Nobody walks the empty minutes of a hundred years.
        if not self._minutes:
            return first, first
        return max(first, min(self._minutes)), min(last, max(self._minutes) + MINUTE)

    def _hour(self, start: int) -> Block | None:
        block = self._hours.get(start)
        if block is None:
            minutes = [
                self._minutes[minute].cells()
                for minute in range(start, start + HOUR, MINUTE)
                if minute in self._minutes
            ]
            if not minutes:
                return None
            block = self._hours[start] = Block(Cells.joined(minutes, self.vocabulary).merged(HOUR))
        return block

    def _cut(self, minute: int, since: int, until: int, *, bare: bool) -> tuple[Cells, int, int]:
        """The part of a minute: exact where its runs are still here raw, else all of it."""
        block = self._minutes.get(minute)
        if block is None:
            return Cells.empty(self.vocabulary), since, until
        if block.lies_in(since, until):
            return block.cells(), since, until
        runs = self._runs.between(minute, minute + MINUTE)
        measurements = self._measurements.between(minute, minute + MINUTE)
        if (len(runs), len(measurements)) != block.counts():
            return block.cells(), minute, minute + MINUTE
        runs = runs.take((runs.at >= since) & (runs.at < until))
        measurements = measurements.take((measurements.at >= since) & (measurements.at < until))
        inside = runs.cells(MINUTE, bare=bare), measurements.cells(MINUTE)
        both = len(inside[0]) and len(inside[1])
        cut = Cells.joined(inside, self.vocabulary)
        # The cells of one kind of rows are one a key already.
        return cut.merged() if both else cut, since, until


def add_up(stats: StatRow) -> StatRow:
    """One row of statistics from many: sums of counts and sums, the largest of extremes."""
    extremes = int(Stat.LATENCY_MAX)
    total = np.full(STATS, -np.inf)
    total[:extremes] = stats[:, :extremes].sum(axis=0)
    if len(stats):
        total[extremes:] = stats[:, extremes:].max(axis=0)
    return total


def _per_minute(at: Ints) -> dict[int, int]:
    minutes, counts = np.unique(at // MINUTE * MINUTE, return_counts=True)
    return dict(zip(minutes.tolist(), counts.tolist(), strict=True))


def _rows(cells: Cells, wanted: Ints) -> Ints:
    """Where the wanted keys are; cells are sorted by key."""
    if not len(wanted) or not len(cells):
        return np.zeros(0, np.int64)
    places = np.minimum(np.searchsorted(cells.keys, wanted), len(cells) - 1)
    found: Ints = places[cells.keys[places] == wanted]
    return found


def _places(parts: list[Cells], wanted: list[int]) -> list[tuple[Cells, int]]:
    """Where the cells of few keys are; those of a part are sorted by key."""
    found = []
    for cells in parts:
        for key in wanted:
            row = int(cells.keys.searchsorted(key))
            if row < len(cells.keys) and cells.keys[row] == key:
                found.append((cells, row))
    return found


def _picked(parts: list[Cells], wanted: list[int], vocabulary: Vocabulary) -> Cells:
    """The cells of few keys, row by row: much quicker than taking arrays apart."""
    found = _places(parts, wanted)
    if not found:
        return Cells.empty(vocabulary)
    return Cells(
        vocabulary,
        np.array([cells.slices[row] for cells, row in found], np.int64),
        np.array([cells.keys[row] for cells, row in found], np.int64),
        np.stack([cells.stats[row] for cells, row in found]),
        Ragged.of_rows([cells.latencies.row(row) for cells, row in found]),
        Ragged.of_rows([cells.errors.row(row) for cells, row in found]),
    )


def _select(cells: Cells, wanted: Ints) -> Cells:
    rows = _rows(cells, wanted)
    return cells.take(rows) if len(rows) < len(cells) else cells
