"""`perfmon check` and `perfmon plugins`: is the configuration right, and what is installed."""

from __future__ import annotations

import math
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from perfmon.cli.options import config_option, config_path, load_config
from perfmon.cli.output import complain
from perfmon.cli.plugin_commands import load_plugins
from perfmon.errors import ConfigError, PerfmonError, StorageError, StorageMissing
from perfmon.storage.conflicts import conflicts_since, sentence

if TYPE_CHECKING:
    from perfmon.config.config import Config
    from perfmon.plugins.bus import Bus

_DAY_US = 86_400_000_000
_PATIENCE = 3.0  # seconds for the running server; where there is none it is known at once


def _now_us() -> int:
    return time.time_ns() // 1_000


@click.command(name="check")
@config_option
@click.pass_context
def check_command(ctx: click.Context) -> None:
    """Validate the configuration and the storage.

    Lists every error and warning, each with its line.
    """
    path = config_path(ctx)
    config, problems = _config(ctx)
    bus, plugins, plugin_problem = load_plugins(config)
    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    problems += str(plugin_problem or "").splitlines()
    problems += _read_at_start(bus, config)
    storage, noticed = "", list[str]()
    try:
        storage, noticed = _look_at_storage(bus, config)
    except PerfmonError as problem:
        problems.append(str(problem))
    for warning in noticed:
        click.echo(f"warning: {warning}")
    if problems:
        complain("\n".join(sorted(dict.fromkeys(problems), key=_line)))
        ctx.exit(1)
    shown = {"on": "{name}", "named": "{name} (when named)"}
    active = [shown[p["state"]].format(**p) for p in plugins.describe() if p["state"] in shown]
    click.echo(f"{path or 'the defaults (no monitor.toml here)'}: no errors found")
    click.echo(f"storage: {storage}")
    click.echo(f"plugins: {', '.join(active)}")


def _line(problem: str) -> float:
    """Mistakes stand in the order of the file, what is of none of its lines behind them."""
    found = re.match(r"[^\n]+?:(\d+): ", problem)
    return int(found[1]) if found else math.inf


def _config(ctx: click.Context) -> tuple[Config, list[str]]:
    """The configuration, as far as it is right, and its mistakes."""
    from perfmon.config.config import Config

    try:
        return load_config(ctx), []
    except ConfigError as problem:
        path = config_path(ctx)
        if path is None:
            raise
        # What is no TOML at all has one mistake.
        return Config.load_partly(path), problem.mistakes


class _Checked(Exception):
    """A table was read, and is right."""


class _Tables:
    """A configuration that stops a plugin once it has read its table."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def table(self, name: str, cls: type[Any]) -> Any:
        self._config.table(name, cls)
        raise _Checked


def _read_at_start(bus: Bus, config: Config) -> list[str]:
    """The mistakes in tables that plugins of one file read as soon as a monitor starts."""
    mistakes: list[str] = []
    monitor = SimpleNamespace(config=_Tables(config))
    for name, started in bus.implementations("monitor_started"):
        if name in config.plugins:
            try:
                started(monitor=monitor)
            except ConfigError as problem:
                mistakes += problem.mistakes
            except Exception:  # noqa: S112 - it has read its table, or wants a real monitor
                continue
    return mistakes


def _look_at_storage(bus: Bus, config: Config) -> tuple[str, list[str]]:
    """What it is, and what is to be said of runs in a journal, and under ids that came again."""
    from perfmon.cli.leftovers import left_in_journal
    from perfmon.monitor.opening import open_storage

    try:
        storage = open_storage(bus, config.monitor.storage, read_only=True)
    except StorageMissing as problem:
        return f"{problem} yet; the first monitor to start creates it", []
    except StorageError as problem:
        place = config.place("monitor", "storage", is_table=False)
        raise StorageError(f"{place}: {problem}") from None
    try:
        storage.check()
        found = storage.describe()
        left = left_in_journal(config.monitor, storage)
        conflicts = conflicts_since(storage, _now_us() - _DAY_US)
    finally:
        storage.close()
    told = (f"{name} {value}" for name, value in found.items() if value is not None)
    again = f"in the last 24 hours, {sentence(conflicts)}" if conflicts else None
    return ", ".join(told), [warning for warning in (left, again) if warning is not None]


@click.command(name="plugins")
@config_option
@click.pass_context
def plugins_command(ctx: click.Context) -> None:
    """List plugins with their state, source, hooks and errors."""
    from perfmon.reports.parts import Table
    from perfmon.reports.text import table_lines

    config = load_config(ctx)
    _, plugins, problem = load_plugins(config)
    url, accounts, is_ours = _running(config)
    names: tuple[str, ...] = ("Name", "State", "Source", "Calls", "Failures", "Hooks")
    rows = tuple(_row(plugin, accounts) for plugin in plugins.describe())
    table = Table(names, rows, frozenset(names) - {"Calls", "Failures"})
    if not is_ours:
        table = table.without({"Calls", "Failures"})
    click.echo("\n".join(line.rstrip() for line in table_lines(table)))
    if is_ours:
        click.echo(f"\ncalls and failures as counted by the server at {url}")
        for name, account in accounts.items():
            if account.get("last_error"):
                click.echo(f"  {name}: {account['last_error']}")
    elif url is not None:
        click.echo(f"\nno calls and failures: the server at {url} runs another configuration")
    if problem is not None:
        raise problem


def _row(plugin: dict[str, Any], accounts: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    account = accounts.get(plugin["name"], {})
    state = plugin["state"]
    if account.get("in_service") is False:
        state = "disabled"
    calls, failures = (f"{account.get(name, 0):,}" for name in ("calls", "failures"))
    hooks = ", ".join(plugin["hooks"]) or "–"  # noqa: RUF001 - a dash on purpose
    return plugin["name"], state, plugin["origin"], calls, failures, hooks


def _running(config: Config) -> tuple[str | None, dict[str, dict[str, Any]], bool]:
    """The URL of the server that runs where ours should, its plugins' accounts if it is ours."""
    import urllib.request

    import msgspec

    from perfmon.monitor.instances import instance_of, is_same

    table = config.plugins.get("server", {})
    host = str(table.get("host", "127.0.0.1"))
    url = f"http://{f'[{host}]' if ':' in host else host}:{table.get('port', 8787)}"
    request = urllib.request.Request(f"{url}/api/performance/stats")  # noqa: S310 - http above
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            found = msgspec.json.decode(answer.read())
            stats = found.get("stats", found)
            is_ours = is_same(instance_of(config), stats.get("instance"))
            return url, stats["plugins"] if is_ours else {}, is_ours
    except (OSError, ValueError, LookupError, TypeError, AttributeError, msgspec.DecodeError):
        return None, {}, False
