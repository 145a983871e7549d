"""Fields that plugins add to runs: error classes and prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perfmon.plugins.bus import Bus
from perfmon.records import STATUSES, AgentRun
from perfmon.records.content import with_answer
from perfmon.records.measurements import Row
from perfmon.records.validation import RUN_FIELDS, amount, error_text

_PLUGIN_DEADLINE = 2.0
_ERROR = RUN_FIELDS.index("error_type")
_COST = RUN_FIELDS.index("cost")
_STATUS = RUN_FIELDS.index("status")
_SUCCESS = STATUSES.index("success")
_COMPLETED: tuple[tuple[str, int, Callable[[Any], Any]], ...] = (
    ("classify_error", _ERROR, lambda answer: error_text("error_type", answer)),
    ("price_run", _COST, lambda answer: amount("cost", answer)),
)


def completed(bus: Bus, runs: Sequence[Row]) -> Sequence[Row]:
    """Let plugins name error classes and prices, where somebody does."""
    rows = runs
    for hook, place, check in _COMPLETED:
        if not bus.implementations(hook):
            continue
        asked = [
            n
            for n, row in enumerate(rows)
            if (row[_COST] is None if place == _COST else row[_STATUS] != _SUCCESS)
        ]
        items = [AgentRun.from_row(rows[n]) for n in asked]
        answers = bus.ask_guarded(hook, _PLUGIN_DEADLINE, items, check=check)
        rows = _filled(list(rows), place, asked, answers)
    return rows


def _filled(rows: list[Row], place: int, asked: list[int], answers: Sequence[Any]) -> list[Row]:
    for n, answer in zip(asked, answers, strict=True):
        if answer is not None:
            rows[n] = with_answer(rows[n], place, answer)
    return rows
