"""monitor.toml as values; reports all mistakes at once, each with its place and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from perfmon.config import (
    AccuracyTable,
    AgentTable,
    AlertsTable,
    MonitorTable,
    OutcomesTable,
    ScoresTable,
    Thresholds,
    check_url,
)
from perfmon.config.partial import is_known, settled
from perfmon.config.reader import Mistake, Mistakes, Reader, literal_secrets
from perfmon.config.secret import SOURCES, Secret
from perfmon.config.toml import tables_of, text_of
from perfmon.config.validators import Duration, did_you_mean, shown, whole

__all__ = ["Config", "Duration", "Secret"]

T = TypeVar("T")

USUAL_PATH = Path("monitor.toml")
"""Where a configuration is looked for when nobody names one: in the working directory."""
_PASSWORD = re.compile(r"://[^/@:]*:[^/@]+@")


@attrs.frozen(kw_only=True)
class _WholeFile:
    """The whole file, as far as the core knows it."""

    monitor: MonitorTable = attrs.Factory(MonitorTable)
    alerts: AlertsTable = attrs.Factory(AlertsTable)
    accuracy: AccuracyTable = attrs.Factory(AccuracyTable)
    scores: ScoresTable = attrs.Factory(ScoresTable)
    agents: dict[str, AgentTable] = attrs.Factory(dict)
    plugins: dict[str, Any] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class Config:
    """A whole configuration; `Config()` is the defaults.

    Attributes:
        agents: the tables `[agents.<name>]`, in the order of the file.
        plugins: each plugin's raw table, by its name.
        plugin_paths: folders of plain .py files, absolute or relative to the process.
        path: the file it came from.
        warnings: what is allowed and still unwise, one line each.
    """

    monitor: MonitorTable = attrs.Factory(MonitorTable)
    alerts: AlertsTable = attrs.Factory(AlertsTable)
    accuracy: AccuracyTable = attrs.Factory(AccuracyTable)
    scores: ScoresTable = attrs.Factory(ScoresTable)
    agents: dict[str, AgentTable] = attrs.Factory(dict)
    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict, repr=False)
    plugin_paths: list[str] = attrs.Factory(list)
    path: Path | None = None
    warnings: list[str] = attrs.field(factory=list, eq=False)
    _reader: Reader = attrs.field(factory=Reader, repr=False, eq=False)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """The configuration in a file; `ConfigError` with all its mistakes."""
        file = Path(path)
        text = text_of(file)
        reader = Reader(str(file), text, file.parent)
        return cls._read(tables_of(str(file), text), reader, file)

    @classmethod
    def load_partly(cls, path: str | Path) -> Config:
        """What is right in a file with mistakes, the rest by default; storage that is none: memory.

        Raises:
            ConfigError: it is no TOML at all.
        """
        file = Path(path)
        text = text_of(file)
        reader = Reader(str(file), text, file.parent)
        raw = _without_strays(tables_of(str(file), text))
        tables = raw.get("plugins", {})
        wrong = set()
        if isinstance(tables, Mapping):
            wrong = {mistake.path[1] for mistake in _plugin_mistakes(tables)}
            raw["plugins"] = {name: table for name, table in tables.items() if name not in wrong}
        try:
            document = reader.read(_WholeFile, raw)
        except Mistakes as found:
            document = _settled(found.partial)
        return cls._made(document, reader, file, [])

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], source: str = "configuration") -> Config:
        """The configuration in a mapping of the file's form; `source` names it in messages."""
        return cls._read(mapping, Reader(source), None)

    @classmethod
    def _read(cls, raw: Mapping[str, Any], reader: Reader, path: Path | None) -> Config:
        tables = raw.get("plugins", {})
        mistakes = list(_plugin_mistakes(tables)) if isinstance(tables, Mapping) else []
        mistakes += _strays(raw)
        document = _WholeFile()
        try:
            document = reader.read(_WholeFile, _without_strays(raw))
        except Mistakes as found:
            mistakes += found.mistakes
        if mistakes:
            raise reader.error(mistakes)
        warnings = [*_warnings(raw, reader), *_literals(document, reader)]
        return cls._made(document, reader, path, warnings)

    @classmethod
    def _made(
        cls, document: _WholeFile, reader: Reader, path: Path | None, warnings: list[str]
    ) -> Config:
        tables = dict(document.plugins)
        folders = [str(reader.folder / folder) for folder in tables.pop("paths", [])]
        return cls(
            monitor=document.monitor,
            alerts=document.alerts,
            accuracy=document.accuracy,
            scores=document.scores,
            agents=document.agents,
            plugins=tables,
            plugin_paths=folders,
            path=path,
            warnings=warnings,
            reader=reader,
        )

    @property
    def specialties(self) -> dict[str, list[str]]:
        """The configured specialties, by agent."""
        return {name: agent.specialties for name, agent in self.agents.items()}

    def outcomes_of(self, agent_name: str) -> OutcomesTable | None:
        """The `outcomes` of an agent's own table, else of the first whose name, a glob, fits."""
        own = self.agents.get(agent_name)
        if own is not None and own.outcomes is not None:
            return own.outcomes
        for name, agent in self.agents.items():
            if agent.outcomes is not None and fnmatchcase(agent_name, name):
                return agent.outcomes
        return None

    def source_priority_of(self, agent_name: str) -> list[str]:
        """Whose outcome counts where several of a task of this agent disagree, the first first."""
        table = self.outcomes_of(agent_name)
        own = None if table is None else table.source_priority
        return self.accuracy.source_priority if own is None else own

    @property
    def named_scorers(self) -> dict[str, str]:
        """The plugins that outcomes name as their scorer, each with the first place that does."""
        places: dict[str, str] = {}
        for agent, table in self.agents.items():
            if table.outcomes is None:
                continue
            path: tuple[str, ...] = ("agents", agent, "outcomes")
            named = [((*path, "scorer"), table.outcomes.scorer)]
            for name, field in table.outcomes.fields.items():
                named.append(((*path, "fields", name, "scorer"), field.scorer))
            for where, scorer in named:
                if scorer is not None and scorer not in places:
                    places[scorer] = self.place(*where, is_table=False)
        return places

    def table(self, name: str, cls: type[T]) -> T:
        """A plugin's own table as its attrs class; `ConfigError` with all its mistakes.

        A field's type and validator say what it may be; `Duration` and `Secret` are types too.
        """
        raw = dict(self.plugins.get(name, {}))
        if "enabled" not in (field.name for field in attrs.fields(cls)):  # type: ignore[arg-type]
            raw.pop("enabled", None)
        made = self._reader.table(cls, raw, ("plugins", name))
        warnings = [_literal(self._reader, p) for p in literal_secrets(made, ("plugins", name))]
        unused = self._reader.proxy_of_the_environment()
        if unused is not None and getattr(made, "proxy", unused) is None:
            place = self.place("plugins", name)
            warnings.append(
                f"{place}: {unused} is set but not used; to use a proxy, set proxy = ..."
            )
        self.warnings.extend(warning for warning in warnings if warning not in self.warnings)
        return made

    def plugin_enabled(self, name: str) -> bool | Literal["named"] | None:
        """Whether a plugin's table turns it on (by being there) or off; None if it has none.

        `"named"` is a scorer that answers only where outcomes name it.
        """
        table = self.plugins.get(name)
        if table is None:
            return None
        enabled = table.get("enabled", True)
        return "named" if enabled == "named" else bool(enabled)

    def place(self, *path: str, is_table: bool = True) -> str:
        """Where a table or key is: `monitor.toml:12: [plugins.slack]`."""
        return self._reader.place(path, is_table=is_table)

    def with_overrides(
        self,
        window_size_minutes: int | None = None,
        alert_thresholds: Mapping[str, float] | None = None,
        storage_url: str | None = None,
        enable_auto_alerts: bool | None = None,
    ) -> Config:
        """The same with some values replaced; None leaves one; checked like a file."""
        given = {
            "window_size_minutes": window_size_minutes,
            "alert_thresholds": alert_thresholds,
            "storage_url": storage_url,
            "enable_auto_alerts": enable_auto_alerts,
        }
        given = {key: value for key, value in given.items() if value is not None}
        checked = Reader("arguments").table(_Overrides, given)
        monitor = {
            "window_size_minutes": checked.window_size_minutes,
            "storage": checked.storage_url,
        }
        limits = {key: getattr(checked.alert_thresholds, key) for key in alert_thresholds or {}}
        thresholds = attrs.evolve(self.alerts.thresholds, **limits)
        alerts = {"enabled": checked.enable_auto_alerts, "thresholds": thresholds}
        return attrs.evolve(
            self,
            monitor=attrs.evolve(self.monitor, **_given(monitor)),
            alerts=attrs.evolve(self.alerts, **_given(alerts)),
        )


@attrs.frozen(kw_only=True)
class _Overrides:
    window_size_minutes: int | None = attrs.field(default=None, validator=whole(1, 527_040))
    alert_thresholds: Thresholds = attrs.Factory(Thresholds)
    storage_url: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(check_url)
    )
    enable_auto_alerts: bool | None = None


_SAFER = SOURCES.removeprefix("text, ")


def _literals(document: _WholeFile, reader: Reader) -> Iterator[str]:
    return (_literal(reader, path) for path in literal_secrets(document.alerts, ("alerts",)))


def _literal(reader: Reader, path: tuple[str | int, ...]) -> str:
    return f"{reader.place(path, is_table=False)}: a secret in plain text; safer: {_SAFER}"


def _settled(document: _WholeFile) -> _WholeFile:
    monitor = document.monitor
    if not (is_known(monitor) and is_known(monitor.storage)):
        monitor = attrs.evolve(MonitorTable(), storage="memory:")
        object.__setattr__(document, "monitor", monitor)
    settled_document: _WholeFile = settled(document)
    return settled_document


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _plugin_mistakes(tables: Mapping[str, Any]) -> Iterator[Mistake]:
    """`paths` is a list of folders, everything else a plugin's table."""
    for name, table in tables.items():
        path = ("plugins", str(name))
        if name == "paths":
            if not isinstance(table, list) or not all(isinstance(item, str) for item in table):
                yield Mistake(path, "must be a list of folders", shown(table))
        elif not isinstance(table, Mapping):
            hint = did_you_mean(str(name), ["paths"])
            yield Mistake(path, f"must be a table [plugins.{name}], or paths = [...]{hint}")
        elif not isinstance(enabled := table.get("enabled", True), bool) and enabled != "named":
            hint = did_you_mean(enabled, ["named"]) if isinstance(enabled, str) else ""
            wrong = f'must be true, false or "named" (a scorer used only where named){hint}'
            yield Mistake((*path, "enabled"), wrong, shown(enabled))


def _strays(raw: Mapping[str, Any]) -> list[Mistake]:
    """Keys of [monitor] that stand before its header, or lack it."""
    return [
        Mistake((key,), "belongs in the table [monitor]")
        for key, value in raw.items()
        if not isinstance(value, Mapping) and _is_monitor_key(key)
    ]


def _without_strays(raw: Mapping[str, Any]) -> dict[str, Any]:
    strays = {stray.path[0] for stray in _strays(raw)}
    return {key: value for key, value in raw.items() if key not in strays}


def _is_monitor_key(key: str) -> bool:
    return key in attrs.fields_dict(MonitorTable)


def _warnings(raw: Mapping[str, Any], reader: Reader) -> Iterator[str]:
    storage = raw.get("monitor", {}).get("storage")
    if isinstance(storage, str) and _PASSWORD.search(storage):
        place = reader.place(("monitor", "storage"), is_table=False)
        yield f"{place}: contains a password; safer: {_SAFER}"
