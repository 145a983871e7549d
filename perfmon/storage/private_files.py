"""Files readable by their owner only, as they hold prompts and answers of agents."""

from __future__ import annotations

import os


def private(path: str, flags: int) -> int:
    """An opener for `open`: a new file has mode 0600, one that is there stays as it is."""
    return os.open(path, flags, 0o600)
