"""The log file for perfmon's own messages, besides the program's logging."""

from __future__ import annotations

import logging
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

from perfmon.errors import ConfigError
from perfmon.storage.private_files import private

_log = logging.getLogger("perfmon")
_BYTES, _FILES = 10 * 2**20, 3


class _PrivateFile(RotatingFileHandler):
    """Its files are readable by their owner alone; one that is there stays as it is."""

    def _open(self) -> TextIOWrapper:
        file = open(  # noqa: SIM115 - it stays open
            self.baseFilename, self.mode, encoding=self.encoding, opener=private
        )
        return cast("TextIOWrapper", file)


def open_log(path: str) -> logging.Handler:
    """Write perfmon's messages to a file from now on; it rotates at 10 MiB.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = _PrivateFile(path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    except OSError as problem:
        raise ConfigError([f"[monitor] log_file = {path!r}: {problem.strerror}"]) from None
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(file)
    if _log.getEffectiveLevel() > logging.INFO:
        _log.setLevel(logging.INFO)
    return file


def close_log(file: logging.Handler) -> None:
    """Write to it no more."""
    _log.removeHandler(file)
    file.close()
