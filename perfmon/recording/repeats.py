"""Removes repeats from a batch on its way to storage.

Predictions that repeat others are left out. What came under an id that is known, and is another,
is kept under an id of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

import numpy as np

from perfmon.accuracy.known_ids import names, told_apart
from perfmon.recording.salvage import Attempt
from perfmon.records.measurements import MEASUREMENT_FIELDS, Row, RowState
from perfmon.storage.storage import Storage, Stored
from perfmon.window.batch import Batch

_ID, _STATE = 0, MEASUREMENT_FIELDS.index("state")
Repeats = Callable[[Sequence[Row]], Container[str]]
"""The ids of those predictions that say what was predicted before."""


class Outcome(NamedTuple):
    """What became of a batch.

    Attributes:
        new, lost: which rows were new, and which storage cannot take.
        measurements: these as they were stored.
    """

    new: Stored
    lost: Stored
    measurements: Sequence[Row]


class Keeping:
    """Stores a batch, over as many tries as it takes; what was decided by one try stays so."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._kept = np.zeros(0, bool)
        self._attempt: Attempt | None = None
        self._others: tuple[list[int], Attempt, list[Row]] | None = None

    @property
    def may_be_stored(self) -> bool:
        """Whether storage has something of it, or whether that is not known."""
        return self._attempt is not None and self._attempt.may_be_stored

    def store(self, storage: Storage, repeats: Repeats) -> Outcome:
        """Put in what is new.

        Raises:
            StorageError: storage is unavailable; the next try goes on from here.
        """
        if self._attempt is None:
            self._attempt = Attempt(self._without(repeats(self._batch.measurements)))
        new, lost = (self._whole(masks) for masks in self._attempt.store(storage.store))
        rows = list(self._batch.measurements)
        if self._others is None:
            self._others = self._told_apart(storage, new, lost)
        places, attempt, others = self._others
        if places:
            attempt.store(storage.store)
        for place, row in zip(places, others, strict=True):
            new.measurements[place], rows[place] = True, row
        return Outcome(new, lost, rows)

    def _without(self, ids: Container[str]) -> Batch:
        batch = self._batch
        self._kept = np.array([row[_ID] not in ids for row in batch.measurements], bool)
        if self._kept.all():
            return batch
        rows = [row for row in batch.measurements if row[_ID] not in ids]
        return Batch(batch.runs, rows, batch.vocabulary)

    def _whole(self, masks: Stored) -> Stored:
        """What became of a part as of the whole batch: what was left out was not new."""
        measurements = np.zeros(len(self._kept), bool)
        measurements[self._kept] = masks.measurements
        return masks._replace(measurements=measurements)

    def _told_apart(
        self, storage: Storage, new: Stored, lost: Stored
    ) -> tuple[list[int], Attempt, list[Row]]:
        """What came under a known id and is another: its places, and its rows as they are kept."""
        batch = self._batch
        left = np.flatnonzero(self._kept & ~new.measurements & ~lost.measurements).tolist()
        # The ids of predictions are their content's own.
        left = [place for place in left if batch.measurements[place][_STATE] != RowState.WAITING]
        rows = [batch.measurements[place] for place in left]
        ids = list(dict.fromkeys(one for row in rows for one in names(row)))
        known = storage.read_ids(ids) if ids else []
        apart = zip(left, told_apart(rows, known), strict=True)
        others = [(place, row) for place, row in apart if row is not None]
        kept = [row for _, row in others]
        return [place for place, _ in others], Attempt(Batch([], kept, batch.vocabulary)), kept
