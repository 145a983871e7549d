"""Detects the encoding of a file, and handles bytes that are not valid in it."""

from __future__ import annotations

import codecs
import re
from typing import Any

from perfmon.config.validators import did_you_mean
from perfmon.errors import InvalidRun, PerfmonError

MARKED = "perfmon.marked"
"""The error handler that keeps each undecodable byte as a letter no text has: U+DC00 plus it."""

# NUL goes the same way: it is what bytes of another encoding look like, and no storage takes it.
_MARKS = re.compile("[\ud800-\udfff\0]+")
_SIGNS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before those of UTF-16, with which they begin.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FORMATS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet (.xlsx); unpack it, or save it as CSV",
    b"\xfd7zXZ\0": "compressed with xz; decompress it, or use gzip",
    b"BZh": "compressed with bzip2; decompress it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it, or use gzip",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls); save it as CSV",
    b"SQLite format 3\0": "an SQLite database; export its rows as CSV",
    b"PAR1": "a Parquet file; write its rows as CSV or JSON lines",
    b"%PDF": "a PDF document",
}
_KEYS = frozenset(
    ("run_id", "agent_name", "tenant", "task_id", "outcome_id", "measurement_id")
)  # fmt: skip
_MESSAGES = frozenset(("error_type", "metadata", "feedback_source"))
_USUAL = ("utf-8", "utf-16", "windows-1252", "iso-8859-1", "iso-8859-15", "shift_jis", "gb18030")


def _mark(problem: UnicodeError) -> tuple[str, int]:
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    bad = problem.object[problem.start : problem.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), problem.end


codecs.register_error(MARKED, _mark)


class DamagedRow(ValueError):
    """What stands in a file's line is no row, or its keys are unreadable."""


def known_encoding(name: str) -> str:
    """The encoding's own name; `PerfmonError` where there is none of this name, or not of text."""
    try:
        found = codecs.lookup(name)
        "".encode(found.name)  # refuses what turns bytes into bytes, such as base64
    except (LookupError, ValueError):
        hint = did_you_mean(name.lower(), _USUAL) or f", such as {', '.join(_USUAL[:3])}"
        raise PerfmonError(f"--encoding {name}: unknown text encoding{hint}") from None
    return found.name


def foreign_format(head: bytes) -> str | None:
    """What a file is that is no text, by its first bytes, and what to do; None where it may be."""
    return next((words for sign, words in _FORMATS.items() if head.startswith(sign)), None)


def encoding_of(head: bytes, given: str | None) -> str:
    """By its byte order mark, else as given, else by the zeros of UTF-16, else UTF-8."""
    for sign, name in _SIGNS:
        if head.startswith(sign):
            return name
    return given or _by_zeros(head[:256]) or "utf-8"


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark: of names, digits and signs every other byte is zero."""
    half = len(head) // 2
    first, second = head[: 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if half < 2 or max(first, second) < 0.2 * half or min(first, second) > 0.05 * half:
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def is_marked(text: str) -> bool:
    """Whether something in it is no text of the file's encoding."""
    if text.isascii():
        return "\0" in text
    return _MARKS.search(text) is not None


def legible(text: str) -> str:
    r"""The same with each bad byte as `\xe9`, which keeps different texts different."""
    return _MARKS.sub(
        lambda found: "".join(f"\\x{ord(mark) & 0xFF:02x}" for mark in found[0]), text
    )


def mended(field: str, value: Any, encoding: str) -> Any:
    r"""A value without bad bytes: a message has U+FFFD for them, what is compared `\xe9`.

    Raises:
        DamagedRow: it is a key; two keys must not become one.
    """
    if field in _KEYS:
        if isinstance(value, str) and is_marked(value):
            raise DamagedRow(_refusal(field, value, encoding))
        return value
    is_message = field in _MESSAGES
    return _deeply(value, lambda text: _MARKS.sub("\ufffd", text) if is_message else legible(text))


def _refusal(field: str, value: str, encoding: str) -> str:
    name = encoding.upper()
    wanted = f"text in {name} (if the file has another encoding, give it with --encoding)"
    if "\0" in value:
        wanted = "text without NUL"
    return str(InvalidRun(field, legible(value), wanted)).replace("\\\\x", "\\x")


def _deeply(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_deeply(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _deeply(item, change) for key, item in value.items()}
    return value
