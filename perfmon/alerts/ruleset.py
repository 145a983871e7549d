"""What a configuration asks of alerting: what is watched, how alerts live, who is told of them."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.grouping import Grouping, SinkTerms
from perfmon.alerts.rules.compile import conflicts_watch, watches
from perfmon.alerts.rules.rule import Kind, Watch
from perfmon.config.config import Config
from perfmon.delivery.outbox import Outbox
from perfmon.records import AlertLevel

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
    def of(cls, config: Config, outbox: Outbox, link: str | None, *, is_on: bool) -> Ruleset:
        sinks, every = outbox.sinks, outbox.tell_every
        watched = [*watches(config), conflicts_watch(config)]
        return cls(
            watched,
            Settings.of(config.alerts, watched),
            Grouping.of(config.alerts, config.alerts.link or link),
            tuple(_terms(config, name, every=name in every) for name in sinks),
            config.alerts.evaluation_interval,
            min([_IDLE, *(limit / 4 for limit in _waits(watched))]),
            is_on,
        )


def _waits(watched: list[Watch]) -> list[float]:
    """The limits that are reached by waiting, in seconds."""
    kinds = (Kind.NO_RUNS, Kind.UNFINISHED)
    return [limit.value for watch in watched if watch.kind in kinds for limit in watch.limits]


def _terms(config: Config, sink: str, *, every: bool) -> SinkTerms:
    """What a sink's own table asks for; one that tells each alert apart is given all of them."""
    level = config.plugins.get(sink, {}).get("min_level", AlertLevel.INFO.value)
    terms = SinkTerms(name=sink, min_level=AlertLevel(level))
    return attrs.evolve(terms, most=None) if every else terms
