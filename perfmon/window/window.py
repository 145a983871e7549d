"""What happened lately, held in memory, answered for any slice of it at a bounded cost.

Minutes hold cells; an hour's cells are made from its minutes when first asked for. A window is
whole hours where it can be, minutes around them, and the raw runs of the two minutes it cuts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from perfmon.records import CellKey, Scope
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, MINUTE, STATS, Cells, Stat, add_up
from perfmon.window.columns import NUMBERS, MeasurementColumns, RunColumns
from perfmon.window.cut import FEW, Cut, RawMinute
from perfmon.window.ragged import Floats, Ints, Ragged
from perfmon.window.recent import Recent
from perfmon.window.tail import Tail
from perfmon.window.vocabulary import Vocabulary

_PARTS = 16
# Rows of cut minutes that are kept at hand, in 400 bytes each: the windows that are asked for
# cut the same minutes until the clock has moved on.
_MOST_RAW = 32_768
_MOST_SCOPES = 20_000
# What tells whether measurements were amended.
_COMPARED = [
    Stat.MEASUREMENTS, Stat.WAITING, Stat.DIRECT, Stat.UNMAPPED, Stat.ACCURACY_N, Stat.ACCURACY,
]  # fmt: skip
_NO_KEYS = np.zeros(0, np.int64)
Mask = npt.NDArray[np.bool_]


class Block:
    """The cells of one minute or hour; parts are merged when somebody looks.

    Of an hour `masks` has a bit for each minute of each cell.
    """

    __slots__ = ("_parts", "_totals", "masks")

    def __init__(self, cells: Cells, masks: Ints = _NO_KEYS) -> None:
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

    def of(self, wanted: Ints, *, everything: bool) -> list[tuple[Cells, int]]:
        """The cells of some keys, or the total, and the rows of them."""
        if everything:
            return [(self.total(), 0)]
        cells = self.cells()
        if len(wanted) <= FEW:
            return _places([cells], wanted.tolist())
        return [(cells, row) for row in _rows(cells, wanted).tolist()]

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
    `changes` counts what was added or taken away.
    """

    def __init__(self, vocabulary: Vocabulary, retention: int, max_runs: int) -> None:
        self.vocabulary = vocabulary
        self.retention = retention
        self.floor = -(2**62)
        self.complete_from: int | None = None
        self._expired = -(2**62)
        self._last_runs = np.zeros(64, np.int64)
        self.changes = 0
        self._changed = np.zeros(64, np.int64)
        self._scopes: dict[Scope, tuple[int, Ints]] = {}
        self._minutes: dict[int, Block] = {}
        self._newest = -(2**62)
        self._hours: dict[int, Block] = {}
        self._raw: dict[int, RawMinute] = {}
        nothing = np.zeros(0, np.int64)
        narrow = np.zeros(0, np.int32)
        self._runs = Recent(
            RunColumns(
                vocabulary, nothing, narrow, np.zeros(0, np.uint8),
                np.zeros((0, len(NUMBERS))), narrow,
            ),
            max_runs,
        )  # fmt: skip
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
        self._note_last_runs(prepared.all_runs)
        runs_first = self._runs.add(prepared.runs)
        measurements_first = self._measurements.add(prepared.measurements)
        for cells in prepared.cells:
            self._add_cells(cells)
        return Receipted(
            runs_first, prepared.runs_kept, measurements_first, prepared.measurements_kept
        )

    def _note_last_runs(self, runs: RunColumns) -> None:
        self._last_runs = _long_enough(self._last_runs, len(self.vocabulary.keys.values))
        np.maximum.at(self._last_runs, runs.keys, runs.at)

    def last_run(self, scope: Scope) -> int | None:
        """When the last run of a scope ended, of any age; None for none."""
        wanted = self._wanted(scope)
        known = self._last_runs[wanted[wanted < len(self._last_runs)]]
        return int(known.max(initial=0)) or None

    def version(self, scope: Scope) -> int:
        """Another number whenever something was added to what a scope has here, or taken away."""
        wanted = self._wanted(scope)
        return int(self._changed[wanted[wanted < len(self._changed)]].max(initial=0))

    def keys_since(self, floor: int) -> list[CellKey]:
        """The keys of runs since then, and of what has only measurements here."""
        keys = self.vocabulary.keys.values
        last, changed = (
            _long_enough(numbers, len(keys))[: len(keys)]
            for numbers in (self._last_runs, self._changed)
        )
        alive = np.where(last > 0, last >= floor, changed > 0)
        return [keys[number] for number in np.flatnonzero(alive).tolist()]

    def is_ahead(self, now: int) -> bool:
        """Whether something is here of a minute that is still to come: time can go backwards."""
        return self._newest > now

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
        self._note_change(cells.keys)
        # Cells come sorted by slice: each minute's are neighbours.
        bounds = np.flatnonzero(np.diff(cells.slices, prepend=cells.slices[0] - 1))
        for start, end in zip(bounds, [*bounds[1:], len(cells)], strict=True):
            whole = len(bounds) == 1
            part = cells if whole else cells.take(np.arange(start, end))
            self._put(int(cells.slices[start]), part)

    def _note_change(self, keys: Ints) -> None:
        self.changes += 1
        self._changed = _long_enough(self._changed, len(self.vocabulary.keys.values))
        self._changed[keys] = self.changes

    def _put(self, minute: int, cells: Cells) -> None:
        self._newest = max(self._newest, minute)
        block = self._minutes.get(minute)
        if block is None:
            self._minutes[minute] = Block(cells)
        else:
            block.add(cells)
        self._raw.pop(minute, None)
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
        block = self._minutes[minute]
        runs = self._runs.between(minute, minute + MINUTE)
        measurements = self._measurements.between(minute, minute + MINUTE)
        if (len(runs), len(measurements)) == block.counts():
            self._forget_minute(minute)
            self._add_cells(runs.cells(MINUTE))
            self._add_cells(measurements.cells(MINUTE))

    def _forget_minute(self, minute: int) -> None:
        self._minutes.pop(minute, None)
        self._raw.pop(minute, None)
        self._hours.pop(minute // HOUR * HOUR, None)

    def drop(self, minute: int) -> None:
        """Forget a minute, its raw rows too."""
        if minute in self._minutes:
            self._note_change(self._minutes[minute].cells().keys)
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
                block = self._minutes.get(minute)
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
        for minute in [minute for minute in self._minutes if minute < first]:
            del self._minutes[minute]
        for hour in [hour for hour in self._hours if hour + HOUR <= first]:
            del self._hours[hour]
        self._hours.pop(first // HOUR * HOUR, None)
        self._runs.forget_before(first)
        self._measurements.forget_before(first)

    def answer(self, since: int, until: int, scope: Scope) -> Answer:
        """The cells of `[since, until)` that match, whole totals where everything does."""
        blocks, cuts, since, until = self._pieces(since, until)
        if scope.is_everything:
            parts = [block.total() for block in blocks] + [cut.total() for cut in cuts]
        else:
            wanted = self._wanted(scope)
            whole = [block.cells() for block in blocks]
            if len(wanted) <= FEW:
                parts = [_picked(whole, wanted.tolist(), self.vocabulary)]
            else:
                parts = [_select(part, wanted) for part in whole]
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
            wanted = self._wanted(scope)
            whole = [block.cells() for block in blocks]
            if len(wanted) <= FEW:
                found = _places(whole, wanted.tolist())
                rows = [cells.stats[row : row + 1] for cells, row in found]
            else:
                rows = [cells.stats[_rows(cells, wanted)] for cells in whole]
            rows += [cut.stats(wanted) for cut in cuts]
        return add_up(np.concatenate(rows) if rows else np.zeros((0, STATS)))

    def tail(self, since: int, until: int, scope: Scope) -> Tail:
        """The cells of whole minutes, from the one of `since` to the one of `until`."""
        first, last = since // MINUTE * MINUTE, until // MINUTE * MINUTE
        return Tail.joined(first, self._held(self._minutes_back(first, last), scope))

    def longer(self, tail: Tail, since: int, scope: Scope, counted: Stat, count: int) -> Tail:
        """A tail and the minutes before it, back to the one of `since`, until it has so many."""
        first, held = since // MINUTE * MINUTE, float(tail.totals[counted])
        found: list[tuple[int, Cells, int]] = []
        minutes = self._minutes_with(first, tail.since - MINUTE, scope, counted)
        for minute, cells, row in self._held(minutes, scope):
            if held >= count and minute < found[-1][0]:  # a minute as a whole
                break
            found.append((minute, cells, row))
            held += cells.stats[row, counted]
        return tail.and_before(found[-1][0] if held >= count else first, found)

    def _held(self, minutes: Iterable[int], scope: Scope) -> Iterator[tuple[int, Cells, int]]:
        everything, wanted = scope.is_everything, self._wanted(scope)
        for minute in minutes:
            for cells, row in self._minutes[minute].of(wanted, everything=everything):
                yield minute, cells, row

    def _minutes_back(self, first: int, last: int) -> Iterator[int]:
        """The minutes that hold anything, the last one first."""
        if len(self._minutes) < (last - first) // MINUTE:
            first = max(first, min(self._minutes, default=last))
            last = min(last, max(self._minutes, default=last))
        return (m for m in range(last, first - 1, -MINUTE) if m in self._minutes)

    def _minutes_with(self, first: int, last: int, scope: Scope, counted: Stat) -> Iterator[int]:
        """Those that may have what is counted: an hour knows which of its minutes have a key."""
        if not self._minutes:
            return
        first = max(first, min(self._minutes))
        for hour in range(last // HOUR * HOUR, first // HOUR * HOUR - 1, -HOUR):
            low, high = max(first, hour), min(last, hour + HOUR - MINUTE)
            if hour > self._newest - HOUR:
                # It changes all the time, and would have to be made anew.
                yield from self._minutes_back(low, high)
                continue
            mask = self._mask(hour, scope, counted)
            while mask:
                place = mask.bit_length() - 1
                mask ^= 1 << place
                if low <= hour + place * MINUTE <= high:
                    yield hour + place * MINUTE

    def _mask(self, hour: int, scope: Scope, counted: Stat) -> int:
        """A bit for each minute of an hour that may have what is counted."""
        block = self._hour(hour)
        if block is None:
            return 0
        if scope.is_everything:
            rows = np.flatnonzero(block.cells().stats[:, counted]).tolist()
        else:
            places = block.of(self._wanted(scope), everything=False)
            rows = [row for cells, row in places if cells.stats[row, counted]]
        return int(np.bitwise_or.reduce(block.masks[rows]))

    def raw_memory(self, since: int, scope: Scope) -> Floats:
        """The memory (MiB) of the runs since then that are here raw, where it is known."""
        runs = self._runs.between(since // MINUTE * MINUTE, 2**62)
        values = runs.numbers[:, NUMBERS.index("memory_mb")]
        if not scope.is_everything:
            values = values[np.isin(runs.keys, self._wanted(scope))]
        found: Floats = values[~np.isnan(values)]
        return found

    def _wanted(self, scope: Scope) -> Ints:
        keys = self.vocabulary.keys.values
        known, wanted = self._scopes.get(scope, (0, _NO_KEYS))
        if known < len(keys):
            # Keys are only added: those looked at before need not be looked at again.
            name = scope.agent_name
            more = [
                n
                for n in range(known, len(keys))
                if name in (None, keys[n].agent_name) and scope.matches(keys[n])
            ]
            known, wanted = len(keys), np.append(wanted, np.array(more, np.int64))
            if len(self._scopes) > _MOST_SCOPES:
                self._scopes.clear()
            self._scopes[scope] = known, wanted
        return wanted

    def _pieces(self, since: int, until: int) -> tuple[list[Block], list[Cut], int, int]:
        """Blocks that lie inside, parts of the minutes it cuts, and the range really covered."""
        first, last = -(-since // MINUTE) * MINUTE, until // MINUTE * MINUTE
        if first > last:  # both cuts in one minute
            pieces, since, until = self._cut(last, since, until)
        else:
            pieces = list(self._whole(first, last))
            if since < first:
                edge, since, _ = self._cut(first - MINUTE, since, first)
                pieces += edge
            if until > last:
                edge, _, until = self._cut(last, last, until)
                pieces += edge
        blocks = [piece for piece in pieces if isinstance(piece, Block)]
        cuts = [piece for piece in pieces if isinstance(piece, Cut)]
        return blocks, cuts, since, until

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
            joined = Cells.joined(minutes, self.vocabulary)
            cells = joined.merged(HOUR)
            block = self._hours[start] = Block(cells, _minute_masks(cells, joined))
        return block

    def _cut(self, minute: int, since: int, until: int) -> tuple[list[Block | Cut], int, int]:
        """The part of a minute: exact where its runs are still here raw, else all of it."""
        block = self._minutes.get(minute)
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


def _long_enough(numbers: Ints, count: int) -> Ints:
    """An array with a place for each key."""
    if count <= len(numbers):
        return numbers
    grown = np.zeros(2 * count, np.int64)
    grown[: len(numbers)] = numbers
    return grown


def _minute_masks(hour: Cells, minutes: Cells) -> Ints:
    """For each cell of an hour a bit for each of its minutes that has the key."""
    masks = np.zeros(len(hour), np.int64)
    bits = np.int64(1) << (minutes.slices % HOUR // MINUTE)
    np.bitwise_or.at(masks, np.searchsorted(hour.keys, minutes.keys), bits)
    return masks


def _per_minute(at: Ints) -> dict[int, int]:
    minutes, counts = np.unique(at // MINUTE * MINUTE, return_counts=True)
    return dict(zip(minutes.tolist(), counts.tolist(), strict=True))


def _slots(cells: Cells) -> Floats:
    """The sums of one cell's slots."""
    labels = cells.outcomes.labels.astype(np.int64)
    sums: Floats = np.bincount(labels, weights=cells.outcomes.counts).astype(np.float64)
    return sums


def _padded(sums: Floats, length: int) -> Floats:
    return np.append(sums, np.zeros(length - len(sums)))


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
        Ragged.of_rows([cells.outcomes.row(row) for cells, row in found]),
    )


def _select(cells: Cells, wanted: Ints) -> Cells:
    rows = _rows(cells, wanted)
    return cells.take(rows) if len(rows) < len(cells) else cells
