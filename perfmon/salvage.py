"""A batch with rows that storage cannot take: the others are stored all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from perfmon.errors import StorageError
from perfmon.roles import Stored
from perfmon.window.batch import Batch

Store = Callable[[Batch], Stored]


def salvaged(store: Store, batch: Batch) -> tuple[Stored, Stored]:
    """Store by halves what storage takes; which rows were new, and which it cannot take.

    Raises:
        StorageError: storage is away; what was stored so far is, and is told as a repeat later.
    """
    if len(batch) == 1:
        none = none_of(batch)
        return none, Stored(~none.runs, ~none.measurements, none.amended)
    middle = len(batch.runs) // 2, len(batch.measurements) // 2
    if len(batch.runs) == 1 and len(batch.measurements) == 1:
        middle = 1, 0
    halves = [
        Batch(batch.runs[: middle[0]], batch.measurements[: middle[1]], batch.vocabulary),
        Batch(batch.runs[middle[0] :], batch.measurements[middle[1] :], batch.vocabulary),
    ]
    parts = [_half(store, half) for half in halves if len(half)]
    return _joined([new for new, _ in parts]), _joined([lost for _, lost in parts])


def _half(store: Store, batch: Batch) -> tuple[Stored, Stored]:
    try:
        return store(batch), none_of(batch)
    except StorageError:
        raise
    except Exception:
        return salvaged(store, batch)


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
