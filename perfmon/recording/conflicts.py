"""Runs under known ids with other content: kept count of by agent and hour, and told in the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from perfmon.errors import StorageError
from perfmon.records import from_micros
from perfmon.records.validation import RUN_FIELDS
from perfmon.storage.storage import ConflictCount, Storage

_log = logging.getLogger("perfmon")
_HOUR = 3_600_000_000
_LOG_EVERY = 3600.0  # seconds
_SHOWN = 3
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

    def since(self, moment: int, until: int | None = None) -> list[ConflictCount]:
        """Of agents with one since a moment, those of its hour and later, the most first.

        Raises:
            StorageError: storage does not answer.
        """
        counts = self._storage.read_conflicts(moment // _HOUR * _HOUR)
        return by_agent((one for one in counts if until is None or one.hour <= until), moment)


def by_agent(counts: Iterable[ConflictCount], since: int = 0) -> list[ConflictCount]:
    """Those of agents with one at or after a moment, summed up, the most conflicts first."""
    found: dict[tuple[str, str], ConflictCount] = {}
    for count in sorted(counts, key=lambda one: one.last_at):
        before = found.get(count[:2])
        total = count.runs + (0 if before is None else before.runs)
        found[count[:2]] = count._replace(runs=total)
    kept = [count for count in found.values() if count.last_at >= since]
    return sorted(kept, key=lambda one: (-one.runs, one[:2]))


def sentence(counts: Sequence[ConflictCount]) -> str:
    """How many, of which agents, and what the last one was, for people."""
    total = sum(count.runs for count in counts)
    runs = "1 run" if total == 1 else f"{total:,} runs"
    ids = "a run id that is" if total == 1 else "run ids that are"
    kept = "was" if total == 1 else "were"
    told = f"{runs} came under {ids} known with other content, and {kept} not kept"
    return f"{told} ({named(counts)})"


def named(counts: Sequence[ConflictCount]) -> str:
    """The agents with their counts, and the last conflict."""
    ordered = by_agent(counts)
    if not ordered:
        return "none"
    shown = [
        f"agent {count.agent_name}"
        + (f" of tenant {count.tenant}" if count.tenant != "default" else "")
        + f" {count.runs:,}"
        for count in ordered[:_SHOWN]
    ]
    if len(ordered) > _SHOWN:
        shown.append(f"{len(ordered) - _SHOWN:,} more agents")
    last = max(ordered, key=lambda count: count.last_at)
    return f"{', '.join(shown)}; the last was {last.run_id}, other in {', '.join(last.fields)}"


def plain(count: ConflictCount) -> dict[str, Any]:
    """A count as `get_stats()` and reports show it."""
    return {
        "tenant": count.tenant, "agent_name": count.agent_name, "runs": count.runs,
        "last_at": from_micros(count.last_at), "run_id": count.run_id,
        "fields": list(count.fields),
    }  # fmt: skip
