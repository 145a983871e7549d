"""`perfmon serve`: the monitor with its server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import attrs
import click

from perfmon.cli.opening import storage_option
from perfmon.cli.root import config_option, load_config
from perfmon.errors import PerfmonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon.config import Config
    from perfmon.monitor import PerformanceMonitor

_EPILOG = """\b
Examples:
  perfmon serve
  perfmon serve --config /etc/perfmon/monitor.toml --port 9000
"""


@click.command(name="serve", epilog=_EPILOG)
@click.option("--host", help="The address to listen on; else [plugins.server] host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Its port; 0 takes any free one.")
@storage_option
@config_option
@click.pass_context
def serve_command(
    ctx: click.Context, host: str | None, port: int | None, storage: str | None
) -> None:
    """Run the monitor with its REST server and first page until Ctrl-C."""
    monitor = serving_monitor(load_config(ctx).with_overrides(storage_url=storage))
    with monitor:
        serve(monitor, host, port, lambda url: click.echo(f"perfmon serves {url} (Ctrl-C ends it)"))


def serving_monitor(config: Config) -> PerformanceMonitor:
    """A monitor of this configuration with the server, which is on unless turned off."""
    from perfmon.monitor import PerformanceMonitor

    if config.plugin_enabled("server") is False:
        place = config.place("plugins", "server")
        raise PerfmonError(f"{place}: enabled = false turns off what perfmon serve is to run")
    tables = {**config.plugins, "server": config.plugins.get("server", {})}
    return PerformanceMonitor(attrs.evolve(config, plugins=tables))


def serve(
    monitor: PerformanceMonitor,
    host: str | None,
    port: int | None,
    ready: Callable[[str], None],
) -> None:
    """Run the server plugin of a started monitor until a signal."""
    # The process is the server's own: a request waits for a busy thread 1 ms rather than 5.
    sys.setswitchinterval(0.001)
    monitor.plugin("server").run(monitor, host=host, port=port, ready=ready)
