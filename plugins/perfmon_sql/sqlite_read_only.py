"""A SQLite file opened read-only: nothing is created, upgraded, checkpointed or left behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmon import StorageError, StorageMissing
from perfmon_sql.database import READ_ONLY, Database
from perfmon_sql.sqlite import connect, on_connect, sqlite_bytes, sqlite_engine
from perfmon_sql.upgrade import check_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa


class SqliteReading(Database):
    """A file as it is, whether a monitor has it open, was killed, or nobody was here for long.

    In WAL mode even a reader makes the log and its index where they are missing, and leaves them
    there. Where there is no log the file is all there is, and is read as one that cannot change;
    if it changes anyway, it is opened again. A log without its index, or in a folder that
    cannot be written, is read from a copy.
    """

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.shown = f"sqlite:///{path}"
        if not self.path.exists():
            raise StorageMissing(f"{self.shown}: no such file")
        if self.path.is_dir():
            raise StorageError(f"{self.shown}: is a folder")
        self._log = Path(f"{os.path.realpath(self.path)}-wal")
        self._index = Path(f"{os.path.realpath(self.path)}-shm")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._as_it_was: tuple[int, ...] | None = None
        engine = sqlite_engine(self._connect, pool_size=4, max_overflow=60)
        super().__init__(engine, engine)
        on_connect(engine, "cache_size=-16384")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        raise StorageError(f"{self.shown}: {READ_ONLY}")
        yield

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        if self._as_it_was is not None and self._as_it_was != self._state():
            self._as_it_was = None
            self._reader.dispose()  # somebody has begun to write
        with super().reading() as connection:
            yield connection
        if self._as_it_was is not None and self._as_it_was != self._state():
            raise StorageError(f"{self.shown}: changed while being read; try again")

    def upgrade(self) -> None:
        with self.reading() as connection:
            check_version(connection, self.shown)

    def size(self, connection: sa.Connection) -> dict[str, int]:
        return {"bytes": sqlite_bytes(connection), "wal_bytes": _bytes(self._log)}

    def _dispose(self) -> None:
        super()._dispose()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _connect(self) -> sqlite3.Connection:
        uri = self.path.as_uri()
        if self._folder is None and not _bytes(self._log) and not self._index.exists():
            self._as_it_was = self._state()
            return connect(f"{uri}?mode=ro&immutable=1")
        if self._folder is None and self._index.exists():
            try:
                return _tried(f"{uri}?mode=ro")
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorcode & 0xFF not in _CANNOT:
                    raise
        return _tried(f"{self._copy().as_uri()}?mode=ro")

    def _copy(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="perfmon-")
            copy = Path(self._folder.name, "copy.db")
            shutil.copyfile(self.path, copy)
            if self._log.exists():
                shutil.copyfile(self._log, f"{copy}-wal")
        return Path(self._folder.name, "copy.db")

    def _state(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, _bytes(self._log)


_CANNOT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _tried(uri: str) -> sqlite3.Connection:
    """A connection that can read."""
    made: Any = connect(uri)
    try:
        made.execute("PRAGMA schema_version").fetchall()
    except BaseException:
        made.close()
        raise
    return made  # type: ignore[no-any-return]


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
