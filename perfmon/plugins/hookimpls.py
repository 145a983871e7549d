"""A plugin's implementations, checked against the hookspecs and made ready to be called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pluggy

from perfmon.config.validators import did_you_mean
from perfmon.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def specs(manager: pluggy.PluginManager) -> Iterator[tuple[str, Any]]:
    """Every hook with its specification."""
    return ((hook, caller.spec) for hook, caller in vars(manager.hook).items() if caller.spec)


def checked(
    manager: pluggy.PluginManager,
    arguments: Mapping[str, tuple[str, ...]],
    plugin: object,
    name: str,
) -> list[str]:
    """The hooks a plugin implements; `PluginError` where one is not as its hookspec says."""
    hooks = []
    for function in dir(plugin):
        marks = manager.parse_hookimpl_opts(plugin, function)
        if marks is None:
            continue
        hook = marks.get("specname") or function
        if hook not in arguments:
            hint = did_you_mean(hook, arguments)
            raise PluginError(f"plugin {name!r}: no such hook: {hook!r}{hint}")
        if marks.get("wrapper") or marks.get("hookwrapper"):
            raise PluginError(f"plugin {name!r}: {hook} cannot be a wrapper")
        _check_arguments(name, hook, getattr(plugin, function), arguments[hook])
        hooks.append(hook)
    return sorted(hooks)


def _check_arguments(
    name: str, hook: str, function: Callable[..., Any], known: tuple[str, ...]
) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty and parameter.name not in known:
            raise PluginError(
                f"plugin {name!r}: hook {hook} has no argument {parameter.name!r};"
                f" it has {', '.join(known)}"
            )


def positional(
    function: Callable[..., Any], takes: tuple[str, ...], given: tuple[str, ...]
) -> Callable[..., Any]:
    """A function of all the hook's arguments, by place, for one that takes some by name."""
    if takes == given:
        return function
    places = [given.index(name) for name in takes]
    return lambda *values: function(*[values[place] for place in places])
