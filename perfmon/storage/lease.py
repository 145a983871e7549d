"""Leases: of several monitors on one storage, only one at a time does what must be done once."""

from __future__ import annotations

import time

from perfmon.storage.holders import new_holder, take_turn
from perfmon.storage.storage import Storage


class Lease:
    """A turn that is held for a while, and taken again before it ends; `name` says at what."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._owner = new_holder()
        self._mine_until = -1e9  # monotonic seconds

    def take(self, seconds: float) -> bool:
        """Whether it is held for that long, or was recently; true if storage is not shared."""
        if not self._storage.shared:
            return True
        asked = time.monotonic()
        if asked < self._mine_until - seconds / 2:
            return True
        mine = take_turn(self._storage, self._name, self._owner, seconds)
        self._mine_until = asked + seconds if mine else -1e9
        return mine

    def holder(self) -> str | None:
        """Who has it now; None where nobody has."""
        if not self._storage.shared or time.monotonic() < self._mine_until:
            return self._owner
        return self._storage.lease_holder(self._name)

    def let_go(self) -> None:
        """Another one's turn."""
        if time.monotonic() < self._mine_until:
            self._mine_until = -1e9
            self._storage.take_lease(self._name, self._owner, 0)
