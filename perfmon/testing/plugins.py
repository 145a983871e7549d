"""Checks that every plugin must pass, as functions for a plugin's author."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from perfmon.plugins.bus import Bus
from perfmon.records import Score

OUTCOMES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, 10**400, -(10**400), 1e308, "", "approve", "Approve it!",
    "\ud800", "0", [], [1], [1, [1, {"a": None}]], [{"a": 1}, {"a": 1}], {}, {"a": 1},
    {"A": "x", "b": [1, 2]}, {"": {"": {"": None}}},
)  # fmt: skip


def check_plugin(plugin: object, name: str = "plugin") -> list[str]:
    """Register a plugin on a bus of its own; returns the hooks it implements.

    Raises:
        PluginError: a hook of it does not exist, or takes an argument the hook does not have.
        AssertionError: it implements no hook.
    """
    hooks = Bus().register(plugin, name)
    assert hooks, f"{name} implements no hook; mark its functions with @hookimpl"
    return hooks


def check_scorer(score: Callable[..., float | Score | None]) -> None:
    """Ask a `score_outcome` implementation about outcomes of every kind.

    Raises:
        AssertionError: an answer is neither None nor a number (or `Score`) in [0, 1], or
            two answers to one question differ.
    """
    for predicted in (*OUTCOMES, _deep(3_000)):
        for actual in (*OUTCOMES, _deep(3_000)):
            shown = f"score_outcome({_shown(predicted)}, {_shown(actual)})"
            answer = score(predicted=predicted, actual=actual)
            if answer is None:
                continue
            given, answer = answer, answer.value if isinstance(answer, Score) else answer
            assert isinstance(answer, (int, float)), f"{shown} answered {answer!r}"
            assert not isinstance(answer, bool), f"{shown} answered {answer!r}"
            assert not math.isnan(answer), f"{shown} answered NaN"
            assert 0 <= answer <= 1, f"{shown} answered {answer!r}"
            assert score(predicted=predicted, actual=actual) == given, f"{shown} changes"


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
