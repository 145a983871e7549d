"""Conflicts: runs that reuse an ID with other content, counted by agent and hour, and logged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from perfmon.errors import StorageError
from perfmon.records.validation import RUN_FIELDS
from perfmon.storage.conflicts import sentence
from perfmon.storage.storage import ConflictCount, Storage

_log = logging.getLogger("perfmon")
_HOUR = 3_600_000_000
_LOG_EVERY = 3600.0  # seconds
_RUN_ID, _TENANT, _AGENT = (RUN_FIELDS.index(name) for name in ("run_id", "tenant", "agent_name"))
Row = tuple[Any, ...]


class Conflicts:
    """Notes conflicts in storage, where every process and the command line find them."""

    def __init__(self, storage: Storage, now: Callable[[], int]) -> None:
        self._storage = storage
        self._now = now
        self._lock = threading.Lock()
        self._unsaved: dict[tuple[str, str, int], ConflictCount] = {}
        self._untold: dict[tuple[str, str, int], ConflictCount] = {}
        self._next_log = -1e9  # monotonic seconds

    def note(self, runs: Sequence[Row], found: Iterable[tuple[int, tuple[str, ...]]]) -> None:
        """Those of these runs, by their place and the fields that differ, were conflicts."""
        now = self._now()
        with self._lock:
            for place, fields in found:
                row = runs[place]
                count = ConflictCount(
                    row[_TENANT], row[_AGENT], now // _HOUR * _HOUR, 1, now, row[_RUN_ID], fields
                )
                for kept in (self._unsaved, self._untold):
                    before = kept.get(count[:3])
                    runs_before = 0 if before is None else before.runs
                    kept[count[:3]] = count._replace(runs=runs_before + 1)
        self.look()

    def look(self, *, is_last: bool = False) -> None:
        """Save what is not saved yet, and log what is due (or, the last time, what is left)."""
        if self._unsaved:
            self._save()
        if self._untold and (is_last or time.monotonic() >= self._next_log):
            with self._lock:
                told, self._untold = list(self._untold.values()), {}
            self._next_log = time.monotonic() + _LOG_EVERY
            _log.warning("%s", sentence(told))

    def _save(self) -> None:
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        try:
            self._storage.note_conflicts(list(unsaved.values()))
        except StorageError:
            with self._lock:  # the next look tries again
                for key, count in unsaved.items():
                    later = self._unsaved.get(key)
                    more = 0 if later is None else later.runs
                    self._unsaved[key] = (later or count)._replace(runs=count.runs + more)
