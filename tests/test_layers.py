"""The house: a module imports only from lower floors, and plugins only public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import perfmon

ROOT = Path(__file__).parent.parent
CORE, PLUGINS = ROOT / "perfmon", ROOT / "plugins"

# Top-level modules (a package is one of them) by floor; within a floor only as listed.
FLOORS = tuple(
    floor.split()
    for floor in (
        "anchored errors partial ids files secret places addresses directions limits toml stamps checks writing equality content measurements records",
        "alert_storage holders ranges roles bulk window strict sections tables",
        "config instances logs scores intervals calibration summary accuracy outcomes health",
        "outside sinks wording alerts hookspecs hookimpls hooks worker remote segments journal journaled bulks report metering tracking proxies following wrapping",
        "rounds namesakes joining counts conflicts in_flight salvage repeats bus opening plugins recorder history troubles sending lanes outbox heartbeat",
        "scoring matching completing waiting intake later loading others writer forking trends queries accuracy_queries attendance aims screening sampling",
        "details relevance ruleset remembering silencing closing lease alert_answers alerting",
        "recording receipts measuring reading watching inputs reloading monitor current",
        "agents orchestrator render importing demo testing cli __main__",
    )
)
FLOOR = {module: number for number, floor in enumerate(FLOORS) for module in floor}
ORDER = {module: place for place, module in enumerate(m for floor in FLOORS for m in floor)}


def _imports(path: Path) -> set[str]:
    """Modules imported at the top, whatever is only for typing or inside functions left out."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def _core_modules() -> list[Path]:
    return sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


@pytest.mark.parametrize("path", _core_modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_a_module_imports_only_from_lower_floors(path):
    """The staircase of the core: no import goes up, and none goes in a circle."""
    own = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert own in FLOOR, f"{own} stands on no floor"
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "perfmon" or len(parts) < 2 or not _is_module(parts[1]):
            continue
        other = parts[1]
        assert other == own or ORDER[other] < ORDER[own], f"{own} imports {other}"


def _is_module(name: str) -> bool:
    return (CORE / f"{name}.py").exists() or (CORE / name / "__init__.py").exists()


def test_every_module_stands_on_a_floor():
    """No floor names a module that is gone."""
    assert all(_is_module(module) for module in FLOOR)


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda p: p.name)
def test_a_plugin_imports_only_public_names(path):
    """One door for our plugins and everybody's: the names of `perfmon`, and no other plugin."""
    own = path.relative_to(PLUGINS).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.split(".")[0]
            if top == "perfmon":
                assert node.module == "perfmon", f"{path.name} imports {node.module}"
                strangers = {alias.name for alias in node.names} - set(perfmon.__all__)
                assert not strangers, f"{path.name} imports {strangers}"
            assert not top.startswith("perfmon_") or top == own


def test_every_public_name_is_there():
    """`__all__` is complete, sorted for reading, and each name can be had."""
    assert all(getattr(perfmon, name) is not None for name in perfmon.__all__)
    assert len(set(perfmon.__all__)) == len(perfmon.__all__)


def test_importing_perfmon_loads_nothing_heavy():
    """numpy, SQLAlchemy and aiohttp are loaded when a monitor is made, not before."""
    code = (
        "import sys, perfmon;"
        "print([m for m in ('numpy', 'sqlalchemy', 'aiohttp', 'click', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
