"""A report over 30 days of history, from SQLite and from PostgreSQL.

The rows go straight into storage in order of time, as years of recording would have left them, and
a fresh monitor reports. The yardstick is the plain question to the same database: counts, means
and sums by agent, from the raw rows.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.meters import seconds
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon import Batch, Config, PerformanceMonitor
from perfmon.testing import make_rows

DAY = 86_400
DAYS = 30
_BATCH = 8_000
_KINDS = 50
POSTGRES = os.environ.get("PERFMON_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
_BY_AGENT = (
    "SELECT agent_id, count(*), sum(CASE status WHEN 0 THEN 1 ELSE 0 END), avg(duration_ms), "
    "max(duration_ms), sum(tokens_used), sum(cost) FROM runs GROUP BY agent_id"
)
Ask = Callable[[], Any]


def measure(bench: Bench) -> Iterator[Figure]:
    path = bench.folder / "history.db"
    with closing(sqlite3.connect(path)) as database:
        yield from _history(
            bench, "SQLite", f"sqlite:///{path}", lambda: database.execute(_BY_AGENT).fetchall()
        )
    try:
        with _own_database() as (url, ask):
            yield from _history(bench, "PostgreSQL", url, ask)
    except ConnectionError as problem:
        bench.say(f"PostgreSQL left out: {problem}")


def _history(bench: Bench, engine: str, url: str, ask: Ask) -> Iterator[Figure]:
    count = bench.size(100_000, 2_000_000)
    until = time.time()
    with _monitor(url) as monitor:
        _fill(bench, engine, monitor, count, until)
    with _monitor(url) as monitor:
        since = until - DAYS * DAY

        def report() -> Any:
            return monitor.generate_report(since=since, until=until)

        first = seconds(report)
        again = statistics.median(seconds(report) for _ in range(bench.size(3, 7)))
        found = report()["system_metrics"]["total_tasks"]
    raw = statistics.median(seconds(ask) for _ in range(3))
    plain = f"{engine}, sums by agent from raw rows"
    name = f"{engine}, report over {count:,} runs"
    yield Figure(f"{name}: first", first, "s", 1, yardstick=plain, beside=raw)
    yield Figure(f"{name}: again", again, "s", 1, yardstick=plain, beside=raw)
    yield Figure(f"{name}: runs it has not found", count - found, "runs", 0)


@contextmanager
def _monitor(url: str) -> Iterator[PerformanceMonitor]:
    """One with nothing in memory and nothing in the background."""
    settings = {"storage": url, "durability": "memory"}
    monitor = PerformanceMonitor(Config.from_mapping({"monitor": settings}))
    try:
        yield monitor
    finally:
        monitor.stop()


def _fill(bench: Bench, engine: str, monitor: PerformanceMonitor, count: int, until: float) -> None:
    since, span = round((until - DAYS * DAY) * 1e6), DAYS * DAY * 1_000_000
    some = [(row[1:6], row[7:]) for row in _fifty_kinds()]
    starts = range(0, count, _BATCH)
    for start in bench.track(f"history, {engine}", starts):
        rows = [
            (f"run-{place:08x}", *keys, since + span * place // count, *numbers)
            for place in range(start, min(start + _BATCH, count))
            for keys, numbers in (some[place % len(some)],)
        ]
        monitor.storage.store(Batch(rows, [], monitor.vocabulary))


def _fifty_kinds() -> list[tuple[Any, ...]]:
    """Rows of 50 agents, each with its one type, model and task type."""
    rows = make_rows(10_000, agents=_KINDS)
    kinds = {row[2]: row[1:6] for row in rows}
    return [(row[0], *kinds[row[2]], *row[6:]) for row in rows]


@contextmanager
def _own_database() -> Iterator[tuple[str, Ask]]:
    """A new database on the server, dropped afterwards; `ConnectionError` where none answers."""
    try:
        import psycopg
    except ImportError:
        raise ConnectionError("psycopg is not installed") from None
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as problem:
        raise ConnectionError(str(problem).splitlines()[0]) from None
    name = f"perfmon_benchmark_{os.getpid()}"
    with server:
        server.execute(f'CREATE DATABASE "{name}"')
        url = f"{POSTGRES.rpartition('/')[0]}/{name}"
        try:
            with psycopg.connect(url, autocommit=True) as database:
                yield url, lambda: database.execute(_BY_AGENT).fetchall()
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    run_alone("history", measure)
