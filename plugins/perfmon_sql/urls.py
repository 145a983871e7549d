"""From a storage URL to its database: in a file, in memory or on a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from perfmon import StorageError
from perfmon_sql.postgres import Postgres
from perfmon_sql.sqlite import SqliteFile, SqliteMemory
from perfmon_sql.sqlite_read_only import SqliteReading

if TYPE_CHECKING:
    from perfmon_sql.database import Database

FORMS = "memory:, sqlite:///path, postgresql://user:password@host:port/name"


def open_database(url: str, *, read_only: bool = False) -> Database:
    """The database at a URL that `open_storage` accepts, its schema up to date."""
    database = _database(url, read_only=read_only)
    try:
        database.upgrade()
    except BaseException:
        database.close()
        raise
    return database


def _database(url: str, *, read_only: bool) -> Database:
    if url.startswith("memory:"):
        return SqliteMemory()
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError):
        # The URL itself is not shown: what cannot be read may hold a password anywhere.
        raise StorageError(f"storage: not a valid URL; allowed: {FORMS}") from None
    if parsed.get_backend_name() == "postgresql":
        return Postgres(parsed, read_only=read_only)
    if parsed.query or parsed.host:
        raise StorageError(f"storage: a SQLite URL takes no host or options; allowed: {FORMS}")
    if parsed.database == "":
        raise StorageError(f"storage: the SQLite URL has no file name; allowed: {FORMS}")
    if parsed.database in (None, ":memory:"):
        return SqliteMemory()
    path = Path(str(parsed.database))
    return SqliteReading(path) if read_only else SqliteFile(path)
