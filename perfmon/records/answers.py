"""The result of recording a batch, and recommendations."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Recommendation:
    """A recommendation with its reason and expected effect."""

    text: str
    reason: str
    expected_effect: str
    agent_name: str | None = None


@attrs.frozen(kw_only=True)
class Rejection:
    """One rejected item of a batch: its index, the field at fault, and why."""

    index: int
    field: str
    message: str


@attrs.frozen(kw_only=True)
class Conflict:
    """One item of a batch whose ID is already stored with different content; the first is kept.

    Attributes:
        index: its position in the batch.
        run_id: the id, as it was given.
        fields: the names of the fields that differ from the stored run.
    """

    index: int
    run_id: str
    fields: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Receipt:
    """The result of recording a batch; its counts add up to the size of the batch.

    Attributes:
        accepted: new, and kept.
        duplicates: recorded before with the same content.
        conflicts: recorded before with different content under the same ID; the first is kept.
        rejected: invalid, and why.
        dropped: not recorded, since the queue was full: send them again.
        pending: not yet known to be accepted, duplicate or conflicting, as the call did not wait.
        cut: how many were truncated (a text too long, or metadata too large to keep); not part of
            the sum.
        stored: False if storage was unavailable and the accepted items are pending; duplicates and
            conflicts are then not known yet and counted in `accepted`.
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
