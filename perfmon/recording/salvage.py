"""Stores a batch in as many attempts as necessary, whole or in parts."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from perfmon.errors import StorageError
from perfmon.storage.storage import Stored
from perfmon.window.batch import Batch

_log = logging.getLogger("perfmon")
Store = Callable[[Batch], Stored]


class Attempt:
    """Stores a batch; where it has rows that storage cannot take, all the others.

    It remembers between tries which parts are stored: a part that is stored once more would
    take its own rows for repeats.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._halves: list[Attempt] = []
        self._done: tuple[Stored, Stored] | None = None
        self._in_doubt = False

    @property
    def may_be_stored(self) -> bool:
        """Whether storage has something of it, or whether that is not known."""
        parts = any(half.may_be_stored for half in self._halves)
        return self._in_doubt or self._done is not None or parts

    def store(self, store: Store) -> tuple[Stored, Stored]:
        """Which rows were new, and which storage cannot take.

        Raises:
            StorageError: storage is unavailable; the next try goes on from here.
        """
        if self._done is None:
            self._done = self._tried(store)
        return self._done

    def _tried(self, store: Store) -> tuple[Stored, Stored]:
        none = none_of(self._batch)
        if not self._halves:
            try:
                return store(self._batch), none
            except StorageError as problem:
                self._in_doubt |= problem.in_doubt
                raise
            except Exception:
                if len(self._batch) == 1:
                    _log.exception("storage cannot store this row; it is dropped and counted")
                    return none, Stored(~none.runs, ~none.measurements, none.amended)
            self._halves = [Attempt(half) for half in _halves(self._batch) if len(half)]
        parts = [half.store(store) for half in self._halves]
        return _joined([new for new, _ in parts]), _joined([lost for _, lost in parts])


def _halves(batch: Batch) -> list[Batch]:
    middle = len(batch.runs) // 2, len(batch.measurements) // 2
    if len(batch.runs) == 1 and len(batch.measurements) == 1:
        middle = 1, 0
    return [
        Batch(batch.runs[: middle[0]], batch.measurements[: middle[1]], batch.vocabulary),
        Batch(batch.runs[middle[0] :], batch.measurements[middle[1] :], batch.vocabulary),
    ]


def none_of(batch: Batch) -> Stored:
    """Nothing of a batch was new."""
    runs, measurements, amended = (
        np.zeros(len(rows), bool) for rows in (batch.runs, batch.measurements, ())
    )
    return Stored(runs, measurements, amended)


def _joined(parts: list[Stored]) -> Stored:
    conflicts: list[tuple[int, tuple[str, ...]]] = []
    before = 0
    for part in parts:
        conflicts += [(before + place, fields) for place, fields in part.conflicts]
        before += len(part.runs)
    return Stored(
        np.concatenate([part.runs for part in parts]),
        np.concatenate([part.measurements for part in parts]),
        np.concatenate([part.amended for part in parts]),
        tuple(conflicts),
    )
