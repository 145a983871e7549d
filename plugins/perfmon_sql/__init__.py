"""Storage in SQL: SQLite in a file or in memory, and PostgreSQL by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon import hookimpl

if TYPE_CHECKING:
    from perfmon import Config
    from perfmon_sql.storage import SqlStorage

__all__ = ["SqlPlugin", "open_storage"]


class SqlPlugin:
    """Opens `memory:`, `sqlite:///path` and `postgresql://user@host/name`."""

    def __init__(self, config: Config | None = None) -> None:
        del config  # the URL says everything

    @hookimpl
    def open_storage(self, url: str) -> SqlStorage | None:
        return open_storage(url)

    @hookimpl
    def read_storage(self, url: str) -> SqlStorage | None:
        return open_storage(url, read_only=True)


def open_storage(url: str, *, read_only: bool = False) -> SqlStorage | None:
    """The storage at this URL, its schema brought up to date; None for another scheme.

    Read only, it has to be there and up to date already, and stays exactly as it is.

    Raises:
        StorageError: the database cannot be reached, read or brought up to date.
        PluginError: the driver of the database is not installed.
    """
    scheme = url.partition(":")[0].partition("+")[0].lower()
    if scheme not in ("memory", "sqlite", "postgresql", "postgres"):
        return None
    # SQLAlchemy takes a third of a second to import, and most of perfmon does without it.
    from perfmon_sql.storage import SqlStorage
    from perfmon_sql.urls import open_database

    return SqlStorage(open_database(url, read_only=read_only))
