"""The runs under way: told when they begin, known until they are recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from perfmon.checks import MAX_ID, cut_text, text
from perfmon.errors import InvalidRun
from perfmon.records import from_micros, jsonable

LIMIT = 100_000
_log = logging.getLogger("perfmon")
Row = tuple[Any, ...]
Key = tuple[str, str, str]
"""Tenant, run id and agent: what tells one run from another."""


class Flying(NamedTuple):
    """A run under way; `started_at` in microseconds."""

    tenant: str
    run_id: str
    agent_name: str
    agent_type: str | None
    metadata: Any
    started_at: int

    @property
    def key(self) -> Key:
        return self[:3]

    def plain(self, now: int) -> dict[str, Any]:
        """As `get_in_flight()` has it."""
        return {
            "run_id": self.run_id, "agent_name": self.agent_name, "agent_type": self.agent_type,
            "tenant": self.tenant, "metadata": self.metadata,
            "started_at": from_micros(self.started_at),
            "age_seconds": (now - self.started_at) / 1e6,
        }  # fmt: skip


class InFlight:
    """At most `limit` of them; a plain dictionary, since every recorded run looks into it.

    Attributes:
        runs: by their keys.
        dropped: how many beginnings there was no room for; those runs are recorded all the same.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.runs: dict[Key, Flying] = {}
        self.dropped = 0
        self._limit = limit

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
        run = Flying(
            text("tenant", tenant), text("run_id", run_id, MAX_ID), text("agent_name", agent_name),
            cut_text("agent_type", agent_type), jsonable(metadata), now,
        )  # fmt: skip
        known = self.runs.pop(run.key, None)
        if known is not None or len(self.runs) < self._limit:
            self.runs[run.key] = run
            return
        if not self.dropped:
            _log.warning(
                "%d runs are in flight; the beginnings of further ones are counted as"
                " in_flight_dropped, and nobody will notice if those never end", self._limit,
            )  # fmt: skip
        self.dropped += 1

    def end(self, rows: Iterable[Row]) -> None:
        """These runs were recorded."""
        for row in rows if self.runs else ():
            self.runs.pop((row[1], row[0], row[2]), None)

    def plain(self, now: int) -> list[dict[str, Any]]:
        """All of them, in the order in which they began."""
        return [run.plain(now) for run in list(self.runs.values())]
