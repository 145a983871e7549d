"""The reference is complete: every route, hook, public name, plugin and dependency, as they are."""

from __future__ import annotations

import importlib.util
import inspect
import re
from importlib import import_module
from itertools import groupby

import pytest
from manual import DOCS, MANUAL, PROJECT, README, ROOT, commands, page, section, shown
from test_layers import PUBLIC

from perfmon import Config, PerformanceMonitor, hookspecs

ROUTE = re.compile(r"`(GET|POST|DELETE) (/\S*?)`")


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_from_the_code_is_up_to_date(generate):
    """Every generated part, and each of them is on a page."""
    stale = [shown(path) for path, text in generate.pages() if path.read_text() != text]
    assert not stale, "run `python docs/generate.py`"
    made = re.findall(r"<!-- generated: ([\w-]+) -->", "".join(p.read_text() for p in MANUAL))
    assert sorted(made) == sorted(generate.PARTS)


def test_every_route_is_in_the_reference():
    """The table has what the server answers, no more and no less."""
    from perfmon_server.app import ROUTES

    table = [line for line in page("reference/rest.md").splitlines() if line.startswith("|")]
    found = {match for line in table for match in ROUTE.findall(line.split("|")[1])}
    assert found == {(route.method, route.path) for route in ROUTES}


def test_the_curl_lines_and_routes_in_words_are_routes():
    """Each calls or names one that exists."""
    from perfmon_server.app import ROUTES

    asked = {re.search(r"8787(/[^?'\s]*)", " ".join(words))[1] for words in commands("curl")}
    assert len(asked) == 3
    named = set(re.findall(r"/api/performance/[\w/{}]+\w", "".join(p.read_text() for p in MANUAL)))
    patterns = [re.sub(r"\{\w+\}", "[^/]+", route.path) for route in ROUTES]
    for path in asked | named:
        assert any(re.fullmatch(pattern, path) for pattern in patterns), path


def hooks():
    specs = inspect.getmembers(hookspecs, inspect.isfunction)
    return [(name, list(inspect.signature(f).parameters)) for name, f in specs
            if f.__module__ == hookspecs.__name__]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), hooks())
def test_every_hook_is_in_the_reference(name, arguments):
    """With its arguments, in their order."""
    assert f"`{name}({', '.join(arguments)})`" in page("reference/hooks.md")


@pytest.mark.parametrize("name", [n for one in PUBLIC for n in import_module(one).__all__])
def test_every_public_name_is_in_the_reference(name):
    """With what it is, in a sentence."""
    assert re.search(rf"^\| `{name}` \| [^|\s]", page("reference/python.md"), re.MULTILINE), (
        "a class or function says it in its docstring, a constant in docs/generate.py"
    )


def test_every_plugin_is_on_its_page():
    """Sinks and scorers by name; the README names all."""
    readme = section("Plugins", README)
    for name in PROJECT["entry-points"]["perfmon"]:
        assert f"`{name}`" in readme, name
    with PerformanceMonitor(Config(), storage_url="memory:") as monitor:
        kinds = {plugin["name"]: plugin["hooks"] for plugin in monitor.plugins.describe()}
    on = "".join(page(f"plugins/{name}.md") for name in ("sinks", "scorers", "detectors"))
    for name, its_hooks in kinds.items():
        if {"deliver_alert", "score_outcome", "detect_trend"} & set(its_hooks):
            assert f"`{name}`" in on, name


WALKS = re.findall(r"^## (.*)$", page("explanation/how-a-run-travels.md"), re.MULTILINE)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_enters_no_room_twice(title):
    """Each step names a file, and something in it that does what the step says."""
    text = section(title, page("explanation/how-a-run-travels.md"))
    steps = re.findall(r"^\d+\. `([\w/]+\.py)`: (.*)$", text, re.MULTILINE)
    assert len(WALKS) == 4
    assert len({file for file, _ in steps}) == len(steps) >= 8
    rooms = [room for room, _ in groupby("/".join(file.split("/")[:2]) for file, _ in steps)]
    assert len(rooms) == len(set(rooms)), rooms
    for file, words in steps:
        named = re.findall(r"`(\w+)`", words)
        code = (ROOT / file).read_text()
        there = set(re.findall(r"^\s*(?:async def|def|class) (\w+)", code, re.MULTILINE))
        assert there & set(named), file


def test_every_dependency_is_in_the_manual():
    """Why it is here, its licence and its weight; and every extra."""
    text = page("explanation/footprint.md")
    rows = re.findall(r"^\| (\S+) \| (.+) \| (.+) \| ([\d.]+) \|$", text, re.MULTILINE)
    needed = [re.match(r"[\w-]+", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert [row[0] for row in rows] == needed
    for extra in PROJECT["optional-dependencies"]:
        assert f"| `{extra}` |" in text
