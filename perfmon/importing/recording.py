"""A file's items, sent to a monitor in batches, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from perfmon.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfmon.importing.files import Item, Source
    from perfmon.records import Receipt

BATCH = 2_000
SHOWN = 10


class Recorder(Protocol):
    """The part of a monitor that takes in batches."""

    def record_agent_runs(
        self, runs: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> Receipt: ...

    def record_accuracies(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> tuple[list[Any], Receipt]: ...


@attrs.frozen
class Refused:
    """One line that was not taken in, and why."""

    line: int
    reason: str


@attrs.define
class Tally:
    """What became of a file's lines; `first` holds the first ten refused ones."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    first: list[Refused] = attrs.Factory(list)

    def refuse(self, line: int, reason: str) -> None:
        self.rejected += 1
        if len(self.first) < SHOWN:
            self.first.append(Refused(line, reason))

    def add(self, receipt: Receipt, lines: list[int]) -> None:
        """Count a batch in.

        Raises:
            StorageError: it is not stored; nothing of it was counted.
        """
        if not receipt.stored:
            raise StorageError(
                f"storage does not take the batch of line {lines[0]:,} to {lines[-1]:,}; "
                "repeat the import later, nothing will count twice"
            )
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates
        for rejection in receipt.rejected:
            self.refuse(lines[rejection.index], rejection.message)


@attrs.define
class _Pile:
    """Items of one kind that wait for their batch."""

    fields: list[dict[str, Any]] = attrs.Factory(list)
    lines: list[int] = attrs.Factory(list)

    def add(self, item: Item) -> None:
        self.fields.append(item.fields)
        self.lines.append(item.line)


class FileImport:
    """One file on its way into a monitor.

    Args:
        monitor: takes the batches in, and returns when each is stored.
        source: the file.
        progress: called with the bytes read after each batch.
        interrupted: asked before each batch; True ends the import after the batch in hand.
    """

    def __init__(
        self,
        monitor: Recorder,
        source: Source,
        *,
        progress: Callable[[int], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.tally = Tally()
        self._monitor = monitor
        self._source = source
        self._progress = progress
        self._interrupted = interrupted
        self._piles = {"run": _Pile(), "accuracy": _Pile()}

    def run(self) -> Tally:
        """Read all, or as far as it goes; `tally` is right at any time, after an error too."""
        try:
            for item in self._source.items():
                if item.kind == "refused":
                    self.tally.refuse(item.line, item.reason)
                    continue
                pile = self._piles[item.kind]
                pile.add(item)
                if len(pile.lines) >= BATCH:
                    self._send()
                    if self._interrupted():
                        break
        finally:
            self._send()
            self._source.close()
        return self.tally

    def _send(self) -> None:
        runs, measurements = self._piles["run"], self._piles["accuracy"]
        self._piles = {"run": _Pile(), "accuracy": _Pile()}
        if runs.lines:
            self.tally.add(self._monitor.record_agent_runs(runs.fields, wait=True), runs.lines)
        if measurements.lines:
            _, receipt = self._monitor.record_accuracies(measurements.fields, wait=True)
            self.tally.add(receipt, measurements.lines)
        self._progress(self._source.position)
