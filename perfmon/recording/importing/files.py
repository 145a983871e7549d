"""The lines of a file, plain or gzipped, with their line numbers."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from perfmon.errors import PerfmonError
from perfmon.recording.importing.columns import Columns, CsvColumns, JsonColumns
from perfmon.recording.importing.encodings import (
    MARKED,
    DamagedRow,
    encoding_of,
    foreign_format,
    is_marked,
    legible,
)
from perfmon.recording.importing.header import find_header, foreign_words, is_told_apart, leading
from perfmon.recording.importing.lines import TOO_LONG, Lines, is_too_long
from perfmon.recording.importing.rows import GridRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP = b"\x1f\x8b"
_LIST = ("[{", "[]")
_DAMAGED = (DamagedRow, msgspec.DecodeError, json.JSONDecodeError, RecursionError)


class ImportFileError(PerfmonError):
    """A file cannot be read (further)."""


class Item(NamedTuple):
    """What one line stands for: one of `KINDS` with its fields, or `refused` with why.

    `outcome` is what a prediction's line says of its outcome, if it does; `is_damaged` says that a
    refused line is no row at all, rather than one with a value that is not allowed.
    """

    line: int
    kind: str
    fields: dict[str, Any]
    outcome: dict[str, Any] | None = None
    reason: str = ""
    is_damaged: bool = False


def _refused(line: int, problem: Exception) -> Item:
    is_damaged = isinstance(problem, _DAMAGED)
    return Item(line, "refused", {}, reason=legible(str(problem)), is_damaged=is_damaged)


class Source:
    """A file of runs, measurements, predictions, outcomes: JSON lines or CSV.

    The two are distinguished by their first lines, and so is what separates the cells of a CSV.

    Args:
        path: the file.
        columns: how its rows are read.
        encoding: of its text, where no byte order mark says it; None is UTF-8, or UTF-16 where
            it looks so.

    Attributes:
        unaccounted: lines that are neither an item nor a part of one, nor blank, nor before the
            header; once all items are read it is 0, or there is a bug.

    Raises:
        ImportFileError: there is no such file, it cannot be read, or its gzip data ends early.
    """

    def __init__(self, path: Path, columns: Columns, encoding: str | None = None) -> None:
        self.path = path
        self.unaccounted = 0
        self._columns = columns
        self._given = encoding
        self._encoding = "utf-8"
        self._shape: CsvColumns | JsonColumns | None = None
        try:
            self.size = path.stat().st_size
            self._raw: IO[bytes] = path.open("rb")
        except OSError as problem:
            raise ImportFileError(f"{path}: {problem.strerror}") from None

    @property
    def position(self) -> int:
        """Bytes of the file (compressed ones, where it is) read so far."""
        return self.size if self._raw.closed else self._raw.tell()

    @property
    def left_out(self) -> list[str]:
        """Columns or keys that no field takes, and nothing was made of."""
        return self._shape.left_out if self._shape else []

    def close(self) -> None:
        self._raw.close()

    def items(self) -> Iterator[Item]:
        """What the lines stand for, in the file's order."""
        line = 0
        try:
            for item in self._items():
                line = item.line
                yield item
        except UnicodeError as problem:
            name = self._encoding.upper()
            raise ImportFileError(f"{self.path}: not {name} text: {problem}") from None
        except (EOFError, zlib.error, OSError) as problem:
            after = f"after line {line}" if line else "at its start"
            raise ImportFileError(f"{self.path}: unreadable {after}: {problem}") from None

    def _items(self) -> Iterator[Item]:
        head = self._raw.read(2)
        self._raw.seek(0)
        stream: IO[bytes] = self._raw
        if head == _GZIP:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw))
        with io.BufferedReader(cast("Any", stream), 1 << 16) as buffered:
            start = buffered.peek(256)
            if words := foreign_format(start):
                raise ImportFileError(f"{self.path}: is {words}")
            self._encoding = encoding_of(start, self._given)
            # A bad byte in a message must not cost the run it belongs to.
            text = io.TextIOWrapper(buffered, self._encoding, errors=MARKED, newline="")
            text._CHUNK_SIZE = 1 << 16  # type: ignore[attr-defined]  # noqa: SLF001
            lines = Lines(text.readline)
            yield from self._told_apart(lines)

    def _told_apart(self, lines: Lines) -> Iterator[Item]:
        first = leading(lines)
        start = next((line.lstrip() for line in first if is_told_apart(line)), "")
        if "".join(start.split())[:2] in _LIST or (start.strip() == "[" and _is_list(first)):
            raise ImportFileError(
                f"{self.path}: is a single JSON array; import takes JSON lines, one object per "
                "line (jq -c '.[]' converts it)"
            )
        if start.strip() == "{":
            raise ImportFileError(
                f"{self.path}: is JSON spread over several lines; import takes JSON lines, one "
                "object per line (jq -c . converts it)"
            )
        if start.startswith("{"):
            yield from self._json_lines(lines)
            return
        try:
            yield from self._csv(lines, first)
        except PerfmonError:
            # The first lines of a log may be cut off or foreign.
            if self._shape is not None or not any(map(_is_object, first)):
                raise
            yield from self._json_lines(lines)

    def _csv(self, lines: Lines, first: list[str]) -> Iterator[Item]:
        found = find_header(first, self._columns, str(self.path))
        if found is None:
            return
        self._shape = shape = found.shape
        for line, words in found.foreign.items():
            yield Item(line, "refused", {}, reason=foreign_words(words), is_damaged=True)
        for _ in range(found.lines):
            lines.next()
        rows = GridRows(lines, found.lines, found.names, found.separator, shape.is_row)
        yield from self._rows(rows)
        self.unaccounted = lines.read - rows.number

    def _rows(self, rows: GridRows) -> Iterator[Item]:
        shape = cast("CsvColumns", self._shape)
        for line, cells, wrong, is_marked_row in rows:
            if cells is None:
                yield Item(line, "refused", {}, reason=legible(wrong), is_damaged=True)
                continue
            try:
                whole = shape.mended(cells, self._encoding) if is_marked_row else cells
                yield Item(line, *shape.found(whole))
            except ValueError as problem:
                yield _refused(line, problem)

    def _json_lines(self, lines: Lines) -> Iterator[Item]:
        shape = self._shape = JsonColumns(self._columns)
        decode = msgspec.json.Decoder().decode
        number = 0
        for number, text in enumerate(iter(lines.next, ""), 1):
            if text.isspace():
                if is_too_long(text):
                    yield _refused(number, DamagedRow(TOO_LONG))
                continue
            try:
                if text.isascii() or not is_marked(text):
                    yield Item(number, *shape.found(decode(text)))
                else:
                    yield Item(number, *shape.found(json.loads(text), self._encoding))
            except (ValueError, msgspec.DecodeError, RecursionError) as problem:
                yield _refused(number, problem)
        self.unaccounted = lines.read - number


def _is_object(line: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (ValueError, msgspec.DecodeError):
        return False


def _is_list(lines: list[str]) -> bool:
    """Whether the first lines begin a list of objects, or an empty one."""
    return "".join("".join(lines).split())[:2] in _LIST
