"""What was recorded and not yet stored, in memory-mapped files that outlive the process.

A record is its length (4 bytes), its kind (1 byte), a checksum (4 bytes) and its payload. Copying
it into the mapping is enough to survive `kill -9`: the pages belong to the kernel. Files are
allocated before they are mapped, since writing to a hole on a full disk kills the process.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from perfmon.files import private

try:
    import fcntl
except ImportError:  # Windows: journals of dead processes are told by name only
    fcntl = None  # type: ignore[assignment]

_FRAME = struct.Struct("<IBI")
_pack = _FRAME.pack
_adler32 = zlib.adler32
_MAGIC = b"perfmon1"
_START = 16
SEGMENT = 8 * 1024 * 1024
_AHEAD = 256 * 1024  # bytes that are made ready before their need
_POPULATE_WRITE = 23 if sys.platform == "linux" else None  # of madvise, since Linux 5.14


def framed(kind: int, payload: bytes) -> bytes:
    """A record as it stands in a file. A torn one is told by its checksum."""
    return _pack(len(payload), kind, _adler32(payload)) + payload


class JournalFull(Exception):
    """The journal has reached its bound."""


class Record(NamedTuple):
    """A kind and its payload."""

    kind: int
    payload: bytes


class _Segment:
    """One preallocated, mapped file; records follow one another up to a zero length."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._file = open(path, "x+b", opener=private)  # noqa: SIM115 - it stays open
        try:
            _allocate(self._file, size)
            self.map = mmap.mmap(self._file.fileno(), size)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise
        self.map[: len(_MAGIC)] = _MAGIC
        self.map.seek(_START)
        self._ready = 0
        self.make_ready()

    def make_ready(self) -> None:
        """Have the system fetch the next pages, which costs whoever writes there first a fault.

        Only the next ones: those written back to disk meanwhile would have to be fetched again.
        """
        end = min((self.map.tell() + _AHEAD) // mmap.PAGESIZE * mmap.PAGESIZE, self.size)
        start = max(self._ready, self.map.tell() // mmap.PAGESIZE * mmap.PAGESIZE)
        if _POPULATE_WRITE is not None and end > start:
            with suppress(OSError):
                self.map.madvise(_POPULATE_WRITE, start, end - start)
        self._ready = end

    def close(self, *, keep: bool = False) -> None:
        self.map.close()
        self._file.close()
        if not keep:
            self.path.unlink(missing_ok=True)


def _allocate(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for _ in range(0, size, 1 << 20):
        file.write(bytes(1 << 20))
    file.flush()


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
        self._number = 0
        self._dropped = 0  # files already forgotten
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_path = folder / f"{self._name}.lock"
        self._lock_file = open(self._lock_path, "w", opener=private)  # noqa: SIM115
        if fcntl is not None:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._guard = threading.Lock()
        self._spare: _Segment | None = self._new_segment()
        self._segments: list[_Segment] = []
        self._next_segment(0)

    def _new_segment(self, at_least: int = 0) -> _Segment:
        self._number += 1
        size = max(SEGMENT, -(-(at_least + 64) // 4096) * 4096)
        return _Segment(self.folder / f"{self._name}-{self._number:08d}.log", size)

    def _next_segment(self, at_least: int) -> _Segment:
        with self._guard:
            if self._closed or len(self._segments) >= self._max_segments:
                raise JournalFull
            spare, self._spare = self._spare, None
            if spare is None or at_least > spare.size - 64:
                self._spare = spare
                spare = self._new_segment(at_least)
            self._segments.append(spare)
            self.write = spare.map.write
            return spare

    def prepare(self) -> None:
        """Make the next file and pages ready ahead of their need; called behind the callers."""
        with self._guard:
            if self._segments:
                self._segments[-1].make_ready()
            if (
                not self._closed
                and self._spare is None
                and len(self._segments) < self._max_segments
            ):
                self._spare = self._new_segment()

    def abandon(self) -> None:
        """Close what a child inherited, and touch nothing of the parent's."""
        self._closed = True
        for segment in (*self._segments, *filter(None, [self._spare])):
            segment.close(keep=True)
        self._segments, self._spare = [], None
        self._lock_file.close()

    def append(self, kind: int, payload: bytes) -> None:
        """Write a record. Raises `JournalFull` or `OSError`; then nothing was written.

        One caller at a time. On an ordinary day `write(framed(...))` does the same from any
        thread: it is one call into C, which the interpreter does not interrupt.
        """
        frame = framed(kind, payload)
        try:
            self.write(frame)
        except ValueError:  # no room left in the file
            self._next_segment(len(frame) + _START)
            self.write(frame)

    def position(self) -> tuple[int, int]:
        """Where the next record will be: file number in line, offset."""
        with self._guard:
            if not self._segments:
                return self._dropped, _START
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
                length, kind, _ = _FRAME.unpack_from(segment.map, offset)
                records.append(Record(kind, segment.map[offset + 9 : offset + 9 + length]))
                offset += 9 + length
            if offset < end or is_last:
                break
            number, offset = number + 1, _START
        return records, (number, offset)

    def forget(self, position: tuple[int, int]) -> None:
        """All before the position is stored: remove the files that only hold such records."""
        with self._guard:
            while self._dropped < position[0] and len(self._segments) > 1:
                self._segments.pop(0).close()
                self._dropped += 1

    def close(self, *, keep: bool) -> None:
        """Release; `keep` leaves the files for the next start to recover."""
        with self._guard:
            self._closed = True
            if self._spare is not None:
                self._spare.close(keep=False)
                self._spare = None
            for segment in self._segments:
                segment.close(keep=keep)
            self._segments.clear()
        if not self._lock_file.closed:
            self._lock_file.close()
            if not keep:
                self._lock_path.unlink(missing_ok=True)


class Orphan(NamedTuple):
    """The journal a dead process left: its files, in order."""

    lock: IO[str]
    lock_path: Path
    files: list[Path]

    def records(self) -> Iterator[Record | None]:
        """Its records; None for the place where a file is damaged."""
        for path in self.files:
            yield from _read_file(path)

    def remove(self) -> None:
        for path in self.files:
            path.unlink(missing_ok=True)
        self.lock.close()
        self.lock_path.unlink(missing_ok=True)


def _read_file(path: Path) -> Iterator[Record | None]:
    content = path.read_bytes()
    if content[: len(_MAGIC)] != _MAGIC:
        if content.strip(b"\0"):
            yield None
        return
    offset = _START
    while offset + 9 <= len(content):
        length, kind, checksum = _FRAME.unpack_from(content, offset)
        if length == 0:
            if kind or checksum:
                yield None
            return
        payload = content[offset + 9 : offset + 9 + length]
        offset += 9 + length
        yield Record(kind, payload) if _adler32(payload) == checksum else None


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


def _is_free(lock: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
