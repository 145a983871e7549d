"""A batch on its way to storage, and its callers' rows in it."""

from __future__ import annotations

import attrs

from perfmon.recording.awaited_rows import Bulk
from perfmon.recording.repeats import Keeping
from perfmon.storage.storage import Stored
from perfmon.window.batch import Batch
from perfmon.window.window import Mask, Receipted


@attrs.frozen(eq=False)
class Share:
    """Which rows of a batch belong to a bulk, and where among the bulk's runs they begin."""

    bulk: Bulk
    runs: slice
    measurements: slice
    first: int = 0

    def __len__(self) -> int:
        """How many rows it is."""
        return _length(self.runs) + _length(self.measurements)

    def settle(self, new: Stored, lost: Stored) -> None:
        """Tell the bulk what became of its rows."""
        accepted, dropped = (
            int(masks.runs[self.runs].sum() + masks.measurements[self.measurements].sum())
            for masks in (new, lost)
        )
        begin = int(self.runs.start)
        conflicts = [
            (self.first + place - begin, fields)
            for place, fields in new.conflicts
            if begin <= place < int(self.runs.stop)
        ]
        self.bulk.settle(
            accepted=accepted,
            duplicates=len(self) - accepted - dropped - len(conflicts),
            dropped=dropped,
            conflicts=conflicts,
        )

    def drop(self) -> None:
        """Tell the bulk that these rows were not recorded."""
        self.bulk.drop(len(self))


@attrs.define(eq=False)
class PendingBatch:
    """A batch on its way to storage."""

    batch: Batch
    suspected: tuple[Mask, Mask]
    where: Receipted
    shares: list[Share]
    position: tuple[int, int] | None = None
    journaled: bool = True
    keeping: Keeping = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.keeping = Keeping(self.batch)


def _length(piece: slice) -> int:
    return int(piece.stop) - int(piece.start)
