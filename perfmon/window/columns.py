"""Rows of runs and measurements as numpy columns: what the garbage collector never walks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.records.measurements import MEASURED_STATES, MEASUREMENT_FIELDS, RowState
from perfmon.records.validation import RUN_FIELDS
from perfmon.window import sketch, slots
from perfmon.window.cells import FIRST_EXTREME, STATS, Cells, Stat
from perfmon.window.ragged import Floats, Ints, Ragged, merge_labels, turned
from perfmon.window.vocabulary import Numbered, Vocabulary

TIMED_OUT, RETRIED, REMOVED, RETRIES_KNOWN = 4, 8, 16, 32  # bits of `flags` above the status
NUMBERS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cost", "memory_mb",
    "cpu_ms", "quality_score", "confidence", "api_calls",
)  # fmt: skip
_NUMBER_PLACES = tuple(RUN_FIELDS.index(name) for name in NUMBERS)
_STATUS, _AT = RUN_FIELDS.index("status"), RUN_FIELDS.index("timestamp")
_TIMED_OUT, _RETRIES = RUN_FIELDS.index("timed_out"), RUN_FIELDS.index("retries")
_ERROR = RUN_FIELDS.index("error_type")
_COST = NUMBERS.index("cost")
# Column of `NUMBERS`, its count, its sum, its sum of squares.
_SUMS = (
    (0, Stat.LATENCY_N, Stat.LATENCY, Stat.LATENCY_SQ),
    (1, Stat.TOKENS_N, Stat.TOKENS, Stat.TOKENS_SQ),
    (2, None, Stat.INPUT_TOKENS, None),
    (3, None, Stat.OUTPUT_TOKENS, None),
    (4, Stat.COST_N, Stat.COST, Stat.COST_SQ),
    (5, Stat.MEMORY_N, Stat.MEMORY, None),
    (6, Stat.CPU_N, Stat.CPU, None),
    (7, Stat.QUALITY_N, Stat.QUALITY, Stat.QUALITY_SQ),
    (8, Stat.CONFIDENCE_N, Stat.CONFIDENCE, None),
    (9, Stat.API_CALLS_N, Stat.API_CALLS, None),
)
# Runs are counted by bits of their flags: of which mask, and what these must be.
_COUNTS = {
    Stat.SUCCESS: (3, 0), Stat.FAILURE: (3, 1), Stat.PARTIAL: (3, 2),
    Stat.TIMED_OUT: (TIMED_OUT, TIMED_OUT), Stat.RETRIED: (RETRIED, RETRIED),
    Stat.RETRIES_N: (RETRIES_KNOWN, RETRIES_KNOWN),
}  # fmt: skip
_VALUES = {total: column for column, _, total, _ in _SUMS} | {
    Stat.LATENCY_MAX: 0,
    Stat.MEMORY_MAX: 5,
}
_KNOWN = {count: column for column, count, _, _ in _SUMS if count is not None}
OF_RUNS = frozenset((Stat.RUNS, *_COUNTS, *_VALUES, *_KNOWN, Stat.FAILED_COST, Stat.FAILED_COST_N))
"""The statistics to which each run adds by itself."""


def _floats(column: Sequence[Any]) -> Floats:
    """Numbers with None for unknown, as doubles with NaN for it."""
    if column[0] is None and column.count(None) == len(column):
        return np.full(len(column), np.nan)
    try:
        return np.fromiter(column, np.float64, len(column))
    except TypeError:  # None, which only the slower way takes
        return np.array(column, np.float64)


def _bytes(column: Sequence[Any]) -> npt.NDArray[np.uint8]:
    """Small whole numbers or truths as bytes; the quickest way from Python to numpy."""
    return np.frombuffer(bytes(column), np.uint8)


def _retries(column: Sequence[Any]) -> npt.NDArray[np.uint8] | np.uint8:
    """The bits of runs by their retries: whether these are known, and whether there were any."""
    if column.count(None) == len(column):
        return np.uint8(0)
    if column.count(0) == len(column):
        return np.uint8(RETRIES_KNOWN)
    retries = _floats(column)
    bits = ~np.isnan(retries) * np.uint8(RETRIES_KNOWN)
    bits |= (retries > 0) * np.uint8(RETRIED)
    return bits


@lru_cache(maxsize=1024)
def _is_timeout(error_type: str) -> bool:
    return "timeout" in error_type.lower().replace(" ", "").replace("_", "")


@attrs.frozen(eq=False)
class RunColumns:
    """Runs, a row each: when they ended (microseconds), key number, flags, numbers, error number.

    `flags` holds the status in its two lowest bits. An unknown number is NaN, no error is -1.
    """

    vocabulary: Vocabulary
    at: Ints
    keys: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    numbers: Floats
    errors: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of_columns(
        cls, columns: Sequence[Sequence[Any]], keys: Numbered, n: int, vocabulary: Vocabulary
    ) -> RunColumns:
        """From rows turned on their side, a list for each of `RUN_FIELDS`, and their keys."""
        if not n:
            columns = [[]] * len(RUN_FIELDS)
        numbers = np.empty((n, len(NUMBERS)))
        for place, source in enumerate(_NUMBER_PLACES):
            numbers[:, place] = _floats(columns[source]) if n else np.nan
        flags = _bytes(columns[_STATUS]) | _bytes(columns[_TIMED_OUT]) * np.uint8(TIMED_OUT)
        flags |= _retries(columns[_RETRIES])
        numbered = np.array([vocabulary.key_number(key) for key in keys.words], np.int32)
        errors = np.full(n, -1, np.int32)
        if columns[_ERROR].count(None) != n:
            for row, error_type in enumerate(columns[_ERROR]):
                if error_type is not None:
                    errors[row] = vocabulary.error_number(error_type)
                    if _is_timeout(error_type):
                        flags[row] |= TIMED_OUT
        at = np.array(columns[_AT], np.int64)
        return cls(vocabulary, at, numbered[keys.places], flags, numbers, errors)

    def take(self, rows: Any) -> RunColumns:
        return RunColumns(
            self.vocabulary,
            self.at[rows],
            self.keys[rows],
            self.flags[rows],
            self.numbers[rows],
            self.errors[rows],
        )

    def statistics(self) -> Iterator[tuple[Stat, npt.NDArray[Any]]]:
        """Each statistic that runs have, with its value for every one of them."""
        numbers = self.numbers.T.copy()  # its rows lie together
        known = ~np.isnan(numbers)
        filled = np.where(known, numbers, 0.0)
        yield Stat.RUNS, np.ones(len(self))
        for stat, (mask, bits) in _COUNTS.items():
            yield stat, (self.flags & mask) == bits
        failed = (self.flags & 3) == 1
        yield Stat.FAILED_COST_N, known[_COST] & failed
        yield Stat.FAILED_COST, np.where(failed, filled[_COST], 0.0)
        for column, count, total, squares in _SUMS:
            yield total, filled[column]
            if count is not None:
                yield count, known[column]
            if squares is not None:
                yield squares, np.square(filled[column])
        yield Stat.LATENCY_MAX, np.where(known[0], numbers[0], -np.inf)
        yield Stat.MEMORY_MAX, np.where(known[5], numbers[5], -np.inf)
        at = self.at.astype(np.float64)
        yield Stat.LAST_RUN, at
        yield Stat.LATEST, at
        yield Stat.EARLIEST, -at

    def counted(self, stat: Stat) -> npt.NDArray[np.bool_]:
        """Which runs a statistic counts; one of `OF_RUNS` that is a number of runs."""
        if stat is Stat.RUNS:
            return np.ones(len(self), np.bool_)
        if stat is Stat.FAILED_COST_N:
            return ~np.isnan(self.values(Stat.FAILED_COST))
        if stat in _KNOWN:
            return ~np.isnan(self.numbers[:, _KNOWN[stat]])
        mask, bits = _COUNTS[stat]
        found: npt.NDArray[np.bool_] = (self.flags & mask) == bits
        return found

    def values(self, stat: Stat) -> Floats:
        """What each run adds to a sum (or has, of an extreme) of `OF_RUNS`; NaN for nothing."""
        if stat is Stat.FAILED_COST:
            return np.where(self.counted(Stat.FAILURE), self.numbers[:, _COST], np.nan)
        return self.numbers[:, _VALUES[stat]]

    def singles(self) -> Floats:
        """Each run's row of statistics, as if it were a cell of its own."""
        singles = np.zeros((len(self), STATS))
        for stat, values in self.statistics():
            singles[:, stat] = values
        return singles

    def cells(self, width: int) -> Cells:
        """The cells of these runs in slices of `width` microseconds."""
        n = len(self)
        if not n:
            return Cells.empty(self.vocabulary)
        row_of, slices, keys, order, firsts = _grouped(self.at // width, self.keys)
        rows = len(firsts)
        ordered, row_of = self.take(order), row_of[order]
        stats = np.zeros((rows, STATS))
        # One by one: a table of all statistics of all runs is memory that the system takes back
        # and clears anew each time, which costs more than the adding up.
        for stat, values in ordered.statistics():
            combine = np.add if stat < FIRST_EXTREME else np.maximum
            stats[:, stat] = combine.reduceat(values, firsts, dtype=np.float64)
        durations = ordered.numbers[:, 0]
        measured, failing = ~np.isnan(durations), ordered.errors >= 0
        errors = ordered.errors[failing].astype(np.float64)
        durations = durations[measured]
        return Cells(
            self.vocabulary,
            slices * width,
            keys,
            stats,
            sketch.merged(row_of[measured], durations, np.ones(len(durations)), rows),
            merge_labels(row_of[failing], errors, np.ones(len(errors)), rows),
            Ragged.empty(rows),
        )


_M = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_COUNTED = np.isin(np.arange(len(RowState)), sorted(MEASURED_STATES))
# Those whose score counts for their source.
_OF_SOURCE = _COUNTED | (np.arange(len(RowState)) == RowState.SUPERSEDED)
_STATE_STATS = (
    (Stat.DIRECT, RowState.MEASURED),
    (Stat.WAITING, RowState.WAITING),
    (Stat.ANSWERED, RowState.ANSWERED),
)
_UNMAPPED = (RowState.UNMAPPED, RowState.JOINED_UNMAPPED)


@attrs.frozen(eq=False)
class MeasurementColumns:
    """Measurements, a row each: when known (microseconds), key number, state, score, ...

    What is unknown is NaN. `errors` is predicted - actual where both are numbers; `correct` is
    what calibration compares with the confidence.
    """

    vocabulary: Vocabulary
    at: Ints
    keys: npt.NDArray[np.int32]
    states: npt.NDArray[np.uint8]
    sources: npt.NDArray[np.int16]
    scores: Floats
    confidence: Floats
    correct: Floats
    errors: Floats
    costs: Floats

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]], vocabulary: Vocabulary) -> MeasurementColumns:
        n = len(rows)
        fields = turned(rows) or [[]] * len(MEASUREMENT_FIELDS)
        scores = np.array(fields[_M["accuracy_score"]], np.float64)
        scores[scores < 0] = np.nan
        correct = _floats(fields[_M["correct"]]) if n else scores
        keys = zip(*fields[1:6], strict=True)
        sources = fields[_M["feedback_source"]]
        return cls(
            vocabulary,
            np.array(fields[_M["timestamp"]], np.int64),
            np.fromiter(map(vocabulary.key_number, keys), np.int32, n),
            np.array(fields[_M["state"]], np.uint8),
            np.fromiter(map(vocabulary.source_number, sources), np.int16, n),
            scores,
            _floats(fields[_M["confidence"]]) if n else scores,
            np.where(np.isnan(correct), scores, correct),
            _differences(fields[_M["predicted_outcome"]], fields[_M["actual_outcome"]]),
            _floats(fields[_M["scoring_cost"]]) if n else scores,
        )

    @property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Which of them count for accuracy."""
        return _COUNTED[self.states]

    @classmethod
    def empty(cls, vocabulary: Vocabulary) -> MeasurementColumns:
        return cls.of_rows([], vocabulary)

    def take(self, rows: Any) -> MeasurementColumns:
        return MeasurementColumns(
            self.vocabulary,
            self.at[rows],
            self.keys[rows],
            self.states[rows],
            self.sources[rows],
            self.scores[rows],
            self.confidence[rows],
            self.correct[rows],
            self.errors[rows],
            self.costs[rows],
        )

    def cells(self, width: int) -> Cells:
        """The cells of these measurements in slices of `width` microseconds."""
        if not len(self):
            return Cells.empty(self.vocabulary)
        row_of, slices, keys, order, firsts = _grouped(self.at // width, self.keys)
        counted = _COUNTED[self.states]
        scores = np.where(counted, self.scores, 0.0)
        single = np.zeros((len(self), STATS))
        single[:, Stat.ACCURACY_N] = counted
        single[:, Stat.ACCURACY] = scores
        single[:, Stat.ACCURACY_SQ] = np.square(scores)
        single[:, Stat.MEASUREMENTS] = 1
        for stat, state in _STATE_STATS:
            single[:, stat] = self.states == state
        single[:, Stat.UNMAPPED] = np.isin(self.states, _UNMAPPED)
        single[:, Stat.LATENCY_MAX :] = -np.inf
        single[:, Stat.LATEST] = self.at
        single[:, Stat.EARLIEST] = -self.at
        rows = len(firsts)
        return Cells(
            self.vocabulary,
            slices * width,
            keys,
            _reduced(single, order, firsts),
            Ragged.empty(rows),
            Ragged.empty(rows),
            self._outcomes(row_of, rows, counted),
        )

    def _outcomes(self, row_of: Ints, rows: int, counted: npt.NDArray[np.bool_]) -> Ragged:
        where, places, values = slots.entries(
            counted=counted,
            scores=np.where(_OF_SOURCE[self.states], self.scores, np.nan),
            sources=self.sources.astype(np.int64),
            confidence=self.confidence,
            correct=self.correct,
            errors=self.errors,
            costs=self.costs,
            replaced=self.states == RowState.REPLACED,
        )
        return merge_labels(row_of[where], places, values, rows)


def _differences(predicted: Sequence[str], actual: Sequence[str]) -> Floats:
    """Predicted - actual where both are numbers as JSON, else NaN."""
    pairs = zip(predicted, actual, strict=True)
    return np.array([_difference(one, other) for one, other in pairs], np.float64)


def _difference(predicted: str, actual: str) -> float:
    if predicted[:1] in _NUMERIC and actual[:1] in _NUMERIC:
        return float(predicted) - float(actual)
    return np.nan


# How a number begins as JSON; the empty text, no outcome, is none.
_NUMERIC = frozenset("-0123456789")


def _grouped(slices: Ints, keys: npt.NDArray[np.int32]) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Group rows by slice and key: each row's group, the groups' slices and keys, order, firsts."""
    low = slices.min()
    span = int(keys.max()) + 1
    code = (slices - low) * span + keys
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    fresh = np.ones(len(code), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    firsts = np.flatnonzero(fresh)
    row_of = np.empty(len(code), np.int64)
    row_of[order] = np.cumsum(fresh) - 1
    groups = ordered[firsts]
    return row_of, groups // span + low, groups % span, order, firsts


def _reduced(single: Floats, order: Ints, firsts: Ints) -> Floats:
    ordered = single[order]
    extremes = int(Stat.LATENCY_MAX)
    return np.hstack(
        [
            np.add.reduceat(ordered[:, :extremes], firsts, axis=0),
            np.maximum.reduceat(ordered[:, extremes:], firsts, axis=0),
        ]
    )
