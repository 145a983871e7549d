"""Recovers what dead processes left in their journals, at the next start."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from perfmon.recording.intake import Intake
from perfmon.recording.journal import orphans
from perfmon.recording.journal_rows import MEASUREMENT_KINDS, RUN_KINDS, recovered
from perfmon.recording.segments import Record
from perfmon.records.content import RUN_ROW, modern_run
from perfmon.records.measurements import MEASUREMENT_FIELDS, padded

_log = logging.getLogger("perfmon")


def recover(intake: Intake, folder: Path | None, owner: str) -> None:
    """Store what dead processes left in the journals' folder; storage knows the repeats."""
    if folder is None:
        return
    for orphan in orphans(folder, owner):
        with closing(orphan.lock):
            _store(intake, list(orphan.records()))
            for path in orphan.remove():
                _log.warning("a journal was damaged; its whole records are stored: %s", path)


def _store(intake: Intake, records: list[Record | None]) -> None:
    runs, bad_runs = recovered(records, RUN_KINDS, len(RUN_ROW), modern_run)
    measurements, bad = recovered(records, MEASUREMENT_KINDS, len(MEASUREMENT_FIELDS), padded)
    damaged = records.count(None) + bad_runs + bad
    intake.take_recovered(runs, measurements, damaged=damaged)
    intake.store_all()
