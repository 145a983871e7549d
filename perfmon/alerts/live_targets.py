"""The targets to evaluate: everything that ran or was measured recently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.alerts.rules.targets import Target, targets
from perfmon.metrics.known_agents import KnownAgents
from perfmon.records import CellKey
from perfmon.window.live import LiveWindow

_MICROS = 1_000_000
_PERIODS = {"hour": 3600.0, "day": 86_400.0, "week": 7 * 86_400.0, "month": 31 * 86_400.0}


class LiveTargets:
    """Finds the targets of watches; those of the same keys are the same."""

    def __init__(
        self,
        watched: Iterable[Watch],
        window: LiveWindow,
        agents: KnownAgents,
        in_flight: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._watched = list(watched)
        self._window = window
        self._agents = agents
        self._in_flight = in_flight
        self._has_absences = any(watch.kind is Kind.NO_RUNS for watch in self._watched)
        # The first run of an agent may be the one that never ends.
        self._flying = [w for w in self._watched if w.kind is Kind.UNFINISHED and w.globs]
        self._reach = round(max(map(_reach, self._watched), default=0.0) * _MICROS)
        self._known: tuple[list[CellKey], list[Target]] = [], targets(self._watched, [])

    def targets(self, now: int) -> list[Target]:
        """Those of the keys that ran since any watch could still tell of it."""
        keys = self._keys(now)
        if keys != self._known[0]:
            self._known = keys, targets(self._watched, keys)
        if not self._flying:
            return self._known[1]
        flying = targets(self._flying, map(_key, self._in_flight()))
        known = {target.key for target in self._known[1]}
        return self._known[1] + [target for target in flying if target.key not in known]

    def _keys(self, now: int) -> list[CellKey]:
        retention = self._window.retention
        moment = now - max(self._reach, retention)
        keys = self._window.keys_since(moment)
        if self._reach > retention or self._has_absences:
            # What ran before the memory begins is known to storage only; so is what ran before
            # a restart, until it is loaded.
            keys += self._agents.keys_before(keys, moment)
        return keys


def _key(run: Mapping[str, Any]) -> CellKey:
    return CellKey(run["tenant"], run["agent_name"], run["agent_type"], None, None)


def _reach(watch: Watch) -> float:
    """For how many seconds after its last run an agent may still be told of."""
    if watch.kind is Kind.NO_RUNS:
        return 2 * watch.limits[0].value
    lengths = [_PERIODS.get(stretch.period, stretch.seconds) for stretch in watch.stretches]
    return max(lengths, default=0.0)
