"""Runs in flight: known from their start until they are recorded.

Storage has them too, a second or two later, so that a run that never ends is noticed through
restarts, and whoever records it. What is over within a second never gets there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from perfmon.errors import InvalidRun
from perfmon.records import from_micros, jsonable
from perfmon.records.validation import MAX_ID, MAX_JSON, optional_text, text
from perfmon.storage.alerts import AlertStorage, RunInFlight

LIMIT = 100_000
_AT_ONCE = 10_000
_LOOK_EVERY = 10.0  # seconds between looks at what others say
_log = logging.getLogger("perfmon")
Row = tuple[Any, ...]
Key = tuple[str, str, str]
"""Tenant, run id and agent."""


class InFlight:
    """At most `limit` of them; a plain dictionary, since every recorded run looks into it.

    Attributes:
        runs: by their keys.
        dropped: how many beginnings there was no room for; those runs are still recorded.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.runs: dict[Key, RunInFlight] = {}
        self.dropped = 0
        self._limit = limit
        self._lock = threading.Lock()
        self._saved: dict[Key, int] = {}  # when those that storage has began
        self._noticed: set[Key] = set()  # at the last saving
        self._looked_at = -1e9  # monotonic seconds

    def begin(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None,
        metadata: Mapping[str, Any] | None,
        tenant: str,
        now: int,
    ) -> None:
        """Remember a run as under way; one that begins again is under way since then.

        Raises:
            InvalidRun: as recording it would.
        """
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidRun("metadata", metadata, "an object of JSON values, or None")
        told = None if metadata is None else json.dumps(jsonable(metadata))
        if told is not None and len(told) > MAX_JSON:
            told = None  # it never costs the run
        self._put(
            RunInFlight(
                text("tenant", tenant),
                text("run_id", run_id, MAX_ID),
                text("agent_name", agent_name),
                optional_text("agent_type", agent_type),
                told,
                now,
            )
        )

    def _put(self, run: RunInFlight) -> None:
        known = self.runs.pop(run.key, None)
        if known is not None or len(self.runs) < self._limit:
            self.runs[run.key] = run
            return
        if not self.dropped:
            _log.warning(
                "%d runs are in flight; the beginnings of further ones are counted as"
                " in_flight_dropped, and nobody will notice if those never end",
                self._limit,
            )
        self.dropped += 1

    def end(self, rows: Iterable[Row]) -> None:
        """These runs were recorded."""
        for row in rows if self.runs else ():
            self.runs.pop((row[1], row[0], row[2]), None)

    def close(self, labels: Mapping[str, str], began_before: int) -> None:
        """A person says that these are not under way any more, whatever became of them."""
        for run in list(self.runs.values()):
            if run.started_at <= began_before and _is_of(run, labels):
                self.runs.pop(run.key, None)

    def plain(self, now: int) -> list[dict[str, Any]]:
        """All of them, those that began first first."""
        runs = sorted(self.runs.copy().values(), key=lambda run: run.started_at)
        return [_plain(run, now) for run in runs]

    # Storage

    def forget_saved(self) -> None:
        """The storage is another one from now on."""
        with self._lock:
            self._saved, self._noticed, self._looked_at = {}, set(), -1e9

    def save(self, storage: AlertStorage, *, is_last: bool = False) -> None:
        """Bring storage up to date; the last time with what has only just begun, too.

        Raises:
            StorageError: storage does not answer; the next call makes up for it.
        """
        with self._lock:
            current = self.runs.copy()
            if not current and not self._saved:
                return
            unsaved = [r for key, r in current.items() if self._saved.get(key) != r.started_at]
            began = [run for run in unsaved if is_last or run.key in self._noticed]
            began = began if is_last else began[:_AT_ONCE]
            ended = [key for key in self._saved if key not in current]
            if began or ended:
                storage.save_in_flight(began, ended)
            self._saved.update((run.key, run.started_at) for run in began)
            for key in ended:
                del self._saved[key]
            self._noticed = {run.key for run in unsaved}

    def look(self, storage: AlertStorage, *, at_once: bool = False) -> None:
        """Take over what began elsewhere or before, and let go of what was recorded elsewhere.

        Raises:
            StorageError: storage is unavailable.
        """
        with self._lock:
            if not at_once and time.monotonic() < self._looked_at + _LOOK_EVERY:
                return
            self._looked_at = time.monotonic()
            found = {run.key: run for run in storage.read_in_flight()}
            for key, began in list(self._saved.items()):
                known = self.runs.get(key)
                if key not in found:
                    del self._saved[key]
                    if known is not None and known.started_at == began:
                        self.runs.pop(key, None)
            for key, run in found.items():
                if key not in self._saved and key not in self.runs:
                    self._put(run)
                    self._saved[key] = run.started_at


def _plain(run: RunInFlight, now: int) -> dict[str, Any]:
    """As `get_in_flight()` has it."""
    told = None if run.metadata is None else json.loads(run.metadata)
    return {
        "run_id": run.run_id,
        "agent_name": run.agent_name,
        "agent_type": run.agent_type,
        "tenant": run.tenant,
        "metadata": told,
        "started_at": from_micros(run.started_at),
        "age_seconds": (now - run.started_at) / 1e6,
    }


def _is_of(run: RunInFlight, labels: Mapping[str, str]) -> bool:
    own = {"agent": run.agent_name, "agent_type": run.agent_type, "tenant": run.tenant}
    return all(own.get(name) == value for name, value in labels.items())
