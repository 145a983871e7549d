"""The monitor a command works with: on the configured storage, with nothing in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from perfmon.cli.root import load_config

if TYPE_CHECKING:
    from perfmon.monitor import PerformanceMonitor

Command = TypeVar("Command", bound=Callable[..., Any])


def storage_option(command: Command) -> Command:
    """Adds `--storage`."""
    return click.option(
        "--storage", metavar="URL", help="Any SQLAlchemy URL, instead of the configured storage."
    )(command)


@contextmanager
def open_monitor(ctx: click.Context, storage: str | None) -> Iterator[PerformanceMonitor]:
    """A monitor that is not started, whose storage answers.

    It decides nothing about alerts: whoever watches that storage does, by its own rules.

    Raises:
        PerfmonError: the configuration has mistakes, or storage does not answer.
    """
    from perfmon.monitor import PerformanceMonitor

    config = load_config(ctx).with_overrides(storage_url=storage)
    # Batches are waited for, so a journal would only be in the way of a running server's.
    quiet = attrs.evolve(config, monitor=attrs.evolve(config.monitor, durability="memory"))
    monitor = PerformanceMonitor(quiet, enable_auto_alerts=False)
    try:
        monitor.storage.check()
        yield monitor
    finally:
        monitor.stop()
