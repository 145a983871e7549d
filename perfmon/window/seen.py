"""Recently seen keys: 64-bit hashes in two flat tables, a guess that storage confirms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]
_SMALLEST = 1 << 12
_TABLES = 4
_FULLEST = 0.66
_EMPTY = 0
_GONE = -1  # no hash of CPython's


class Seen:
    """Remembers at least the last `limit` hashes and at most a third more, in 17 bytes each.

    Open addressing with linear probing, in arrays that the garbage collector never walks. When
    the youngest of four tables holds its share, the oldest is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self._share = max(limit // (_TABLES - 1), 1)
        self._tables = [np.zeros(_SMALLEST, np.int64)]  # the youngest first
        self._held = 0

    def mark(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Remember these; True where one was seen before, also earlier in the same batch."""
        hashes = np.where(hashes == _EMPTY, 1, hashes)
        known = np.zeros(len(hashes), bool)
        for table in self._tables:
            known |= _places(table, hashes) >= 0
        fresh, firsts = np.unique(hashes, return_index=True)
        if len(fresh) < len(hashes):
            repeated = np.ones(len(hashes), bool)
            repeated[firsts] = False
            known |= repeated
        self._add(hashes[~known])
        return known

    def forget(self, hashes: Hashes) -> None:
        """As if these had not been seen."""
        hashes = np.where(hashes == _EMPTY, 1, hashes)
        for table in self._tables:
            places = _places(table, hashes)
            table[places[places >= 0]] = _GONE

    def _add(self, fresh: Hashes) -> None:
        if self._held + len(fresh) > self._share and self._held:
            self._tables = [np.zeros(_SMALLEST, np.int64), *self._tables[: _TABLES - 1]]
            self._held = 0
        self._held += len(fresh)
        young = self._tables[0]
        size = len(young)
        while size * _FULLEST < self._held:
            size *= 2
        if size > len(young):
            held = young[(young != _EMPTY) & (young != _GONE)]
            self._tables[0] = np.zeros(size, np.int64)
            _insert(self._tables[0], held)
        _insert(self._tables[0], fresh)


def _places(table: Hashes, hashes: Hashes) -> Hashes:
    """Where each hash is, or -1."""
    found = np.full(len(hashes), -1)
    last = len(table) - 1
    rows = np.arange(len(hashes))
    # The low bits of CPython's tuple hash are well mixed.
    places = hashes & last
    while len(rows):
        there = table[places]
        used = np.flatnonzero(there != _EMPTY)  # at an empty place the search is over
        rows, places, hashes, there = rows[used], places[used], hashes[used], there[used]
        hit = there == hashes
        if hit.any():
            found[rows[hit]] = places[hit]
            rows, places, hashes = rows[~hit], places[~hit], hashes[~hit]
        places = (places + 1) & last
    return found


def _insert(table: Hashes, hashes: Hashes) -> None:
    """Insert hashes that are distinct and not in the table yet."""
    places = hashes & (len(table) - 1)
    while len(hashes):
        free = table[places] == _EMPTY
        table[places[free]] = hashes[free]
        # Two hashes may have gone for one place: whoever is not there tries the next.
        missing = table[places] != hashes
        hashes = hashes[missing]
        places = (places[missing] + 1) & (len(table) - 1)
