"""Which alerts each sink gets: by its own table of the configuration, and its own attributes."""

from __future__ import annotations

import attrs

from perfmon.config.config import Config
from perfmon.plugins.bus import Bus
from perfmon.records import AlertLevel, PerformanceAlert

MOST = 20
_HOOK = "deliver_alert"
_ORDER = list(AlertLevel)


@attrs.frozen(kw_only=True)
class SinkTerms:
    """What a sink is sent.

    Attributes:
        name: the plugin's.
        min_level: the lowest level it receives.
        most: the alerts listed in one message at most; None is no limit, for sinks whose receiver
            keeps an account of every single alert.
    """

    name: str
    min_level: AlertLevel = AlertLevel.INFO
    most: int | None = MOST

    def accept(self, alert: PerformanceAlert) -> bool:
        """Whether it receives alerts of this level."""
        return _ORDER.index(alert.level) >= _ORDER.index(self.min_level)


class DeliveryTerms:
    """Those of all sinks, under a configuration that may be reloaded."""

    def __init__(self, bus: Bus, config: Config) -> None:
        self._bus = bus
        self._config = config

    def reload(self, config: Config) -> None:
        """Go on under a changed configuration."""
        self._config = config

    @property
    def all(self) -> tuple[SinkTerms, ...]:
        """Those of the sinks that are there now."""
        return tuple(self.of(sink.plugin) for sink in self._bus.chain(_HOOK))

    def of(self, sink: str) -> SinkTerms:
        """A sink with the attribute `every_alert` tells each alert apart, and gets all of them."""
        level = self._config.plugins.get(sink, {}).get("min_level", AlertLevel.INFO.value)
        is_each = self._bus.attribute(sink, "every_alert") is True
        return SinkTerms(name=sink, min_level=AlertLevel(level), most=None if is_each else MOST)

    def accepts(self, sink: str, alert: PerformanceAlert) -> bool:
        """Whether a sink receives alerts of this level."""
        return self.of(sink).accept(alert)
