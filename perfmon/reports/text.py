"""A report as plain text of at most 80 columns."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from perfmon.reports.parts import Outline, Section, Table

WIDTH = 80
_GAP = 2
_NARROWEST = 8
# A name from outside must not move a terminal's cursor or change its colours.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def text(report: Outline) -> str:
    """The report, each line at most 80 columns wide."""
    heading = f"Health: {report.score} of 100, {report.status}"
    lines = [report.title, report.range, f"generated {report.generated}", "", heading]
    for section in report.sections:
        lines += ["", section.title, "-" * len(section.title), *_body(section)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def printable(value: str) -> str:
    """The value with a replacement character for whatever a terminal would act upon."""
    return _UNPRINTABLE.sub("\ufffd", value)


def _body(section: Section) -> list[str]:
    lines = [line for fact in section.facts for line in _fact(*fact)]
    if section.table is not None:
        lines += table_lines(section.table)
    for item in section.sentences:
        lines += textwrap.wrap(
            printable(item), WIDTH, initial_indent="* ", subsequent_indent="  "
        ) or ["*"]
    lines += [_cell(f"  {printable(line)}", WIDTH, left=True) for line in section.lines]
    for part in section.parts:
        lines += ["", printable(part.title), *_body(part)]
    return lines


def _fact(name: str, figure: str, remark: str) -> list[str]:
    head = f"{name:<20} {figure:>22}   "
    first, *more = textwrap.wrap(printable(remark), WIDTH - len(head)) or [""]
    return [head + first, *(" " * len(head) + line for line in more)]


def table_lines(whole: Table) -> list[str]:
    """A table's lines, each at most 80 columns wide where its figures leave room for names."""
    table = whole.without(whole.extra)
    rows = [table.names, *(tuple(map(printable, row)) for row in table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    # Only a name or a message gives way; a figure cut short would be another figure.
    yielding = max(
        (at for at, name in enumerate(table.names) if name in table.left), key=widths.__getitem__
    )
    surplus = sum(widths) + _GAP * (len(widths) - 1) - WIDTH
    widths[yielding] = max(widths[yielding] - max(surplus, 0), _NARROWEST)
    lefts = [name in table.left for name in table.names]
    return [_row(row, widths, lefts) for row in rows]


def _row(row: tuple[str, ...], widths: list[int], lefts: list[bool]) -> str:
    cells = [_cell(*cell) for cell in zip(row, widths, lefts, strict=True)]
    return (" " * _GAP).join(cells)


def _cell(value: str, width: int, left: bool) -> str:
    length = cell_len(value)
    if length > width:
        return set_cell_size(value, width - 1) + "…"
    space = " " * (width - length)
    return value + space if left else space + value
