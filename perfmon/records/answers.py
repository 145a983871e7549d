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
class Receipt:
    """What became of a batch: counts, and what was refused.

    `dropped` found no room and were not recorded: send them again. `stored` is False when
    storage was away and the accepted wait for it; duplicates are then not known yet and
    counted in `accepted`.
    """

    accepted: int = 0
    duplicates: int = 0
    dropped: int = 0
    rejected: tuple[Rejection, ...] = ()
    stored: bool = True
