"""Seeded runs: heavy-tailed latencies and costs, some failures, 50 agents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

# The thirteen fields of `record_agent_run` that may be given by position, in their order.
FIELDS = (
    "run_id", "agent_name", "agent_type", "status", "duration_ms", "tokens_used", "cost",
    "memory_mb", "cpu_ms", "quality_score", "confidence", "error_type", "metadata",
)  # fmt: skip
AGENTS = 50
_KINDS = ("react", "evaluator", "planner")
_TASKS = tuple({"task_type": name} for name in ("search", "summary", "invoice", "triage"))
Row = tuple[Any, ...]


def thirteen(count: int, prefix: str, seed: int = 1) -> list[Row]:
    """Runs in the order of `FIELDS`, with run ids that begin with `prefix`."""
    chance = random.Random(seed)
    return [_run(f"{prefix}-{place:08x}", chance, 1) for place in range(count)]


def _run(run_id: str, chance: random.Random, kinds: int) -> Row:
    agent = chance.randrange(AGENTS)
    failed = chance.random() < 0.05
    return (
        run_id,
        f"agent-{agent:02d}",
        _KINDS[agent % 3],
        "failure" if failed else "success",
        chance.lognormvariate(6.5, 1.2),
        chance.randrange(50, 8000),
        chance.lognormvariate(-5, 1.5),
        80.0 + chance.expovariate(0.02),
        chance.expovariate(0.01),
        round(chance.betavariate(8, 2), 3),
        chance.random(),
        "TimeoutError" if failed else None,
        _TASKS[(agent + chance.randrange(kinds)) % len(_TASKS)],
    )


def batches(
    count: int, since: float, span: float, prefix: str, *, size: int = 2_000, kinds: int = 1
) -> Iterator[list[dict[str, Any]]]:
    """Runs as mappings, in order of time over `span` seconds from `since` (epoch seconds).

    Each agent has one model and one task type, or with `kinds` that many of each.
    """
    chance = random.Random(2)
    some = [dict(zip(FIELDS, _run("", chance, kinds), strict=True)) for _ in range(10_000)]
    models = [{"model": f"model-{chance.randrange(kinds)}"} for _ in some]
    for start in range(0, count, size):
        yield [
            {
                **some[place % 10_000],
                **models[place % 10_000],
                "run_id": f"{prefix}-{place:08x}",
                "timestamp": since + span * place / count,
            }
            for place in range(start, min(start + size, count))
        ]
