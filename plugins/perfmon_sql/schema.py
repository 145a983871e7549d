"""The tables as they are now; how they came to be is told by the migrations."""

from __future__ import annotations

import sqlalchemy as sa

HEAD = "0002"
VERSION_TABLE = "perfmon_schema"  # not Alembic's own name: the database may be another's, too

metadata = sa.MetaData()

# SQLite numbers rows by itself only in a column of exactly the type INTEGER.
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("agent_type", sa.Text),
    sa.Column("last_run", sa.BigInteger),
    sa.UniqueConstraint("tenant", "name", name="agents_name"),
)

# No name may be empty, so that '' stands for none: two NULLs would both pass a unique index.
cell_keys = sa.Table(
    "cell_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("agent_id", sa.Integer, nullable=False),
    sa.Column("agent_type", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("task_type", sa.Text, nullable=False),
    sa.UniqueConstraint("agent_id", "agent_type", "model", "task_type", name="cell_keys_key"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("agent_id", sa.Integer, nullable=False),
    sa.Column("key_id", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("duration_ms", sa.Double),
    sa.Column("tokens_used", sa.Double),
    sa.Column("input_tokens", sa.Double),
    sa.Column("output_tokens", sa.Double),
    sa.Column("cached_tokens", sa.Double),
    sa.Column("cost", sa.Double),
    sa.Column("memory_mb", sa.Double),
    sa.Column("cpu_ms", sa.Double),
    sa.Column("quality_score", sa.Double),
    sa.Column("confidence", sa.Double),
    sa.Column("api_calls", sa.Integer, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("timed_out", sa.Boolean, nullable=False),
    sa.Column("error_type", sa.Text),
    sa.Column("task_id", sa.Text),
    sa.Column("metadata", sa.Text),
    sa.UniqueConstraint("run_id", "agent_id", name="runs_run_id"),
)

measurements = sa.Table(
    "measurements",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("measurement_id", sa.Text, nullable=False),
    sa.Column("agent_id", sa.Integer, nullable=False),
    sa.Column("key_id", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("task_id", sa.Text, nullable=False),
    sa.Column("predicted_outcome", sa.Text, nullable=False),
    sa.Column("actual_outcome", sa.Text, nullable=False),
    sa.Column("accuracy_score", sa.Double, nullable=False),
    sa.Column("feedback_source", sa.Text, nullable=False),
    sa.Column("scorer", sa.Text),
    sa.Column("confidence", sa.Double),
    sa.Column("metadata", sa.Text),
    sa.UniqueConstraint("measurement_id", name="measurements_measurement_id"),
)

# SQLite's indexes end with the row's number anyway.
for table in (runs, measurements):
    sa.Index(f"{table.name}_at", table.c.at).ddl_if(dialect="sqlite")
    sa.Index(f"{table.name}_at_id", table.c.at, table.c.id).ddl_if(dialect="postgresql")

# Not WITHOUT ROWID: there a row over a kilobyte spills into a page of its own.
cells = sa.Table(
    "cells",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("slice_start", sa.BigInteger, nullable=False),
    sa.Column("key_id", sa.Integer, nullable=False),
    sa.Column("writer", sa.BigInteger, nullable=False),
    sa.Column("stats", sa.LargeBinary, nullable=False),
    sa.Column("sketch", sa.LargeBinary, nullable=False),
    sa.Column("errors", sa.LargeBinary),
    sa.UniqueConstraint("slice_start", "key_id", "writer", name="cells_slice"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("metric_type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("agent_name", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("current_value", sa.Double),
    sa.Column("threshold", sa.Double),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("details", sa.Text),
)
