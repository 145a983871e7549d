"""Small numbers for repeated words: keys of cells, classes of errors, sources of feedback."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from perfmon.records import CellKey

OTHER = "other"


Word = TypeVar("Word", bound=Hashable)


class Interned(Generic[Word]):
    """Numbers words 0, 1, 2, ... in order of arrival."""

    def __init__(self) -> None:
        self.numbers: dict[Word, int] = {}
        self.values: list[Word] = []

    def add(self, word: Word) -> int:
        self.values.append(word)
        self.numbers[word] = len(self.values) - 1
        return len(self.values) - 1


class _Places(dict[Any, int]):
    """Gives a word that is asked for first the next place."""

    def __missing__(self, word: Any) -> int:
        self[word] = place = len(self)
        return place


class Numbered(NamedTuple):
    """Many words, few of them different: these, and the place of each among them."""

    words: list[tuple[Any, ...]]
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[Sequence[Any]]) -> Numbered:
        """From the columns of words that are tuples."""
        places = _Places()
        numbers = map(places.__getitem__, zip(*columns, strict=True))
        count = len(columns[0]) if columns else 0
        found = np.fromiter(numbers, np.int64, count)
        return cls(list(places), found)


class Vocabulary:
    """The words of one monitor, bounded so that no caller can grow its memory without end.

    An agent with more than `keys_per_agent` combinations of type, model and task type has the
    further ones folded into `other`; so have error classes beyond `error_classes`, and feedback
    sources beyond `sources`. Tenant and agent are kept, up to `agents` of them; those that come
    later are `other` as well, here and in the cells. Storage keeps every run under its own names.
    """

    def __init__(
        self,
        keys_per_agent: int = 200,
        error_classes: int = 1000,
        agents: int = 10_000,
        sources: int = 100,
    ) -> None:
        self.keys: Interned[CellKey] = Interned()
        self.errors: Interned[str] = Interned()
        self.sources: Interned[str] = Interned()
        self.folded = 0
        self._keys_per_agent = keys_per_agent
        self._error_classes = error_classes
        self._agents = agents
        self._sources = sources
        self._of_agent: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.Lock()

    def key_number(self, key: tuple[Any, ...]) -> int:
        number = self.keys.numbers.get(key)  # type: ignore[call-overload]
        return self._new_key(CellKey(*key)) if number is None else number

    def _new_key(self, key: CellKey) -> int:
        with self._lock:
            if key[:2] not in self._of_agent and len(self._of_agent) >= self._agents:
                self.folded += 1
                key = CellKey(OTHER, OTHER, OTHER, OTHER, OTHER)
            agent = key[:2]
            if len(self.keys_of(agent)) >= self._keys_per_agent:
                self.folded += 1
                key = CellKey(*agent, OTHER, OTHER, OTHER)
            known = self.keys.numbers.get(key)
            if known is not None:
                return known
            number = self.keys.add(key)
            self._of_agent.setdefault(agent, []).append(number)
            return number

    def agents(self) -> list[CellKey]:
        """The keys so far that are an agent's: outcomes may be told of any."""
        return [key for key in list(self.keys.values) if key.agent_name]

    def keys_of(self, agent: tuple[str, str]) -> list[int]:
        """The numbers of the keys of an agent, given by its tenant and name."""
        return self._of_agent.get(agent, [])

    def error_number(self, name: str) -> int:
        return self._number(self.errors, name, self._error_classes)

    def source_number(self, name: str) -> int:
        return self._number(self.sources, name, self._sources)

    def _number(self, words: Interned[str], name: str, most: int) -> int:
        number = words.numbers.get(name)
        if number is not None:
            return number
        with self._lock:
            if len(words.values) >= most:
                name = OTHER
            known = words.numbers.get(name)
            return words.add(name) if known is None else known
