"""Values that no log, page, error or report may show."""

from __future__ import annotations

import os
import re
import stat
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"]+@")
_QUERY = re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]+")
_LONGEST = 300
SOURCES = 'text, { env = "NAME" } or { file = "path" }'


class Secret:
    """A value that prints as `***`; `reveal()` gives it to the one call that needs it.

    Attributes:
        literal: whether it stood in the configuration itself, rather than behind a name.
    """

    __slots__ = ("__weakref__", "_value", "literal")

    def __init__(self, value: str, *, literal: bool = False) -> None:
        self._value = value
        self.literal = literal
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


def one_line(text: object) -> str:
    """Text that stays one line on any terminal."""
    line = " ".join(str(text).split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def redacted(text: object, longest: int = _LONGEST) -> str:
    """One line of bounded length, without known secrets and without credentials in URLs."""
    line = one_line(text)
    for secret in tuple(_known):
        value = secret.reveal()
        if len(value) >= 4:
            line = line.replace(value, "***")
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
    value = environment.get(name, "")
    if not value:
        raise ValueError(f"the environment variable {name} is not set")
    return value


def _from_file(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & stat.S_IROTH:
            raise ValueError(f"everybody can read {path}; chmod o-r {path}")
        value = path.read_text("utf-8").rstrip("\r\n")
    except OSError as problem:
        raise ValueError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if not value:
        raise ValueError(f"{path} is empty")
    return value
