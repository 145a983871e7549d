"""Loads history into the window: read once, minute by minute, never counted twice."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

from perfmon.config import MonitorTable
from perfmon.recording.intake import Intake
from perfmon.records import Scope
from perfmon.records.validation import RUN_FIELDS
from perfmon.window.cells import HOUR, MINUTE

_AT = RUN_FIELDS.index("timestamp")
Row = tuple[Any, ...]


class Loaded(NamedTuple):
    """How many rows were new to the window, and since when it has all that storage has."""

    rows: int
    complete_from: int


def load_lately(intake: Intake, hours: float, now: int, settings: MonitorTable) -> int:
    """Bring the last hours into the window; returns how many rows were new to it."""
    until = now + 1
    since = until - round(min(hours, settings.retention_hours) * HOUR)
    since = since // MINUTE * MINUTE  # a minute is brought up to date as a whole
    loaded = load_history(intake, since, until, settings.max_runs_in_memory)
    intake.note_loaded(loaded.complete_from)
    return loaded.rows


def load_history(intake: Intake, since: int, until: int, limit: int) -> Loaded:
    """Bring the newest `limit` runs of `[since, until)`, and their measurements, into the window.

    Raises:
        StorageError: storage does not answer; the window is as far as it came.
    """
    loaded, read, complete, low = 0, 0, since, since
    rows: list[Row] = []
    for chunk in intake.storage.read_runs(since, until, Scope(), limit=limit):
        if read == 0:
            oldest = chunk[0][_AT]
        read += len(chunk)
        rows += chunk
        high = rows[-1][_AT] // MINUTE * MINUTE
        if high > low:
            whole = bisect_left(rows, high, key=_at)
            loaded += _reconciled(intake, low, high, rows[:whole])
            rows, low = rows[whole:], high
    loaded += _reconciled(intake, low, until, rows)
    if read >= limit:
        # The oldest minute may have been cut by the limit.
        complete = (oldest // MINUTE + 1) * MINUTE
    return Loaded(loaded, complete)


def _reconciled(intake: Intake, since: int, until: int, runs: list[Row]) -> int:
    """An hour at a time: there may be no runs at all, and any number of measurements."""
    loaded = 0
    while since < until:
        end = min((since // HOUR + 1) * HOUR, until)
        inside = bisect_left(runs, end, key=_at)
        # Else what is read could be amended before it is compared with the window.
        with intake.writing:
            chunks = intake.storage.read_measurements(since, end, Scope())
            measurements = [row for chunk in chunks for row in chunk]
            low = since // MINUTE * MINUTE
            loaded += intake.reconcile(low, end, runs[:inside], measurements)
        runs, since = runs[inside:], end
    return loaded


def _at(row: Row) -> int:
    at: int = row[_AT]
    return at
