"""Reloads a changed configuration at run time: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from perfmon.config import MonitorTable
from perfmon.config.config import Config
from perfmon.plugins.bus import Bus
from perfmon.plugins.discovery import SCORING, Plugins

_AT_ONCE = frozenset({"window_size_minutes", "keep_runs_days", "keep_cells_days"})
# What was built from them stands as long as the monitor does.
_BUILT_IN = frozenset({"open_storage", "add_routes"})


@attrs.frozen
class ReloadPlan:
    """What a new configuration comes to.

    Attributes:
        config: the new one, with the old values of what cannot change.
        plugins: all of them; those that did not change are the old ones.
        changed: the names of plugins to replace, add or remove.
        later: what takes a restart, a line each.
    """

    config: Config
    plugins: Plugins
    changed: tuple[str, ...]
    later: tuple[str, ...]


def prepared(config: Config, old: Config, before: Plugins) -> ReloadPlan:
    """The steps from one to the other; nothing is changed yet.

    Raises:
        ConfigError, PluginError: it has mistakes, all of them listed.
    """
    later: list[str] = []
    tables = {**config.plugins}
    if "server" in old.plugins:  # perfmon serve turns it on without a table
        tables.setdefault("server", {})
    plugins = Plugins(attrs.evolve(config, plugins=tables))
    plugins.register_all(Bus())
    monitor = _kept(config.monitor, old.monitor, later)
    changed = []
    for name in dict.fromkeys([*before.names, *plugins.names, *tables, *old.plugins]):
        if not _is_changed(name, tables, old, plugins, before):
            plugins.keep(name, before)
        elif _is_built_in(name, plugins, before):
            later.append(f"[plugins.{name}]")
            plugins.keep(name, before)
            tables.pop(name, None)
            if name in old.plugins:
                tables[name] = old.plugins[name]
        else:
            changed.append(name)
    new = attrs.evolve(config, monitor=monitor, plugins=tables)
    return ReloadPlan(new, plugins, tuple(changed), tuple(later))


def _kept(new: MonitorTable, old: MonitorTable, later: list[str]) -> MonitorTable:
    names = [field.name for field in attrs.fields(MonitorTable)]
    fixed = {n: getattr(old, n) for n in names if n not in _AT_ONCE}
    later += [f"[monitor] {n}" for n, value in fixed.items() if getattr(new, n) != value]
    return attrs.evolve(new, **fixed)


def _is_changed(
    name: str, tables: Mapping[str, Any], old: Config, plugins: Plugins, before: Plugins
) -> bool:
    if plugins.state_of(name) != before.state_of(name):
        return True
    table = tables.get(name)
    return table != old.plugins.get(name) or _reads_a_file(table)


def _reads_a_file(table: Any) -> bool:
    """Whether a secret is behind a file, which may have changed though the table has not."""
    if isinstance(table, Mapping):
        return set(table) == {"file"} or any(map(_reads_a_file, table.values()))
    return isinstance(table, list) and any(map(_reads_a_file, table))


def _is_built_in(name: str, plugins: Plugins, before: Plugins) -> bool:
    """Without hooks it is there to be asked by its name, as the server is."""
    for some in (plugins, before):
        if name in some.names:
            hooks = some.hooks_of(name)
            if not hooks or _BUILT_IN & set(hooks):
                return True
    return False


def replace_plugins(bus: Bus, change: ReloadPlan, before: Plugins, monitor: object | None) -> None:
    """On the bus, as prepared; `monitor` is what those hear that come and go while it runs."""
    for name in change.changed:
        if name in before.names:
            _tell(bus, "monitor_stopping", name, monitor)
        if name not in change.plugins.names:
            if name in before.names:
                bus.unregister(name)
            continue
        made = change.plugins.get(name)
        by_name = (SCORING,) if change.plugins.state_of(name) == "named" else ()
        add = bus.replace if name in before.names else bus.register
        add(made, name, by_name=by_name)
    bus.arrange(change.plugins.names)


def greet_plugins(bus: Bus, change: ReloadPlan, monitor: object | None) -> None:
    """Tell those that are new that the monitor runs."""
    for name in change.changed:
        _tell(bus, "monitor_started", name, monitor)


def _tell(bus: Bus, hook: str, name: str, monitor: object | None) -> None:
    found = bus.find(hook, name)
    if found is not None and monitor is not None:
        found.worker.tell(found, {"monitor": monitor})
