"""Files that only their owner may read: they hold what agents were asked and what they answered."""

from __future__ import annotations

import os


def private(path: str, flags: int) -> int:
    """An opener for `open`: a new file has mode 0600, one that is there stays as it is."""
    return os.open(path, flags, 0o600)
