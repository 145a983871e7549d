"""IDs that sort by time, so that an index of them grows at its end."""

from __future__ import annotations

import os
import time


def new_id() -> str:
    """32 hexadecimal digits: 12 of milliseconds since the epoch, 20 random."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
