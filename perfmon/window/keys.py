"""What is known about each key: when it last ran and changed, and its scopes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter

import numpy as np

from perfmon.records import CellKey, Scope
from perfmon.window.columns import RunColumns
from perfmon.window.ragged import Ints
from perfmon.window.vocabulary import Vocabulary

_MOST_SCOPES = 20_000
_INDEXED = ("agent_name", "tenant", "model", "agent_type")
_INDEX_OF = attrgetter(*_INDEXED)
_NO_KEYS = np.zeros(0, np.int64)


class Keys:
    """The keys of a vocabulary, each with its last run and its last change.

    `changes` counts what was added or taken away.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.changes = 0
        self._last_runs = np.zeros(64, np.int64)
        self._changed = np.zeros(64, np.int64)
        self._scopes: dict[Scope, tuple[int, Ints]] = {}
        # The keys of each agent, tenant, ...: ten thousand scopes of ten thousand keys are many.
        self._places: dict[tuple[str, str | None], list[int]] = {}
        self._indexed = 0

    def of(self, scope: Scope) -> Ints:
        """The numbers of the keys that a scope matches."""
        keys = self.vocabulary.keys.values
        known, wanted = self._scopes.get(scope, (0, _NO_KEYS))
        if known < len(keys):
            # Keys are only added: those checked before need not be checked again.
            more = [n for n in self._fewest(scope, known) if scope.matches(keys[n])]
            known, wanted = len(keys), np.append(wanted, np.array(more, np.int64))
            if len(self._scopes) > _MOST_SCOPES:
                self._scopes.clear()
            self._scopes[scope] = known, wanted
        return wanted

    def _fewest(self, scope: Scope, known: int) -> Iterable[int]:
        """The keys from a place on of which a scope's are: those of its rarest value."""
        keys, fixed = self.vocabulary.keys.values, _fixed(scope)
        if not fixed:
            return range(known, len(keys))
        for number in range(self._indexed, len(keys)):
            for name, value in zip(_INDEXED, _INDEX_OF(keys[number]), strict=True):
                self._places.setdefault((name, value), []).append(number)
        self._indexed = len(keys)
        own = min((self._places.get(one, []) for one in fixed), key=len)
        return own[bisect_left(own, known) :]

    def note_runs(self, runs: RunColumns) -> None:
        """Runs came in, of any age."""
        self._last_runs = _long_enough(self._last_runs, len(self.vocabulary.keys.values))
        np.maximum.at(self._last_runs, runs.keys, runs.at)

    def note_change(self, keys: Ints) -> None:
        """Something of these keys was added or taken away."""
        self.changes += 1
        self._changed = _long_enough(self._changed, len(self.vocabulary.keys.values))
        self._changed[keys] = self.changes

    def last_run(self, scope: Scope) -> int | None:
        """When the last run of a scope ended, of any age; None for none."""
        wanted = self.of(scope)
        known = self._last_runs[wanted[wanted < len(self._last_runs)]]
        return int(known.max(initial=0)) or None

    def last_runs(self) -> list[int | None]:
        """For each key of the vocabulary when its last run ended, of any age."""
        return [at or None for at in self._last_runs[: len(self.vocabulary.keys.values)].tolist()]

    def last_type(self, agent: tuple[str, str]) -> tuple[int, str | None]:
        """When the last run of an agent (tenant, name) ended, 0 if it has none, and its type."""
        numbers = [n for n in self.vocabulary.keys_of(agent) if n < len(self._last_runs)]
        if not numbers:
            return 0, None
        last = max(numbers, key=self._last_runs.__getitem__)
        return int(self._last_runs[last]), self.vocabulary.keys.values[last].agent_type

    def version(self, scope: Scope) -> int:
        """Another number whenever something was added to what a scope has here, or taken away."""
        wanted = self.of(scope)
        return int(self._changed[wanted[wanted < len(self._changed)]].max(initial=0))

    def since(self, floor: int) -> list[CellKey]:
        """The keys of runs since then, and of what has only measurements here."""
        keys = self.vocabulary.keys.values
        last, changed = (
            _long_enough(numbers, len(keys))[: len(keys)]
            for numbers in (self._last_runs, self._changed)
        )
        alive = np.where(last > 0, last >= floor, changed > 0)
        return [keys[number] for number in np.flatnonzero(alive).tolist()]


def _fixed(scope: Scope) -> list[tuple[str, str | None]]:
    found = [(name, getattr(scope, name)) for name in _INDEXED]
    return [(name, value) for name, value in found if value is not None]


def _long_enough(numbers: Ints, count: int) -> Ints:
    """An array with a place for each key."""
    if count <= len(numbers):
        return numbers
    grown = np.zeros(2 * count, np.int64)
    grown[: len(numbers)] = numbers
    return grown
