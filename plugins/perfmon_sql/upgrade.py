"""The schema: created and upgraded by migrations, which keep every row."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from perfmon import StorageError
from perfmon_sql.schema import HEAD, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()  # Alembic's own state is global


def upgrade(connection: sa.Connection, shown: str, target: str = HEAD) -> None:
    """Bring the schema to `target` within the connection's transaction; `shown` is its URL.

    Raises:
        StorageError: it is of a later version than this one knows.
    """
    if connection.dialect.name == "postgresql":
        # Several monitors may meet a fresh database at once; SQLite lets in one writer anyway.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7205759403792794)")
    version = current(connection)
    if version == target:
        return
    import alembic.command

    config = _alembic()
    if version is not None:
        _check_known(version, config, shown)
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        alembic.command.upgrade(config, target)


def check_version(connection: sa.Connection, shown: str) -> None:
    """For who must change nothing: `StorageError` where the schema is not today's, and why."""
    version = current(connection)
    if version is None:
        raise StorageError(f"{shown}: not a perfmon database")
    if version != HEAD:
        _check_known(version, _alembic(), shown)
        raise StorageError(
            f"{shown}: its schema has version {version}, older than {HEAD}; a monitor that "
            "starts on it (perfmon serve, or your program) upgrades it"
        )


def current(connection: sa.Connection) -> str | None:
    """The schema's version, or None in a fresh database."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return None if found is None else str(found)


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _check_known(version: str, config: Config, shown: str) -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(config)
    if version not in {revision.revision for revision in script.walk_revisions()}:
        raise StorageError(
            f"{shown}: its schema has version {version}, newer than {HEAD}, the newest known "
            "here; update perfmon"
        )
