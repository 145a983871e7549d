"""Alerts are found by the model and the agent type they are about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("model", "agent_type"):
        op.add_column("alerts", sa.Column(name, sa.Text))
        is_sqlite = op.get_bind().dialect.name == "sqlite"
        found = f"json_extract(body, '$.{name}')" if is_sqlite else f"body::json ->> '{name}'"
        op.execute(f"UPDATE alerts SET {name} = {found}")
