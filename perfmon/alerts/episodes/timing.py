"""The durations in an alert's life cycle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from perfmon.alerts.episodes.episode import Episode
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.config import AlertsTable
from perfmon.records import AlertLevel

_MICROS = 1_000_000


@attrs.frozen(kw_only=True)
class Settings:
    """How long things take; seconds.

    Attributes:
        rules: the names of all watches; an alert of another one resolves.
        repeat: between reminders, by level; None is never.
        stale_after: so long without data (or without enough) ends what fires, with that reason.
        flapping_starts, flapping_hold: a key that began to fire so often within 24 hours flaps,
            and is then kept firing for at least so long.
        failures: this many failed evaluations in a row raise an alert.
        max_step: the most that counts of the time between two steps.
    """

    rules: frozenset[str]
    repeat: Mapping[AlertLevel, float | None] = attrs.field(
        factory=lambda: {AlertLevel.CRITICAL: 4 * 3600.0, AlertLevel.WARNING: 24 * 3600.0}
    )
    stale_after: float = 3600.0
    flapping_starts: int = 4
    flapping_hold: float = 3600.0
    failures: int = 3
    max_step: float = 60.0

    @classmethod
    def of(cls, alerts: AlertsTable, watched: Iterable[Watch]) -> Settings:
        """Those of a configuration."""
        repeat = alerts.repeat
        return cls(
            rules=frozenset(watch.rule for watch in watched),
            repeat={
                AlertLevel.CRITICAL: repeat.critical,
                AlertLevel.WARNING: repeat.warning,
                AlertLevel.INFO: repeat.info,
            },
            max_step=max(60.0, 4 * alerts.evaluation_interval),
        )

    def hold(self, episode: Episode) -> int:
        """How long an episode must be settled before it is resolved, in microseconds."""
        hold = episode.keep_firing_for
        if episode.kind is Kind.NO_RUNS:
            # Presence is seen, not estimated; and a short limit must not begin anew meanwhile.
            hold = min(hold, episode.threshold / 2)
        if max(episode.starts, episode.fires) >= self.flapping_starts:
            hold = max(hold, self.flapping_hold)
        return micros(hold)


def micros(seconds: float) -> int:
    """Whole microseconds; for ever is more than there are."""
    return 2**62 if math.isinf(seconds) else round(seconds * _MICROS)
