"""The file under a SQLite database: other programs may copy, move, replace or truncate it.

A program that opens and closes the file anywhere in its own process (a copy, a backup) drops the
locks that SQLite holds on it: https://www.sqlite.org/howtocorrupt.html, section 2.2. Whoever
closes the database last then thinks that nobody else has it, and removes the write-ahead log. A
second lock of another kind, which only goes with its own descriptor, keeps that from happening;
what other programs do otherwise is detected by inodes, and by the head of the file.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file that is open cannot be removed or replaced there
    fcntl = None  # type: ignore[assignment]

GONE = "the file was deleted"
REPLACED = "another file was put in its place"
LOG_GONE = "its write-ahead log was removed by another program"
CUT = "the file was truncated by another program"
OVERWRITTEN = "the file was overwritten by another program"
SETTLE = 5.0
"""Seconds for which a path must look the same before anything is begun with what is there."""

_Identity = tuple[int, int]
_MAGIC = b"SQLite format 3\0"
# Where SQLite has its shared locks: https://www.sqlite.org/fileformat.html, section 1.4.
_SHARED_FIRST, _SHARED_SIZE = 0x4000_0002, 510
_PATIENCE = 1.0
_TICK = 0.1  # seconds, more than any file system takes two times for one


class DatabaseFile:
    """One database file and its log, from when they are opened to when they are let go.

    Attributes:
        path: where it is looked for; may be a link.
        log: its write-ahead log, beside the file that the link leads to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = Path(os.path.realpath(path))  # SQLite names the log after it
        self._descriptor: int | None = None
        self._file: _Identity | None = None
        self._log: _Identity | None = None
        self._looked: tuple[int, int] | None = None  # bytes and time of change that were in order
        self._counter = 0
        self._short_since: float | None = None
        self._seen: tuple[object, float] = (None, 0.0)

    @property
    def target(self) -> Path:
        """Where the path leads to now, whether something is there or not."""
        return Path(os.path.realpath(self.path))

    @property
    def log(self) -> Path:
        return Path(f"{self._place}-wal")

    def make(self) -> None:
        """Make it where it is not, for its owner alone; SQLite gives its log the same mode."""
        self._place = self.target
        with suppress(OSError):  # SQLite says what is wrong
            make_private(self._place)

    def hold(self) -> None:
        """It is open now: note what it is, and keep others from thinking that nobody has it."""
        if self._descriptor is None and fcntl is not None:
            self._descriptor = os.open(self._place, os.O_RDONLY)
            _lock(self._descriptor)
            self._file = _identity(os.fstat(self._descriptor))
        self._log = _identity_at(self.log)

    def release(self) -> None:
        """SQLite is about to close it, and looks whether somebody else has it."""
        if self._descriptor is not None:
            _unlock(self._descriptor)

    def let_go(self) -> None:
        """It is closed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._file = self._log = self._looked = self._short_since = None
        self._counter = 0

    def trouble(self) -> str | None:
        """What is wrong with it, in words; None if nothing is, or it is not open."""
        if self._file is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return GONE
        if _identity(found) != self._file:
            return REPLACED
        if self._log is None:
            self._log = _identity_at(self.log)
        elif _identity_at(self.log) != self._log:
            return LOG_GONE
        if (found.st_size, found.st_mtime_ns) == self._looked:
            return None
        return self._damage(found)

    def _damage(self, found: os.stat_result) -> str | None:
        """What the head of a changed file tells: pages only come back by a checkpoint."""
        assert self._descriptor is not None
        head = _Head.of(os.pread(self._descriptor, 100, 0))
        if head is None:
            return CUT if found.st_size < 100 else OVERWRITTEN
        if head.counter < self._counter:
            return OVERWRITTEN
        if head.bytes > found.st_size:
            # While somebody checkpoints, the first page is written before those at the end.
            now = time.monotonic()
            self._short_since = self._short_since or now
            return CUT if now - self._short_since >= _PATIENCE else None
        self._looked, self._counter = (found.st_size, found.st_mtime_ns), head.counter
        self._short_since = None
        return None

    def is_settled(self) -> bool:
        """Whether what is at the path has been the same for a while: a copy takes its time."""
        try:
            found = self.path.stat()
            seen: object = (_identity(found), found.st_size, found.st_mtime_ns)
        except OSError:
            seen = self.target.parent.is_dir()
        if seen != self._seen[0]:
            self._seen = (seen, time.monotonic())
        return bool(seen) and time.monotonic() - self._seen[1] >= SETTLE

    def is_sound(self) -> bool:
        """Whether the file, overwritten as it is, may be a database: an empty one is."""
        if self._descriptor is None:
            return True
        size = os.fstat(self._descriptor).st_size
        head = _Head.of(os.pread(self._descriptor, 100, 0))
        return size == 0 or (head is not None and head.bytes <= size)

    def stamp(self) -> object | None:
        """What the last write anybody made has left; None where the next may leave the same."""
        try:
            files = self.path.stat(), self.log.stat()
        except OSError:
            return None
        if time.time() - max(one.st_mtime for one in files) < _TICK:
            return None
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in files)

    def owns_log(self) -> bool:
        """Whether the log at the path is still this one's."""
        return self._log is not None and _identity_at(self.log) == self._log

    def remove_log(self) -> None:
        """Remove the log if it still is this one's: beside another file it would be poison."""
        if self.owns_log():
            self.log.unlink(missing_ok=True)
            Path(f"{self._place}-shm").unlink(missing_ok=True)


class _Head:
    """What stands in the first hundred bytes of a database."""

    def __init__(self, page: int, counter: int, pages: int) -> None:
        self.counter = counter
        self.bytes = pages * page

    @classmethod
    def of(cls, content: bytes) -> _Head | None:
        if len(content) < 100 or not content.startswith(_MAGIC):
            return None
        page, counter, pages = struct.unpack_from(">H6xII", content, 16)
        return cls(65_536 if page == 1 else page, counter, pages)


def make_private(path: Path) -> None:
    """Make a file that only its owner may read and write, whatever the umask is.

    Nothing happens where there is one: it stays as it is.
    """
    with suppress(FileExistsError):
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(made)
        path.chmod(0o600)


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _identity_at(path: Path) -> _Identity | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _lock(descriptor: int) -> None:
    """A shared lock that closing another descriptor of the file does not drop (Linux)."""
    deadline = time.monotonic() + _PATIENCE
    while not _set_lock(descriptor, fcntl.F_RDLCK) and time.monotonic() < deadline:
        time.sleep(0.005)  # somebody who closes the database has it for himself, for a moment


def _unlock(descriptor: int) -> None:
    _set_lock(descriptor, fcntl.F_UNLCK)


def _set_lock(descriptor: int, kind: int) -> bool:
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return True
    lock = struct.pack("@hhqqi4x", kind, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
    except BlockingIOError:
        return False
    except OSError:  # a file system without them: changes by others are still noticed
        return True
    return True
