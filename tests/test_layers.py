"""The house: a folder imports only from lower floors, and plugins only public names."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import perfmon

ROOT = Path(__file__).parent.parent
CORE, PLUGINS = ROOT / "perfmon", ROOT / "plugins"

# The folders (and single files) of perfmon by floor. Those on one floor do not know one another.
FLOORS = (
    "errors",
    "records",
    "config",
    "window",
    "storage",
    "hookspecs",
    "plugins",
    "metrics",
    "accuracy",
    "delivery",
    "charts",
    "recording alerts reports",
    "monitor",
    "agents sinks scorers",
    "testing",
    "cli",
    "__main__",
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor.split()}
# Imports that go up all the same, each with its reason.
EXCEPTIONS = {
    # Plugins are given the monitor: its type is named, and never imported at run time.
    ("hookspecs", "perfmon.monitor.monitor"),
}
MOST_ENTRIES = 24
# What plugins may import from, theirs and ours.
PUBLIC = ("perfmon", "perfmon.charts", "perfmon.scorers", "perfmon.sinks", "perfmon.storage")


def _imports(path: Path) -> Iterator[str]:
    """Modules imported anywhere in a file: at the top, inside functions, for typing."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if _path(name) else node.module for name in modules)


def _path(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((one for one in found if one.exists()), None)


def _room(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def _edges() -> list[tuple[Path, str]]:
    """Who imports which module of perfmon, but for the list of public names."""
    return [
        (path, name)
        for path in sorted(CORE.rglob("*.py"))
        if path != CORE / "__init__.py"
        for name in _imports(path)
        if name.startswith("perfmon.") and _path(name)
    ]


def test_a_folder_imports_only_from_lower_floors():
    """The staircase of the core, typing counted: no import goes up but those with a reason."""
    up = set()
    for path, name in _edges():
        own, other = _room(path), name.split(".")[1]
        if own != other and FLOOR[other] >= FLOOR[own]:
            up.add((own, name))
    assert up == EXCEPTIONS


def test_no_files_import_each_other_in_a_circle():
    """Inside the folders too, typing counted."""
    files: dict[Path, set[Path]] = {}
    for path, name in _edges():
        target = _path(name)
        assert target is not None
        if (_room(path), name) not in EXCEPTIONS and target.name != "__init__.py":
            files.setdefault(path, set()).add(target)
    assert _circle(files) == []


def _circle(graph: dict[Path, set[Path]]) -> list[str]:
    """The names of a circle's members, or none."""
    done: set[Path] = set()

    def visit(node: Path, way: list[Path]) -> list[Path]:
        if node in way:
            return way[way.index(node) :]
        if node not in done:
            for other in sorted(graph.get(node, ())):
                if found := visit(other, [*way, node]):
                    return found
            done.add(node)
        return []

    for start in sorted(graph):
        if found := visit(start, []):
            return [str(path.relative_to(CORE)) for path in found]
    return []


def test_every_room_stands_on_a_floor():
    """Nothing lies about, and `ls perfmon` can be read at a glance."""
    entries = {path for path in CORE.iterdir() if path.name != "__pycache__"}
    rooms = {_room(path) for path in entries if path.suffix in ("", ".py")} - {"__init__"}
    assert rooms == FLOOR.keys()
    assert len(entries) <= MOST_ENTRIES


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda p: p.name)
def test_a_plugin_imports_only_public_names(path):
    """The same doors for our plugins and everybody's: public modules, and no other plugin."""
    own = path.relative_to(PLUGINS).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.split(".")[0]
            if top == "perfmon":
                assert node.module in PUBLIC, f"{path.name} imports {node.module}"
                public = set(import_module(node.module).__all__)
                strangers = {alias.name for alias in node.names} - public
                assert not strangers, f"{path.name} imports {strangers}"
            assert not top.startswith("perfmon_") or top == own


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda p: p.name)
def test_a_plugin_uses_documented_members_of_the_monitor_only(path):
    """What our own plugins do, others copy: they need nothing that has no docstring."""
    asked = set(_asked_of_monitors(ast.parse(path.read_text())))
    assert asked - _documented_members() == set()


def test_the_server_asks_the_monitor():
    """The test above finds what is asked, however the monitor is reached."""
    asked = {
        member
        for path in (PLUGINS / "perfmon_server").rglob("*.py")
        for member in _asked_of_monitors(ast.parse(path.read_text()))
    }
    assert {"check", "dropped", "hook", "config", "get_health", "run_started"} <= asked


def _asked_of_monitors(tree: ast.AST) -> Iterator[str]:
    """The members named behind `monitor.`, or behind another parameter that is a monitor."""
    names = {"monitor", "_monitor"}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            if "PerformanceMonitor" in ast.unparse(node.annotation):
                names.add(node.arg)
        elif isinstance(node, ast.Attribute):
            owner = node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", None)
            is_table = isinstance(owner, ast.Attribute) and ast.unparse(owner).endswith(
                "config.monitor"
            )
            if last in names and not is_table:
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr"):
            owner, member = map(ast.unparse, node.args[:2])
            if owner.rpartition(".")[2] in names:
                yield member


def _documented_members() -> set[str]:
    monitor = perfmon.PerformanceMonitor
    members = {name for name in dir(monitor) if not name.startswith("_")}
    attributes = (monitor.__doc__ or "").partition("Attributes:")[2].partition("Raises:")[0]
    listed = set(re.findall(r"^ +(\w+):", attributes, re.MULTILINE))
    return {n for n in members if inspect.getdoc(inspect.getattr_static(monitor, n))} | listed


@pytest.mark.parametrize("name", [*PUBLIC, "perfmon.testing"])
def test_every_public_name_is_there(name):
    """`__all__` names each once, and each can be had, and is shown by `dir`."""
    module = import_module(name)
    assert all(getattr(module, each) is not None for each in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))


def test_a_name_has_one_door():
    """And the names of plugins' authors are found where they once were, too."""
    doors = [(each, name) for name in PUBLIC for each in import_module(name).__all__]
    assert len({each for each, _ in doors}) == len(doors)
    for each in "HttpSinkTable", "value_kind", "Storage", "Batch":
        assert getattr(perfmon, each) is getattr(import_module(dict(doors)[each]), each)


def test_importing_perfmon_loads_nothing_heavy():
    """numpy, SQLAlchemy and aiohttp are loaded when a monitor is made, not before."""
    code = (
        "import sys, perfmon;"
        "print([m for m in ('numpy', 'sqlalchemy', 'aiohttp', 'click', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
