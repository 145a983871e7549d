"""Rows to store, the same for the same seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from perfmon.records.content import RUN_ROW
from perfmon.window.cells import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfmon.storage.storage import Row

START_US = 1_767_225_600_000_000  # 2026-01-01


def make_rows(
    count: int,
    seed: int = 0,
    *,
    start: int = START_US,
    span: int = 6 * HOUR,
    agents: int = 4,
    tenants: Sequence[str] = ("default",),
) -> list[Row]:
    """Runs in the order of `RUN_ROW`: heavy-tailed latencies and costs, gaps, failures.

    They are in order of time over `span` microseconds from `start`; the same seed makes the same.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return [
        _run_row(f"run-{seed}-{place:08x}", start + place * span // count, chance, agents, tenants)
        for place in range(count)
    ]


def _run_row(
    run_id: str, at: int, chance: random.Random, agents: int, tenants: Sequence[str]
) -> Row:
    failed = chance.random() < 0.1
    tokens = (chance.randrange(50, 6000), chance.randrange(1, 2000))
    task = chance.choice((None, "search", "summary"))
    return (
        run_id,
        chance.choice(tenants),
        f"agent-{chance.randrange(agents)}",
        chance.choice(("react", "evaluator")),
        chance.choice((None, "large", "small")),
        task,
        at,
        1 if failed else chance.choices((0, 2), (0.95, 0.05))[0],
        None if chance.random() < 0.05 else chance.lognormvariate(6.5, 1.2),
        sum(tokens),
        *tokens,
        chance.choice((None, 0, 100)),
        chance.lognormvariate(-5, 1.5),
        chance.choice((None, 80.0 + chance.expovariate(0.02))),
        chance.choice((None, 0, chance.expovariate(0.01))),
        chance.choice((None, round(chance.betavariate(8, 2), 3))),
        chance.choice((None, chance.random())),
        chance.choice((None, 0, 1, 2, 4)),
        chance.choices((None, 0, 1, 3), (0.2, 0.7, 0.08, 0.02))[0],
        failed and chance.random() < 0.3,
        chance.choice(("TimeoutError", "ValueError", "RateLimitError")) if failed else None,
        chance.choice((None, f"task-{chance.randrange(100)}")),
        None if task is None else f'{{"task_type":"{task}"}}',
        0,
    )


def make_measurements(
    count: int, seed: int = 0, *, start: int = START_US, span: int = 6 * HOUR, agents: int = 4
) -> list[Row]:
    """Measurements in the order of `MEASUREMENT_FIELDS`, in order of time."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return [
        (
            f"measurement-{seed}-{place:08x}",
            "default",
            f"agent-{chance.randrange(agents)}",
            None,
            chance.choice((None, "large", "small")),
            None,
            start + place * span // count,
            f"task-{place}",
            str(chance.randrange(10)),
            '{"text":"it\'s","n":[1,null]}',
            round(chance.random(), 3),
            "user",
            chance.choice((None, "numbers")),
            chance.choice((None, 0.5)),
            chance.choice((None, '{"a":1}')),
            0,
            chance.choice((None, 1.0)),
            chance.choice((None, "because")),
            chance.choice((None, 0.001)),
            None,
            None,
            0,
        )
        for place in range(count)
    ]


def run_row(run_id: str = "r1", **fields: Any) -> Row:
    """A run of ordinary values but for the given fields."""
    ordinary: dict[str, Any] = dict.fromkeys(RUN_ROW)
    ordinary |= {"run_id": run_id, "tenant": "default", "agent_name": "agent", "status": 0}
    ordinary |= {
        "timestamp": START_US,
        "timed_out": False,
        "added": 0,
    }
    return tuple((ordinary | fields)[name] for name in RUN_ROW)
