"""A sink of one's own: alerts as lines in a file.

A plugin in one file: put it into a folder that monitor.toml names, and give it a table.

    [plugins]
    paths = ["my_plugins"]
    [plugins.own_sink]
    file = "logs/alerts.txt"
"""

from __future__ import annotations

from pathlib import Path

import attrs

from perfmon import DeliveryError, hookimpl


@attrs.frozen(kw_only=True)
class FileConfig:
    """The table `[plugins.own_sink]`; a mistake in it is reported like any other."""

    file: str = "alerts.txt"


settings = FileConfig()


@hookimpl
def monitor_started(monitor):
    global settings  # noqa: PLW0603 - a plugin of one file is a module, and this is its state
    settings = monitor.config.table("own_sink", FileConfig)


@hookimpl
def deliver_alert(alert):
    """May be slow, or async; raises `DeliveryError`, `permanent` where trying again is no use."""
    file = Path(settings.file)
    line = f"{alert.timestamp:%Y-%m-%d %H:%M:%S} {alert.level} {alert.state}: {alert.message}\n"
    try:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line)
    except OSError as problem:
        permanent = isinstance(problem, IsADirectoryError)
        raise DeliveryError(f"{file} cannot be written: {problem}", permanent=permanent) from None
