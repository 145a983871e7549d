"""Identifies a monitor, so that a command can tell whether a server on a port is its own."""

from __future__ import annotations

import re
from hashlib import blake2s
from pathlib import Path

from perfmon.config.config import Config

Instance = dict[str, str | None]
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


def instance_of(config: Config) -> Instance:
    """Marks of the configuration's file and of the storage, which give neither away.

    None where there is no file, or nothing that is shared.
    """
    return {
        "config": None if config.path is None else _mark(str(config.path.resolve())),
        "storage": _storage(config.monitor.storage),
    }


def is_same(one: Instance, other: object) -> bool:
    """Whether two monitors are one: by their files where both have one, else by storage."""
    if not isinstance(other, dict):
        return False
    for name in ("config", "storage"):
        marks = one[name], other.get(name)
        if None not in marks:
            return marks[0] == marks[1]
    return False


def _storage(url: str) -> str | None:
    scheme, _, rest = url.partition(":")
    if scheme == "memory" or rest in ("//", "///:memory:"):
        return None
    if scheme.startswith("sqlite"):
        rest = str(Path(rest.removeprefix("///").split("?")[0]).resolve())
        return _mark(rest)
    return _mark(_CREDENTIALS.sub("", url))


def _mark(text: str) -> str:
    return blake2s(text.encode(), digest_size=8).hexdigest()
