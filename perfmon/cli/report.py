"""`perfmon report`: what happened, as text, JSON, Markdown or HTML."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from perfmon.cli.opening import open_monitor
from perfmon.cli.options import Since, config_option, storage_option
from perfmon.cli.output import html_text, json_text
from perfmon.reports import render_report

_EPILOG = """\b
Examples:
  perfmon report
  perfmon report --since 2026-01-01 --until 2026-02-01 --format html -o january.html
  perfmon report --window-minutes 1440 --tenant acme --format json
"""


@click.command(name="report", epilog=_EPILOG)
@click.option(
    "--since", type=Since(), help="Start: a time, or how long ago, such as 7d; dates are UTC."
)
@click.option("--until", type=Since(), help="End, exclusive [default: now]")
@click.option(
    "--window-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="The last N minutes [default: window_size_minutes]",
)
@click.option("--tenant", help="Only this tenant's runs.")
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json", "markdown", "html"]),
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of the terminal.",
)
@storage_option
@config_option
@click.pass_context
def report_command(
    ctx: click.Context,
    since: float | None,
    until: float | None,
    window_minutes: float | None,
    tenant: str | None,
    form: str,
    output: Path | None,
    storage: str | None,
) -> None:
    """Report metrics, trends and recommendations.

    Health, errors, agents, accuracy and alerts are included.
    """
    if window_minutes is not None and since is not None:
        raise click.UsageError("--window-minutes and --since cannot be combined", ctx)
    if since is not None and since >= (time.time() if until is None else until):
        raise click.UsageError("--since must be before --until (default: now)", ctx)
    with open_monitor(ctx, storage) as monitor:
        if since is None:
            window = window_minutes or monitor.config.monitor.window_size_minutes
            if until is not None:
                since = until - 60 * window
        report = _report(monitor, window_minutes, since, until, tenant)
    _write(report, form, output)


def _report(
    monitor: Any,
    window_minutes: float | None,
    since: float | None,
    until: float | None,
    tenant: str | None,
) -> dict[str, Any]:
    if since is None:
        monitor.sync_with_database(lookback_hours=monitor.config.monitor.retention_hours)
    report: dict[str, Any] = monitor.generate_report(
        time_window_minutes=window_minutes, since=since, until=until, tenant=tenant
    )
    return report


def _write(report: dict[str, Any], form: str, output: Path | None) -> None:
    if form == "json":
        written = json_text(report, is_printed=output is None) + "\n"
    else:
        written = render_report(report, form)
    if output is None:
        click.echo(html_text(written) if form == "html" else written, nl=False)
    else:
        output.write_text(written, encoding="utf-8")
        click.echo(f"{output}: written", err=True)
