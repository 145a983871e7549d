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
def deliver_alert(alert, message):
    """A message has all alerts of its group, the most urgent first (which is `alert`).

    May be slow, or async; raises `DeliveryError`, `permanent` where trying again is no use.
    """
    file = Path(settings.file)
    told = message.alerts if message else (alert,)
    try:
        with file.open("a", encoding="utf-8", errors="replace") as lines:
            for one in told:
                lines.write(f"{one.timestamp:%Y-%m-%d %H:%M:%S} {one.level} {one.state}: ")
                lines.write(f"{one.message}\n")
    except OSError as problem:
        permanent = isinstance(problem, IsADirectoryError)
        raise DeliveryError(f"{file} cannot be written: {problem}", permanent=permanent) from None
