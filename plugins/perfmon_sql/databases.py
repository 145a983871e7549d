"""Connections: one writer at a time, and readers that never wait for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from perfmon import PluginError, StorageError
from perfmon_sql.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
BUSY_SECONDS = 5
TRIES = 4
FORMS = "memory:, sqlite:///path, postgresql://user:password@host:port/name"


class Database(ABC):
    """One database.

    Attributes:
        kind: `memory`, `sqlite` or `postgresql`.
        shown: its URL without secrets.
        mark: how its driver marks a parameter.
    """

    kind: str
    shown: str
    mark = "?"

    def __init__(self, writer: sa.Engine, reader: sa.Engine) -> None:
        self._writer = writer
        self._reader = reader
        self._lock = threading.RLock()
        self._gate = threading.Condition()
        self._readers = 0
        self._closed = False
        # Rows are fetched from the driver's cursor, past SQLAlchemy and its errors.
        self._driver_error: type[Exception] = writer.dialect.loaded_dbapi.Error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end, or rolled back by an exception."""
        with self._lock, self._told(), self._writer.begin() as connection:
            yield connection

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, in a transaction that is repeated where another was in its way."""
        for _ in range(TRIES - 1):
            try:
                with self.writing() as connection:
                    return work(connection)
            except BaseException as problem:
                if not self.worth_repeating(problem):
                    raise
        with self.writing() as connection:
            return work(connection)

    def now(self) -> str:
        """SQL for the time in microseconds, the same for all who share the database."""
        return str(time.time_ns() // 1_000)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for single statements, each of which sees all that was committed."""
        with self._gate:
            self._readers += 1
        try:
            with self._around_reads(), self._told(), self._reader.connect() as connection:
                yield connection
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def pause(self) -> None:
        """Wait for what is under way, close all connections, and open none until `resume`."""
        self._lock.acquire()
        self._gate.acquire()
        self._gate.wait_for(lambda: self._readers == 0, timeout=BUSY_SECONDS)
        self._let_go()

    def resume(self) -> None:
        self._gate.release()
        self._lock.release()

    def _let_go(self) -> None:
        self._reader.dispose()
        self._writer.dispose()

    def upgrade(self) -> None:
        with self.writing() as connection:
            upgrade(connection, self.shown)

    def sync(self) -> None:  # noqa: B027
        """Make all commits survive the loss of power; a server has done so by itself."""

    @abstractmethod
    def size(self, connection: sa.Connection) -> dict[str, int]:
        """Bytes, under the names that `describe` shows."""

    def about(self, connection: sa.Connection, table: str) -> int:
        """The number of rows as far as it is cheap to know: retention may leave gaps in the ids."""
        found = connection.exec_driver_sql(
            f"SELECT (SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table}) + 1"
        )
        return int(found.scalar_one() or 0)

    def worth_repeating(self, problem: BaseException) -> bool:  # noqa: ARG002
        """Whether a transaction failed only because of another one."""
        return False

    def close(self) -> None:
        """Refuse everything from now on, and let go when what is under way is over.

        A connection that is closed while another thread uses it may take the process with it.
        """
        self._closed = True
        with self._gate:
            self._gate.wait_for(lambda: self._readers == 0, timeout=BUSY_SECONDS)
        mine = self._lock.acquire(timeout=BUSY_SECONDS)
        try:
            # Readers first: the last connection to close cleans up, and that is the writer's work.
            self._reader.dispose()
            self._writer.dispose()
        finally:
            if mine:
                self._lock.release()

    def _around_reads(self) -> AbstractContextManager[Any]:
        return nullcontext()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A driver's failure becomes one line that says where."""
        if self._closed:
            raise StorageError(f"{self.shown}: closed")
        try:
            yield
        except (sa.exc.SQLAlchemyError, self._driver_error) as problem:
            raise StorageError(f"{self.shown}: {first_line(problem)}") from problem


class SqliteFile(Database):
    """A file in WAL mode, for one monitor at a time; several at once share a PostgreSQL.

    Only the writer's connection checkpoints: with several, SQLite before 3.51.3 has a race that
    can corrupt the file.
    """

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.shown = f"sqlite:///{path}"
        if not self.path.parent.is_dir():
            raise StorageError(f"{self.shown}: there is no folder {self.path.parent}")
        uri = self.path.as_uri()
        writer = _sqlite(f"{uri}?mode=rwc", pool_size=1, max_overflow=0)
        reader = _sqlite(f"{uri}?mode=ro", pool_size=4, max_overflow=60)
        sa.event.listen(writer, "begin", _begin)
        super().__init__(writer, reader)
        _on_connect(
            writer, "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536",
            "wal_autocheckpoint=16384",
        )  # fmt: skip
        _on_connect(reader, "wal_autocheckpoint=0", "cache_size=-16384")

    def sync(self) -> None:
        # With synchronous=NORMAL a commit waits in the log until the kernel writes it; one
        # commit with FULL flushes the log as a whole. Changing user_version is the smallest.
        with self._lock, self._told(), self._writer.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA synchronous=FULL")
            try:
                with connection.begin():
                    connection.exec_driver_sql("PRAGMA user_version=1")
            finally:
                driver.execute("PRAGMA synchronous=NORMAL")

    def size(self, connection: sa.Connection) -> dict[str, int]:
        log = Path(f"{self.path}-wal")
        return {
            "bytes": _sqlite_bytes(connection),
            "wal_bytes": log.stat().st_size if log.exists() else 0,
        }


class SqliteMemory(Database):
    """A database in memory: one connection, which everybody shares in turn."""

    kind = "memory"
    shown = "memory:"

    def __init__(self) -> None:
        engine = _sqlite("file::memory:", poolclass=StaticPool)
        sa.event.listen(engine, "begin", _begin)
        super().__init__(engine, engine)

    def _around_reads(self) -> AbstractContextManager[Any]:
        return self._lock

    def _let_go(self) -> None:
        """The connection is the database."""

    def size(self, connection: sa.Connection) -> dict[str, int]:
        return {"bytes": _sqlite_bytes(connection)}


class Postgres(Database):
    """A PostgreSQL server, through psycopg 3."""

    kind = "postgresql"
    mark = "%s"

    def __init__(self, url: sa.URL) -> None:
        # Options may hold a password, so they are not shown.
        self.shown = url.set(drivername="postgresql", query={}).render_as_string()
        options = {"connect_timeout": BUSY_SECONDS, "tcp_user_timeout": 30_000}
        given = {name: value for name, value in options.items() if name not in url.query}
        try:
            engine = sa.create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args=given,
                pool_pre_ping=True,
                pool_size=4,
                max_overflow=12,
            )
        except ModuleNotFoundError as problem:
            raise PluginError(
                f"plugin sql: {self.shown} needs the module {problem.name}: "
                f'pip install "{_distribution()}[postgres]"'
            ) from None
        super().__init__(engine, engine)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with super().reading() as connection:
            # Without statistics yet, the planner would sort all rows to read the first of them.
            connection.exec_driver_sql(
                "SET TRANSACTION READ ONLY; SET LOCAL enable_sort = off; "
                "SET LOCAL enable_bitmapscan = off"
            )
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with super().writing() as connection:
            # What busy_timeout is to SQLite: no transaction waits for another without end.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
            yield connection

    def now(self) -> str:
        return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"

    def worth_repeating(self, problem: BaseException) -> bool:
        cause = getattr(problem.__cause__, "orig", None)
        return getattr(cause, "sqlstate", None) in ("40001", "40P01")  # serialization, deadlock

    def size(self, connection: sa.Connection) -> dict[str, int]:
        found = connection.exec_driver_sql(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND "
            "oid IN (to_regclass('runs'), to_regclass('measurements'), to_regclass('cells'))"
        )
        return {"bytes": int(found.scalar_one() or 0)}

    def about(self, connection: sa.Connection, table: str) -> int:
        found = connection.exec_driver_sql(
            "SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = to_regclass(%s)", (table,)
        )
        return int(found.scalar() or 0)


def open_database(url: str) -> Database:
    """The database at a URL that `open_storage` accepts, its schema up to date."""
    database = _database(url)
    try:
        database.upgrade()
    except BaseException:
        database.close()
        raise
    return database


def first_line(problem: Exception) -> str:
    cause = getattr(problem, "orig", None) or problem
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _database(url: str) -> Database:
    if url.startswith("memory:"):
        return SqliteMemory()
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError):
        # The URL itself is not shown: what cannot be read may hold a password anywhere.
        raise StorageError(f"storage: this URL cannot be read; allowed: {FORMS}") from None
    if parsed.get_backend_name() == "postgresql":
        return Postgres(parsed)
    if parsed.query or parsed.host:
        raise StorageError(f"storage: a SQLite URL has neither host nor options; allowed: {FORMS}")
    if parsed.database in (None, "", ":memory:"):
        return SqliteMemory()
    return SqliteFile(Path(str(parsed.database)))


def _sqlite(uri: str, **pool: Any) -> sa.Engine:
    """An engine that begins no transaction by itself, neither SQLAlchemy's nor sqlite3's way."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    pool.setdefault("poolclass", sa.QueuePool)
    return sa.create_engine("sqlite://", creator=connect, **pool)


def _begin(connection: sa.Connection) -> None:
    # A transaction that only becomes a writer's later may fail at once, without any waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _on_connect(engine: sa.Engine, *pragmas: str) -> None:
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
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            driver.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as problem:
            busy = problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def _sqlite_bytes(connection: sa.Connection) -> int:
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def _distribution() -> str:
    """The name of the distribution that brought this plugin."""
    from importlib.metadata import entry_points

    for entry in entry_points(group="perfmon"):
        if entry.module == __package__ and entry.dist is not None:
            return entry.dist.name
    return "agent-perfmon"
