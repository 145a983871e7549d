"""Saves the alert machine and its groups, in one transaction with their decisions.

Whoever saves says which version it went on from. Where another one saved meanwhile nothing is
saved, and what was decided on the older version has to be decided again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.saved_versions import UNREADABLE, object_of, rest_of
from perfmon.alerts.grouping import Groups
from perfmon.alerts.ruleset import Ruleset
from perfmon.records import AlertMessage, PerformanceAlert
from perfmon.storage.alerts import AlertState
from perfmon.storage.storage import Storage

_log = logging.getLogger("perfmon")


class SavedState:
    """The machine and its groups, from storage or as they went on from there.

    Attributes:
        machine: None until it is read, and again where it is forgotten.
        groups: of the machine's alerts; empty ones until it is read.
        rules: under which they go on.
        lock: held by whoever reads the machine, or lets it go on.
    """

    def __init__(self, storage: Storage, rules: Ruleset, *, is_power_safe: bool) -> None:
        self.machine: Machine | None = None
        self.groups = Groups(rules.grouping, rules.sinks)
        self.rules = rules
        self.lock = threading.RLock()
        self._storage = storage
        self._is_power_safe = is_power_safe
        self._version = 0
        self._rest: dict[str, Any] = {}  # what another version of perfmon keeps beside them

    def read(self) -> Machine:
        """The machine, from storage where it is not known here."""
        if self.machine is None:
            saved = self._storage.read_alert_state()
            self._version = saved.version
            rules = self.rules
            self.machine = Machine(rules.settings)
            self.groups = Groups(rules.grouping, rules.sinks)
            self._rest = {}
            if saved.data:
                self._take_up(saved.data)
        return self.machine

    def _take_up(self, data: bytes) -> None:
        """Each part on its own: one that cannot be read does not cost the other."""
        rules = self.rules
        try:
            both = object_of(data)
            self._rest = rest_of(both, ("machine", "groups"))
            self.machine = Machine.from_json(rules.settings, both["machine"])
        except UNREADABLE as problem:
            _log.warning("the saved alert state cannot be read: %r", problem)
            return
        try:
            self.groups = Groups.from_json(rules.grouping, rules.sinks, both["groups"])
        except UNREADABLE as problem:
            _log.warning("the saved notification state cannot be read: %r", problem)

    def as_saved(self) -> Machine:
        """The machine of the deciding monitor, read-only; an empty one if there is none."""
        saved, settings = self._storage.read_alert_state(), self.rules.settings
        with suppress(*UNREADABLE):
            return Machine.from_json(settings, object_of(saved.data)["machine"])
        return Machine(settings)

    def save(self, alerts: list[PerformanceAlert], messages: Sequence[AlertMessage]) -> bool:
        """Save it with what came of it; False where another one saved since it was read."""
        assert self.machine is not None
        both = {"machine": self.machine.to_json(), "groups": self.groups.to_json(), **self._rest}
        state = AlertState(self._version, json.dumps(both).encode())
        if not self._storage.save_alerts(alerts, state, messages):
            return False
        if self._is_power_safe:
            self._storage.sync()
        self._version += 1
        return True

    def forget(self) -> None:
        """Read it anew the next time."""
        self.machine = None

    def reload(self, rules: Ruleset) -> None:
        """Go on under other rules."""
        self.rules = rules
        if self.machine is not None:
            self.machine.settings = rules.settings
        self.groups = Groups.from_json(rules.grouping, rules.sinks, self.groups.to_json())
