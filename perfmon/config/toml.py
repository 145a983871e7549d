"""Reads TOML; syntax errors come with their line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from perfmon.config.secret import redacted
from perfmon.errors import ConfigError


def text_of(file: Path) -> str:
    """The text of a file, with or without a byte order mark; `ConfigError` where it has none."""
    try:
        found = file.read_bytes()
    except OSError as problem:
        raise ConfigError([f"{file}: cannot be read: {problem.strerror}"]) from None
    try:
        return found.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        if found.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ConfigError([f"{file}: is UTF-16 text; save it as UTF-8"]) from None
        line = found.count(b"\n", 0, problem.start) + 1
        raise ConfigError([f"{file}:{line}: is not UTF-8 text; save it as UTF-8"]) from None


def tables_of(source: str, text: str) -> dict[str, Any]:
    """The tables in a text; `ConfigError` with the line where it is no TOML."""
    import tomli

    try:
        return tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError) as problem:
        number = re.search(r"\(at line (\d+)", str(problem))
        # A text that ends early is wrong in its last line.
        line = number[1] if number else str(text.rstrip().count("\n") + 1)
        raise ConfigError([f"{source}:{line}: not valid TOML: {redacted(problem)}"]) from None
