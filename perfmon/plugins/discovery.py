"""Finds plugins, loads only those wanted, and reports the state of each."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from perfmon.config.secret import redacted
from perfmon.config.validators import did_you_mean
from perfmon.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from perfmon.config.config import Config

GROUP = "perfmon"
SCORING = "score_outcome"
DEFAULT_ON = frozenset({"sql", "scorers", "trend", "recommend", "log"})
"""On without being named; `enabled = false` in their table turns them off."""

_FILE_PREFIX = "perfmon_plugin_file_"
_GENERAL_EXTRAS = ("all", "test", "benchmark")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


class Registrar(Protocol):
    """Takes plugins in: the bus."""

    def register(self, plugin: object, name: str, *, by_name: Collection[str] = ()) -> list[str]:
        """Add a plugin; returns the hooks it implements, or raises `PluginError`.

        It is not asked the hooks `by_name` unless somebody asks for it by its name.
        """
        ...


@attrs.define(kw_only=True)
class Plugin:
    """A plugin that was found, and what became of it.

    Attributes:
        name: the entry point's, or the file's without `.py`.
        origin: the distribution with its version, or the file.
        state: `on`, `named` (a scorer that answers only where outcomes name it), `off` (by its
            table), `available` (not asked for) or `failed`.
        hooks: what it implements, once it is on.
        error: why it failed, in one line.
    """

    name: str
    origin: str
    state: str = "available"
    hooks: list[str] = attrs.Factory(list)
    error: str | None = None
    entry: importlib.metadata.EntryPoint | None = None
    file: Path | None = None


class Plugins:
    """The plugins there are, for a configuration.

    Args:
        config: names the wanted ones and holds their tables.
        also: wanted too, unless their table turns them off (`server`, by `perfmon serve`).
    """

    def __init__(self, config: Config, also: Collection[str] = ()) -> None:
        self._config = config
        self._mistakes: list[str] = []
        self._made: dict[str, object] = {}
        self._scorers = config.named_scorers
        self._found = {plugin.name: plugin for plugin in self._taken(_entry_points())}
        self._found |= {plugin.name: plugin for plugin in self._taken(self._files())}
        for plugin in self._found.values():
            if plugin.error is None:
                plugin.state = self._wish(plugin, also)
        self._mistakes += self._unknown(also)

    def register_all(self, registrar: Registrar) -> None:
        """Load what is wanted and register it, those of perfmon itself first.

        Raises:
            PluginError: one line for each that failed; the others are still registered.
        """
        for plugin in self._found.values():
            if plugin.state in ("on", "named"):
                self._register(plugin, registrar)
        lines = self._mistakes + [p.error for p in self._found.values() if p.error]
        lines += self._no_scorers()
        if lines:
            raise PluginError("\n".join(lines))

    @property
    def names(self) -> list[str]:
        """Of those that are registered, in the order of registering."""
        return list(self._made)

    def state_of(self, name: str) -> str | None:
        """`on`, `named` or whatever else it is; None for one that was not found."""
        return self._found[name].state if name in self._found else None

    def hooks_of(self, name: str) -> list[str]:
        """What a registered plugin implements."""
        return self._found[name].hooks if name in self._found else []

    def keep(self, name: str, before: Plugins) -> None:
        """Have a plugin as it was before."""
        if name in before._found:
            self._found[name] = before._found[name]
        if name in before._made:
            self._made[name] = before._made[name]
        else:
            self._made.pop(name, None)

    def describe(self) -> list[dict[str, Any]]:
        """What `perfmon plugins` shows: name, origin, state, hooks, error."""
        names = ("name", "origin", "state", "hooks", "error")
        return [{name: getattr(p, name) for name in names} for p in self._found.values()]

    def get(self, name: str) -> Any:
        """The registered plugin of a name, or `PluginError`."""
        if name in self._made:
            return self._made[name]
        found = self._found.get(name)
        state = found.state if found else f"not installed{did_you_mean(name, self._found)}"
        raise PluginError(f"plugin {name!r} is not enabled: it is {state}")

    def _register(self, plugin: Plugin, registrar: Registrar) -> None:
        try:
            made = _load_file(plugin) if plugin.file else self._load_entry(plugin)
            by_name = (SCORING,) if plugin.state == "named" else ()
            plugin.hooks = registrar.register(made, plugin.name, by_name=by_name)
            self._made[plugin.name] = made
            if plugin.file and not plugin.hooks:
                raise PluginError("implements no hook; mark its functions with @hookimpl")
        except (ConfigError, PluginError) as problem:
            plugin.error = f"{plugin.file}: {problem}" if plugin.file else str(problem)
        # A plugin that ends the process while it is imported is a broken one too.
        except (Exception, SystemExit) as problem:
            plugin.error = _why(plugin, problem)
        if plugin.error:
            plugin.state, plugin.hooks = "failed", []

    def _load_entry(self, plugin: Plugin) -> object:
        assert plugin.entry is not None
        loaded: Any = plugin.entry.load()
        return loaded(self._config) if isinstance(loaded, type) else loaded

    def _wish(self, plugin: Plugin, also: Collection[str]) -> str:
        enabled = self._config.plugin_enabled(plugin.name)
        if enabled is None:
            if plugin.file or plugin.name in DEFAULT_ON or plugin.name in also:
                return "on"
            return "named" if plugin.name in self._scorers else "available"
        if enabled == "named":
            return "named"
        return "on" if enabled else "off"

    def _unknown(self, also: Iterable[str]) -> Iterator[str]:
        named = {name: self._config.place("plugins", name) for name in self._config.plugins}
        named |= {name: f"plugin {name!r}" for name in also if name not in named}
        named |= {name: place for name, place in self._scorers.items() if name not in named}
        for name, place in named.items():
            if name not in self._found:
                known = ", ".join(sorted(self._found)) or "none"
                hint = did_you_mean(name, self._found)
                yield f"{place}: no such plugin; known plugins: {known}{hint}"

    def _no_scorers(self) -> Iterator[str]:
        """What outcomes name as their scorer, and is none."""
        for name, place in self._scorers.items():
            plugin = self._found.get(name)
            if plugin is None or plugin.state == "failed":
                continue  # said already
            if plugin.state == "off":
                table = self._config.place("plugins", name)
                yield f"{place}: plugin {name!r} is turned off in {table}"
            elif SCORING not in plugin.hooks:
                scorers = [p.name for p in self._found.values() if SCORING in p.hooks]
                known = f"{', '.join(sorted(scorers)) or 'none'}{did_you_mean(name, scorers)}"
                yield f"{place}: plugin {name!r} is not a scorer; scorers: {known}"

    def _taken(self, plugins: Iterable[Plugin]) -> Iterator[Plugin]:
        """Each name once; the first has it."""
        seen = dict(getattr(self, "_found", {}))
        for plugin in plugins:
            other = seen.setdefault(plugin.name, plugin)
            if other is plugin:
                yield plugin
            else:
                self._mistakes.append(
                    f"{plugin.origin}: the plugin name {plugin.name!r} is already used by"
                    f" {other.origin}"
                )

    def _files(self) -> Iterator[Plugin]:
        for folder in map(Path, self._config.plugin_paths):
            if not folder.is_dir():
                place = self._config.place("plugins", "paths", is_table=False)
                self._mistakes.append(f"{place}: no such folder: {folder}")
                continue
            for file in sorted(folder.glob("*.py")):
                if not file.name.startswith("_"):
                    yield Plugin(name=file.stem, origin=str(file), file=file)


def install_hint(module: str, distribution: str | None = None) -> str:
    """How to get a missing module: `pip install "agent-perfmon[postgres]"`, or of its own."""
    name = distribution or own_distribution()
    package = module.partition(".")[0]
    extra = _extra_for(package, name)
    return f'pip install "{name}[{extra}]"' if extra else f"pip install {package}"


@functools.cache
def own_distribution() -> str:
    """The name under which perfmon itself is installed."""
    scripts = importlib.metadata.entry_points(group="console_scripts", name="perfmon")
    names = [s.dist.name for s in scripts if s.dist and s.module.startswith("perfmon.")]
    return names[0] if names else "agent-perfmon"


def _extra_for(module: str, distribution: str) -> str | None:
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        project = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = _EXTRA.search(requirement)
        if extra and extra[1] not in _GENERAL_EXTRAS and _plain(project) == _plain(module):
            return extra[1]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _entry_points() -> list[Plugin]:
    """In the order of registering; the last registered is the first to be called."""
    found: dict[tuple[str, str], tuple[tuple[int, str], Plugin]] = {}
    own = _plain(own_distribution())
    # Its name and version are parsed from a long text: once for each distribution, not each plugin.
    named: dict[int, tuple[str, str]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        dist, name, origin = entry.dist, "", entry.value
        if dist is not None:
            if id(dist) not in named:
                named[id(dist)] = dist.name, f"{dist.name} {dist.version}"
            name, origin = named[id(dist)]
        plugin = Plugin(name=entry.name, origin=origin, entry=entry)
        rank = _rank(entry.name, is_own=_plain(name) == own)
        found.setdefault((entry.name, entry.value), (rank, plugin))
    return [plugin for _, plugin in sorted(found.values(), key=lambda one: one[0])]


def _rank(name: str, *, is_own: bool) -> tuple[int, str]:
    """What is on by itself gives way to what was asked for, and ours to other people's."""
    return (int(name not in DEFAULT_ON) if is_own else 2), name


def _distribution(plugin: Plugin) -> str | None:
    return plugin.entry.dist.name if plugin.entry and plugin.entry.dist else None


def _load_file(plugin: Plugin) -> object:
    assert plugin.file is not None
    # A prefix of ours: my_plugins/json.py must not become everybody's json.
    name = _FILE_PREFIX + plugin.name
    spec = importlib.util.spec_from_file_location(name, plugin.file)
    if spec is None or spec.loader is None:
        raise PluginError("cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _why(plugin: Plugin, problem: BaseException) -> str:
    """One line for a plugin that failed: who, where, what, and what to do."""
    place = _place(plugin, problem)
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        if plugin.entry and problem.name == plugin.entry.module:
            return f"{place}: {problem}; reinstall {_distribution(plugin) or 'it'}"
        hint = install_hint(problem.name, _distribution(plugin))
        return f"{place} needs the module {problem.name!r}, which is not installed: {hint}"
    return f"{place}: {type(problem).__name__}: {redacted(_message(problem))}"


def _message(problem: BaseException) -> object:
    return problem.msg if isinstance(problem, SyntaxError) else problem


def _place(plugin: Plugin, problem: BaseException) -> str:
    who = "" if plugin.file else f"plugin {plugin.name!r} of {plugin.origin}: "
    if isinstance(problem, SyntaxError):
        return f"{who}{problem.filename}:{problem.lineno}"
    frames = traceback.extract_tb(problem.__traceback__)
    mine = [frame for frame in frames if _belongs(frame.filename, plugin)]
    if mine:
        return f"{who}{mine[-1].filename}:{mine[-1].lineno}"
    return who + (plugin.entry.value if plugin.entry else str(plugin.file))


def _belongs(filename: str, plugin: Plugin) -> bool:
    if plugin.file:
        return Path(filename) == plugin.file
    module = plugin.entry.module.partition(".")[0] if plugin.entry else ""
    return module in Path(filename).parts or Path(filename).stem == module
