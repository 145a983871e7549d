"""The newest rows as recorded, in chunks of columns: they make the edges of a window exact."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from perfmon.window.columns import MeasurementColumns, RunColumns
from perfmon.window.ragged import Ints

CHUNK = 16_384
_REMOVED = -1  # as a key number

Columns = TypeVar("Columns", RunColumns, MeasurementColumns)


@attrs.define(eq=False)
class _Chunk(Generic[Columns]):
    columns: Columns
    first: int
    used: int = 0
    low: int = 2**62
    high: int = -(2**62)

    def room(self) -> int:
        return len(self.columns) - self.used

    def append(self, columns: Columns) -> None:
        end = self.used + len(columns)
        for field in _arrays(columns):
            getattr(self.columns, field.name)[self.used : end] = getattr(columns, field.name)
        self.used = end
        self.low = min(self.low, int(columns.at.min()))
        self.high = max(self.high, int(columns.at.max()))


class Recent(Generic[Columns]):
    """At most `limit` rows (and one chunk); the first to come leave first.

    `left_until` is the newest time of a row that had to leave for want of room.
    """

    def __init__(self, empty: Columns, limit: int) -> None:
        self._empty: Columns = empty
        self._limit = limit
        self._chunks: deque[_Chunk[Columns]] = deque()
        self._next = 0
        self.left_until = -(2**62)

    def __len__(self) -> int:
        return sum(chunk.used for chunk in self._chunks)

    def add(self, columns: Columns) -> int:
        """Append rows; returns the sequence number of the first."""
        first, done = self._next, 0
        while done < len(columns):
            if not self._chunks or not self._chunks[-1].room():
                self._grow()
            chunk = self._chunks[-1]
            piece = slice(done, done + chunk.room())
            chunk.append(columns.take(piece))
            done = piece.stop
        self._next += len(columns)
        self._trim()
        return first

    def _grow(self) -> None:
        first = self._chunks[-1].first + self._chunks[-1].used if self._chunks else self._next
        arrays = {}
        for field in _arrays(self._empty):
            like: Any = getattr(self._empty, field.name)
            arrays[field.name] = np.empty((CHUNK, *like.shape[1:]), like.dtype)
        self._chunks.append(_Chunk(_made(self._empty, arrays), first))

    def _trim(self) -> None:
        held = len(self)
        while self._chunks and held - self._chunks[0].used >= self._limit:
            oldest = self._chunks.popleft()
            held -= oldest.used
            self.left_until = max(self.left_until, oldest.high)

    def forget_before(self, floor: int) -> None:
        while self._chunks and self._chunks[0].high < floor:
            self._chunks.popleft()

    def between(self, since: int, until: int) -> Columns:
        """The rows with `since <= at < until`."""
        parts = []
        for chunk in self._chunks:
            if chunk.low < until and chunk.high >= since:
                at = chunk.columns.at[: chunk.used]
                inside = (at >= since) & (at < until) & (chunk.columns.keys[: chunk.used] >= 0)
                parts.append(chunk.columns.take(np.flatnonzero(inside)))
        return _joined(parts, self._empty)

    def remove(self, numbers: Ints) -> None:
        """Take back rows by sequence number, those that are still here."""
        for chunk in self._chunks:
            inside = numbers[(numbers >= chunk.first) & (numbers < chunk.first + chunk.used)]
            chunk.columns.keys[inside - chunk.first] = _REMOVED

    def remove_equal(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Take back one row equal to each of these, as far as they are here; which were."""
        found = np.zeros(len(columns), bool)
        wanted: dict[bytes, list[int]] = {}
        for row, content in enumerate(_contents(columns)):
            wanted.setdefault(content, []).append(row)
        low, high = columns.at.min(initial=2**62), columns.at.max(initial=-(2**62))
        for chunk in self._chunks:
            if chunk.low <= high and chunk.high >= low and wanted:
                near = np.flatnonzero(np.isin(chunk.columns.at[: chunk.used], columns.at))
                contents = _contents(chunk.columns.take(near))
                for place, content in zip(near.tolist(), contents, strict=True):
                    rows = wanted.get(content)
                    if rows:
                        found[rows.pop()] = True
                        chunk.columns.keys[place] = _REMOVED
        return found

    def remove_between(self, since: int, until: int) -> None:
        """Take back the rows with `since <= at < until`."""
        for chunk in self._chunks:
            if chunk.low < until and chunk.high >= since:
                at = chunk.columns.at[: chunk.used]
                inside = np.flatnonzero((at >= since) & (at < until))
                chunk.columns.keys[inside] = _REMOVED


def _contents(columns: Columns) -> list[bytes]:
    """Each row as bytes, so that NaN is equal to NaN."""
    rows = np.rec.fromarrays([getattr(columns, field.name) for field in _arrays(columns)])
    whole, width = rows.tobytes(), rows.dtype.itemsize
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def _joined(parts: list[Columns], empty: Columns) -> Columns:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return empty
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in _arrays(empty)
    }
    return _made(empty, arrays)


def _arrays(columns: Columns) -> tuple[attrs.Attribute[Any], ...]:
    """All fields but the vocabulary."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(columns))[1:]
    return fields


def _made(like: Columns, arrays: dict[str, Any]) -> Columns:
    made: Columns = attrs.evolve(like, **arrays)
    return made
