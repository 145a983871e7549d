"""A monitor is pages of methods over its parts: each method in one page, each attribute once."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from pathlib import Path

from perfmon import PerformanceMonitor
from perfmon.monitor.page import Page

FOLDER = Path(inspect.getfile(Page)).parent
PAGES = [one for one in PerformanceMonitor.__mro__ if one is not PerformanceMonitor]
SUBJECTS = [one for one in PAGES if one.__name__ not in ("Page", "RowPage", "object")]


def test_a_page_knows_no_other_page():
    """Only what all of them share, and what those share that record."""
    assert len(SUBJECTS) == 5
    for page in SUBJECTS:
        assert {one.__name__ for one in page.__mro__} <= {
            page.__name__,
            "Page",
            "RowPage",
            "object",
        }


def test_every_method_is_in_one_page():
    """With its signature and what it does, for `help()` and editors."""
    members = Counter(
        name
        for page in [PerformanceMonitor, *PAGES]
        if page is not object
        for name, value in vars(page).items()
        if inspect.isfunction(value) and not name.startswith("__")
    )
    assert [name for name, count in members.items() if count > 1] == []
    public = [name for name in members if not name.startswith("_")]
    assert len(public) > 40
    for name in public:
        assert getattr(PerformanceMonitor, name).__doc__, name


def test_no_attribute_is_declared_in_two_pages():
    """Whoever looks for one finds it in one place."""
    names = {page.__name__ for page in PAGES}
    declared = Counter(
        statement.target.id
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name in names
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    )
    assert declared
    assert [name for name, count in declared.items() if count > 1] == []


def test_after_a_fork_one_attribute_sleeps():
    """All else that a monitor has stays; whoever needs a part wakes all of them."""
    monitor = PerformanceMonitor(storage_url="memory:")
    parts, before = monitor._parts, dict(vars(monitor))
    monitor._forks.before()
    monitor._forks.after(in_child=True)
    changed = {name for name, value in vars(monitor).items() if value is not before[name]}
    assert changed == {"_parts", "_append_run"}  # the second is the first's
    assert monitor.get_system_metrics().total_tasks == 0
    assert monitor._parts is not parts
    monitor.stop()
    parts.storage.close()
