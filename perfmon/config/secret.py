"""Secrets: values that no log, page, error or report may show."""

from __future__ import annotations

import base64
import os
import re
import stat
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from pathlib import Path

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"]+@")
_QUERY = re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]+")
_LONGEST = 300
# Shorter ones would hide half of every text.
_SHORTEST, _SHORTEST_INSIDE = 4, 6
_URL_SAFE = str.maketrans("+/", "-_")
SOURCES = 'text, { env = "NAME" } or { file = "path" }'


class Secret:
    """A value that prints as `***`; `reveal()` gives it to the one call that needs it.

    Attributes:
        literal: whether it stood in the configuration itself, rather than behind a name.
        forms: the texts that give it away: itself, in a URL, and in Base64.
    """

    __slots__ = ("__weakref__", "_value", "forms", "literal")

    def __init__(self, value: str, *, literal: bool = False) -> None:
        self._value = value
        self.literal = literal
        self.forms = spellings(value)
        _known.add(self)

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


# Weak, so that a secret lives no longer than the configuration that holds it. By identity,
# because two equal secrets may come and go apart.
_known: weakref.WeakSet[Any] = weakref.WeakSet()


def spellings(value: str) -> tuple[str, ...]:
    """The texts that give a value away, longest first: itself, escaped in a URL, in Base64.

    In Base64 also as a part of something longer, such as `user:password`: there its letters
    depend on how many stand before it, modulo three, and the first and last are shared.
    """
    if len(value) < _SHORTEST:
        return ()
    found = {value, quote(value, safe=""), quote_plus(value)}
    raw = value.encode("utf-8", "replace")
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        whole = (len(raw) + before) // 3 * 4
        inner = text[-(-before * 8 // 6) : whole].rstrip("=")
        if len(inner) >= _SHORTEST_INSIDE:
            found |= {inner, inner.translate(_URL_SAFE)}
    found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return tuple(sorted(found, key=len, reverse=True))


def one_line(text: object) -> str:
    """Text that stays one line on any terminal."""
    line = " ".join(str(text).split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def redacted(text: object, longest: int = _LONGEST) -> str:
    """One line of bounded length, without known secrets and without credentials in URLs."""
    line = one_line(text)
    for secret in tuple(_known):
        for form in secret.forms:
            line = line.replace(form, "***")
    line = _QUERY.sub(r"\1***", _CREDENTIALS.sub("***@", line))
    return line if len(line) <= longest else line[: longest - 3] + "..."


def read_secret(given: Any, folder: Path, environment: Mapping[str, str]) -> Secret:
    """The secret that a configuration value stands for, or `ValueError` with the reason."""
    if isinstance(given, str) and given:
        return Secret(given, literal=True)
    if isinstance(given, Mapping) and len(given) == 1:
        ((source, name),) = given.items()
        if source == "env" and isinstance(name, str):
            return Secret(_from_environment(name, environment))
        if source == "file" and isinstance(name, str):
            return Secret(_from_file(folder / name))
    raise ValueError(f"must be {SOURCES}")


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    if name not in environment:
        raise ValueError(f"the environment variable {name} is not set")
    return _cleaned(environment[name], f"the environment variable {name}")


def _cleaned(text: str, source: str) -> str:
    """What a source holds without its last line break, which editors and `echo` leave there."""
    value = text.rstrip("\r\n")
    if not value:
        raise ValueError(f"{source} is empty")
    if any(char in value for char in "\r\n\0"):
        raise ValueError(f"{source} has more than one line; a secret must be a single line")
    return value


def _from_file(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & stat.S_IROTH:
            raise ValueError(f"{path} is readable by everyone; run chmod o-r {path}")
        text = path.read_text("utf-8-sig")
    except OSError as problem:
        raise ValueError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    return _cleaned(text, str(path))
