"""The base of a monitor's pages of methods: what they may access."""

from __future__ import annotations

import time

from perfmon.config.config import Config
from perfmon.monitor.parts import Parts
from perfmon.plugins.bus import Bus
from perfmon.plugins.hooks import Hooks
from perfmon.recording.in_flight import InFlight
from perfmon.recording.writer import Writer
from perfmon.records import to_micros
from perfmon.storage.storage import Clock
from perfmon.window.vocabulary import Vocabulary

_time_ns = time.time_ns


class Page:
    """A subject's methods; each stands by itself, and together they are a `PerformanceMonitor`.

    Attributes:
        config: what it was made with, or reloaded.
        bus, hook: its plugins, and the hooks that orchestrators call.
        clock: returns the time; None is the system's.
        in_flight: the runs in flight.
        vocabulary: the numbers that stand for names in the window.
        window_size_minutes: the default window of queries.
        enable_auto_alerts, enable_trend_analysis: what it was made with.
    """

    config: Config
    bus: Bus
    hook: Hooks
    clock: Clock | None
    in_flight: InFlight
    window_size_minutes: int
    enable_auto_alerts: bool
    enable_trend_analysis: bool
    vocabulary: Vocabulary
    _closed: bool
    _parts: Parts
    """What it is made of. After a fork they sleep, and are opened anew by whoever needs one."""
    _writer: Writer | None
    """What stores in the background, while it is started."""

    def now_us(self) -> int:
        """The clock's time in UTC microseconds."""
        if self.clock is None:
            return _time_ns() // 1_000
        return to_micros(self.clock())
