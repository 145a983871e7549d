"""`perfmon serve`: the monitor with its server."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import attrs
import click

from perfmon.cli import hangups
from perfmon.cli.options import config_option, config_path, load_config, storage_option
from perfmon.cli.output import complain
from perfmon.errors import PerfmonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon.config.config import Config
    from perfmon.monitor.monitor import PerformanceMonitor

_log = logging.getLogger("perfmon")
_EPILOG = """\b
Examples:
  perfmon serve
  perfmon serve --config /etc/perfmon/monitor.toml --port 9000
"""


@click.command(name="serve", epilog=_EPILOG)
@click.option("--host", help="Address to listen on [default: host of [plugins.server]]")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0 picks a free one."
)
@storage_option
@config_option
@click.pass_context
def serve_command(
    ctx: click.Context, host: str | None, port: int | None, storage: str | None
) -> None:
    """Run the monitor and its server until Ctrl-C.

    The server has the REST API, the overview page and the event stream.
    SIGHUP reloads monitor.toml: either the whole file takes effect, or none of it.
    """
    monitor = serving_monitor(load_config(ctx), storage)
    with monitor:
        serve(
            monitor,
            host,
            port,
            _ready,
            lambda: _reload(monitor, ctx),
        )


def _ready(url: str) -> None:
    click.echo(f"perfmon serves {url} (Ctrl-C to stop)")
    hangups.deliver()


def _reload(monitor: PerformanceMonitor, ctx: click.Context) -> None:
    """Reload the file, and print the result."""
    path = config_path(ctx)
    if path is None:
        _say(monitor, logging.WARNING, ["no monitor.toml to reload"])
        return
    try:
        later = monitor.reload(path)
    except PerfmonError as problem:
        lines = str(problem).splitlines()
        _say(
            monitor,
            logging.ERROR,
            [*lines, f"{path}: not reloaded; the running configuration is unchanged"],
        )
    else:
        waiting = [f"{place}: takes effect after a restart" for place in later]
        _say(monitor, logging.INFO, [*waiting, f"{path}: reloaded"])


def _say(monitor: PerformanceMonitor, level: int, lines: list[str]) -> None:
    """On the terminal, and in the log file where there is one."""
    for line in lines:
        complain(line)
        if monitor.config.monitor.log_file is not None:
            _log.log(level, "%s", line)


def serving_monitor(config: Config, storage: str | None = None) -> PerformanceMonitor:
    """A monitor of this configuration with the server, which is on unless turned off."""
    from perfmon.monitor.monitor import PerformanceMonitor

    return PerformanceMonitor(with_server(config), storage_url=storage)


def with_server(config: Config) -> Config:
    """The same with the server on; `PerfmonError` where it is turned off."""
    if config.plugin_enabled("server") is False:
        place = config.place("plugins", "server")
        raise PerfmonError(f"{place}: enabled = false turns off the server that perfmon serve runs")
    return attrs.evolve(
        config, plugins={**config.plugins, "server": config.plugins.get("server", {})}
    )


def serve(
    monitor: PerformanceMonitor,
    host: str | None,
    port: int | None,
    ready: Callable[[str], None],
    reload: Callable[[], None] | None = None,
) -> None:
    """Run the server plugin of a started monitor until a signal."""
    # The process is the server's own: a request waits for a busy thread 1 ms rather than 5.
    sys.setswitchinterval(0.001)
    monitor.plugin("server").run(monitor, host=host, port=port, ready=ready, reload=reload)
