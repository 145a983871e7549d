"""Ids that sort by time, so that an index of them grows at its end."""

from __future__ import annotations

import random
import time

_random = random.SystemRandom()


def new_id() -> str:
    """32 hexadecimal digits: 12 of milliseconds since the epoch, 20 random."""
    return f"{time.time_ns() // 1_000_000:012x}{_random.getrandbits(80):020x}"
