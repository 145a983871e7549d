"""Counts what a killed process left in its journal, for commands that only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.monitor.opening import journal_folder, journal_owner
from perfmon.recording.journal import left_behind
from perfmon.recording.journal_rows import MEASUREMENT_KINDS, RUN_KINDS, recovered
from perfmon.recording.segments import Record, read_file
from perfmon.records import Scope
from perfmon.records.content import RUN_ROW, modern_run
from perfmon.records.measurements import MEASUREMENT_FIELDS, padded
from perfmon.records.validation import RUN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from perfmon.config import MonitorTable
    from perfmon.storage.storage import Row, Storage

_AT = RUN_FIELDS.index("timestamp")  # of measurements too
_RUN_KEY = slice(0, 3)
_MEASUREMENT_KEY = slice(0, 1)


def left_in_journal(settings: MonitorTable, storage: Storage) -> str | None:
    """One line on how much is there and not stored yet; None if nothing is."""
    folder = journal_folder(settings)
    if folder is None or not folder.is_dir():
        return None
    records = list(_records(folder, journal_owner(settings.storage, storage)))
    runs, _ = recovered(records, RUN_KINDS, len(RUN_ROW), modern_run)
    measured, _ = recovered(records, MEASUREMENT_KINDS, len(MEASUREMENT_FIELDS), padded)
    counts = {
        "run": _missing(runs, _RUN_KEY, storage.read_runs),
        "measurement": _missing(measured, _MEASUREMENT_KEY, storage.read_measurements),
    }
    words = [f"{n:,} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items() if n]
    if not words:
        return None
    are, them = ("is", "it") if sum(counts.values()) == 1 else ("are", "them")
    return (
        f"{' and '.join(words)} {are} still in the journal {folder} and not included; start a "
        f"monitor on this storage (perfmon serve, or your program) to store {them}"
    )


def _records(folder: Path, owner: str) -> Iterator[Record | None]:
    for path in left_behind(folder, owner):
        yield from read_file(path)


def _missing(rows: list[Row], key: slice, read: Any) -> int:
    """How many of these rows are not stored: a journal keeps stored rows for a while."""
    if not rows:
        return 0
    wanted = {row[key] for row in rows}
    times = [row[_AT] for row in rows]
    chunks: Iterable[list[Row]] = read(min(times), max(times) + 1, Scope())
    for chunk in chunks:
        wanted.difference_update(row[key] for row in chunk)
    return len(wanted)
