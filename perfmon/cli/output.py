"""Output to terminals of any encoding, and error messages of commands."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def complain(message: str) -> None:
    """Each line of a message on stderr, with the program's name."""
    for line in message.splitlines() or [""]:
        click.echo(f"perfmon: {line}", err=True)


def print_what_can_be_printed() -> None:
    """A letter that the terminal does not have becomes a question mark, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def json_text(value: Any, *, is_printed: bool = True) -> str:
    """Indented JSON; what is printed is whole also where the terminal does not have its letters."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return text if not is_printed or _has(text) else json.dumps(value, indent=2, allow_nan=False)


def html_text(text: str) -> str:
    """HTML with the letters that the terminal does not have as references."""
    return text if _has(text) else text.encode("ascii", "xmlcharrefreplace").decode()


def _has(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
