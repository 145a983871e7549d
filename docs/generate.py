"""Writes the tables of docs/ that are made from the code: `python docs/generate.py`.

A page has `<!-- generated: NAME -->` and `<!-- end: NAME -->`; what stands between is made here. A
test compares the pages with what this makes.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import attrs
import click
from click.testing import CliRunner

import perfmon
from perfmon import METRICS, AgentRun, PerformanceMonitor, hookspecs
from perfmon.cli import cli

DOCS = Path(__file__).resolve().parent
_PART = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def main() -> None:
    for path, text in pages():
        if path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(DOCS.parent)}")


def pages() -> Iterator[tuple[Path, str]]:
    """Each page with generated parts, and its text as it should be."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text()
        if _PART.search(text):
            yield path, _PART.sub(_made, text)


def _made(part: re.Match[str]) -> str:
    return f"{part['begin']}\n{PARTS[part['name']]().strip()}\n\n{part['end']}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )


def _plain(text: str | None) -> str:
    """A docstring's paragraphs without its lists of attributes and errors, on one line."""
    text = inspect.cleandoc(text or "")
    text = re.split(r"\n\n?(?:Attributes|Args|Raises|Returns):\n|::\n|\n>>> ", text)[0]
    return " ".join(text.split())


def _first_sentence(text: str | None) -> str:
    text = _plain(text)
    return re.split(r"(?<=[.?])\s+(?=[A-Z`])", text)[0]


def _attributes(cls: type) -> dict[str, str]:
    """The fields that a class's docstring explains, each name with its words."""
    listed = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in re.sub(r"\n {8,}", " ", listed).splitlines():
        names, _, words = line.strip().partition(": ")
        found.update(dict.fromkeys(names.split(", "), words))
    return found


# The parts


def run_fields() -> str:
    words = _attributes(AgentRun)
    rows = [
        (f"`{field.name}`", _kind(field), words[field.name][:1].upper() + words[field.name][1:])
        for field in attrs.fields(AgentRun)
    ]
    return _table(("field", "type", "meaning"), rows)


def _kind(field: attrs.Attribute[object]) -> str:
    kind = str(field.type).replace("dict[str, Any]", "dictionary")
    if field.default is attrs.NOTHING:
        return f"`{kind}`, required"
    return f"`{kind.removesuffix(' | None')}`"


_GOOD = {True: "higher", False: "lower", None: ""}


def metrics() -> str:
    rows = [
        (
            f"`{one.name}`", one.label, str(one.nature), one.unit, _GOOD[one.higher_is_better],
            ", ".join(f"`{name}`" for name in one.other_names),
        )
        for one in METRICS.values()
    ]  # fmt: skip
    return _table(("metric", "name", "nature", "unit", "good is", "also called"), rows)


def hooks() -> str:
    specs = [
        function
        for _, function in inspect.getmembers(hookspecs, inspect.isfunction)
        if function.__module__ == hookspecs.__name__
    ]
    specs.sort(key=lambda function: function.__code__.co_firstlineno)
    rows = []
    for function in specs:
        signature = inspect.signature(function)
        answer = str(signature.return_annotation)
        options = function.perfmon_spec  # type: ignore[attr-defined]
        first = "; the first answer counts" if options["firstresult"] else ""
        rows.append((
            f"`{function.__name__}({', '.join(signature.parameters)})`",
            "" if answer == "None" else f"`{answer}`{first}",
            _plain(function.__doc__),
        ))  # fmt: skip
    return _table(("hook", "answer", "when, and what"), rows)


def rest() -> str:
    """From the document that the server itself answers with."""
    from perfmon_server.app import ROUTES
    from perfmon_server.http.openapi import document

    rows = []
    for path, operations in json.loads(json.dumps(document(ROUTES)))["paths"].items():
        for method, operation in operations.items():
            given = [item for item in operation.get("parameters", []) if item["in"] == "query"]
            names = [f"`{item['name']}`" for item in given]
            body = ", a body" if "requestBody" in operation else ""
            shown = (", ".join(names) + body).removeprefix(", ")
            rows.append((f"`{method.upper()} {path}`", operation["summary"], shown))
    return _table(("route", "what it does", "takes"), rows)


def command_line() -> str:
    parts = [_help([])]
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        parts.append(_help([name]))
        if isinstance(command, click.Group):
            parts += [_help([name, inner]) for inner in command.list_commands(context)]
    return "\n\n".join(parts)


def _help(words: list[str]) -> str:
    shown = CliRunner().invoke(
        cli, [*words, "--help"], prog_name="perfmon", terminal_width=80, env={"COLUMNS": "80"}
    )
    return f"## {' '.join(['perfmon', *words])}\n\n```text\n{shown.output.strip()}\n```"


def methods() -> str:
    rows = []
    for name, method in inspect.getmembers(PerformanceMonitor, inspect.isfunction):
        if not name.startswith("_") and name not in _INNER:
            takes = ", ".join(_arguments(method))
            rows.append((f"`{name}({takes})`", _first_sentence(inspect.getdoc(method))))
    return _table(("method", "what it does"), rows)


# What the monitor's own parts call.
_INNER = frozenset(
    ("after_fork", "before_fork", "now_us", "record_fields", "record_measurement", "show_at",
     "store_now", "wake_after_fork")
)  # fmt: skip


def _arguments(method: Callable[..., object]) -> Iterator[str]:
    keyword_only = False
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            yield f"**{name}"
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        has_default = parameter.default is not parameter.empty
        yield f"{name}={parameter.default!r}" if has_default else name


def names() -> str:
    return _names_of(perfmon)


MODULES = (
    "perfmon.sinks",
    "perfmon.scorers",
    "perfmon.storage",
    "perfmon.charts",
    "perfmon.testing",
)


def modules() -> str:
    """The other public modules, each with its names."""
    found = ((name, import_module(name)) for name in MODULES)
    return "\n\n".join(
        f"### {name}\n\n{_first_sentence(module.__doc__)}\n\n{_names_of(module)}"
        for name, module in found
    )


def _names_of(module: ModuleType) -> str:
    rows = []
    for name in sorted(module.__all__, key=str.lower):
        thing = getattr(module, name)
        is_own = inspect.isclass(thing) or inspect.isfunction(thing)
        words = _first_sentence(thing.__doc__) if is_own else _CONSTANTS.get(name, "")
        rows.append((f"`{name}`", words))
    return _table(("name", "what it is"), rows)


_CONSTANTS = {
    "Duration": 'A type for fields of a plugin\'s table: seconds, written as `"5s"` or `"1h30m"`.',
    "HOUR": "An hour in microseconds, the slice of stored cells.",
    "MEASUREMENT_FIELDS": "The fields of a measurement's row, in order.",
    "MEASUREMENT_STATES": "The states of a measurement, by their number in a row.",
    "RUN_FIELDS": "The fields of a run's row, in order.",
    "RUN_ROW": "The same with what perfmon adds to them.",
    "SecretText": "A type for fields of a plugin's table: text, or a `Secret`.",
    "METRICS": "The catalogue of metrics: each `Metric` by its name.",
    "START_US": "When the rows of these helpers begin, in microseconds.",
    "TONES": "The tones of charts, by name, each with its colour.",
    "http_url": "A validator for fields of a plugin's table: a web address, which may be secret.",
    "hookimpl": "Marks a function of a plugin as the implementation of the hook of its name.",
}


def monitor_toml() -> str:
    return f"```toml\n{(DOCS.parent / 'monitor.toml').read_text().strip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "run-fields": run_fields,
    "metrics": metrics,
    "hooks": hooks,
    "rest": rest,
    "cli": command_line,
    "methods": methods,
    "names": names,
    "modules": modules,
    "monitor-toml": monitor_toml,
}


if __name__ == "__main__":
    main()
