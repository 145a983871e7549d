"""The house rules that a program can check: sizes, names, and tables by hand."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfmon import PerformanceMonitor

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("perfmon", "plugins", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SHIPPED = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("perfmon", "plugins")]
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
# One flat body, since a call for each step would cost more than the step.
LONG_FUNCTIONS = {"record_agent_run"}
# The same thing, as Python has it and as REST does.
TWO_CLASSES = {"Health", "HealthPart"}
HAND_FORMATTED = {"alerts"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_no_file_is_long():
    """What does not fit has two subjects. Tests are read one at a time, and may be longer."""
    long = {name_of(path) for path in SOURCES if len(path.read_text().splitlines()) > MOST_LINES}
    assert long == set()


def test_no_function_is_long():
    """But the one in which every microsecond counts."""
    long = {
        function.name
        for tree in TREES.values()
        for function in functions(tree)
        if lines_of(function) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == LONG_FUNCTIONS


def test_no_two_classes_have_one_name():
    """Public or private, of the core or of a plugin: a name in the log or a debugger is enough."""
    classes = Counter(
        node.name.lstrip("_")
        for path in SHIPPED
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in classes.items() if count > 1} <= TWO_CLASSES


def test_no_attribute_is_declared_in_two_pages():
    """The monitor's methods stand on pages by subject; what they share is declared once."""
    pages = [cls for cls in PerformanceMonitor.__mro__ if cls.__module__.startswith("perfmon.")]
    declared: dict[str, set[str]] = defaultdict(set)
    for cls in pages:
        path = ROOT / f"{cls.__module__.replace('.', '/')}.py"
        (node,) = (n for n in TREES[path].body if getattr(n, "name", None) == cls.__name__)
        for name in attributes_of(node):
            declared[name].add(cls.__name__)
    assert {name for name, owners in declared.items() if len(owners) > 1} == set()


def attributes_of(cls: ast.AST) -> Iterator[str]:
    """What a class declares: `name: type` in its body, and `self.name: type = ...`."""
    for node in ast.walk(cls):
        if isinstance(node, ast.AnnAssign):
            target = node.target
            if isinstance(target, ast.Attribute):
                yield target.attr
            elif isinstance(target, ast.Name) and node in cls.body:  # type: ignore[attr-defined]
                yield target.id


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_only_tables_are_formatted_by_hand(path):
    """A list of names reads better in lines than one below the other; code does not."""
    if path.relative_to(ROOT).parts[1] not in HAND_FORMATTED:
        assert list(by_hand(path.read_text())) == []


def by_hand(source: str) -> Iterator[int]:
    """The lines that keep the formatter from something else than a table."""
    tables = {
        node.end_lineno
        for parent in ast.walk(ast.parse(source))
        if isinstance(parent, ast.Module | ast.ClassDef)
        for node in parent.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_table(node.value)
    }
    for number, line in enumerate(source.splitlines(), 1):
        if "# fmt: skip" in line and number not in tables:
            yield number


def is_table(value: ast.expr | None) -> bool:
    """A display of values, bare or made into a set, a tuple and the like."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        return is_table(value.args[0])
    if isinstance(value, ast.GeneratorExp):
        return is_table(value.generators[0].iter)
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.Tuple)


def test_what_a_table_is():
    """So that the test above can fail."""
    assert list(by_hand("X = frozenset({\n 'a', 'b'})  # fmt: skip\n")) == []
    assert list(by_hand("call(\n 1, 2)  # fmt: skip\n")) == [2]
    assert list(by_hand("def f():\n    x = (\n 1, 2)  # fmt: skip\n")) == [3]
