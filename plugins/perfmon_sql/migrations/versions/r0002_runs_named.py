"""A view for people: runs with names instead of numbers, and times they can read."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENDED = {
    # Neither a double nor strftime carries microseconds exactly, so they are put in as text.
    "sqlite": """strftime('%Y-%m-%dT%H:%M:%S', (r.at - (r.at % 1000000 + 1000000) % 1000000)
        / 1000000, 'unixepoch') || printf('.%06dZ', (r.at % 1000000 + 1000000) % 1000000)""",
    "postgresql": """to_char(timestamp '1970-01-01' + r.at * interval '1 microsecond',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}


VIEW = """CREATE VIEW runs_named AS
    SELECT r.run_id, a.tenant, a.name AS agent_name, nullif(k.agent_type, '') AS agent_type,
        nullif(k.model, '') AS model, nullif(k.task_type, '') AS task_type, {ended} AS ended_at,
        CASE r.status WHEN 0 THEN 'success' WHEN 1 THEN 'failure' ELSE 'partial' END AS status,
        r.duration_ms, r.tokens_used, r.input_tokens, r.output_tokens, r.cached_tokens, r.cost,
        r.memory_mb, r.cpu_ms, r.quality_score, r.confidence, r.api_calls, r.retries,
        r.timed_out, r.error_type, r.task_id, r.metadata
    FROM runs r JOIN agents a ON a.id = r.agent_id JOIN cell_keys k ON k.id = r.key_id"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(VIEW.format(ended=ENDED[op.get_bind().dialect.name]))
