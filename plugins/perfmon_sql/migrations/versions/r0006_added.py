"""What perfmon and plugins added to a run, so that a repeat is told from other content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL stands for runs of which nobody noted it.
    op.add_column("runs", sa.Column("added", sa.BigInteger))
