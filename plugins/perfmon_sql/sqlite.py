"""SQLite: in a file, which other programs may modify, and in memory."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from perfmon import StorageError
from perfmon_sql import database, sqlite_pages
from perfmon_sql.database import Database, first_line
from perfmon_sql.sqlite_file import (
    CUT,
    GONE,
    LOG_GONE,
    OVERWRITTEN,
    REPLACED,
    DatabaseFile,
    make_private,
)
from perfmon_sql.sqlite_pages import Pages, copy_once, driver_of, give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger("perfmon")
_FRESH: list[bytes] = []  # a database in memory as the migrations make it
_WAITS = "new records are kept until it is back"


class SqliteFile(Database):
    """A file in WAL mode, which several processes of one machine may share.

    Only the writer's connection checkpoints: with several, SQLite before 3.51.3 has a race that
    can corrupt the file. Nothing is begun, nor called committed, while the path leads to something
    else than what is open; what then is there is gone on with when it has settled:

    - the log alone was removed: at once, with what is in the file;
    - the file is gone: it is written again from what is open, where its folder is there;
    - another file is there, or a sound one was copied over it: with that one, as it is.
    """

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.shown = f"sqlite:///{path}"
        if not self.path.parent.is_dir():
            raise StorageError(f"{self.shown}: no such folder: {self.path.parent}")
        self._file = DatabaseFile(self.path)
        self._anchor: sqlite3.Connection | None = None
        self._lost: str | None = None  # why everything is closed
        self._said_to_stay = False
        uri = self.path.as_uri()
        # A new file is its owner's alone; and a reader must not open another one than the writer.
        writer = sqlite_engine(lambda: self._writer_at(uri), pool_size=1, max_overflow=0)
        reader = sqlite_engine(lambda: self._reader_at(uri), pool_size=4, max_overflow=60)
        sa.event.listen(writer, "begin", _begin)
        super().__init__(writer, reader)
        on_connect(
            writer,
            "auto_vacuum=INCREMENTAL",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "cache_size=-65536",
            "wal_autocheckpoint=16384",
            "journal_size_limit=67108864",
        )
        sa.event.listen(writer, "connect", self._hold)
        on_connect(reader, "wal_autocheckpoint=0", "cache_size=-16384")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self._lock:
            self._go_on()
            with super().writing() as connection:
                self._look()
                yield connection
            # What was committed to a file that is not at the path any more is not stored.
            self._look()

    def check(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._go_on()
            finally:
                self._lock.release()
        else:  # who writes looks himself
            self._look()

    def close(self) -> None:
        with self._lock, suppress(StorageError, OSError):
            is_open = not self._closed and self._lost is None
            if is_open and self._file.trouble() == GONE and self._file.target.parent.is_dir():
                with self._alone():
                    copy = self._copy()
                    self._dispose()
                    self._put(copy)
                _log.warning("%s: %s; it was written again on exit", self.shown, GONE)
        super().close()

    def sync(self) -> None:
        # With synchronous=NORMAL a commit waits in the log until the kernel writes it; one
        # commit with FULL flushes the log as a whole. Changing user_version is the smallest.
        with self._lock:
            self._go_on()
            with self._told(), self._writer.connect() as connection:
                driver: Any = connection.connection.dbapi_connection
                driver.execute("PRAGMA synchronous=FULL")
                try:
                    with connection.begin():
                        connection.exec_driver_sql("PRAGMA user_version=1")
                finally:
                    driver.execute("PRAGMA synchronous=NORMAL")
            self._look()

    def stamp(self) -> object | None:
        return self._file.stamp()

    def compact(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        with self._lock:
            self._go_on()
            if not self._copy_where_needed():
                return False
        while time.monotonic() < until:
            with self.writing() as connection:
                driver = driver_of(connection)
                if not Pages(driver).is_worth_it:
                    break
                give_back(driver)
        else:
            return True
        with self._lock:
            self._checkpoint()  # which cuts the file
        return False

    def _copy_where_needed(self) -> bool:
        """Whether there is something to give back a few pages at a time."""
        with self._told(), closing(self._writer.raw_connection()) as pooled:
            driver: Any = pooled.driver_connection
            pages = Pages(driver)
            if not pages.is_worth_it or pages.can_shrink:
                return pages.is_worth_it
            if pages.copy_seconds <= sqlite_pages.COPY_SECONDS:
                copy_once(driver, self.shown)
            elif not self._said_to_stay:
                self._said_to_stay = True
                _log.info(
                    "%s: %d MB of unused pages stay in the file and are used again; VACUUM in "
                    "sqlite3 gives them back, once, while nothing is recorded",
                    self.shown,
                    pages.free * pages.size // 10**6,
                )
        self._checkpoint()
        return False

    def size(self, connection: sa.Connection) -> dict[str, int]:
        log = self._file.log
        return {
            "bytes": sqlite_bytes(connection),
            "wal_bytes": log.stat().st_size if log.exists() else 0,
        }

    # The file under it

    def _writer_at(self, uri: str) -> sqlite3.Connection:
        self._file.make()
        return connect(f"{uri}?mode=rwc")

    def _reader_at(self, uri: str) -> sqlite3.Connection:
        self._look()
        return connect(f"{uri}?mode=ro")

    def _hold(self, *_: Any) -> None:
        """Keep a reader, too: closed after the writer it leaves the log as it is."""
        self._file.hold()
        if self._anchor is None:
            self._anchor = connect(f"{self.path.as_uri()}?mode=ro")
            _patiently(self._anchor, "PRAGMA schema_version")

    def _look(self) -> None:
        trouble = self._lost or self._file.trouble()
        if trouble is not None:
            raise StorageError(f"{self.shown}: {trouble}; {_WAITS}")

    def _go_on(self) -> None:
        """Open what is at the path, where it is not what was opened, and has settled."""
        trouble = self._lost or self._file.trouble()
        if trouble is None or self._closed:
            return
        if trouble == REPLACED and self._lost is None:
            # At once: the log that is still there would be taken for the other file's.
            with self._alone():
                self._dispose()
            self._lost = REPLACED
        if not self._may_reopen(trouble):
            raise StorageError(f"{self.shown}: {trouble}; {_WAITS}")
        with self._alone():
            self._reopen(trouble)
        _log.warning("%s: %s; perfmon continues with the current file", self.shown, trouble)

    def _may_reopen(self, trouble: str) -> bool:
        if trouble == LOG_GONE:
            return True
        is_settled = self._file.is_settled()
        return is_settled and (trouble not in (CUT, OVERWRITTEN) or self._file.is_sound())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Without anybody who reads."""
        with self._gate:
            if not self._gate.wait_for(lambda: not self._readers, database.BUSY_SECONDS):
                raise StorageError(f"{self.shown}: busy with readers; {_WAITS}")
            yield

    def _reopen(self, trouble: str) -> None:
        copy = self._copy() if trouble == GONE and self._lost is None else None
        self._dispose()
        try:
            if copy is not None:
                self._put(copy)
            self._lost = None
            self.upgrade()
            self.reopened(trouble in (LOG_GONE, GONE))
        except (OSError, StorageError) as problem:
            self._dispose()
            self._lost = trouble
            raise StorageError(
                f"{self.shown}: {trouble}; reopening it failed: {first_line(problem)}"
            ) from None

    def _put(self, copy: Path) -> None:
        os.link(copy, self._file.target)  # which overwrites nothing
        copy.unlink()

    def _copy(self) -> Path:
        """All that is open, in a new file beside the path."""
        copy = self._file.target.with_name(f"{self._file.target.name}.new")
        try:
            copy.unlink(missing_ok=True)
            make_private(copy)
            with closing(self._writer.raw_connection()) as pooled:
                driver: Any = pooled.driver_connection
                with closing(sqlite3.connect(copy)) as target:
                    driver.backup(target)
        except (sqlite3.Error, OSError) as problem:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
            raise StorageError(
                f"{self.shown}: {GONE}, cannot be written again: {first_line(problem)}; {_WAITS}"
            ) from None
        return copy

    def _dispose(self) -> None:
        """Close all. The last one to close copies the log into the file, where that is right."""
        trouble = self._lost or self._file.trouble()
        anchor, self._anchor = self._anchor, None
        if trouble in (None, LOG_GONE):
            self._close_readers(anchor)
            self._file.release()
            self._writer.dispose()
        else:
            is_over = trouble in (GONE, REPLACED)
            if is_over and anchor is not None:
                self._checkpoint()  # wherever the file is now; SQLite does so only at its own path
            is_poison = is_over or self._file.is_sound()
            self._writer.dispose()
            self._close_readers(anchor)
            if is_poison:
                self._file.remove_log()
        self._file.let_go()

    def _checkpoint(self) -> None:
        errors = sqlite3.Error, sa.exc.SQLAlchemyError, StorageError
        with suppress(*errors), closing(self._writer.raw_connection()) as pooled:
            driver: Any = pooled.driver_connection
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _close_readers(self, anchor: sqlite3.Connection | None) -> None:
        self._reader.dispose()
        if anchor is not None:
            with suppress(sqlite3.Error):
                anchor.close()


class SqliteMemory(Database):
    """A database in memory: one connection, which everybody shares in turn."""

    kind = "memory"
    shown = "memory:"

    def __init__(self) -> None:
        engine = sqlite_engine(lambda: connect("file::memory:", _OfNobody), poolclass=StaticPool)
        sa.event.listen(engine, "begin", _begin)
        super().__init__(engine, engine)

    def upgrade(self) -> None:
        """As migrations make it, once a process: a later one begins as a copy of it."""
        if not _FRESH:
            super().upgrade()
            with closing(self._writer.raw_connection()) as pooled:
                made: Any = pooled.driver_connection
                _FRESH.append(made.serialize())
            return
        with closing(self._writer.raw_connection()) as pooled:
            fresh: Any = pooled.driver_connection
            fresh.deserialize(_FRESH[0])

    def _around_reads(self) -> AbstractContextManager[Any]:
        return self._lock

    def _let_go(self) -> None:
        """The connection is the database."""

    def size(self, connection: sa.Connection) -> dict[str, int]:
        return {"bytes": sqlite_bytes(connection)}


class _OfNobody(sqlite3.Connection):
    """Ends with its owner: there is nothing in memory that a close could save.

    From Python 3.13 on, a connection that is left to the garbage collector is warned of.
    """

    def __del__(self) -> None:
        self.close()


def sqlite_engine(connect: Callable[[], sqlite3.Connection], **pool: Any) -> sa.Engine:
    """An engine that begins no transaction by itself, neither SQLAlchemy's nor sqlite3's way."""
    pool.setdefault("poolclass", sa.QueuePool)
    return sa.create_engine("sqlite://", creator=connect, **pool)


def connect(uri: str, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """A connection for any thread, which begins no transaction by itself."""
    return sqlite3.connect(
        uri,
        uri=True,
        factory=factory,
        timeout=database.BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _begin(connection: sa.Connection) -> None:
    # A transaction that only becomes a writer's later may fail at once, without any waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def on_connect(engine: sa.Engine, *pragmas: str) -> None:
    """Prepare each connection by these pragmas, however long others hold the database."""

    def prepare(driver: Any, _record: Any) -> None:
        for pragma in pragmas:
            _patiently(driver, f"PRAGMA {pragma}")
        _patiently(driver, "PRAGMA schema_version")

    sa.event.listen(engine, "connect", prepare)


def _patiently(driver: Any, statement: str) -> None:
    """Wait for a lock where SQLite itself does not, whatever its busy timeout is.

    Entering WAL mode, the recovery of a log and the last connection's cleaning up lock everybody
    else out at once: https://www.sqlite.org/wal.html, section 11. They are over soon.
    """
    deadline = time.monotonic() + database.BUSY_SECONDS
    while True:
        try:
            driver.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as problem:
            busy = problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def sqlite_bytes(connection: sa.Connection) -> int:
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
