"""What is remembered of alerts: the machine and its groups, in one piece with what they decide.

Whoever saves says which version it went on from. Where another one saved meanwhile nothing is
saved, and what was decided on the older version has to be decided again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress

from perfmon.alert_storage import AlertState
from perfmon.alerts.groups import Groups
from perfmon.alerts.life import Machine
from perfmon.records import AlertMessage, PerformanceAlert
from perfmon.roles import Storage
from perfmon.ruleset import Ruleset

_log = logging.getLogger("perfmon")


class Remembered:
    """The machine and its groups, from storage or as they went on from there.

    Attributes:
        machine: None until it is read, and again where it is forgotten.
        groups: of the machine's alerts; empty ones until it is read.
    """

    def __init__(self, storage: Storage, rules: Ruleset, *, is_power_safe: bool) -> None:
        self.machine: Machine | None = None
        self.groups = Groups(rules.grouping, rules.sinks)
        self._storage = storage
        self._rules = rules
        self._is_power_safe = is_power_safe
        self._version = 0

    def read(self) -> Machine:
        """The machine, from storage where it is not known here."""
        if self.machine is None:
            saved = self._storage.read_alert_state()
            self._version = saved.version
            rules = self._rules
            self.machine = Machine(rules.settings)
            self.groups = Groups(rules.grouping, rules.sinks)
            if saved.data:
                try:
                    both = json.loads(saved.data)
                    self.machine = Machine.from_json(rules.settings, both["machine"])
                    self.groups = Groups.from_json(rules.grouping, rules.sinks, both["groups"])
                except (ValueError, KeyError, TypeError) as problem:
                    _log.warning("what was remembered of alerts cannot be read: %s", problem)
        return self.machine

    def as_saved(self) -> Machine:
        """The machine of whoever decides, to look at; an empty one where there is none."""
        saved, settings = self._storage.read_alert_state(), self._rules.settings
        with suppress(ValueError, KeyError, TypeError):
            return Machine.from_json(settings, json.loads(saved.data)["machine"])
        return Machine(settings)

    def save(self, alerts: list[PerformanceAlert], messages: Sequence[AlertMessage]) -> bool:
        """Save it with what came of it; False where another one saved since it was read."""
        assert self.machine is not None
        both = {"machine": self.machine.to_json(), "groups": self.groups.to_json()}
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
        self._rules = rules
        if self.machine is not None:
            self.machine.settings = rules.settings
        self.groups = Groups.from_json(rules.grouping, rules.sinks, self.groups.to_json())
