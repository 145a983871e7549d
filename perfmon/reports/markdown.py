"""A report as Markdown (CommonMark with tables)."""

from __future__ import annotations

import re

from perfmon.reports.parts import Outline, Section, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def markdown(report: Outline) -> str:
    """The report; names from outside cannot add markup to it."""
    parts = [
        f"# {_plain(report.title)}",
        f"{_plain(report.range)}, generated {_plain(report.generated)}",
        f"**Health: {_plain(report.score)} of 100, {_plain(report.status)}**",
    ]
    for section in report.sections:
        parts += [f"## {_plain(section.title)}", *_body(section)]
    return "\n\n".join(parts) + "\n"


def _plain(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", _CONTROL.sub(" ", value))


def _body(section: Section) -> list[str]:
    parts = []
    if section.facts:
        facts = Table(("Figure", "Value", ""), section.facts, frozenset(("Figure", "")))
        parts.append(_table(facts))
    if section.table is not None:
        parts.append(_table(section.table))
    if section.sentences:
        parts.append("\n".join(f"- {_plain(item)}" for item in section.sentences))
    if section.lines:
        lines = "\n".join(_CONTROL.sub(" ", line) for line in section.lines)
        parts.append(f"```toml\n{lines}\n```")
    for part in section.parts:
        parts += [f"### {_plain(part.title)}", *_body(part)]
    return parts


def _table(table: Table) -> str:
    marks = tuple(":--" if name in table.left else "--:" for name in table.names)
    head, *rows = (tuple(map(_plain, row)) for row in (table.names, *table.rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))
