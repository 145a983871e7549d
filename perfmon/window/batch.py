"""A batch in transit: rows for storage, columns for the window, and the cells of new rows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from perfmon.window.cells import MINUTE, Cells
from perfmon.window.columns import MeasurementColumns, RunColumns
from perfmon.window.ragged import turned
from perfmon.window.vocabulary import Numbered, Vocabulary

Row = tuple[Any, ...]


class Batch:
    """Runs and measurements that travel together and are stored in one transaction.

    Attributes:
        runs: rows in the order of `RUN_ROW`.
        measurements: rows in the order of `MEASUREMENT_FIELDS`.
        amended: measurements as they were read, each with its new version.
        vocabulary: what the numbers in its columns and cells stand for.
        token: tells it from every other batch; storage knows by it a batch that it has stored
            and whose answer was lost.
    """

    def __init__(
        self,
        runs: Sequence[Row],
        measurements: Sequence[Row],
        vocabulary: Vocabulary,
        amended: Sequence[tuple[Row, Row]] = (),
    ) -> None:
        self.runs = runs
        self.measurements = measurements
        self.amended = amended
        self.vocabulary = vocabulary
        self.token = secrets.randbits(62)

    def __len__(self) -> int:
        return len(self.runs) + len(self.measurements)

    @cached_property
    def run_fields(self) -> list[list[Any]]:
        """The runs turned on their side: a list for each of `RUN_ROW`; empty without runs."""
        return turned(self.runs)

    @cached_property
    def measurement_fields(self) -> list[list[Any]]:
        """The same for measurements."""
        return turned(self.measurements)

    @cached_property
    def minutes(self) -> tuple[Cells, Cells]:
        """The minute cells of all runs, and of all measurements."""
        return self.run_columns.cells(MINUTE), self.measurement_columns.cells(MINUTE)

    @cached_property
    def run_keys(self) -> Numbered:
        """The five fields of each run's key."""
        return Numbered.of(self.run_fields[1:6])

    @cached_property
    def measurement_keys(self) -> Numbered:
        """The same for measurements."""
        return Numbered.of(self.measurement_fields[1:6])

    @cached_property
    def run_columns(self) -> RunColumns:
        return RunColumns.of_columns(
            self.run_fields, self.run_keys, len(self.runs), self.vocabulary
        )

    @property
    def times(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """When the runs ended and the measurements became known, microseconds."""
        return self.run_columns.at, self.measurement_columns.at

    @property
    def run_hashes(self) -> npt.NDArray[np.int64]:
        """A hash of each run's id, tenant and agent."""
        if not self.runs:
            return np.zeros(0, np.int64)
        keys = zip(*self.run_fields[:3], strict=True)
        return np.fromiter(map(hash, keys), np.int64, len(self.runs))

    @property
    def measurement_hashes(self) -> npt.NDArray[np.int64]:
        """A hash of each measurement's id, tenant and agent."""
        rows = self.measurements
        return np.fromiter((hash(row[:3]) for row in rows), np.int64, len(rows))

    @cached_property
    def measurement_columns(self) -> MeasurementColumns:
        return MeasurementColumns.of_rows(self.measurements, self.vocabulary)

    @cached_property
    def amendments(self) -> tuple[MeasurementColumns, MeasurementColumns]:
        """The columns of what was amended, before and after."""
        before, after = zip(*self.amended, strict=True) if self.amended else ((), ())
        return (
            MeasurementColumns.of_rows(before, self.vocabulary),
            MeasurementColumns.of_rows(after, self.vocabulary),
        )

    def cells(
        self,
        width: int,
        new_runs: npt.NDArray[np.bool_] | None = None,
        new_measurements: npt.NDArray[np.bool_] | None = None,
        amended: npt.NDArray[np.bool_] | None = None,
    ) -> Cells:
        """The cells of what was new (None: all of it), in slices of whole minutes.

        What was amended takes its old version away.
        """
        parts = [
            _minutes(self.minutes[0], self.run_columns, new_runs),
            _minutes(self.minutes[1], self.measurement_columns, new_measurements),
        ]
        if self.amended:
            before, after = self.amendments
            which = slice(None) if amended is None else np.flatnonzero(amended)
            parts.append(before.take(which).cells(MINUTE).negated())
            parts.append(after.take(which).cells(MINUTE))
        return Cells.joined(parts, self.vocabulary).merged(width)


def _minutes(
    minutes: Cells, columns: RunColumns | MeasurementColumns, new: npt.NDArray[np.bool_] | None
) -> Cells:
    """The minute cells of what was new: mostly those of all, which are there already."""
    if new is None or new.all():
        return minutes
    return columns.take(np.flatnonzero(new)).cells(MINUTE)
