"""The schema: made and brought up to date by the migrations, which keep every row."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from perfmon import StorageError
from perfmon_sql.schema import HEAD, VERSION_TABLE

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
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if version is not None and version not in _known(config):
        raise StorageError(
            f"{shown}: its schema has version {version}, newer than {HEAD}, the newest known "
            "here; update perfmon"
        )
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        alembic.command.upgrade(config, target)


def current(connection: sa.Connection) -> str | None:
    """The schema's version, or None in a fresh database."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return None if found is None else str(found)


def _known(config: object) -> set[str]:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(config)  # type: ignore[arg-type]
    return {revision.revision for revision in script.walk_revisions()}
