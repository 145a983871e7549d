"""Recorded rows not stored yet, in memory-mapped files that survive the process.

The files stand in line. Where the disk has no room for another one, a file whose records are all
stored is used again, so that a full disk stops nobody whose storage is elsewhere and answers.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import attrs

from perfmon.recording.segments import FRAME, START, Record, Segment, framed, read_file
from perfmon.storage.private_files import private

try:
    import fcntl
except ImportError:  # Windows: journals of dead processes are told by name only
    fcntl = None  # type: ignore[assignment]

SEGMENT = 8 * 1024 * 1024
_RESERVED = 8  # a reserve is this many times smaller than a regular file
_AGAIN = 0.05  # seconds before a disk that was full is asked again


class JournalFull(Exception):
    """The journal has reached its bound."""


class Journal:
    """Appends from any thread (the caller holds the recorder's lock), forgets from the front.

    Attributes:
        folder: where its files are. Its owner's other journals there are left alone while
            their process lives, and recovered after its end.
    """

    def __init__(self, folder: Path, max_bytes: int, owner: str = "perfmon") -> None:
        # The process may change its own folder later.
        self.folder = folder = folder.absolute()
        self._max_segments = max(max_bytes // SEGMENT, 2)
        self._name = f"{owner}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._closed = False
        self._number = self._made = 0  # files in line so far, and all
        self._dropped = 0  # files already forgotten
        self._synced = 0  # files before it survive the loss of power
        self._full_until = 0.0
        self._lock_path = folder / f"{self._name}.lock"
        self._lock_file = self._make_place()
        self._guard = threading.Lock()
        self._segments: list[Segment] = []
        self._spare: Segment | None = None
        self._reserve: Segment | None = None
        try:
            self._spare = self._new_segment(SEGMENT)
            self._reserve = self._new_segment(SEGMENT // _RESERVED, is_reserve=True)
        except OSError:
            self.close(keep=False)
            raise
        self._next_segment()
        self.prepare()

    def _make_place(self) -> IO[str]:
        """The folder, and the lock that says that its process lives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = open(self._lock_path, "w", opener=private)  # noqa: SIM115 - it stays open
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise
        return lock

    @property
    def has_room(self) -> bool:
        """Whether anybody may `write`: who finds the file full still has the reserve."""
        if self._reserve is None or not self._segments:
            return False
        return not (self._segments[-1].is_reserve or self._segments[-1].is_gone)

    def _new_segment(self, size: int, *, is_reserve: bool = False) -> Segment:
        self._made += 1
        path = self.folder / f"{self._name}-next-{self._made}.log"
        return Segment(path, size, is_reserve=is_reserve)

    def _next_segment(self, frame: bytes = b"", *, begun: bool = False) -> None:
        """Go on in the next file, which begins with this record."""
        with self._guard:
            if self._closed:
                raise JournalFull
            self._put_in_line(self._free_segment(len(frame) + START, begun=begun), frame)

    def _put_in_line(self, segment: Segment, frame: bytes = b"") -> None:
        self._number += 1
        segment.move(self.folder / f"{self._name}-{self._number:08d}.log")
        # Written before anybody else can: a file may be just as large as its first record.
        segment.map.write(frame)
        self._segments.append(segment)
        self.write = segment.map.write

    def _free_segment(self, at_least: int, *, begun: bool) -> Segment:
        try:
            return self._ordinary_segment(at_least)
        except (JournalFull, OSError):
            reserve = self._reserve
            if not begun or reserve is None or at_least > reserve.size:
                raise
            self._reserve = None
            return reserve

    def _ordinary_segment(self, at_least: int) -> Segment:
        if self._in_line >= self._max_segments:
            raise JournalFull
        spare = self._spare
        if spare is not None and at_least <= spare.size:
            self._spare = None
            return spare
        if time.monotonic() < self._full_until:
            raise JournalFull
        size = max(SEGMENT, -(-(at_least + 64) // 4096) * 4096)
        try:
            return self._new_segment(size)
        except OSError:
            self._full_until = time.monotonic() + _AGAIN
            raise

    @property
    def _in_line(self) -> int:
        return sum(not (segment.is_reserve or segment.is_gone) for segment in self._segments)

    def prepare(self) -> None:
        """Make the next file and pages ready ahead of their need; called behind the callers.

        On a full disk what is there has to do.
        """
        with self._guard, suppress(OSError):
            if self._segments:
                self._segments[-1].make_ready()
            if self._closed:
                return
            if self._reserve is None:
                self._reserve = self._new_segment(SEGMENT // _RESERVED, is_reserve=True)
            if self._spare is None and self._in_line < self._max_segments:
                self._spare = self._new_segment(SEGMENT)

    @property
    def is_gone(self) -> bool:
        """Whether somebody moved or removed its files: a start after a kill would not find them."""
        with self._guard:
            return bool(self._segments) and not self._segments[-1].is_at_path

    def begin_anew(self, renamed: Mapping[int, int]) -> None:
        """Make its files again, with all that was not forgotten; as `append`, one at a time.

        What may still be read from a position stays where it is; its copies are of the kinds that
        `renamed` says.

        Raises:
            OSError: they cannot be made; until they can, it has no room.
        """
        with self._guard:
            if self._closed:
                return
            gone = list(self._segments)
            for segment in gone:
                segment.is_gone = True
            for unused in filter(None, [self._spare, self._reserve]):
                unused.close()
            self._spare = self._reserve = None
            before, self._lock_file = self._lock_file, self._make_place()
            before.close()
            self._spare = self._new_segment(SEGMENT)
            self._reserve = self._new_segment(SEGMENT // _RESERVED, is_reserve=True)
            segment = self._spare
            self._spare = None
            self._put_in_line(segment)
        for segment in gone:
            for kind, payload in segment.records():
                self.append(renamed.get(kind, kind), payload)

    def abandon(self) -> None:
        """Close what a child inherited, and touch nothing of the parent's."""
        self._closed = True
        for segment in (*self._segments, *filter(None, [self._spare, self._reserve])):
            segment.close(keep=True)
        self._segments, self._spare, self._reserve = [], None, None
        self._lock_file.close()

    def append(self, kind: int, payload: bytes, *, begun: bool = False) -> None:
        """Write a record. Raises `JournalFull` or `OSError`; then nothing was written.

        One caller at a time. While it `has_room`, `write(framed(...))` does the same from any
        thread: it is one call into C, which the interpreter does not interrupt. Who finds the
        file full there says `begun`, and has the reserve where there is no room else.
        """
        frame = framed(kind, payload)
        if self._segments and self._segments[-1].is_gone:
            raise JournalFull
        if not begun and self._segments and self._segments[-1].is_reserve:
            self._next_segment(frame)
            return
        try:
            self.write(frame)
        except ValueError:  # no room left in the file
            self._next_segment(frame, begun=begun)

    def has_room_for(self, size: int) -> bool:
        """Whether this many bytes of records are within its bound."""
        with self._guard:
            left = (self._max_segments - self._in_line) * (SEGMENT - START)
            if self._segments and self._segments[-1].is_gone:
                return False
            if self._segments and not self._segments[-1].is_reserve:
                left += self._segments[-1].room
        return size <= left

    def sync(self) -> None:
        """Return when all that was written so far survives the loss of power; or `OSError`."""
        with self._guard:
            first = max(self._synced - self._dropped, 0)
            segments, last = self._segments[first:], self._dropped + len(self._segments) - 1
        for segment in segments:
            segment.flush()
        if hasattr(os, "O_DIRECTORY"):
            place = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(place)
            finally:
                os.close(place)
        self._synced = max(last, 0)

    def position(self) -> tuple[int, int]:
        """Where the next record will be: file number in line, offset."""
        with self._guard:
            if not self._segments:
                return self._dropped, START
            return self._dropped + len(self._segments) - 1, self._segments[-1].map.tell()

    def read(self, position: tuple[int, int], limit: int) -> tuple[list[Record], tuple[int, int]]:
        """Up to `limit` records from a position on, and the position after them."""
        records: list[Record] = []
        number, offset = position
        with self._guard:
            segments = list(self._segments)
            dropped = self._dropped
        while len(records) < limit and number - dropped < len(segments):
            segment = segments[number - dropped]
            is_last = number - dropped == len(segments) - 1
            end = segment.map.tell()
            while offset < end and len(records) < limit:
                length, kind, _ = FRAME.unpack_from(segment.map, offset)
                records.append(Record(kind, segment.map[offset + 9 : offset + 9 + length]))
                offset += 9 + length
            if offset < end or is_last:
                break
            number, offset = number + 1, START
        return records, (number, offset)

    def forget(self, position: tuple[int, int]) -> bool:
        """All before the position is stored; returns whether that made room."""
        forgotten = []
        with self._guard:
            while self._dropped < position[0] and len(self._segments) > 1:
                forgotten.append(self._segments.pop(0))
                self._dropped += 1
        for segment in forgotten:
            self._let_go(segment)
        return bool(forgotten)

    def _let_go(self, segment: Segment) -> None:
        """Remove its file, or use it again where the disk has no room for another one."""
        self.prepare()
        with self._guard:
            if self._closed or segment.is_gone:
                segment.close()
            elif segment.is_reserve and self._reserve is None:
                segment.renew()
                self._reserve = segment
            elif not segment.is_reserve and self._spare is None and segment.size == SEGMENT:
                segment.renew()
                self._spare = segment
            else:
                segment.close()

    def close(self, *, keep: bool) -> None:
        """Release; `keep` leaves the files for the next start to recover."""
        with self._guard:
            self._closed = True
            for unused in filter(None, [self._spare, self._reserve]):
                unused.close(keep=False)
            self._spare = self._reserve = None
            for segment in self._segments:
                segment.close(keep=keep)
            self._segments.clear()
        if not self._lock_file.closed:
            self._lock_file.close()
            if not keep:
                self._lock_path.unlink(missing_ok=True)


@attrs.define
class Orphan:
    """The journal a dead process left: its files, in order, and which of them were damaged."""

    lock: IO[str]
    lock_path: Path
    files: list[Path]
    damaged: set[Path] = attrs.Factory(set)

    def records(self) -> Iterator[Record | None]:
        """Its records; None for each place where a file is damaged."""
        for path in self.files:
            was_damaged = False
            for record in read_file(path):
                # The last one may be torn by the end of its process, and was promised to nobody.
                if was_damaged:
                    self.damaged.add(path)
                was_damaged = was_damaged or record is None
                yield record

    def remove(self) -> list[Path]:
        """Remove its files, but for those that were damaged in their midst: where these are now."""
        kept = []
        for path in self.files:
            if path in self.damaged:
                kept.append(path.replace(path.with_name(f"{path.name}.damaged")))
            else:
                path.unlink(missing_ok=True)
        self.lock.close()
        self.lock_path.unlink(missing_ok=True)
        return kept


def orphans(folder: Path, owner: str = "perfmon") -> Iterator[Orphan]:
    """The owner's journals in the folder whose process has ended."""
    for lock_path in sorted(folder.glob(f"{owner}-*.lock")):
        try:
            lock = lock_path.open("r+")
        except OSError:
            continue
        if not _is_free(lock):
            lock.close()
            continue
        files = sorted(folder.glob(f"{lock_path.stem}-*.log"))
        yield Orphan(lock, lock_path, files)


def left_behind(folder: Path, owner: str) -> Iterator[Path]:
    """The files of the owner's journals whose process has ended, for who changes nothing."""
    for lock_path in sorted(folder.glob(f"{owner}-*.lock")):
        try:
            with lock_path.open() as lock:  # held no longer than it takes: who recovers needs it
                is_free = _is_free(lock, shared=True)
        except OSError:
            continue
        if is_free:
            yield from sorted(folder.glob(f"{lock_path.stem}-*.log"))


def _is_free(lock: IO[str], *, shared: bool = False) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
