"""What is checked of a run that is given in part, against the check of a whole one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from perfmon.errors import InvalidRun
from perfmon.records.validation import RUN_FIELDS, check_given, checked_run

NEEDED = {"run_id": "r", "agent_name": "a", "status": "success"}
VALUES: tuple[Any, ...] = (
    None, "", " ", "text", "x" * 600, "\0", "success", 0, 1, -1, 0.5, 2.5, 1e16, float("nan"),
    float("inf"), True, {}, {"task_type": 3}, {"task_type": "\0"}, [], 1_790_000_000.0, 2024,
    "2026-01-02", "2026-01-02T00:00:00+00:00",
)  # fmt: skip


def refused(check: Any, fields: dict[str, Any]) -> bool:
    try:
        check(fields)
    except InvalidRun:
        return True
    return False


@pytest.mark.parametrize("name", RUN_FIELDS)
def test_a_field_is_refused_by_both_or_neither(name: str) -> None:
    for value in VALUES:
        if value is None and name in NEEDED:
            continue
        fields = NEEDED | {name: value}
        assert refused(check_given, fields) == refused(lambda one: checked_run(one, None), fields)


@pytest.mark.parametrize("seed", range(50))
def test_several_fields_are_refused_by_both_or_neither(seed: int) -> None:
    chance = random.Random(seed)
    names = chance.sample([name for name in RUN_FIELDS if name not in NEEDED], 4)
    fields = NEEDED | {name: chance.choice(VALUES) for name in names}
    assert refused(check_given, fields) == refused(lambda one: checked_run(one, None), fields)
