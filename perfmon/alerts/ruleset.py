"""The alerting part of a configuration: rules, timing, and which sinks to notify."""

from __future__ import annotations

from typing import NamedTuple

from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.grouping import Grouping
from perfmon.alerts.rules.compile import conflicts_watch, watches
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.config.config import Config
from perfmon.delivery.terms import SinkTerms

_IDLE = 60.0  # seconds between looks at what does not change


class Ruleset(NamedTuple):
    """What a configuration watches, and whom it tells: replaced as a whole by a reload."""

    watched: list[Watch]
    settings: Settings
    grouping: Grouping
    sinks: tuple[SinkTerms, ...]
    interval: float
    idle: float
    is_on: bool

    @classmethod
    def of(
        cls, config: Config, sinks: tuple[SinkTerms, ...], link: str | None, *, is_on: bool
    ) -> Ruleset:
        watched = [*watches(config), conflicts_watch(config)]
        return cls(
            watched,
            Settings.of(config.alerts, watched),
            Grouping.of(config.alerts, config.alerts.link or link),
            sinks,
            config.alerts.evaluation_interval,
            min([_IDLE, *(limit / 4 for limit in _waits(watched))]),
            is_on,
        )


def _waits(watched: list[Watch]) -> list[float]:
    """The limits that are reached by waiting, in seconds."""
    kinds = (Kind.NO_RUNS, Kind.UNFINISHED)
    return [limit.value for watch in watched if watch.kind in kinds for limit in watch.limits]
