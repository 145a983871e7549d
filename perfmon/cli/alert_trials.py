"""`perfmon alerts send-test | test | backtest`: try out sinks and rules."""

from __future__ import annotations

import time
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from perfmon.cli.opening import open_monitor
from perfmon.cli.options import Since, config_option, given_storage, load_config, storage_option
from perfmon.cli.output import complain
from perfmon.config.toml import text_of
from perfmon.config.validators import did_you_mean
from perfmon.errors import ConfigError, PerfmonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.progress import Progress

    from perfmon.alerts.backtest.rows import Rows
    from perfmon.alerts.rules.rule import Watch
    from perfmon.config.config import Config
    from perfmon.monitor.monitor import PerformanceMonitor

_WEEK = 7 * 86_400.0
_MICROS = 1_000_000


@click.command(name="send-test")
@click.argument("sink")
@storage_option
@config_option
@click.pass_context
def send_test_command(ctx: click.Context, sink: str, storage: str | None) -> None:
    """Send a test message to SINK and print the result."""
    del storage  # nothing of it is stored, so that nothing needs to be there
    with open_monitor(ctx, "memory:", in_memory=True) as monitor:
        state = monitor.plugins.state_of(sink)
        if state in ("available", "off"):
            table = f"a table [plugins.{sink}] in monitor.toml enables it"
            raise PerfmonError(f"sink {sink!r} is not enabled (plugin state: {state}); {table}")
        # A sink in one file takes its settings when the monitor starts.
        started = monitor.bus.find("monitor_started", sink)
        if started is not None:
            monitor.bus.call(started, (monitor,))
        tried = monitor.outbox.send_test(sink)
    if not tried.delivered:
        raise PerfmonError(tried.words)
    click.echo(tried.words)


EXAMPLE = """\
[[alerts.rules]]
name = "slow billing"
metric = "latency_p95_ms"
above = 2000
agent = "billing-*"

[[tests]]
name = "an hour of slow runs"
[[tests.runs]]
agent = "billing-eu"
every = "1m"
values = { duration_ms = "500*60 9000*60 500*120" }
[[tests.expect]]
at = "1h30m"
alerts = [{ rule = "slow billing", agent = "billing-eu", level = "warning" }]
[[tests.expect]]
at = "4h"
alerts = []
"""
"""A file of tests, as the help shows it."""

# A line with \b alone keeps the lines of its paragraph as they are.
_TEST_EPILOG = """\b
A file contains [[tests]], and the monitor.toml tables under test; without
such tables, the rules of --config are tested:
""" + indent(EXAMPLE, "  ").replace("\n\n", "\n\n\b\n")


@click.command(name="test", epilog=_TEST_EPILOG)
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
)
@config_option
@click.pass_context
def test_command(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Unit-test rules on given runs.

    Checks which alerts are firing at which times.
    """
    base = load_config(ctx)
    results = [_test(path, base) for path in files]
    tests, failed = (sum(counts) for counts in zip(*results, strict=True))
    click.echo(f"{tests} test{'' if tests == 1 else 's'}, {failed} failed")
    if failed:
        ctx.exit(1)


def _test(path: Path, base: Config) -> tuple[int, int]:
    """The number of tests in a file and of failures; a file with mistakes counts as one failure."""
    from perfmon.alerts.backtest.rule_tests import read_cases, run_case

    try:
        config, cases = read_cases(text_of(path), str(path), base)
    except ConfigError as problem:
        complain(str(problem))
        return 1, 1
    if not cases:
        complain(f"{path}: no [[tests]] found")
        return 1, 1
    failed = 0
    for case in cases:
        problems = run_case(config, case)
        failed += bool(problems)
        click.echo(f"{'FAILED' if problems else 'ok'}  {path}: {case.name}")
        for line in problems:
            click.echo(f"  {line.removeprefix(f'{case.name}: ')}")
    return len(cases), failed


@click.command(name="backtest")
@click.option(
    "--since", type=Since(), help="Start: a time, or how long ago, such as 30d [default: 7d]"
)
@click.option("--until", type=Since(), help="End, exclusive [default: now]")
@click.option("--rule", metavar="NAME", help="Only this rule (or threshold).")
@storage_option
@config_option
@click.pass_context
def backtest_command(
    ctx: click.Context,
    since: float | None,
    until: float | None,
    rule: str | None,
    storage: str | None,
) -> None:
    """Backtest the configured rules on stored runs."""
    end = time.time() if until is None else until
    begin = end - _WEEK if since is None else since
    if begin >= end:
        raise click.UsageError("--since must be before --until", ctx)
    with open_monitor(ctx, given_storage(ctx, storage)) as monitor:
        lines = _backtest(monitor, round(begin * _MICROS), round(end * _MICROS), rule)
    click.echo("\n".join(lines))


def _backtest(monitor: PerformanceMonitor, since: int, until: int, rule: str | None) -> list[str]:
    from perfmon.alerts.backtest.backtest import backtest, looks_back
    from perfmon.alerts.backtest.rows import told_by_runs
    from perfmon.alerts.rules.compile import watches

    watched = watches(monitor.config)
    wanted = _of_rule(watched, rule)
    told = {watch.rule for watch in wanted if told_by_runs(watch)}
    with _bar() as bar:
        task = bar.add_task("reading runs", total=until - since)
        first = since - looks_back(wanted)
        rows = _read(monitor, first, until, lambda at: bar.update(task, completed=at - since))
        bar.update(task, description="evaluating rules", completed=0)
        found = backtest(
            monitor.config,
            watched,
            rows,
            since,
            until,
            wanted=lambda watch: watch.rule in told,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    left_out = sorted({watch.rule for watch in wanted} - told)
    lines = found.summary() or [_quiet(rows, since, until)]
    lines += [
        f"{name}: skipped: its metric cannot be computed from stored runs" for name in left_out
    ]
    return lines


def _quiet(rows: Rows, since: int, until: int) -> str:
    """No alert in a thousand runs means more than no alert in none."""
    count = rows.count(since, until)
    if count == 0:
        return "nothing would have fired: no runs are stored for this period"
    return f"nothing would have fired in {count:,} run{'' if count == 1 else 's'}"


def _of_rule(watched: Iterable[Watch], rule: str | None) -> list[Watch]:
    """The watches of a rule, those of its levels and single runs too."""
    watched = list(watched)
    found = [w for w in watched if rule is None or w.rule == rule or w.rule.startswith(f"{rule}: ")]
    if not found:
        known = sorted({watch.rule for watch in watched})
        hint = did_you_mean(rule or "", known) or f"; known rules: {', '.join(known) or 'none'}"
        raise PerfmonError(f"no rule {rule!r}{hint}")
    return found


def _read(
    monitor: PerformanceMonitor, since: int, until: int, progress: Callable[[int], None]
) -> Rows:
    from perfmon.alerts.backtest.rows import Rows
    from perfmon.records import Scope
    from perfmon.records.validation import RUN_FIELDS

    at = RUN_FIELDS.index("timestamp")
    runs: list[tuple[Any, ...]] = []
    for chunk in monitor.storage.read_runs(since, until, Scope()):
        runs += chunk
        progress(chunk[-1][at])
    measured = monitor.storage.read_measurements(since, until, Scope())
    memory = round(monitor.config.monitor.retention_hours * 3600 * _MICROS)
    return Rows(runs, [row for chunk in measured for row in chunk], by_minute=memory)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
