"""What became of a batch, and what to do about a report."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Recommendation:
    """What to do, why the figures say so, and what it should change."""

    text: str
    reason: str
    expected_effect: str
    agent_name: str | None = None


@attrs.frozen(kw_only=True)
class Rejection:
    """One refused item of a batch: its index, the field at fault, and why."""

    index: int
    field: str
    message: str


@attrs.frozen(kw_only=True)
class Conflict:
    """One item of a batch whose id is known with other content; the first is kept.

    Attributes:
        index: its place in the batch.
        run_id: the id, as it was given.
        fields: the names of those that differ from what is stored.
    """

    index: int
    run_id: str
    fields: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Receipt:
    """What became of a batch; its parts add up to the batch.

    Attributes:
        accepted: new, and kept.
        duplicates: the same was recorded before, with the same content.
        conflicts: another content was recorded before under the same id; the first is kept.
        rejected: refused, and why.
        dropped: found no room and were not recorded: send them again.
        pending: nobody waited for their storage, so that it is not known yet which they are.
        cut: of so many of them the end of a text, or the whole metadata, was too large and is
            left out; no part of the sum.
        stored: False when storage was away and the accepted wait for it; duplicates and conflicts
            are then not known yet and counted in `accepted`.
    """

    accepted: int = 0
    duplicates: int = 0
    conflicts: tuple[Conflict, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    dropped: int = 0
    pending: int = 0
    cut: int = 0
    stored: bool = True

    @property
    def total(self) -> int:
        """How many items the batch had."""
        told = self.accepted + self.duplicates + self.dropped + self.pending
        return told + len(self.conflicts) + len(self.rejected)
