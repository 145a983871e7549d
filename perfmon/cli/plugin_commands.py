"""The subcommands that enabled plugins add, and the loading of plugins for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon.cli.options import load_config
from perfmon.cli.output import complain
from perfmon.errors import PerfmonError

if TYPE_CHECKING:
    import click

    from perfmon.config.config import Config
    from perfmon.plugins.bus import Bus
    from perfmon.plugins.discovery import Plugins


def add_commands(group: click.Group, ctx: click.Context) -> None:
    """Let the plugins that the configuration names add their subcommands.

    What is wrong with the configuration or a plugin is complained about, and keeps nobody from
    `--help`.
    """
    try:
        config = load_config(ctx)
        # Nothing that is on by itself adds commands, and --help should not wait for it.
        if not config.plugins and not config.plugin_paths:
            return
        bus, _, problem = load_plugins(config)
    except PerfmonError as mistake:
        complain(str(mistake))
        return
    if problem is not None:
        complain(str(problem))
    bus.ask_all("add_commands", cli=group)
    for name, account in bus.accounts().items():
        if account["failures"]:
            complain(f"plugin {name!r}: add_commands: {account['last_error']}")


def load_plugins(config: Config) -> tuple[Bus, Plugins, PerfmonError | None]:
    """The enabled plugins on a bus of their own, and what went wrong with the others."""
    from perfmon.plugins.bus import Bus
    from perfmon.plugins.discovery import Plugins

    bus, plugins = Bus(), Plugins(config, also=("server",))
    try:
        plugins.register_all(bus)
    except PerfmonError as problem:
        return bus, plugins, problem
    return bus, plugins, None
