"""Which targets cannot be in breach in any window, from a few sums over all of them.

With ten thousand agents most are well, and looking at each of them closely at once takes long. A
stretch holds no more bad runs, no larger sum and no larger extreme than all that is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from perfmon.alerts.evidence.judge import MIN_MEAN
from perfmon.alerts.evidence.shares import allowed_share, least_bad
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.alerts.rules.targets import Target
from perfmon.metrics.statistics import MADE_OF
from perfmon.window.cells import Stat
from perfmon.window.live import LiveWindow
from perfmon.window.ragged import Floats

_MICROS = 1_000_000
# Of values that are at least 0.
_SUMS = frozenset((Stat.LATENCY, Stat.COST, Stat.TOKENS, Stat.MEMORY, Stat.CPU))
_ROUNDING = 1 + 1e-6


def harmless(targets: Iterable[Target], window: LiveWindow) -> set[str]:
    """The keys of those that are sure not to be in breach, as far as it can be told so cheaply."""
    screened = [target for target in targets if _is_screened(target.watch, window.retention)]
    sums = window.sums({target.scope for target in screened})
    return {one.key for one in screened if _is_harmless(one.watch, sums[one.scope])}


def _is_screened(watch: Watch, retention: int) -> bool:
    longest = max((stretch.seconds for stretch in watch.stretches), default=0.0)
    if longest * _MICROS > retention or any(one.period for one in watch.stretches):
        return False
    return watch.kind in (Kind.SHARE, Kind.BEYOND, Kind.ANY, Kind.SINGLE, Kind.MEAN)


def _is_harmless(watch: Watch, stats: Floats) -> bool:
    if watch.kind is Kind.SHARE:
        return _share(watch, stats)
    return _mean(watch, stats) if watch.kind is Kind.MEAN else _beyond(watch, stats)


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
