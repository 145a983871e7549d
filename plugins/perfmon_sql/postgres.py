"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from perfmon import PluginError, StorageError, install_hint
from perfmon_sql.database import BUSY_SECONDS, READ_ONLY, Database
from perfmon_sql.upgrade import check_version

if TYPE_CHECKING:
    from collections.abc import Iterator


class Postgres(Database):
    """A PostgreSQL server."""

    kind = "postgresql"
    mark = "%s"

    def __init__(self, url: sa.URL, *, read_only: bool = False) -> None:
        self._read_only = read_only
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
                f"{install_hint(str(problem.name))}"
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

    def upgrade(self) -> None:
        if not self._read_only:
            super().upgrade()
            return
        with self.reading() as connection:
            check_version(connection, self.shown)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        if self._read_only:
            raise StorageError(f"{self.shown}: {READ_ONLY}")
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
