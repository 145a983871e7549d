"""`perfmon import`: load runs, measurements, predictions and outcomes from files."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfmon.cli.opening import open_to_write
from perfmon.cli.options import Since, config_option, storage_option
from perfmon.cli.output import complain
from perfmon.cli.root import INTERRUPTED
from perfmon.errors import PerfmonError, StorageError
from perfmon.metrics.formatting import figure
from perfmon.recording.importing import (
    KINDS,
    Columns,
    FileImport,
    ImportTally,
    Source,
    known_encoding,
)
from perfmon.records import from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from perfmon.monitor.monitor import PerformanceMonitor
    from perfmon.recording.importing.importer import TakesBatches

_DAY = 86_400


def _pairs(_: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    mapping = {}
    for value in values:
        field, equals, column = value.partition("=")
        if not (field and equals and column):
            raise click.BadParameter(f"{value!r} must be FIELD=COLUMN", param=param)
        mapping[field] = column
    return mapping


def _encoding(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else known_encoding(value)
    except PerfmonError as problem:
        raise click.BadParameter(str(problem), param=param) from None


_EPILOG = """\b
Examples:
  perfmon import runs.csv.gz
  perfmon import old.csv --map agent_name=bot --map timestamp=finished
  perfmon import runs.jsonl --default-time 2026-01-31 --storage postgresql+psycopg://...
  perfmon import forecasts.csv --type prediction --map predicted_outcome=p --map actual_outcome=a

JSON lines: {"type": "run", "accuracy", "prediction" or "outcome", ...} with the fields of
record_agent_run, record_accuracy, record_prediction and record_outcome. CSV columns are matched by
name: started_at plus duration_ms gives the timestamp, cost_usd is the cost, meta_x goes to
metadata, and a blank cell means unknown. The separator (comma, semicolon, tab or bar) is detected
from the header. Repeating an import adds nothing twice. A malformed line is reported and skipped;
the exit code is then 1.

The type of a row without `type` follows from its columns: with predicted_outcome and
actual_outcome it is an accuracy row, with one of them a prediction or an outcome, which are
matched later. For a file whose outcomes arrive from one import to the next use --type prediction:
each row is then a prediction and, once actual_outcome is filled in, also its outcome (at
outcome_timestamp).
"""


@click.command(name="import", epilog=_EPILOG)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--map",
    "mapping",
    metavar="FIELD=COLUMN",
    multiple=True,
    callback=_pairs,
    help="Read FIELD from this column (or key); repeatable.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(KINDS),
    help="Type of rows without a type field [default: by their columns]",
)
@click.option(
    "--default-time",
    type=Since(),
    help="Timestamp of rows that have none; otherwise they are rejected.",
)
@click.option("--tenant", help="Tenant of rows that have none.")
@click.option(
    "--encoding",
    metavar="NAME",
    callback=_encoding,
    help="Text encoding, such as windows-1252 [default: UTF-8, or by BOM]",
)
@storage_option
@config_option
@click.pass_context
def import_command(
    ctx: click.Context,
    files: tuple[Path, ...],
    mapping: dict[str, str],
    kind: str | None,
    default_time: float | None,
    tenant: str | None,
    encoding: str | None,
    storage: str | None,
) -> None:
    """Import runs and outcomes from JSON lines or CSV.

    Files may be gzipped. Rows are runs, measurements, predictions or outcomes.
    """
    columns = Columns(mapping, kind=kind, default_time=default_time, tenant=tenant)
    with ExitStack() as stack:
        sources = [stack.enter_context(closing(Source(path, columns, encoding))) for path in files]
        monitor = stack.enter_context(open_to_write(ctx, storage, make=True))
        interrupted = stack.enter_context(_interruptible())
        tallies, unread = _import_each(monitor, sources, interrupted)
        _tell_what_leaves(monitor, tallies)
        if interrupted():
            complain(
                "interrupted; the rows counted above are stored, repeat the import for the rest"
            )
            ctx.exit(INTERRUPTED)
    if unread:
        ctx.exit(1)
    if any(tally.rejected for tally in tallies) and not any(
        tally.accepted + tally.duplicates + tally.conflicts for tally in tallies
    ):
        raise PerfmonError("every line was rejected")
    damaged = sum(tally.damaged for tally in tallies)
    if damaged:
        lines = "1 malformed line" if damaged == 1 else f"{damaged:,} malformed lines"
        raise PerfmonError(f"{lines}, see above; the others were imported")


def _import_each(
    monitor: TakesBatches, sources: list[Source], interrupted: Callable[[], bool]
) -> tuple[list[ImportTally], int]:
    """What became of each file, and how many cannot be read (further), which costs no other one."""
    tallies, unread = [], 0
    for source in sources:
        if interrupted():
            break
        try:
            tallies.append(_import(monitor, source, interrupted))
        except StorageError:
            raise
        except PerfmonError as problem:
            unread += 1
            complain(str(problem))
    return tallies, unread


def _import(monitor: TakesBatches, source: Source, interrupted: Callable[[], bool]) -> ImportTally:
    began = time.perf_counter()
    with _bar() as bar:
        task = bar.add_task(source.path.name, total=source.size)
        importing = FileImport(
            monitor,
            source,
            progress=lambda read: bar.update(task, completed=read),
            interrupted=interrupted,
        )
        try:
            importing.run()
        finally:
            bar.stop()
            _tell(source, importing.tally, time.perf_counter() - began)
    differs = abs(importing.expected - importing.tally.total) + abs(source.unaccounted)
    if differs and not interrupted():
        raise PerfmonError(
            f"{source.path}: {differs:,} of its rows are neither accepted, duplicate, conflicting "
            "nor rejected; this is a bug in perfmon, please report it"
        )
    return importing.tally


def _tell(source: Source, tally: ImportTally, seconds: float) -> None:
    lines = tally.total
    conflicts = f"{tally.conflicts:,} conflict, " if tally.conflicts else ""
    click.echo(
        f"{source.path}: {tally.accepted:,} accepted, {tally.duplicates:,} duplicate, "
        f"{conflicts}{tally.rejected:,} rejected "
        f"({figure(seconds, 's')}, {figure(lines / max(seconds, 1e-9))} per second)"
    )
    if tally.accepted > tally.by_kind["run"]:
        click.echo(f"  accepted: {', '.join(_counted(tally))}")
    for refused in tally.first:
        click.echo(f"  line {refused.line:,}: {refused.reason}")
    if tally.rejected > len(tally.first):
        click.echo(f"  and {tally.rejected - len(tally.first):,} more")
    for conflict in tally.first_conflicts:
        click.echo(f"  line {conflict.line:,}: {conflict.reason}; the first is kept")
    if tally.conflicts > len(tally.first_conflicts):
        click.echo(f"  and {tally.conflicts - len(tally.first_conflicts):,} more conflicts")
    if tally.cut:
        click.echo(f"  truncated: {tally.cut:,} (a text too long, or metadata too large)")
    if source.left_out:
        click.echo(f"  ignored columns (no matching field): {', '.join(source.left_out)}")


def _tell_what_leaves(monitor: PerformanceMonitor, tallies: list[ImportTally]) -> None:
    """Retention counts from a run's end, so old imported runs may be deleted soon."""
    kept, now = monitor.config.monitor, time.time()
    oldest = min((tally.oldest for tally in tallies), default=now)
    if oldest < now - kept.keep_runs_days * _DAY:
        day = f"{from_micros(round(oldest * 1e6)):%Y-%m-%d}"
        click.echo(
            f"note: the oldest row is from {day}; a running monitor deletes rows older than\n"
            f"      {kept.keep_runs_days:g} days (keep_runs_days), and hourly aggregates after "
            f"{kept.keep_cells_days:g} (keep_cells_days)"
        )


def _counted(tally: ImportTally) -> Iterator[str]:
    for kind, count in tally.by_kind.items():
        if count:
            word = "measurement" if kind == "accuracy" else kind
            yield f"{count:,} {word}{'' if count == 1 else 's'}"


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C ends the import after the current batch; a second one ends it at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
