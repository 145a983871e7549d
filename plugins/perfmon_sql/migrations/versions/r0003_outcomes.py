"""Predictions that wait, outcomes that are told, and what became of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = (
    ("measurements_task", ["task_id"], "state > 3"),
    ("measurements_open", ["state", "at"], "state IN (2, 4, 6, 10)"),
)


def upgrade() -> None:
    for column in (
        sa.Column("state", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("correct", sa.Double),
        sa.Column("note", sa.Text),
        sa.Column("scoring_cost", sa.Double),
    ):
        op.add_column("measurements", column)
    op.add_column("cells", sa.Column("outcomes", sa.LargeBinary))
    for name, columns, condition in INDEXES:
        op.create_index(
            name,
            "measurements",
            columns,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
