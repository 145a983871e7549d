"""The known agents: those in the window, and older ones from storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from perfmon.records import CellKey, Scope
from perfmon.records.measurements import ANY_AGENT
from perfmon.storage.storage import KnownAgent, Storage
from perfmon.window.live import LiveWindow

_Agent = tuple[str, str]
"""Tenant and name."""


class Known(NamedTuple):
    """An agent's newest type, and when its last run ended (microseconds)."""

    agent_type: str | None
    last_run: int | None


class KnownAgents:
    """Knows agents of any age, as far as they were taken in."""

    def __init__(self, storage: Storage, window: LiveWindow) -> None:
        self._storage = storage
        self._window = window
        self._stored: dict[_Agent, KnownAgent] = {}
        self._by_name: dict[str, list[KnownAgent]] = {}

    def learn(self) -> None:
        """Read from storage which there are; those recorded here are known anyway."""
        by_name: dict[str, list[KnownAgent]] = {}
        found = self._storage.known_agents()
        for agent in found:
            by_name.setdefault(agent.agent_name, []).append(agent)
        self._stored = {(agent.tenant, agent.agent_name): agent for agent in found}
        self._by_name = by_name

    def newest(self, scope: Scope) -> dict[str, Known]:
        """By name what is known of the agents of a scope's tenant and type."""
        known = [(_key(agent), agent.last_run) for agent in self._stored.values()]
        newest: dict[str, Known] = {}
        for key, last in known + self._window.last_runs():
            if key.agent_name == ANY_AGENT:
                continue
            if scope.tenant in (None, key.tenant) and scope.agent_type in (None, key.agent_type):
                before = newest.get(key.agent_name)
                if before is None or (last or 0) > (before.last_run or 0):
                    newest[key.agent_name] = Known(key.agent_type, last)
        return newest

    def last_run(self, scope: Scope) -> int | None:
        """When the last run of a scope ended (microseconds), of any age; None for none."""
        last = self._window.last_run(scope)
        if last.is_held:
            return last.at  # storage knew of none after it
        found = [] if last.at is None else [last.at]
        if scope.model is None:
            found += [
                agent.last_run
                for agent in self._named(scope.agent_name)
                if agent.last_run and scope.matches(_key(agent))
            ]
        return max(found, default=None)

    def _named(self, name: str | None) -> Iterable[KnownAgent]:
        """Those of a name that storage knows; None is all."""
        return self._stored.values() if name is None else self._by_name.get(name, ())

    def last_type(self, agent: _Agent) -> str | None:
        """The type of an agent's last run."""
        at, agent_type = self._window.last_type(agent)
        stored = self._stored.get(agent)
        return agent_type if stored is None or (stored.last_run or 0) < at else stored.agent_type

    def keys_before(self, keys: Iterable[CellKey], moment: int) -> list[CellKey]:
        """Keys of those that storage knows and that ran since a moment, but for these agents."""
        here = {key[:2] for key in keys}
        return [
            _key(agent)
            for place, agent in self._stored.items()
            if place not in here and (agent.last_run or 0) >= moment
        ]


def _key(agent: KnownAgent) -> CellKey:
    return CellKey(agent.tenant, agent.agent_name, agent.agent_type, None, None)
