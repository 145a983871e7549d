"""Which keys were seen lately: 64-bit hashes in two flat tables, a guess that storage confirms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]
_SMALLEST = 1 << 12


class Seen:
    """Remembers at least the last `limit / 2` hashes, at most `limit`, at 17 bytes each or less.

    Open addressing with linear probing, in arrays that the garbage collector never walks. When
    the young table holds half the limit it becomes the old one, and the old one is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._young = np.zeros(_SMALLEST, np.int64)
        self._old = np.zeros(0, np.int64)
        self._held = 0

    def mark(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Remember these; True where one was seen before, also earlier in the same batch."""
        hashes = np.where(hashes == 0, 1, hashes)  # 0 marks an empty place
        known = _found(self._young, hashes) | _found(self._old, hashes)
        fresh, firsts = np.unique(hashes, return_index=True)
        if len(fresh) < len(hashes):
            repeated = np.ones(len(hashes), bool)
            repeated[firsts] = False
            known |= repeated
        self._add(hashes[~known])
        return known

    def _add(self, fresh: Hashes) -> None:
        if self._held + len(fresh) > self._half and self._held:
            self._old, self._held = self._young, 0
            self._young = np.zeros(_SMALLEST, np.int64)
        self._held += len(fresh)
        size = len(self._young)
        while size < 2 * self._held:
            size *= 2
        if size > len(self._young):
            held = self._young[self._young != 0]
            self._young = np.zeros(size, np.int64)
            _insert(self._young, held)
        _insert(self._young, fresh)


def _places(table: Hashes, hashes: Hashes) -> Hashes:
    # The low bits of CPython's tuple hash are well mixed.
    return hashes & (len(table) - 1)


def _found(table: Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(hashes), bool)
    if not len(table):
        return found
    open_rows = np.arange(len(hashes))
    places = _places(table, hashes)
    while len(open_rows):
        there = table[places]
        hit = there == hashes[open_rows]
        found[open_rows[hit]] = True
        going_on = ~hit & (there != 0)
        open_rows = open_rows[going_on]
        places = (places[going_on] + 1) & (len(table) - 1)
    return found


def _insert(table: Hashes, hashes: Hashes) -> None:
    """Insert hashes that are distinct and not in the table yet."""
    places = _places(table, hashes)
    while len(hashes):
        free = table[places] == 0
        table[places[free]] = hashes[free]
        # Two hashes may have gone for one place: whoever is not there tries the next.
        missing = table[places] != hashes
        hashes = hashes[missing]
        places = (places[missing] + 1) & (len(table) - 1)
