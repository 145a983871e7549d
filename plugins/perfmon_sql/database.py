"""A database: one writer at a time, and readers that never wait for it; engines build on it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from perfmon import StorageError
from perfmon_sql.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
BUSY_SECONDS = 5
TRIES = 4
READ_ONLY = "is open read-only"


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
        self.reopened: Callable[[bool], None] = lambda _is_same: None
        """Called where a database was opened in its place, with whether it is the same one."""
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

    def check(self) -> None:  # noqa: B027
        """Raise `StorageError` where it no longer is what it was opened as."""

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
        self._dispose()

    def _dispose(self) -> None:
        # Readers first: the last connection to close cleans up, and that is the writer's work.
        self._reader.dispose()
        self._writer.dispose()

    def upgrade(self) -> None:
        with self.writing() as connection:
            upgrade(connection, self.shown)

    def sync(self) -> None:  # noqa: B027
        """Make all commits survive the loss of power; a server has done so by itself."""

    def stamp(self) -> object | None:
        """What changes with every commit of anybody, where that is cheap to know and certain."""
        return None

    def compact(self, seconds: float) -> bool:  # noqa: ARG002
        """Give unused pages back for about so long; whether there are more. Servers do so alone."""
        return False

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
            self._dispose()
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


def first_line(problem: Exception) -> str:
    cause = getattr(problem, "orig", None) or problem
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
