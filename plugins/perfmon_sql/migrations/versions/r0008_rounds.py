"""Rounds: which of an agent's predictions of a task a measurement is of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("round", sa.Integer),
        sa.Column("prediction_id", sa.Text),
        sa.Column("stamped", sa.SmallInteger, nullable=False, server_default="0"),
    ):
        op.add_column("measurements", column)
    # Until now an agent predicted a task once: what waits or was answered, and what came of it.
    op.execute("UPDATE measurements SET round = 1 WHERE state IN (4, 5, 8, 9, 10, 11, 12, 13)")
