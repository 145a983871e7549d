"""Returns unused pages to the file system, a few at a time.

Only a file made with `auto_vacuum` can do so. An older one is copied once as a whole, which is when
it gets that: https://www.sqlite.org/pragma.html#pragma_auto_vacuum.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Any

STEP = 512  # pages in one transaction
_SHARE, _FEW = 0.05, 64  # this many unused pages stay for the next records
_COPIED_FROM = 0.25  # the share of unused pages from which on a copy is worth it
COPY_SECONDS = 5.0  # for which nobody else writes
_BYTES_A_SECOND = 30_000_000
_INCREMENTAL = 2

_log = logging.getLogger("perfmon")


class Pages:
    """How many pages a database has, and how many of them nothing is on."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self.all, self.free, self.size, mode = (
            int(driver.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size", "auto_vacuum")
        )
        self.can_shrink = mode == _INCREMENTAL

    @property
    def is_worth_it(self) -> bool:
        return self.free >= max(_FEW, (_SHARE if self.can_shrink else _COPIED_FROM) * self.all)

    @property
    def copy_seconds(self) -> float:
        """About how long a copy of what is kept takes."""
        return (self.all - self.free) * self.size / _BYTES_A_SECOND


def give_back(driver: sqlite3.Connection) -> None:
    """Some of them, in the transaction that is open."""
    driver.execute(f"PRAGMA incremental_vacuum({STEP})").fetchall()


def copy_once(driver: sqlite3.Connection, shown: str) -> None:
    """Copy the whole of it within itself, from when on it can shrink; not for too long."""
    until = time.monotonic() + COPY_SECONDS
    driver.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        driver.execute("PRAGMA auto_vacuum=INCREMENTAL")
        driver.execute("VACUUM")
    except sqlite3.OperationalError as problem:
        _log.info("%s: unused pages stay in the file: %s", shown, problem)
    finally:
        driver.set_progress_handler(None, 0)


def driver_of(connection: Any) -> sqlite3.Connection:
    """sqlite3's own connection under one of SQLAlchemy's."""
    driver: sqlite3.Connection = connection.connection.dbapi_connection
    return driver
