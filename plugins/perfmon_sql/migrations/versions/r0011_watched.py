"""What is under way, and small notes such as what was last seen of whom, through restarts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs_in_flight",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("agent_name", sa.Text, primary_key=True),
        sa.Column("agent_type", sa.Text),
        sa.Column("metadata", sa.Text),
        sa.Column("started_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notes",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
