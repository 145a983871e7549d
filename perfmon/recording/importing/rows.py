"""The rows of a CSV text, separated from damaged lines around them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator

from perfmon.recording.importing.encodings import is_marked
from perfmon.recording.importing.lines import LONGEST, TOO_LONG, Lines, is_too_long

_MOST_LINES = (
    1 << 16
)  # of one row; a quote that nobody closes must not read the file again and again


Row = tuple[int, list[str] | None, str, bool]
"""The number of a row's first line; its cells, or None and what is wrong where one should be;
whether bytes of it are no text of the file's encoding. A plain tuple, as the quickest."""


class _Swallowed(Exception):
    """Inside a quoted cell the rows begin again."""


class GridRows:
    """Rows by the strict grammar of RFC 4180, of the header's width.

    What is no such row costs its first line, and the next line is read on its own. So does a cell
    in quotes one of whose lines is a whole row by itself, as `is_row` sees it: nobody closed them.

    Args:
        lines: what comes after the header.
        number: how many lines came before.
        names: the header's.
        separator: between two cells.
        is_row: whether cells are certainly those of a row, asked with those that the first line
            of the row in hand seems to have.
    """

    def __init__(
        self,
        lines: Lines,
        number: int,
        names: list[str],
        separator: str,
        is_row: Callable[[list[str], list[str]], bool],
    ) -> None:
        csv.field_size_limit(LONGEST)
        self.number = number
        self._lines = lines
        self._names = names
        self._separator = separator
        self._is_row = is_row
        self._record: list[str] = []
        self._is_marked = False
        self._separators = 0

    def __iter__(self) -> Iterator[Row]:
        width, record, lines = len(self._names), self._record, self._lines
        reader = self._reader()
        while True:
            while not lines.are_at_hand and (rows := self._at_once()):
                for cells in rows:
                    self.number += 1
                    yield self.number, cells, "", False
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _Swallowed):
                yield self._damaged(_wrong(record[0], self._names, self._separator))
                reader = self._reader()
                continue
            line = self.number + 1
            if len(cells) == width:
                self.number += len(record)
                record.clear()
                yield line, cells, "", self._is_marked
            elif len(cells) <= 1 and not "".join(cells).strip():
                self.number += len(record)
                record.clear()
            else:
                yield self._damaged(_width(cells, record[0], width))
            self._is_marked = False

    def _at_once(self) -> list[list[str]]:
        """Some rows of a line each, none of which is damaged or marked; else none of them."""
        lines = self._lines.some()
        text = "".join(lines)
        if text.count("\n") == len(lines) and not is_marked(text):
            try:
                rows = list(csv.reader(lines, delimiter=self._separator, strict=True))
            except csv.Error:
                rows = []
            # As many rows as lines: no cell holds the end of one.
            if len(rows) == len(lines) and {*map(len, rows)} == {len(self._names)}:
                self._lines.take(lines)
                return rows
        self._lines.leave(lines)
        return []

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._separator, strict=True)

    def _feed(self) -> Iterator[str]:
        """The lines of one row after another; those of the row in hand are in `_record`."""
        record, following = self._record, self._lines.next
        while line := following():
            if record:
                record.append(line)
                if self._begins_again(line):
                    raise _Swallowed
            else:
                record.append(line)
                if is_too_long(line):
                    raise _Swallowed
            self._is_marked = self._is_marked or is_marked(line)
            yield line

    def _begins_again(self, line: str) -> bool:
        if len(self._record) == 2:
            self._separators = _separators(self._record[0], self._separator, is_quoted=False)
        self._separators += _separators(line, self._separator, is_quoted=True)
        width = len(self._names)
        # A row that has become too wide is given up at once, or many would be read to the end.
        if self._separators >= width or len(self._record) > _MOST_LINES or is_too_long(line):
            return True
        if line.count(self._separator) < width - 1:
            return False
        try:
            cells = next(csv.reader([line], delimiter=self._separator, strict=True))
        except csv.Error:
            return False
        return len(cells) == width and self._is_row(cells, self._record[0].split(self._separator))

    def _damaged(self, wrong: str) -> Row:
        self._lines.take_back(self._record[1:])
        self._record.clear()
        self._is_marked = False
        self.number += 1
        return self.number, None, wrong, False


def _wrong(line: str, names: list[str], separator: str) -> str:
    """What is wrong with the quotes of a line, and what is right."""
    if is_too_long(line):
        return TOO_LONG
    if '\\"' in line:
        return f'{_BACKSLASH} of this line; write them twice ("")'
    place, after = _broken(line, separator)
    name = names[place] if place < len(names) else f"cell {place + 1}"
    if after:
        return (
            f"in {name} a quote is followed by {after!r} instead of {separator!r}; "
            'a quote inside a quoted cell is written twice ("")'
        )
    return (
        f"in {name} a quote is opened and not closed before the next row; "
        'close it, or write a cell that begins with a quote as """..."'
    )


_BACKSLASH = 'quotes are escaped with a backslash (\\") in a quoted cell'


def _width(cells: list[str], line: str, width: int) -> str:
    wrong = f"{len(cells)} cells where the header has {width}"
    return f'{wrong}; {_BACKSLASH}; write them twice ("")' if '\\"' in line else wrong


def _separators(line: str, separator: str, *, is_quoted: bool) -> int:
    """How many cells end in a line, which may begin inside quotes."""
    count, at, end = 0, 0, len(line.rstrip("\r\n"))
    while True:
        if is_quoted or line[at : at + 1] == '"':
            at = _closed(line, at if is_quoted else at + 1, end)
            is_quoted = False
        else:
            at = line.find(separator, at, end)
        if at < 0 or at >= end or line[at] != separator:
            return count
        count, at = count + 1, at + 1


def _broken(line: str, separator: str) -> tuple[int, str]:
    """Which cell of a line has a quote out of place, and what follows it, if anything."""
    place, at, end = 0, 0, len(line.rstrip("\r\n"))
    while at < end:
        if line[at] == '"':
            at = _closed(line, at + 1, end)
            if at < 0:
                return place, ""
            if at < end and line[at] != separator:
                return place, line[at]
        else:
            at = line.find(separator, at, end)
            if at < 0:
                break
        at, place = at + 1, place + 1
    return place, ""


def _closed(line: str, at: int, end: int) -> int:
    """The place after the quote that closes a cell, or -1."""
    while (at := line.find('"', at, end)) >= 0:
        if line[at + 1 : at + 2] != '"':
            return at + 1
        at += 2
    return -1
