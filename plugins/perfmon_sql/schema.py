"""The current tables; the migrations show how they came to be."""

from __future__ import annotations

import sqlalchemy as sa

HEAD = "0012"
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
    sa.Column("api_calls", sa.Integer),
    sa.Column("retries", sa.Integer),
    sa.Column("timed_out", sa.Boolean, nullable=False),
    sa.Column("error_type", sa.Text),
    sa.Column("task_id", sa.Text),
    sa.Column("metadata", sa.Text),
    sa.Column("added", sa.BigInteger),
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
    sa.Column("state", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("correct", sa.Double),
    sa.Column("note", sa.Text),
    sa.Column("scoring_cost", sa.Double),
    sa.Column("round", sa.Integer),
    sa.Column("prediction_id", sa.Text),
    sa.Column("stamped", sa.SmallInteger, nullable=False, server_default="0"),
    sa.UniqueConstraint("measurement_id", name="measurements_measurement_id"),
)

# Only what waits, was told or was joined is looked for by its task, and only what a part of the
# work is still open of by its state.
for name, columns, condition in (
    ("measurements_task", [measurements.c.task_id], "state > 3"),
    ("measurements_open", [measurements.c.state, measurements.c.at], "state IN (2, 4, 6, 10)"),
):
    sa.Index(name, *columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))

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
    sa.Column("outcomes", sa.LargeBinary),
    sa.UniqueConstraint("slice_start", "key_id", "writer", name="cells_slice"),
)

# What became of each writer's last batches: a commit may succeed and its answer be lost.
commits = sa.Table(
    "commits",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),  # the batch's
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("token", name="commits_token"),
)

# Runs that came under known ids with other content.
conflicts = sa.Table(
    "conflicts",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("agent_name", sa.Text, nullable=False),
    sa.Column("hour", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sa.Column("last_at", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),  # of the last one, as the next
    sa.Column("fields", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant", "agent_name", "hour", name="conflicts_agent"),
)
sa.Index("conflicts_hour", conflicts.c.hour)

# What each transaction put in, for the other processes that share the storage.
arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("writer", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.Text, nullable=False),  # the first and last of ids, as JSON
    sa.Column("measurements", sa.Text, nullable=False),
    sa.Column("amended", sa.Text, nullable=False),  # minutes, as JSON
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("agent_name", sa.Text),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("body", sa.Text, nullable=False),  # the whole alert as JSON
    sa.Column("model", sa.Text),
    sa.Column("agent_type", sa.Text),
    sa.UniqueConstraint("alert_id", name="alerts_alert_id"),
)

alert_state = sa.Table(
    "alert_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # 1: there is one row
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", RowId, primary_key=True),  # in the order in which they were decided
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("sink", sa.Text, nullable=False),
    sa.Column("message_group", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("waits", sa.Integer, nullable=False),  # for how many that go before it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("tried_at", sa.BigInteger),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("body", sa.Text, nullable=False),  # the whole message as JSON
    sa.UniqueConstraint("message_id", name="outbox_message_id"),
)

# Which episodes a message is about.
outbox_alerts = sa.Table(
    "outbox_alerts",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("outbox_id", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("alert_id", "outbox_id", name="outbox_alerts_alert"),
)

# Which messages that wait go before which.
outbox_order = sa.Table(
    "outbox_order",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("before_id", sa.BigInteger, nullable=False),
    sa.Column("after_id", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("before_id", "after_id", name="outbox_order_before"),
)

sa.Index("alerts_started", alerts.c.started_at, alerts.c.id)
sa.Index("alerts_resolved", alerts.c.resolved_at)
sa.Index("outbox_closed", outbox.c.closed_at)
sa.Index("outbox_alerts_outbox", outbox_alerts.c.outbox_id)
_OPEN, _WAITING = sa.text("resolved_at IS NULL"), sa.text("closed_at IS NULL")
sa.Index("alerts_open", alerts.c.started_at, sqlite_where=_OPEN, postgresql_where=_OPEN)
sa.Index(
    "outbox_waiting",
    outbox.c.sink,
    outbox.c.message_group,
    outbox.c.id,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)

_NEXT = sa.text("closed_at IS NULL AND waits = 0")
sa.Index(
    "outbox_due",
    outbox.c.sink,
    outbox.c.due_at,
    outbox.c.id,
    sqlite_where=_NEXT,
    postgresql_where=_NEXT,
)

sinks = sa.Table(
    "sinks",
    metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("held_until", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("alert_id", sa.Text),
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("silence_id", sa.Text, nullable=False),
    sa.Column("matchers", sa.Text, nullable=False),
    sa.Column("starts_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.UniqueConstraint("silence_id", name="silences_silence_id"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("taken_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
)

runs_in_flight = sa.Table(
    "runs_in_flight",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("agent_name", sa.Text, primary_key=True),
    sa.Column("agent_type", sa.Text),
    sa.Column("metadata", sa.Text),
    sa.Column("started_at", sa.BigInteger, nullable=False),
)

notes = sa.Table(
    "notes",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
