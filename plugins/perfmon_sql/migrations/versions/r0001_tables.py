"""The tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RUN_NUMBERS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cached_tokens", "cost",
    "memory_mb", "cpu_ms", "quality_score", "confidence",
)  # fmt: skip


def upgrade() -> None:
    _names()
    _runs()
    _measurements()
    _cells()
    _alerts()
    for table in ("runs", "measurements"):
        if op.get_bind().dialect.name == "sqlite":
            op.create_index(f"{table}_at", table, ["at"])
        else:
            op.create_index(f"{table}_at_id", table, ["at", "id"])


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _place() -> list[sa.Column[int]]:
    """Whose row it is, and when."""
    return [
        sa.Column("agent_id", sa.Integer, nullable=False),
        sa.Column("key_id", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    ]


def _names() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("tenant"),
        _text("name"),
        _text("agent_type", nullable=True),
        sa.Column("last_run", sa.BigInteger),
        sa.UniqueConstraint("tenant", "name", name="agents_name"),
    )
    op.create_table(
        "cell_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("agent_id", sa.Integer, nullable=False),
        _text("agent_type"),
        _text("model"),
        _text("task_type"),
        sa.UniqueConstraint("agent_id", "agent_type", "model", "task_type", name="cell_keys_key"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("run_id"),
        *_place(),
        sa.Column("status", sa.SmallInteger, nullable=False),
        *(sa.Column(name, sa.Double) for name in RUN_NUMBERS),
        sa.Column("api_calls", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("timed_out", sa.Boolean, nullable=False),
        _text("error_type", nullable=True),
        _text("task_id", nullable=True),
        _text("metadata", nullable=True),
        sa.UniqueConstraint("run_id", "agent_id", name="runs_run_id"),
    )


def _measurements() -> None:
    op.create_table(
        "measurements",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("measurement_id"),
        *_place(),
        _text("task_id"),
        _text("predicted_outcome"),
        _text("actual_outcome"),
        sa.Column("accuracy_score", sa.Double, nullable=False),
        _text("feedback_source"),
        _text("scorer", nullable=True),
        sa.Column("confidence", sa.Double),
        _text("metadata", nullable=True),
        sa.UniqueConstraint("measurement_id", name="measurements_measurement_id"),
    )


def _cells() -> None:
    op.create_table(
        "cells",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("slice_start", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Integer, nullable=False),
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("stats", sa.LargeBinary, nullable=False),
        sa.Column("sketch", sa.LargeBinary, nullable=False),
        sa.Column("errors", sa.LargeBinary),
        sa.UniqueConstraint("slice_start", "key_id", "writer", name="cells_slice"),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        _text("level"),
        _text("metric_type"),
        _text("state"),
        _text("tenant", nullable=True),
        _text("agent_name", nullable=True),
        _text("message"),
        sa.Column("current_value", sa.Double),
        sa.Column("threshold", sa.Double),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        _text("details", nullable=True),
    )
