"""What others take for the same run: the things people use today."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

Record = Callable[..., None]
SPAN = "OpenTelemetry span"
COUNTERS = "prometheus_client, 5 updates"
LOG_LINE = "structlog JSON line"
COMMIT = "SQLite commit a run"


@contextmanager
def all_of_them(folder: Path) -> Iterator[dict[str, Record]]:
    """Each yardstick by name: a function of the thirteen fields."""
    with ExitStack() as stack:
        lines = stack.enter_context((folder / "lines.json").open("w"))
        yield {
            SPAN: stack.enter_context(spans()),
            COUNTERS: counters(),
            LOG_LINE: log_lines(lines),
            COMMIT: stack.enter_context(commits(folder / "commits.db")),
        }


@contextmanager
def spans(exported: list[int] | None = None) -> Iterator[Record]:
    """A span with twelve attributes and a batch processor whose exporter only counts."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    counted = [0] if exported is None else exported

    class Nowhere(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            counted[0] += len(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("yardstick")

    def record(
        run_id: str, agent_name: str, agent_type: str, status: str, duration_ms: float,
        tokens_used: int, cost: float, memory_mb: float, cpu_ms: float, quality_score: float,
        confidence: float, error_type: str | None, metadata: dict[str, str],
    ) -> None:  # fmt: skip
        with tracer.start_as_current_span("run") as span:
            span.set_attributes(
                {
                    "run.id": run_id,
                    "gen_ai.agent.name": agent_name,
                    "gen_ai.agent.type": agent_type,
                    "run.status": status,
                    "run.duration_ms": duration_ms,
                    "gen_ai.usage.tokens": tokens_used,
                    "run.cost": cost,
                    "run.memory_mb": memory_mb,
                    "run.cpu_ms": cpu_ms,
                    "run.quality_score": quality_score,
                    "run.confidence": confidence,
                    "run.task_type": metadata["task_type"],
                }
            )

    try:
        yield record
    finally:
        provider.shutdown()


def counters() -> Record:
    """Two counters with labels of two, two sums and a histogram."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    runs = Counter("runs", "Runs.", ["agent", "status"], registry=registry)
    errors = Counter("errors", "Errors.", ["agent", "error"], registry=registry)
    tokens = Counter("tokens", "Tokens.", ["agent"], registry=registry)
    cost = Counter("cost", "Dollars.", ["agent"], registry=registry)
    latency = Histogram("latency", "Seconds.", ["agent"], registry=registry)

    def record(
        run_id: str, agent_name: str, agent_type: str, status: str, duration_ms: float,
        tokens_used: int, run_cost: float, memory_mb: float, cpu_ms: float, quality_score: float,
        confidence: float, error_type: str | None, metadata: dict[str, str],
    ) -> None:  # fmt: skip
        runs.labels(agent_name, status).inc()
        errors.labels(agent_name, error_type or "none").inc()
        tokens.labels(agent_name).inc(tokens_used)
        cost.labels(agent_name).inc(run_cost)
        latency.labels(agent_name).observe(duration_ms / 1000)

    return record


def log_lines(file: TextIO) -> Record:
    """A line of JSON in a file."""
    import structlog

    logger = structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )

    def record(
        run_id: str, agent_name: str, agent_type: str, status: str, duration_ms: float,
        tokens_used: int, cost: float, memory_mb: float, cpu_ms: float, quality_score: float,
        confidence: float, error_type: str | None, metadata: dict[str, str],
    ) -> None:  # fmt: skip
        logger.info(
            "run", run_id=run_id, agent_name=agent_name, agent_type=agent_type, status=status,
            duration_ms=duration_ms, tokens_used=tokens_used, cost=cost, memory_mb=memory_mb,
            cpu_ms=cpu_ms, quality_score=quality_score, confidence=confidence,
            error_type=error_type, metadata=metadata,
        )  # fmt: skip

    return record


_COLUMNS = (
    "run_id TEXT, agent_name TEXT, agent_type TEXT, status TEXT, duration_ms REAL, "
    "tokens_used REAL, cost REAL, memory_mb REAL, cpu_ms REAL, quality_score REAL, "
    "confidence REAL, error_type TEXT, metadata TEXT"
)
INSERT = f"INSERT INTO runs VALUES ({', '.join('?' * 13)})"


def plain_database(path: Path) -> sqlite3.Connection:
    """A table of the thirteen fields with one index, WAL, synchronous NORMAL."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"CREATE TABLE runs ({_COLUMNS})")
    database.execute("CREATE INDEX runs_of ON runs (agent_name, run_id)")
    return database


@contextmanager
def commits(path: Path) -> Iterator[Record]:
    """A row and its commit, by the standard library alone."""
    database = plain_database(path)

    def record(*fields: Any) -> None:
        database.execute(INSERT, (*fields[:12], fields[12]["task_type"]))

    try:
        yield record
    finally:
        database.close()
