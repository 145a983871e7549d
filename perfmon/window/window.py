"""The recent past in memory, summed up for any part of it at a bounded cost.

Minutes hold cells; an hour's cells are made from its minutes when first asked for. A window is
whole hours where it can be, minutes around them, and the raw runs of the two minutes it cuts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from perfmon.records import Scope
from perfmon.window.batch import Batch
from perfmon.window.block import Block
from perfmon.window.cells import MINUTE, STATS, Cells, Stat, add_up
from perfmon.window.columns import NUMBERS, MeasurementColumns, RunColumns
from perfmon.window.cut import FEW, Cut, RawMinute
from perfmon.window.keys import Keys
from perfmon.window.minutes import Minutes
from perfmon.window.picking import picked, places_of, rows_of, selected
from perfmon.window.ragged import Floats, Ints
from perfmon.window.recent import Recent
from perfmon.window.tail import Tail
from perfmon.window.vocabulary import Vocabulary

# Rows of cut minutes that are kept at hand, in 400 bytes each: the windows that are asked for
# cut the same minutes until the clock has moved on.
_MOST_RAW = 32_768
Mask = npt.NDArray[np.bool_]


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
        self.keys = Keys(vocabulary)
        self._minutes = Minutes(vocabulary)
        self._raw: dict[int, RawMinute] = {}
        nothing = np.zeros(0, np.int64)
        narrow = np.zeros(0, np.int32)
        self._runs = Recent(
            RunColumns(
                vocabulary,
                nothing,
                narrow,
                np.zeros(0, np.uint8),
                np.zeros((0, len(NUMBERS))),
                narrow,
            ),
            max_runs,
        )
        self._measurements = Recent(MeasurementColumns.empty(vocabulary), max_runs)

    def __len__(self) -> int:
        """How many runs are held raw."""
        return len(self._runs)

    def prepare(self, batch: Batch, runs_in: Mask, measurements_in: Mask, now: int) -> Prepared:
        """The columns and cells of the rows of these masks, if not too old; needs no lock."""
        floor = (now - self.retention) // MINUTE * MINUTE  # what is forgotten is whole minutes
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
        self.keys.note_runs(prepared.all_runs)
        runs_first = self._runs.add(prepared.runs)
        measurements_first = self._measurements.add(prepared.measurements)
        for cells in prepared.cells:
            self._add_cells(cells)
        return Receipted(
            runs_first, prepared.runs_kept, measurements_first, prepared.measurements_kept
        )

    def is_ahead(self, now: int) -> bool:
        """Whether something is here of a minute that is still to come: time can go backwards."""
        return self._minutes.newest > now

    def _add_cells(self, cells: Cells) -> None:
        if not len(cells):
            return
        self.keys.note_change(cells.keys)
        # Cells come sorted by slice: each minute's are neighbours.
        bounds = np.flatnonzero(np.diff(cells.slices, prepend=cells.slices[0] - 1))
        for start, end in zip(bounds, [*bounds[1:], len(cells)], strict=True):
            whole = len(bounds) == 1
            part = cells if whole else cells.take(np.arange(start, end))
            minute = int(cells.slices[start])
            self._minutes.put(minute, part)
            self._raw.pop(minute, None)

    def retract(self, where: Receipted, batch: Batch, runs: Mask, measurements: Mask) -> None:
        """Take back the rows of these masks, which storage already had."""
        # What was forgotten since then is not there to be taken back.
        runs = runs & (batch.times[0] >= self._expired)
        runs &= np.isin(np.arange(len(runs)), where.runs_kept)
        measurements = measurements & (batch.times[1] >= self._expired)
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

    def amend(self, before: MeasurementColumns, after: MeasurementColumns) -> None:
        """Put the new version of measurements, row by row, where the old one is here.

        Storage may have rows that others stored, of which nothing is here.
        """
        held = np.flatnonzero(before.at >= self._expired)
        before, after = before.take(held), after.take(held)
        here = self._measurements.remove_equal(before)
        if self.complete_from is not None:
            # What is not here raw had to leave, but was counted.
            left = self._measurements.left_until
            here |= (before.at >= self.complete_from) & (before.at <= left)
        places = np.flatnonzero(here)
        self._add_cells(before.take(places).cells(MINUTE).negated())
        self._measurements.add(after.take(places))
        self._add_cells(after.take(places).cells(MINUTE))

    def _rebuild(self, minute: int) -> None:
        """Make a minute's cells anew, if all of its rows are still here raw."""
        block = self._minutes.blocks[minute]
        runs = self._runs.between(minute, minute + MINUTE)
        measurements = self._measurements.between(minute, minute + MINUTE)
        if (len(runs), len(measurements)) == block.counts():
            self._forget_minute(minute)
            self._add_cells(runs.cells(MINUTE))
            self._add_cells(measurements.cells(MINUTE))

    def _forget_minute(self, minute: int) -> None:
        self._minutes.forget(minute)
        self._raw.pop(minute, None)

    def drop(self, minute: int) -> None:
        """Forget a minute, its raw rows too."""
        if minute in self._minutes.blocks:
            self.keys.note_change(self._minutes.blocks[minute].cells().keys)
        self._forget_minute(minute)
        self._runs.remove_between(minute, minute + MINUTE)
        self._measurements.remove_between(minute, minute + MINUTE)

    def missing(self, batch: Batch, since: int, until: int) -> tuple[int, list[int]]:
        """Of the minutes in `[since, until)` those of which a batch has more, and how much more.

        Also those of which it has the same measurements in other states.
        """
        more, minutes = 0, []
        runs, measured = (_per_minute(at) for at in batch.times)
        cells = batch.minutes[1]
        for minute in sorted({*runs, *measured}):
            if since <= minute < until:
                block = self._minutes.blocks.get(minute)
                held = (0, 0) if block is None else block.counts()
                there = runs.get(minute, 0), measured.get(minute, 0)
                if there[0] > held[0] or there[1] > held[1]:
                    more += max(sum(there) - sum(held), 0)
                    minutes.append(minute)
                elif block is not None and there[1] == held[1] > 0:
                    amended = cells.take(np.flatnonzero(cells.slices == minute))
                    minutes += [minute] if block.differs(amended) else []
        return more, minutes

    def expire(self, now: int) -> None:
        """Forget what is older than the retention; the floor follows a clock that is set back."""
        self.floor = now - self.retention
        first = self.floor // MINUTE * MINUTE
        if first <= self._expired:
            return
        self._expired = first
        self._minutes.forget_before(first)
        self._runs.forget_before(first)
        self._measurements.forget_before(first)

    def answer(self, since: int, until: int, scope: Scope) -> Answer:
        """The cells of `[since, until)` that match, whole totals where everything does."""
        blocks, cuts, since, until = self._pieces(since, until)
        if scope.is_everything:
            parts = [block.total() for block in blocks] + [cut.total() for cut in cuts]
        else:
            wanted = self.keys.of(scope)
            whole = [block.cells() for block in blocks]
            if len(wanted) <= FEW:
                parts = [picked(whole, wanted.tolist(), self.vocabulary)]
            else:
                parts = [selected(part, wanted) for part in whole]
            parts += [cut.of_keys(wanted) for cut in cuts]
        return Answer(Cells.joined(parts, self.vocabulary), since, until)

    def by_key(self, since: int, until: int, scope: Scope) -> Answer:
        """The same, never totals: each cell keeps its key."""
        if not scope.is_everything:
            return self.answer(since, until, scope)
        blocks, cuts, since, until = self._pieces(since, until)
        parts = [block.cells() for block in blocks] + [cut.cells() for cut in cuts]
        return Answer(Cells.joined(parts, self.vocabulary), since, until)

    def stats(self, since: int, until: int, scope: Scope) -> Floats:
        """Only counts, sums and extremes, in one row: quicker, for trends."""
        blocks, cuts, _, _ = self._pieces(since, until)
        if scope.is_everything:
            rows = [block.total().stats for block in blocks] + [cut.stats() for cut in cuts]
        else:
            wanted = self.keys.of(scope)
            whole = [block.cells() for block in blocks]
            if len(wanted) <= FEW:
                found = places_of(whole, wanted.tolist())
                rows = [cells.stats[row : row + 1] for cells, row in found]
            else:
                rows = [cells.stats[rows_of(cells, wanted)] for cells in whole]
            rows += [cut.stats(wanted) for cut in cuts]
        return add_up(np.concatenate(rows) if rows else np.zeros((0, STATS)))

    def tail(self, since: int, until: int, scope: Scope) -> Tail:
        """The cells of whole minutes, from the one of `since` to the one of `until`."""
        first, last = since // MINUTE * MINUTE, until // MINUTE * MINUTE
        wanted = None if scope.is_everything else self.keys.of(scope)
        return Tail.joined(first, self._minutes.held(self._minutes.back(first, last), wanted))

    def longer(self, tail: Tail, since: int, scope: Scope, counted: Stat, count: int) -> Tail:
        """A tail and the minutes before it, back to the one of `since`, until it has enough."""
        first, held = since // MINUTE * MINUTE, float(tail.totals[counted])
        found: list[tuple[int, Cells, int]] = []
        wanted = None if scope.is_everything else self.keys.of(scope)
        minutes = self._minutes.counting(first, tail.since - MINUTE, wanted, counted)
        for minute, cells, row in self._minutes.held(minutes, wanted):
            if held >= count and minute < found[-1][0]:  # a minute as a whole
                break
            found.append((minute, cells, row))
            held += cells.stats[row, counted]
        return tail.and_before(found[-1][0] if held >= count else first, found)

    def totals_by_key(self) -> Floats:
        """The statistics of all that is here, a row for each key of the vocabulary."""
        return self._minutes.totals(len(self.vocabulary.keys.values))

    @property
    def raw_since(self) -> int:
        """From when on (microseconds) the runs and measurements here are all here raw."""
        return max(self._runs.left_until, self._measurements.left_until) + 1

    def raw_runs(self, since: int, until: int, scope: Scope) -> RunColumns | None:
        """The runs of `[since, until)` in the order of time; None where some are not here raw."""
        if since <= self._runs.left_until:
            return None
        runs = self._runs.between(since, until)
        if not scope.is_everything:
            runs = runs.take(np.isin(runs.keys, self.keys.of(scope)))
        return runs.take(np.argsort(runs.at, kind="stable"))

    def raw_scores(self, since: int, until: int, scope: Scope) -> tuple[Ints, Floats]:
        """When the measurements of `[since, until)` that count became known, with their scores."""
        found = self._measurements.between(since, until)
        found = found.take(found.counts)
        if not scope.is_everything:
            found = found.take(np.isin(found.keys, self.keys.of(scope)))
        found = found.take(np.argsort(found.at, kind="stable"))
        return found.at, found.scores

    def raw_memory(self, since: int, scope: Scope) -> Floats:
        """The memory (MiB) of the runs since then that are here raw, where it is known."""
        runs = self._runs.between(since // MINUTE * MINUTE, 2**62)
        values = runs.numbers[:, NUMBERS.index("memory_mb")]
        if not scope.is_everything:
            values = values[np.isin(runs.keys, self.keys.of(scope))]
        found: Floats = values[~np.isnan(values)]
        return found

    def _pieces(self, since: int, until: int) -> tuple[list[Block], list[Cut], int, int]:
        """Blocks that lie inside, parts of the minutes it cuts, and the range really covered."""
        first, last = -(-since // MINUTE) * MINUTE, until // MINUTE * MINUTE
        if first > last:  # both cuts in one minute
            pieces, since, until = self._cut(last, since, until)
        else:
            pieces = list(self._minutes.whole(first, last))
            if since < first:
                edge, since, _ = self._cut(first - MINUTE, since, first)
                pieces += edge
            if until > last:
                edge, _, until = self._cut(last, last, until)
                pieces += edge
        blocks = [piece for piece in pieces if isinstance(piece, Block)]
        cuts = [piece for piece in pieces if isinstance(piece, Cut)]
        return blocks, cuts, since, until

    def _cut(self, minute: int, since: int, until: int) -> tuple[list[Block | Cut], int, int]:
        """The part of a minute: exact where its runs are still here raw, else all of it."""
        block = self._minutes.blocks.get(minute)
        if block is None:
            return [], since, until
        if block.lies_in(since, until):
            return [block], since, until
        raw = self._raw[minute] if minute in self._raw else self._raw_of(minute, block)
        if raw is None:
            return [block], minute, minute + MINUTE
        return [raw.between(since, until)], since, until

    def _raw_of(self, minute: int, block: Block) -> RawMinute | None:
        """All rows of a minute, kept for the next questions; None where some are gone."""
        runs = self._runs.between(minute, minute + MINUTE)
        measurements = self._measurements.between(minute, minute + MINUTE)
        if (len(runs), len(measurements)) != block.counts():
            return None
        self._raw[minute] = raw = RawMinute(runs, measurements)
        while sum(map(len, self._raw.values())) > _MOST_RAW:
            del self._raw[next(iter(self._raw))]
        return raw


def _per_minute(at: Ints) -> dict[int, int]:
    minutes, counts = np.unique(at // MINUTE * MINUTE, return_counts=True)
    return dict(zip(minutes.tolist(), counts.tolist(), strict=True))
