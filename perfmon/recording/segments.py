"""The files of a journal: allocated, mapped, and readable after their process has ended.

A record is its length (4 bytes), its kind (1 byte), a checksum (4 bytes) and its payload. Copying
it into the mapping is enough to survive `kill -9`: the pages belong to the kernel. Files are
allocated before they are mapped, since writing to a hole on a full disk kills the process.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from perfmon.storage.private_files import private

FRAME = struct.Struct("<IBI")
_pack = FRAME.pack
_adler32 = zlib.adler32
_MAGIC = b"perfmon1"
START = 16
_AHEAD = 256 * 1024  # bytes that are made ready before their need
_ZEROS = bytes(1 << 18)
_POPULATE_WRITE = 23 if sys.platform == "linux" else None  # of madvise, since Linux 5.14


def framed(kind: int, payload: bytes) -> bytes:
    """A record as it stands in a file. A torn one is detected by its checksum."""
    return _pack(len(payload), kind, _adler32(payload)) + payload


class Record(NamedTuple):
    """A kind and its payload."""

    kind: int
    payload: bytes


class Segment:
    """One preallocated, mapped file; records follow one another up to a zero length."""

    def __init__(self, path: Path, size: int, *, is_reserve: bool = False) -> None:
        self.path = path
        self.size = size
        self.is_reserve = is_reserve
        self.is_gone = False
        self._file = open(path, "x+b", opener=private)  # noqa: SIM115 - it stays open
        try:
            _allocate(self._file, size)
            self.map = mmap.mmap(self._file.fileno(), size)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise
        self.map[: len(_MAGIC)] = _MAGIC
        self.map.seek(START)
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

    @property
    def room(self) -> int:
        """Bytes that are left in it."""
        return self.size - self.map.tell()

    @property
    def is_at_path(self) -> bool:
        """Whether its file is still where the next start looks for it."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def records(self) -> Iterator[Record]:
        """What was written here so far."""
        offset, end = START, self.map.tell()
        while offset < end:
            length, kind, _ = FRAME.unpack_from(self.map, offset)
            yield Record(kind, self.map[offset + FRAME.size : offset + FRAME.size + length])
            offset += FRAME.size + length

    def renew(self) -> None:
        """Empty it, to be used again.

        Who was about to write here, and is late, finds it full until it is empty: its row is
        stored already.
        """
        self.map.seek(self.size)
        for start in range(len(_MAGIC), self.size, len(_ZEROS)):
            end = min(start + len(_ZEROS), self.size)
            self.map[start:end] = _ZEROS[: end - start]
        self._ready = 0
        self.map.seek(START)

    def move(self, path: Path) -> None:
        """Call its file by the name of its place in line, by which the next start reads them."""
        with suppress(OSError):
            self.path = self.path.rename(path)

    def flush(self) -> None:
        """Return when what was written here survives the loss of power."""
        with suppress(ValueError):  # closed meanwhile: all of it is stored
            self.map.flush()

    def close(self, *, keep: bool = False) -> None:
        self.map.close()
        self._file.close()
        if not keep:
            self.path.unlink(missing_ok=True)


def _allocate(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as problem:
            if problem.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        else:
            return
    for start in range(0, size, 1 << 20):
        file.write(bytes(min(1 << 20, size - start)))
    file.flush()


def read_file(path: Path) -> Iterator[Record | None]:
    """The records of a file; None for each place where it is damaged.

    A damaged one costs no other: the next whole record is looked for.
    """
    content = path.read_bytes()
    if content[: len(_MAGIC)] != _MAGIC:
        if content.strip(b"\0"):
            yield None
        return
    end = len(content.rstrip(b"\0"))
    offset: int | None = START
    while offset is not None and offset < end:
        found = _record_at(content, offset)
        if found is not None:
            yield found
            offset += FRAME.size + len(found.payload)
            continue
        yield None
        offset = _whole_after(content, offset)


def _record_at(content: bytes, offset: int) -> Record | None:
    """The record that begins at a place, where there is a whole one."""
    if offset + FRAME.size > len(content):
        return None
    length, kind, checksum = FRAME.unpack_from(content, offset)
    payload = content[offset + FRAME.size : offset + FRAME.size + length]
    is_whole = 0 < length == len(payload) and _adler32(payload) == checksum
    return Record(kind, payload) if is_whole else None


def _whole_after(content: bytes, damaged: int) -> int | None:
    """Where the records go on after a damaged one, whose length may be what is damaged."""
    if damaged + FRAME.size <= len(content):
        next_one = damaged + FRAME.size + int(FRAME.unpack_from(content, damaged)[0])
        if _record_at(content, next_one) is not None:
            return next_one
    for match in _MAYBE_FRAME.finditer(content, damaged + 1):
        if _record_at(content, match.start()) is not None:
            return match.start()
    return None


# A length below 16 MiB, and a kind. Without taking any letters, so that every place is looked at.
_MAYBE_FRAME = re.compile(rb"(?=...\x00[\x01-\x0f])", re.DOTALL)
