"""`perfmon alerts silence | silences | unsilence`: mute notifications for some alerts."""

from __future__ import annotations

import time

import click

from perfmon.cli.alert_list import only_one, silence_lines
from perfmon.cli.opening import open_monitor, open_to_write
from perfmon.cli.options import (
    Length,
    Moment,
    config_option,
    given_storage,
    storage_option,
    user_name,
)

_EPILOG = """\b
Examples:
  perfmon alerts silence --agent 'billing-*' --level warning --for 2h
  perfmon alerts silence --rule "slow billing agent" --until 2026-02-01T06:00Z

All given options must match. Silenced alerts are still evaluated and listed.
"""
_GLOB = "GLOB"
_LATEST = 253_370_764_800.0  # the year 9999, where times end


@click.command(name="silence", epilog=_EPILOG)
@click.option("--agent", metavar=_GLOB, help="Agent names to match.")
@click.option("--agent-type", metavar=_GLOB, help="Agent types to match.")
@click.option("--model", metavar=_GLOB, help="Models to match.")
@click.option("--tenant", metavar=_GLOB, help="Tenants to match.")
@click.option("--rule", metavar=_GLOB, help="Names of rules (or thresholds) to match.")
@click.option("--metric", metavar=_GLOB, help="Metrics to match.")
@click.option(
    "--level", type=click.Choice(["info", "warning", "critical"]), help="Only this level."
)
@click.option("--for", "length", type=Length(), help="How long, such as 2h.")
@click.option("--until", type=Moment(), help="End time, instead of --for.")
@click.option("--by", metavar="NAME", help="Who creates it [default: your user name]")
@click.option("--comment", default="", help="Reason.")
@storage_option
@config_option
@click.pass_context
def silence_command(
    ctx: click.Context,
    /,
    length: float | None,
    until: float | None,
    by: str | None,
    comment: str,
    storage: str | None,
    **globs: str | None,
) -> None:
    """Mute notifications for matching alerts."""
    matchers = {name: glob for name, glob in globs.items() if glob is not None}
    if not matchers:
        raise click.UsageError(
            "specify which alerts: at least one of --agent, --rule, --level, ...", ctx
        )
    if (length is None) == (until is None):
        raise click.UsageError("specify how long: either --for or --until", ctx)
    end = time.time() + length if length is not None else until
    if end is not None and not time.time() < end < _LATEST:
        given = "--until" if length is None else "--for"
        raise click.UsageError(f"{given} must end in the future, before the year 9999", ctx)
    name = user_name(by)
    with open_to_write(ctx, given_storage(ctx, storage)) as monitor:
        made = monitor.silence(matchers, end, name, comment)
        now = monitor.now_us()
    click.echo("\n".join(silence_lines(made, now)))


@click.command(name="silences")
@storage_option
@config_option
@click.pass_context
def silences_command(ctx: click.Context, storage: str | None) -> None:
    """List active and scheduled silences."""
    with open_monitor(ctx, given_storage(ctx, storage)) as monitor:
        found = monitor.get_silences()
        now = monitor.now_us()
    for silence in found:
        click.echo("\n".join(silence_lines(silence, now)))
    if not found:
        click.echo("no silences")


@click.command(name="unsilence")
@click.argument("silence_id", metavar="ID")
@storage_option
@config_option
@click.pass_context
def unsilence_command(ctx: click.Context, silence_id: str, storage: str | None) -> None:
    """End a silence early."""
    with open_to_write(ctx, given_storage(ctx, storage)) as monitor:
        known = [silence.silence_id for silence in monitor.get_silences()]
        full = only_one("silence", silence_id, known, "perfmon alerts silences")
        monitor.unsilence(full)
    click.echo(f"{full}: ended")
