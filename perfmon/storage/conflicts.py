"""Stored conflicts (runs that reuse an ID with different content), by agent and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from perfmon.records import from_micros
from perfmon.storage.storage import ConflictCount, Storage

_HOUR = 3_600_000_000
_SHOWN = 3


def conflicts_since(storage: Storage, moment: int, until: int | None = None) -> list[ConflictCount]:
    """Of agents with one since a moment, those of its hour and later, the most first.

    Raises:
        StorageError: storage does not answer.
    """
    counts = storage.read_conflicts(moment // _HOUR * _HOUR)
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
    ids = "a run ID" if total == 1 else "run IDs"
    were = "was" if total == 1 else "were"
    said = f"{runs} reused {ids} already stored with different content and {were} not kept"
    return f"{said} ({named(counts)})"


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
    return f"{', '.join(shown)}; most recently {last.run_id}, different {', '.join(last.fields)}"


def plain(count: ConflictCount) -> dict[str, Any]:
    """A count as `get_stats()` and reports show it."""
    return {
        "tenant": count.tenant,
        "agent_name": count.agent_name,
        "runs": count.runs,
        "last_at": from_micros(count.last_at),
        "run_id": count.run_id,
        "fields": list(count.fields),
    }
