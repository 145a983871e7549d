"""Alerts that last: episodes, the machine's state, messages to send, silences and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_ALERTS = sa.text("resolved_at IS NULL")
WAITING = sa.text("closed_at IS NULL")
NEXT = sa.text("closed_at IS NULL AND waits = 0")


def upgrade() -> None:
    op.drop_table("alerts")  # which nothing was ever written to
    _alerts()
    _outbox()
    _rest()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _micros(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("alert_id"),
        _text("level"),
        _text("state"),
        _text("tenant", nullable=True),
        _text("agent_name", nullable=True),
        _micros("started_at"),
        _micros("resolved_at", nullable=True),
        _text("acknowledged_by", nullable=True),
        _micros("acknowledged_at", nullable=True),
        _text("body"),
        sa.UniqueConstraint("alert_id", name="alerts_alert_id"),
    )
    op.create_index("alerts_started", "alerts", ["started_at", "id"])
    op.create_index(
        "alerts_open",
        "alerts",
        ["started_at"],
        sqlite_where=OPEN_ALERTS,
        postgresql_where=OPEN_ALERTS,
    )
    op.create_index("alerts_resolved", "alerts", ["resolved_at"])
    op.create_table(
        "alert_state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("message_id"),
        _text("sink"),
        _text("message_group"),
        _text("kind"),
        _text("state"),
        sa.Column("waits", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        _micros("created_at"),
        _micros("tried_at", nullable=True),
        _micros("due_at"),
        _micros("closed_at", nullable=True),
        _text("error", nullable=True),
        _text("body"),
        sa.UniqueConstraint("message_id", name="outbox_message_id"),
    )
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["sink", "message_group", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "outbox_due",
        "outbox",
        ["sink", "due_at", "id"],
        sqlite_where=NEXT,
        postgresql_where=NEXT,
    )
    op.create_index("outbox_closed", "outbox", ["closed_at"])
    op.create_table(
        "outbox_alerts",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("alert_id"),
        sa.Column("outbox_id", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("alert_id", "outbox_id", name="outbox_alerts_alert"),
    )
    op.create_index("outbox_alerts_outbox", "outbox_alerts", ["outbox_id"])
    op.create_table(
        "outbox_order",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("before_id", sa.BigInteger, nullable=False),
        sa.Column("after_id", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("before_id", "after_id", name="outbox_order_before"),
    )


def _rest() -> None:
    op.create_table(
        "sinks",
        sa.Column("sink", sa.Text, primary_key=True),
        _micros("held_until"),
        _text("reason", nullable=True),
        _text("alert_id", nullable=True),
    )
    op.create_table(
        "silences",
        sa.Column("id", ROW_ID, primary_key=True),
        _text("silence_id"),
        _text("matchers"),
        _micros("starts_at"),
        _micros("ends_at"),
        _text("author"),
        _text("comment"),
        sa.UniqueConstraint("silence_id", name="silences_silence_id"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        _text("owner"),
        _micros("taken_at"),
        _micros("ends_at"),
    )
