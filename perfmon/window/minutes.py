"""Cells by time: a block per minute, and a block per hour for queries on whole hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from perfmon.window.block import Block
from perfmon.window.cells import FIRST_EXTREME, HOUR, MINUTE, STATS, Cells, Stat
from perfmon.window.ragged import Floats, Ints
from perfmon.window.vocabulary import Vocabulary


class Minutes:
    """The blocks of minutes, by when they begin, and of hours, made of them.

    `newest` is the last minute that ever had anything.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.blocks: dict[int, Block] = {}
        self.newest = -(2**62)
        self._hours: dict[int, Block] = {}
        self._vocabulary = vocabulary

    def put(self, minute: int, cells: Cells) -> None:
        """Add the cells of a minute."""
        self.newest = max(self.newest, minute)
        block = self.blocks.get(minute)
        if block is None:
            self.blocks[minute] = Block(cells)
        else:
            block.add(cells)
        self._hours.pop(minute // HOUR * HOUR, None)

    def forget(self, minute: int) -> None:
        """Let go of a minute."""
        self.blocks.pop(minute, None)
        self._hours.pop(minute // HOUR * HOUR, None)

    def forget_before(self, first: int) -> None:
        """Let go of all older minutes."""
        for minute in [minute for minute in self.blocks if minute < first]:
            del self.blocks[minute]
        for hour in [hour for hour in self._hours if hour + HOUR <= first]:
            del self._hours[hour]
        self._hours.pop(first // HOUR * HOUR, None)

    def hour(self, start: int) -> Block | None:
        """The block of an hour, made from its minutes when first asked for."""
        block = self._hours.get(start)
        if block is None:
            minutes = [
                self.blocks[minute].cells()
                for minute in range(start, start + HOUR, MINUTE)
                if minute in self.blocks
            ]
            if not minutes:
                return None
            joined = Cells.joined(minutes, self._vocabulary)
            cells = joined.merged(HOUR)
            block = self._hours[start] = Block(cells, _minute_masks(cells, joined))
        return block

    def whole(self, first: int, last: int) -> Iterator[Block]:
        """Blocks of whole minutes, in whole hours where they fit."""
        if (last - first) // MINUTE > 2 * len(self.blocks) + 120:
            first, last = self._clipped(first, last)
        moment = first
        while moment < last:
            if moment % HOUR == 0 and moment + HOUR <= last:
                hour = self.hour(moment)
                if hour is not None:
                    yield hour
                moment += HOUR
            else:
                minute = self.blocks.get(moment)
                if minute is not None:
                    yield minute
                moment += MINUTE

    def _clipped(self, first: int, last: int) -> tuple[int, int]:
        # Nobody walks the empty minutes of a hundred years.
        if not self.blocks:
            return first, first
        return max(first, min(self.blocks)), min(last, max(self.blocks) + MINUTE)

    def back(self, first: int, last: int) -> Iterator[int]:
        """The minutes that hold anything, the last one first."""
        if len(self.blocks) < (last - first) // MINUTE:
            first = max(first, min(self.blocks, default=last))
            last = min(last, max(self.blocks, default=last))
        return (m for m in range(last, first - 1, -MINUTE) if m in self.blocks)

    def counting(self, first: int, last: int, wanted: Ints | None, counted: Stat) -> Iterator[int]:
        """Those that may have what is counted: an hour knows which of its minutes have a key."""
        if not self.blocks:
            return
        first = max(first, min(self.blocks))
        for hour in range(last // HOUR * HOUR, first // HOUR * HOUR - 1, -HOUR):
            low, high = max(first, hour), min(last, hour + HOUR - MINUTE)
            if hour > self.newest - HOUR:
                # It changes all the time, and would have to be made anew.
                yield from self.back(low, high)
                continue
            mask = self._mask(hour, wanted, counted)
            while mask:
                place = mask.bit_length() - 1
                mask ^= 1 << place
                if low <= hour + place * MINUTE <= high:
                    yield hour + place * MINUTE

    def _mask(self, hour: int, wanted: Ints | None, counted: Stat) -> int:
        """A bit for each minute of an hour that may have what is counted."""
        block = self.hour(hour)
        if block is None:
            return 0
        if wanted is None:
            rows = np.flatnonzero(block.cells().stats[:, counted]).tolist()
        else:
            places = block.of(wanted)
            rows = [row for cells, row in places if cells.stats[row, counted]]
        return int(np.bitwise_or.reduce(block.masks[rows]))

    def totals(self, keys: int) -> Floats:
        """All statistics of all minutes for a number of keys, a row each."""
        found = np.zeros((keys, STATS))
        found[:, FIRST_EXTREME:] = -np.inf
        for block in self.blocks.values():
            cells = block.cells()  # one a key
            sums, extremes = np.split(cells.stats, [FIRST_EXTREME], axis=1)
            found[cells.keys, :FIRST_EXTREME] += sums
            larger = np.maximum(found[cells.keys, FIRST_EXTREME:], extremes)
            found[cells.keys, FIRST_EXTREME:] = larger
        return found

    def held(self, minutes: Iterable[int], wanted: Ints | None) -> Iterator[tuple[int, Cells, int]]:
        """What these minutes hold of some keys (None: in all), as rows of cells."""
        for minute in minutes:
            for cells, row in self.blocks[minute].of(wanted):
                yield minute, cells, row


def _minute_masks(hour: Cells, minutes: Cells) -> Ints:
    """For each cell of an hour a bit for each of its minutes that has the key."""
    masks = np.zeros(len(hour), np.int64)
    bits = np.int64(1) << (minutes.slices % HOUR // MINUTE)
    np.bitwise_or.at(masks, np.searchsorted(hour.keys, minutes.keys), bits)
    return masks
