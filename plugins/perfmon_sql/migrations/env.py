"""Alembic runs this for every upgrade; the connection and its transaction are the caller's."""

from __future__ import annotations

from alembic import context
from perfmon_sql.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
