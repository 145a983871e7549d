"""`perfmon demo`: a simulated team of agents, served."""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfmon.cli.demo import Simulation
from perfmon.cli.output import complain
from perfmon.errors import PerfmonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from perfmon.config.config import Config
    from perfmon.monitor.monitor import PerformanceMonitor

_LOOKS = 144  # at the alerts while a history is made up; every ten minutes of a day
_TICK = 1.0
# What is usual for this team; some of its agents work for minutes.
_LIMITS = {"latency_p95_max_ms": 300_000, "token_per_task_max": 200_000, "memory_max_mb": 512}

_EPILOG = """\b
Examples:
  perfmon demo
  perfmon demo --seed 1 --hours 72 --storage sqlite:///demo.db
"""


@click.command(name="demo", epilog=_EPILOG)
@click.option("--port", type=click.IntRange(0, 65_535), default=8787, show_default=True)
@click.option(
    "--seed",
    type=int,
    default=7,
    show_default=True,
    help="Random seed; the same seed gives the same history.",
)
@click.option(
    "--hours",
    type=click.FloatRange(0.1, 24 * 31),
    default=24.0,
    show_default=True,
    help="Length of the simulated history.",
)
@click.option("--no-live", is_flag=True, help="No live traffic after the history.")
@click.option(
    "--storage", metavar="URL", help="Storage to keep [default: temporary SQLite, deleted on exit]"
)
def demo_command(port: int, seed: int, hours: float, no_live: bool, storage: str | None) -> None:
    """Serve a simulated team of agents.

    A day of runs with incidents, then live traffic.
    """
    from perfmon.cli.serve import serve
    from perfmon.monitor.monitor import PerformanceMonitor

    _check_port(port)
    now = time.time()
    since = now - hours * 3600
    step = max(300.0, (now - since) / _LOOKS)
    clock = StoryClock(since)
    with (
        _storage(storage) as url,
        PerformanceMonitor(demo_config(url, hours, step), clock=clock) as monitor,
    ):
        simulation = Simulation(seed, since=since, incidents=now)
        runs = record_history(monitor, simulation, clock, now, step)
        monitor.reload(demo_config(url, hours))
        click.echo(f"{runs:,} runs over {hours:g} hours stored in {url}")
        with _live_traffic(monitor, simulation, on=not no_live):
            serve(monitor, "127.0.0.1", port, lambda url: _welcome(url, live=not no_live))


class StoryClock:
    """Follows the history while it is replayed, so that alerts fire in time; then live."""

    def __init__(self, begin: float) -> None:
        self.told: float | None = begin

    def __call__(self) -> float:
        return time.time() if self.told is None else self.told


def _check_port(port: int) -> None:
    """Before a whole history is made up for nothing."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            reason = f"cannot listen on 127.0.0.1:{port}: {problem.strerror}"
            raise PerfmonError(f"{reason}; choose another port with --port") from None


def _welcome(url: str, *, live: bool) -> None:
    click.echo(f"perfmon demo is running at {url}")
    click.echo("Live traffic continues until Ctrl-C." if live else "Press Ctrl-C to stop.")


@contextmanager
def _storage(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="perfmon-demo-") as folder:
        yield f"sqlite:///{Path(folder).as_posix()}/demo.db"


def demo_config(url: str, hours: float, step: float | None = None) -> Config:
    """Of the demo; with a step in seconds, the history is replayed without notifications."""
    from perfmon.cli.serve import with_server
    from perfmon.config.config import Config

    settings: dict[str, Any] = {
        "monitor": {"storage": url, "retention_hours": max(24, round(hours + 1))},
        "alerts": {"thresholds": _LIMITS},
    }
    if step is not None:
        settings["alerts"]["evaluation_interval"] = f"{step:.0f}s"
        settings["plugins"] = {"log": {"enabled": False}}
    return with_server(Config.from_mapping(settings, source="perfmon demo"))


def record_history(
    monitor: PerformanceMonitor,
    simulation: Simulation,
    clock: StoryClock,
    until: float,
    step: float,
) -> int:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    since, runs = clock(), 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulating a history", total=until - since)
        events = groupby(
            simulation.advance(until), lambda event: (event["timestamp"] - since) // step
        )
        for number, batch in events:
            clock.told = min(until, since + (number + 1) * step)
            runs += record(monitor, batch, wait=True)
            monitor.get_alerts(limit=1)
            bar.update(task, completed=clock() - since)
    clock.told = None
    return runs


def record(
    monitor: PerformanceMonitor, events: Iterable[dict[str, Any]], *, wait: bool = False
) -> int:
    """Record simulated events; returns how many of them were runs."""
    kinds: dict[str, list[dict[str, Any]]] = {
        "run": [],
        "prediction": [],
        "accuracy": [],
        "outcome": [],
    }
    for event in events:
        kinds[event.pop("type")].append(event)
    monitor.record_agent_runs(kinds["run"], wait=wait)
    monitor.record_accuracies(kinds["accuracy"], wait=wait)
    # An outcome waits for its own commit, and with it for the predictions before it.
    monitor.record_predictions(kinds["prediction"], wait=False)
    monitor.record_outcomes(kinds["outcome"])
    return len(kinds["run"])


@contextmanager
def _live_traffic(
    monitor: PerformanceMonitor, simulation: Simulation, *, on: bool
) -> Iterator[None]:
    over = threading.Event()
    live = threading.Thread(target=_live, args=(monitor, simulation, over.wait), daemon=True)
    if on:
        live.start()
    try:
        yield
    finally:
        over.set()
        if on:
            live.join(2 * _TICK)


def _live(
    monitor: PerformanceMonitor, simulation: Simulation, over: Callable[[float], bool]
) -> None:
    while not over(_TICK):
        try:
            record(monitor, simulation.advance(time.time()))
        except PerfmonError as problem:
            complain(str(problem))
        except Exception:  # the page stays up without traffic
            sys.excepthook(*sys.exc_info())
            return
