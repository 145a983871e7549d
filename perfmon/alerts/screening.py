"""Which targets cannot be in breach, whatever stretch is looked at: told from a few sums of all.

With ten thousand agents most are well, and looking at each of them closely at once takes long. A
stretch holds no more bad runs, no larger sum and no larger extreme than all that is in memory.
"""

from __future__ import annotations

import numpy as np

from perfmon.alerts.evidence.judge import MIN_MEAN
from perfmon.alerts.evidence.shares import allowed_share, least_bad
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.metrics.statistics import MADE_OF
from perfmon.records import Scope
from perfmon.window.cells import FIRST_EXTREME, Stat
from perfmon.window.ragged import Floats
from perfmon.window.window import Window

_MICROS = 1_000_000
# Of values that are at least 0.
_SUMS = frozenset((Stat.LATENCY, Stat.COST, Stat.TOKENS, Stat.MEMORY, Stat.CPU))
_ROUNDING = 1 + 1e-6


class Screening:
    """What is in memory of each key, summed up once for many targets. Not thread-safe."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._totals = window.totals_by_key()
        self._of_scope: dict[Scope, Floats] = {}

    def is_harmless(self, target: Target) -> bool:
        """Whether it is sure not to be in breach; False where that cannot be told so cheaply."""
        watch = target.watch
        longest = max((stretch.seconds for stretch in watch.stretches), default=0.0)
        if longest * _MICROS > self._window.retention or any(s.period for s in watch.stretches):
            return False
        stats = self._of(target.scope)
        if watch.kind is Kind.SHARE:
            return _share(watch, stats)
        if watch.kind in (Kind.BEYOND, Kind.ANY, Kind.SINGLE):
            return _beyond(watch, stats)
        return watch.kind is Kind.MEAN and _mean(watch, stats)

    def _of(self, scope: Scope) -> Floats:
        found = self._of_scope.get(scope)
        if found is None:
            own = self._totals[self._window.keys.of(scope)]
            found = np.zeros(own.shape[1])
            own[:, :FIRST_EXTREME].sum(axis=0, out=found[:FIRST_EXTREME])
            own[:, FIRST_EXTREME:].max(axis=0, out=found[FIRST_EXTREME:], initial=-np.inf)
            self._of_scope[scope] = found
        return found


def _share(watch: Watch, stats: Floats) -> bool:
    made = MADE_OF[watch.metric]
    bad = stats[made.of] if watch.above else stats[made.among] - stats[made.of]
    least = min(least_bad(allowed_share(watch, limit)) for limit in watch.limits)
    return bool(bad < least)


def _beyond(watch: Watch, stats: Floats) -> bool:
    if not watch.above:
        return False
    of_memory = MADE_OF[watch.metric].of is Stat.MEMORY_MAX
    largest = stats[Stat.MEMORY_MAX if of_memory else Stat.LATENCY_MAX]
    # The middle of a sketch's bucket may lie above its largest value, by 1%.
    return bool(largest * (1.0 if of_memory else 1.02) <= min(one.value for one in watch.limits))


def _mean(watch: Watch, stats: Floats) -> bool:
    """Of so few values as make evidence the sum would have to be larger than that of all."""
    made = MADE_OF[watch.metric]
    if watch.above and made.of in _SUMS:
        least = min(one.value for one in watch.limits)
        return bool(stats[made.of] * _ROUNDING < MIN_MEAN * least)
    if not watch.above and watch.unit == "share":
        count, total = float(stats[made.among]), float(stats[made.of])
        most = max(one.value for one in watch.limits)
        return (count - total) * _ROUNDING < MIN_MEAN * (1 - most)
    return False
