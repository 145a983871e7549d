"""Finds the header of a CSV text, and its separator."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from perfmon.errors import PerfmonError
from perfmon.recording.importing.columns import Columns, CsvColumns, told
from perfmon.recording.importing.lines import TOO_LONG, Lines, is_too_long

_SEPARATORS = ",;\t|"
_LEADING = 32  # lines among which the header is looked for
_NAMED = re.compile(r"\s*\"?sep=(.)\"?\W*$", re.IGNORECASE)


class Header(NamedTuple):
    """The names of a text's columns.

    Attributes:
        lines: how many lines stand before its rows, itself included.
        foreign: those before it that are neither blank nor comments, by their numbers.
    """

    shape: CsvColumns
    names: list[str]
    separator: str
    lines: int
    foreign: dict[int, str]


def leading(lines: Lines) -> list[str]:
    """The first lines, which remain to be read; a byte order mark of the text is taken off."""
    found = list(islice(iter(lines.next, ""), _LEADING))
    if found:
        found[0] = found[0] if is_too_long(found[0]) else found[0].removeprefix("\ufeff")
    lines.take_back(found)
    return found


def is_told_apart(line: str) -> bool:
    """Whether a line before a header says something, and is no comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def find_header(lines: list[str], columns: Columns, where: str) -> Header | None:
    """The first line that has the columns every row needs; None where all lines are blank.

    Raises:
        PerfmonError: there is none; said of the first line that could be meant as one.
    """
    separators, foreign = _SEPARATORS, {}
    problem: PerfmonError | None = None
    for index, line in enumerate(lines):
        if is_too_long(line):
            foreign[index + 1] = TOO_LONG
            problem = problem or PerfmonError(f"{where}: line {index + 1}: {TOO_LONG}")
        if not line.strip():
            continue
        if named := _NAMED.match(line):
            separators = named[1] + separators.replace(named[1], "")
            continue
        found, refusal = _header(lines, index, separators, columns, where)
        if found is not None:
            return found._replace(foreign=foreign)
        if not line.lstrip().startswith("#"):
            foreign[index + 1] = line
            problem = problem or refusal
    if problem is not None:
        raise problem
    return None


def _header(
    lines: list[str], index: int, separators: str, columns: Columns, where: str
) -> tuple[Header | None, PerfmonError | None]:
    best: PerfmonError | None = None
    most = 0
    for separator in separators:
        names: list[str] = []
        try:
            names, count = _names(lines[index:], separator)
            shape = CsvColumns(columns, names, where)
        except csv.Error as problem:
            best = best or PerfmonError(f"{where}: line {index + 1}: not a header: {problem}")
        except PerfmonError as problem:
            # One name alone is what any text has under a separator that is not its own.
            if best is None or len(names) > max(most, 1):
                best, most = problem, len(names)
        else:
            return Header(shape, names, separator, index + count, {}), None
    return None, best


def _names(lines: list[str], separator: str) -> tuple[list[str], int]:
    reader = csv.reader(_uncommented(lines), delimiter=separator, strict=True)
    return [name.strip() for name in next(reader)], reader.line_num


def _uncommented(lines: Iterable[str]) -> Iterator[str]:
    """Some programs write their header as a comment."""
    for number, line in enumerate(lines):
        is_comment = number == 0 and line.lstrip().startswith("#")
        yield line.lstrip().lstrip("#") if is_comment else line


def foreign_words(line: str) -> str:
    """Why a line before the header is refused."""
    return f"precedes the header, not part of the table: {told([line.strip()])}"
