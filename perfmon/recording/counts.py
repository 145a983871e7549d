"""The monitor's counters: the result of everything recorded."""

from __future__ import annotations

import attrs

from perfmon.accuracy.matching import MatchCounts


@attrs.define
class Counts:
    """The monitor's accounts: rows, since it was made.

    `cut` are those of which something was too large, and is no part of the sum.
    """

    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    dropped: int = 0
    cut: int = 0
    recovered: int = 0
    damaged: int = 0
    matched: MatchCounts = attrs.field(factory=MatchCounts)

    @property
    def settled(self) -> int:
        """Rows whose way is over."""
        return self.stored + self.duplicate + self.conflict + self.dropped
