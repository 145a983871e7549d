"""The lines of a file, plain or gzipped, with their place in it."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import msgspec

from perfmon.errors import PerfmonError
from perfmon.importing.columns import Columns, CsvColumns, JsonColumns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"  # of the byte order
_LONGEST_CELL = 1 << 24


class ImportFileError(PerfmonError):
    """A file cannot be read (further)."""


class _Rows(Protocol):
    """What csv.reader gives."""

    line_num: int

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class Item(NamedTuple):
    """What one line stands for: one of `KINDS` with its fields, or `refused` with why.

    `outcome` is what a prediction's line says of its outcome, if it does.
    """

    line: int
    kind: str
    fields: dict[str, Any]
    outcome: dict[str, Any] | None = None
    reason: str = ""


class Source:
    """A file of runs, measurements, predictions, outcomes: JSON lines or CSV.

    The two are told apart by the first character.

    Raises:
        ImportFileError: there is no such file, it cannot be read, or its gzip data ends early.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        self._columns = columns
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
            first = b"".join(buffered.peek(4096).removeprefix(_MARK).split())[:2]
            if first in (b"[{", b"[]"):
                raise ImportFileError(
                    f"{self.path}: is one JSON list; an import takes JSON lines, an object a line "
                    "(jq -c '.[]' makes them)"
                )
            json = first.startswith(b"{")
            yield from self._json_lines(buffered) if json else self._csv(buffered)

    def _csv(self, stream: io.BufferedReader) -> Iterator[Item]:
        csv.field_size_limit(_LONGEST_CELL)
        # A bad byte in a message must not cost the run it belongs to.
        with io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="") as text:
            yield from self._rows(csv.reader(text))

    def _rows(self, reader: _Rows) -> Iterator[Item]:
        header = [name.strip() for name in next(reader, [])]
        if not header:
            return
        shape = self._shape = CsvColumns(self._columns, header, str(self.path))
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
                if row:
                    yield Item(line, *shape.found(row))
            except StopIteration:
                return
            except (ValueError, csv.Error) as problem:
                yield Item(line, "refused", {}, reason=str(problem))

    def _json_lines(self, stream: io.BufferedReader) -> Iterator[Item]:
        shape = self._shape = JsonColumns(self._columns)
        decode = msgspec.json.Decoder().decode
        for line, found in enumerate(stream, 1):
            text = found.removeprefix(_MARK) if line == 1 else found
            if text.isspace():
                continue
            try:
                yield Item(line, *shape.found(decode(text)))
            except (ValueError, msgspec.DecodeError) as problem:
                yield Item(line, "refused", {}, reason=str(problem))
