"""Calls and retries that nobody told are unknown, not 1 and 0; old runs keep what they have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = ("api_calls", "retries")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for name in COLUMNS:
            op.alter_column("runs", name, nullable=True)
        return
    # SQLite can only make the table anew, and not while a view looks at it.
    view = sa.text("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'runs_named'")
    found = connection.execute(view).scalar_one()
    connection.exec_driver_sql("DROP VIEW runs_named")
    with op.batch_alter_table("runs", recreate="always") as table:
        for name in COLUMNS:
            table.alter_column(name, existing_type=sa.Integer, nullable=True)
    connection.exec_driver_sql(found)
