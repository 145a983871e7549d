"""The options that commands share, and the types of their values: durations, times, names."""

from __future__ import annotations

import getpass
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from perfmon.config.validators import DURATION, duration_seconds
from perfmon.errors import PerfmonError
from perfmon.records.stamps import not_seconds

if TYPE_CHECKING:
    from perfmon.config.config import Config

_CONFIG = "perfmon.config"
_STORAGE = "perfmon.storage"
Command = TypeVar("Command", bound=Callable[..., Any])


def _remember(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_CONFIG] = value


def config_option(command: Command) -> Command:
    """Adds `--config`; it may stand before the subcommand or after it."""
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="Configuration file [default: ./monitor.toml if present]",
    )(command)


def config_path(ctx: click.Context) -> Path | None:
    """The configuration asked for, or `./monitor.toml` where there is one."""
    from perfmon.config.config import USUAL_PATH

    given = cast("Path | None", ctx.meta.get(_CONFIG))
    if given is None:
        return USUAL_PATH if USUAL_PATH.is_file() else None
    if not given.is_file():
        raise PerfmonError(f"{given}: no such file (perfmon init {given} writes one)")
    return given


def load_config(ctx: click.Context) -> Config:
    """The configuration this call works with."""
    from perfmon.config.config import Config

    path = config_path(ctx)
    return Config.from_mapping({}, source="the defaults") if path is None else Config.load(path)


def storage_option(command: Command) -> Command:
    """Adds `--storage`."""
    return click.option(
        "--storage", metavar="URL", help="Storage URL, overriding the configuration."
    )(command)


class Length(click.ParamType[float]):
    """Seconds of a duration such as 2h."""

    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            found = duration_seconds(value)
        except ValueError:
            found = 0.0
        if found <= 0:
            self.fail(f"{value!r} must be {DURATION}", param, ctx)
        return found


class Moment(click.ParamType[float]):
    """Epoch seconds of ISO 8601 text (a date alone is its midnight UTC), or of `now`."""

    name = "TIME"
    wanted = "ISO 8601 such as 2026-01-31T12:00Z, a date, or now"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from perfmon.recording.importing import moment

        if isinstance(value, float):
            return value
        text = str(value).strip()
        if text == "now":
            return time.time()
        try:
            found = moment(text)
        except (ValueError, OverflowError):
            found = math.nan
        # A number that is a year or a day is no better than a word.
        if math.isnan(found) or not_seconds(found) is not None:
            self.fail(f"{value!r} is not a time: must be {self.wanted}", param, ctx)
        return found


class Since(Moment):
    """A time, or a duration before now."""

    name = "TIME|DURATION"
    wanted = "ISO 8601 such as 2026-01-31T12:00Z, a date, now, or how long ago, such as 2h"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return time.time() - duration_seconds(value)
        except ValueError:
            return super().convert(value, param, ctx)


def remember_storage(ctx: click.Context, storage: str | None) -> None:
    """`perfmon alerts --storage URL show ID` is `perfmon alerts show --storage URL ID`."""
    if storage is not None:
        ctx.meta[_STORAGE] = storage


def given_storage(ctx: click.Context, storage: str | None) -> str | None:
    """The storage asked for, before the subcommand or after it."""
    return ctx.meta.get(_STORAGE) if storage is None else storage


def user_name(given: str | None) -> str:
    """The name given, else the user's own."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise PerfmonError("cannot determine your user name; give it with --by") from None
