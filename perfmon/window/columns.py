"""Rows of runs and measurements as numpy columns: what the garbage collector never walks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.checks import RUN_FIELDS
from perfmon.window import sketch
from perfmon.window.cells import STATS, Cells, Stat
from perfmon.window.ragged import Floats, Ints, Ragged, merge_labels
from perfmon.window.vocabulary import Vocabulary

TIMED_OUT, RETRIED, REMOVED = 4, 8, 16  # bits of `flags` above the status
NUMBERS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cost", "memory_mb",
    "cpu_ms", "quality_score", "confidence", "api_calls",
)  # fmt: skip
_NUMBER_PLACES = tuple(RUN_FIELDS.index(name) for name in NUMBERS)
_STATUS, _AT = RUN_FIELDS.index("status"), RUN_FIELDS.index("timestamp")
_TIMED_OUT, _RETRIES = RUN_FIELDS.index("timed_out"), RUN_FIELDS.index("retries")
_ERROR = RUN_FIELDS.index("error_type")
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
    (9, None, Stat.API_CALLS, None),
)


def _floats(column: Sequence[Any]) -> Floats:
    """Numbers with None for unknown, as doubles with NaN for it."""
    if column[0] is None and column.count(None) == len(column):
        return np.full(len(column), np.nan)
    return np.array(column, np.float64)


def _bytes(column: Sequence[Any]) -> npt.NDArray[np.uint8]:
    """Small whole numbers or truths as bytes; the quickest way from Python to numpy."""
    return np.frombuffer(bytes(column), np.uint8)


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
        cls, columns: Sequence[Sequence[Any]], n: int, vocabulary: Vocabulary
    ) -> RunColumns:
        """From rows turned on their side: a list for each of `RUN_FIELDS`."""
        if not n:
            columns = [[]] * len(RUN_FIELDS)
        numbers = np.empty((n, len(NUMBERS)))
        for place, source in enumerate(_NUMBER_PLACES):
            numbers[:, place] = _floats(columns[source]) if n else np.nan
        flags = _bytes(columns[_STATUS]) | _bytes(columns[_TIMED_OUT]) * np.uint8(TIMED_OUT)
        if columns[_RETRIES].count(0) != n:
            flags |= (np.array(columns[_RETRIES], np.int64) > 0) * np.uint8(RETRIED)
        number = vocabulary.key_number
        keys = np.fromiter(map(number, zip(*columns[1:6], strict=True)), np.int32, n)
        errors = np.full(n, -1, np.int32)
        if columns[_ERROR].count(None) != n:
            for row, error_type in enumerate(columns[_ERROR]):
                if error_type is not None:
                    errors[row] = vocabulary.error_number(error_type)
                    if _is_timeout(error_type):
                        flags[row] |= TIMED_OUT
        return cls(vocabulary, np.array(columns[_AT], np.int64), keys, flags, numbers, errors)

    def take(self, rows: Any) -> RunColumns:
        return RunColumns(
            self.vocabulary,
            self.at[rows],
            self.keys[rows],
            self.flags[rows],
            self.numbers[rows],
            self.errors[rows],
        )

    def cells(self, width: int, *, bare: bool = False) -> Cells:
        """The cells of these runs in slices of `width` microseconds; `bare` without sketches."""
        n = len(self)
        if not n:
            return Cells.empty(self.vocabulary)
        row_of, slices, keys, order, firsts = _grouped(self.at // width, self.keys)
        rows = len(firsts)
        known = ~np.isnan(self.numbers)
        filled = np.where(known, self.numbers, 0.0)
        status = self.flags & 3
        single = np.zeros((n, STATS))
        single[:, Stat.RUNS] = 1
        for code, stat in enumerate((Stat.SUCCESS, Stat.FAILURE, Stat.PARTIAL)):
            single[:, stat] = status == code
        single[:, Stat.TIMED_OUT] = (self.flags & TIMED_OUT) != 0
        single[:, Stat.RETRIED] = (self.flags & RETRIED) != 0
        for column, count, total, squares in _SUMS:
            single[:, total] = filled[:, column]
            if count is not None:
                single[:, count] = known[:, column]
            if squares is not None:
                np.square(filled[:, column], out=single[:, squares])
        single[:, Stat.LATENCY_MAX] = np.where(known[:, 0], self.numbers[:, 0], -np.inf)
        single[:, Stat.MEMORY_MAX] = np.where(known[:, 5], self.numbers[:, 5], -np.inf)
        single[:, Stat.LAST_RUN] = single[:, Stat.LATEST] = self.at
        single[:, Stat.EARLIEST] = -self.at
        measured = order[:0] if bare else order[known[order, 0]]
        failing = order[self.errors[order] >= 0]
        return Cells(
            self.vocabulary,
            slices * width,
            keys,
            _reduced(single, order, firsts),
            sketch.merged(
                row_of[measured], self.numbers[measured, 0], np.ones(len(measured)), rows
            ),
            merge_labels(
                row_of[failing],
                self.errors[failing].astype(np.float64),
                np.ones(len(failing)),
                rows,
            ),
        )


@attrs.frozen(eq=False)
class MeasurementColumns:
    """Measurements, a row each: when known (microseconds), key number, score."""

    vocabulary: Vocabulary
    at: Ints
    keys: npt.NDArray[np.int32]
    scores: Floats

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of_rows(cls, rows: Sequence[tuple[Any, ...]], vocabulary: Vocabulary) -> MeasurementColumns:
        return cls(
            vocabulary,
            np.fromiter((row[6] for row in rows), np.int64, len(rows)),
            np.fromiter((vocabulary.key_number(row[1:6]) for row in rows), np.int32, len(rows)),
            np.fromiter((row[10] for row in rows), np.float64, len(rows)),
        )

    def take(self, rows: Any) -> MeasurementColumns:
        return MeasurementColumns(
            self.vocabulary, self.at[rows], self.keys[rows], self.scores[rows]
        )

    def cells(self, width: int) -> Cells:
        """The cells of these measurements in slices of `width` microseconds."""
        if not len(self):
            return Cells.empty(self.vocabulary)
        _, slices, keys, order, firsts = _grouped(self.at // width, self.keys)
        single = np.zeros((len(self), STATS))
        single[:, Stat.ACCURACY_N] = 1
        single[:, Stat.ACCURACY] = self.scores
        single[:, Stat.ACCURACY_SQ] = np.square(self.scores)
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
        )


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
