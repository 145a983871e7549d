"""The window with its lock inside: whoever asks sees all of a change, or nothing of it."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import numpy as np
import pytest

import perfmon
from perfmon.records import Scope
from perfmon.records.content import RUN_ROW, recorded_run
from perfmon.testing import START_US
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Stat, add_up
from perfmon.window.live import LiveWindow
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Window

NOW = START_US
CORE = Path(perfmon.__file__).parent


def row(number, at=NOW - 1):
    fields = {"run_id": f"r{number}", "agent_name": "a", "agent_type": "t", "status": "success"}
    made = recorded_run({**fields, "timestamp": at / 1e6}, NOW)
    assert len(made) == len(RUN_ROW)
    return made


@pytest.fixture
def live():
    return LiveWindow(Window(Vocabulary(), HOUR, 1_000), lambda: NOW)


def batch_of(live, count):
    return Batch([row(n) for n in range(count)], [], live.vocabulary)


def runs_in(live):
    answer = live.answer(NOW - HOUR + 1, NOW + 1, Scope())
    return int(add_up(answer.cells.stats)[Stat.RUNS])


def masks(*which):
    return np.array(which, bool), np.zeros(0, bool)


def held_up(monkeypatch, live, change):
    """What a question sees that is asked in the midst of a change: between two of its steps."""
    asked, seen = threading.Event(), []

    def ask():
        asked.set()
        seen.append(runs_in(live))

    asker = threading.Thread(target=ask)
    add = Window.add

    def slow_add(self, prepared, now):
        asker.start()
        asked.wait(10)
        asker.join(0.05)  # as long as it takes to see half of it, were that possible
        return add(self, prepared, now)

    with monkeypatch.context() as patched:
        patched.setattr(Window, "add", slow_add)
        change()
    asker.join(10)
    return seen


def test_a_correction_is_seen_as_a_whole(live, monkeypatch):
    """Storage's verdict takes rows back and adds others: nobody finds the window between."""
    batch = batch_of(live, 3)
    where = live.add(live.prepare(batch, masks(True, True, False)))
    assert runs_in(live) == 2
    old, new = masks(True, False, False), masks(False, False, True)
    seen = held_up(monkeypatch, live, lambda: live.correct(where, batch, old, new))
    assert seen == [2]


def test_a_minute_that_is_replaced_is_never_missing(live, monkeypatch):
    """History is brought up to date a minute at a time, dropped and added at once."""
    live.add(live.prepare(batch_of(live, 2), masks(True, True)))
    more = batch_of(live, 5)
    found = []

    def bring():
        found.append(live.bring_up_to_date(more, NOW - HOUR, NOW + 1))

    assert held_up(monkeypatch, live, bring) == [5]
    assert found == [(3, True)]


def test_the_window_before_is_told_only_where_it_is_held(live):
    """What was forgotten is no zero."""
    live.add(live.prepare(batch_of(live, 2), masks(True, True)))
    held = live.held_stats(NOW - HOUR, NOW + 1, Scope())
    assert held is not None
    assert held[Stat.RUNS] == 2
    assert live.held_stats(NOW - HOUR - 1, NOW + 1, Scope()) is None
    assert live.held_by_key(NOW - HOUR - 1, NOW + 1, Scope()) is None


def test_nobody_else_touches_the_window():
    """`Window` is made in one place, and given to a `LiveWindow` at once."""
    users = {
        path.relative_to(CORE).as_posix()
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "perfmon.window.window"
        for alias in node.names
        if alias.name == "Window"
    }
    assert users == {"window/live.py", "monitor/parts.py"}
