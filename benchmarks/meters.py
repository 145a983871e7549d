"""How things are measured: clocks, memory, percentiles."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

clock = time.perf_counter_ns
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """The memory this process really holds."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, check=True, text=True
    )
    return int(told.stdout) * 1024


def cpu_seconds(pid: int) -> float:
    """User and system time that another process has taken; `ps` tells whole seconds only."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    told = subprocess.run(
        ["ps", "-o", "cputimes=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    return float(told.stdout)


def clock_overhead_us(count: int = 100_000) -> float:
    """What reading the clock twice adds to a timed call."""
    took = array("q", bytes(8 * count))
    for place in range(count):
        began = clock()
        took[place] = clock() - began
    return float(np.median(took)) / 1e3


class Spread(NamedTuple):
    """Percentiles of many durations, in microseconds."""

    median: float
    p99: float
    p999: float

    @classmethod
    def of(cls, nanoseconds: Sequence[int], overhead_us: float) -> Spread:
        found = np.percentile(np.asarray(nanoseconds), (50, 99, 99.9)) / 1e3 - overhead_us
        return cls(*found.tolist())

    @classmethod
    def typical(cls, spreads: Sequence[Spread]) -> Spread:
        """The medians of several repeats."""
        return cls(*(statistics.median(column) for column in zip(*spreads, strict=True)))


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_ms(work: Callable[[], Any], repeats: int) -> float:
    """How long it takes, in milliseconds, in the middle of some repeats."""
    return statistics.median(seconds(work) for _ in range(repeats)) * 1e3
