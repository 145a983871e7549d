"""Opens the monitor of a command: on the configured storage, with nothing in the background."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import attrs
import click

from perfmon.cli.options import config_path, load_config
from perfmon.cli.output import complain
from perfmon.errors import PerfmonError, StorageMissing

if TYPE_CHECKING:
    from perfmon.config.config import Config
    from perfmon.monitor.monitor import PerformanceMonitor


@contextmanager
def open_monitor(
    ctx: click.Context, storage: str | None, *, in_memory: bool = False
) -> Iterator[PerformanceMonitor]:
    """A monitor for reading: its storage must exist, and is not changed.

    What a killed process left in its journal is counted in a line, and not shown. If no storage
    was named, none is needed: nothing was recorded in this folder, which is reported. So it is of
    a storage in memory, except by who works `in_memory`.

    Raises:
        PerfmonError: the configuration has mistakes, or storage does not answer.
    """
    from perfmon.cli.leftovers import left_in_journal
    from perfmon.monitor.monitor import ReadingMonitor
    from perfmon.monitor.opening import keeps_nothing

    config = load_config(ctx).with_overrides(storage_url=storage)
    if keeps_nothing(config.monitor.storage) and not in_memory:
        complain(f"{config.monitor.storage} stores nothing, so there is nothing to show")
    with ExitStack() as stack:
        try:
            monitor = stack.enter_context(_opened(ReadingMonitor, config))
        except StorageMissing as problem:
            if storage is not None or config_path(ctx) is not None:
                raise
            complain(f"{problem}, and there is no monitor.toml here that names another")
            config = config.with_overrides(storage_url="memory:")
            monitor = stack.enter_context(_opened(ReadingMonitor, config))
        left = left_in_journal(config.monitor, monitor.storage)
        if left is not None:
            complain(left)
        yield monitor


@contextmanager
def open_to_write(
    ctx: click.Context, storage: str | None, *, make: bool = False
) -> Iterator[PerformanceMonitor]:
    """The same for a command that changes something there; `make` also where nothing is yet.

    It does not evaluate alerts: the monitor that watches that storage does.
    """
    from perfmon.monitor.monitor import PerformanceMonitor, ReadingMonitor
    from perfmon.monitor.opening import keeps_nothing

    config = load_config(ctx).with_overrides(storage_url=storage)
    if keeps_nothing(config.monitor.storage):
        named = "set a storage with --storage or in monitor.toml"
        raise PerfmonError(f"{config.monitor.storage} stores nothing; {named}")
    if not make:
        with _opened(ReadingMonitor, config):
            pass
    with _opened(PerformanceMonitor, config) as monitor:
        yield monitor


@contextmanager
def _opened(kind: type[PerformanceMonitor], config: Config) -> Iterator[PerformanceMonitor]:
    # Batches are waited for, so a journal would only be in the way of a running server's.
    quiet = attrs.evolve(config, monitor=attrs.evolve(config.monitor, durability="memory"))
    monitor = kind(quiet, enable_auto_alerts=False)
    try:
        monitor.storage.check()
        yield monitor
    finally:
        monitor.stop()
