"""Rows recorded together by a caller who waits for their commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import attrs

from perfmon.recording.journal_rows import Row


@attrs.define(eq=False)
class Bulk:
    """Rows recorded together by somebody who waits for their commit.

    Attributes:
        waiting: rows whose fate is open.
        accepted, duplicates, dropped: what became of the others.
        conflicts: the same, those of them whose id has other content: their place among `runs`,
            and the fields that differ.
        stored: False if accepted rows wait for an unavailable storage.
    """

    runs: Sequence[Row]
    measurements: Sequence[Row]
    waiting: int = attrs.field(init=False)
    accepted: int = 0
    duplicates: int = 0
    dropped: int = 0
    conflicts: list[tuple[int, tuple[str, ...]]] = attrs.field(factory=list)
    stored: bool = True
    done: threading.Event = attrs.field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.waiting = len(self.runs) + len(self.measurements)
        if not self.waiting:
            self.done.set()

    def settle(
        self,
        *,
        accepted: int,
        duplicates: int,
        dropped: int = 0,
        conflicts: Sequence[tuple[int, tuple[str, ...]]] = (),
    ) -> None:
        """Some of its rows were stored."""
        self.accepted += accepted
        self.duplicates += duplicates
        self.dropped += dropped
        self.conflicts += conflicts
        self.waiting -= accepted + duplicates + dropped + len(conflicts)
        if self.waiting <= 0:
            self.done.set()

    def give_up(self, rows: int) -> None:
        """Storage is unavailable; these rows are accepted, and wait in memory or in the journal."""
        self.stored = False
        self.settle(accepted=rows, duplicates=0)

    def drop(self, rows: int) -> None:
        """These rows were not recorded."""
        self.stored = False
        self.settle(accepted=0, duplicates=0, dropped=rows)

    def refuse(self) -> int:
        """There is no room; what is left of it was not recorded. Returns how many rows."""
        refused = self.waiting
        self.drop(refused)
        return refused
