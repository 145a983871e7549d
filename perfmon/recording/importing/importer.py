"""Records a file's items in batches, and counts the results."""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from perfmon.errors import StorageError
from perfmon.recording.importing.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfmon.recording.importing.files import Source
    from perfmon.records import Receipt

BATCH = 2_000
SHOWN = 10


class TakesBatches(Protocol):
    """The part of a monitor that takes in batches."""

    def record_agent_runs(
        self, runs: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> Receipt: ...

    def record_accuracies(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> tuple[list[Any], Receipt]: ...

    def record_predictions(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> Receipt: ...

    def record_outcomes(self, items: Iterable[Mapping[str, Any]]) -> tuple[list[Any], Receipt]: ...


@attrs.frozen
class Refused:
    """One line that was not taken in, and why."""

    line: int
    reason: str


@attrs.define
class ImportTally:
    """What became of what a file's lines hold; a prediction with its outcome is two things.

    Attributes:
        damaged: those of the rejected that are no rows at all, or have unreadable keys.
        by_kind: the accepted of each kind.
        first: the first ten refused lines, in the file's order.
        first_conflicts: the first ten of runs whose ID is already stored with different content.
        cut: how many were truncated (a text too long, or metadata too large to keep).
        oldest: the earliest stamp of what was not refused, in epoch seconds.
    """

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    damaged: int = 0
    by_kind: Counter[str] = attrs.Factory(Counter)
    first: list[Refused] = attrs.Factory(list)
    first_conflicts: list[Refused] = attrs.Factory(list)
    cut: int = 0
    oldest: float = math.inf

    @property
    def total(self) -> int:
        """Of all parts."""
        return self.accepted + self.duplicates + self.conflicts + self.rejected

    def refuse(self, line: int, reason: str, *, is_damaged: bool = False) -> None:
        self.rejected += 1
        self.damaged += is_damaged
        # What the monitor refuses comes later than what cannot be read.
        insort(self.first, Refused(line, reason), key=attrgetter("line"))
        del self.first[SHOWN:]

    def add(self, kind: str, receipt: Receipt, lines: list[int]) -> None:
        """Count a batch of one kind in.

        Raises:
            StorageError: it is not stored; nothing of it was counted.
        """
        if not receipt.stored or receipt.dropped:
            raise StorageError(
                f"storage did not accept the batch of lines {lines[0]:,} to {lines[-1]:,}; "
                "repeat the import later, nothing is counted twice"
            )
        self.accepted += receipt.accepted
        self.by_kind[kind] += receipt.accepted
        self.duplicates += receipt.duplicates
        self.conflicts += len(receipt.conflicts)
        for one in receipt.conflicts[: SHOWN - len(self.first_conflicts)]:
            fields = ", ".join(one.fields)
            reason = f"run {one.run_id} is already stored with different content ({fields})"
            self.first_conflicts.append(Refused(lines[one.index], reason))
        self.cut += receipt.cut
        for rejection in receipt.rejected:
            self.refuse(lines[rejection.index], rejection.message)


@attrs.define
class _Pile:
    """Things of one kind that wait for their batch."""

    fields: list[dict[str, Any]] = attrs.Factory(list)
    lines: list[int] = attrs.Factory(list)

    def add(self, line: int, fields: dict[str, Any]) -> None:
        self.fields.append(fields)
        self.lines.append(line)

    def without(self, lines: set[int]) -> _Pile:
        """What other lines hold."""
        kept = [place for place, line in enumerate(self.lines) if line not in lines]
        return _Pile([self.fields[place] for place in kept], [self.lines[place] for place in kept])


class FileImport:
    """One file on its way into a monitor.

    Args:
        monitor: takes the batches in, and returns when each is stored.
        source: the file.
        progress: called with the bytes read after each batch.
        interrupted: asked before each batch; True ends the import after the batch in hand.

    Attributes:
        expected: what was read of the file, counted apart from what became of it: once `run` has
            returned, the total of the tally.
    """

    def __init__(
        self,
        monitor: TakesBatches,
        source: Source,
        *,
        progress: Callable[[int], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.tally = ImportTally()
        self.expected = 0
        self._monitor = monitor
        self._source = source
        self._progress = progress
        self._interrupted = interrupted
        self._piles = {kind: _Pile() for kind in KINDS}

    def run(self) -> ImportTally:
        """Read all, or as far as it goes; `tally` is right at any time, after an error too."""
        try:
            for item in self._source.items():
                self.expected += 1 if item.outcome is None else 2
                if item.kind == "refused":
                    self.tally.refuse(item.line, item.reason, is_damaged=item.is_damaged)
                    if self.tally.rejected % BATCH == 0 and self._interrupted():
                        break
                    continue
                pile = self._piles[item.kind]
                pile.add(item.line, item.fields)
                if item.outcome is not None:
                    self._piles["outcome"].add(item.line, item.outcome)
                if len(pile.lines) >= BATCH:
                    self._send()
                    if self._interrupted():
                        break
        finally:
            self._send()
            self._source.close()
        return self.tally

    def _send(self) -> None:
        """Predictions go before outcomes, so that most outcomes are compared at once."""
        piles, self._piles = self._piles, {kind: _Pile() for kind in KINDS}
        monitor = self._monitor
        self._record("run", piles["run"], monitor.record_agent_runs)
        self._record("accuracy", piles["accuracy"], lambda some: monitor.record_accuracies(some)[1])
        refused = self._record("prediction", piles["prediction"], monitor.record_predictions)
        # The outcome of a line whose prediction was refused comes with it when it is mended.
        outcomes = piles["outcome"].without(refused)
        self.expected -= len(piles["outcome"].lines) - len(outcomes.lines)
        self._record("outcome", outcomes, lambda some: monitor.record_outcomes(some)[1])
        self._progress(self._source.position)

    def _record(
        self, kind: str, pile: _Pile, record: Callable[[list[dict[str, Any]]], Receipt]
    ) -> set[int]:
        """Record a pile, and tell which lines were refused."""
        if not pile.lines:
            return set()
        receipt = record(pile.fields)
        self.tally.add(kind, receipt, pile.lines)
        refused = {pile.lines[rejection.index] for rejection in receipt.rejected}
        kept = pile.without(refused) if refused else pile
        oldest = min((fields["timestamp"] for fields in kept.fields), default=math.inf)
        self.tally.oldest = min(self.tally.oldest, oldest)
        return refused
