"""`perfmon alerts silence | silences | unsilence`: send nothing about some alerts for a while."""

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
  perfmon alerts silence --rule "slow billing agent" --until 2026-02-01T06:00Z --comment "known"

All that is given must match; what is silenced is evaluated and listed all the same.
"""
_GLOB = "GLOB"
_LATEST = 253_370_764_800.0  # the year 9999, where times end


@click.command(name="silence", epilog=_EPILOG)
@click.option("--agent", metavar=_GLOB, help="Agents of such a name.")
@click.option("--agent-type", metavar=_GLOB, help="Agents of such a type.")
@click.option("--model", metavar=_GLOB, help="Models of such a name.")
@click.option("--tenant", metavar=_GLOB, help="Tenants of such a name.")
@click.option("--rule", metavar=_GLOB, help="Rules (or thresholds) of such a name.")
@click.option("--metric", metavar=_GLOB, help="What is about such a metric.")
@click.option("--level", type=click.Choice(["info", "warning", "critical"]), help="This level.")
@click.option("--for", "length", type=Length(), help="How long from now on, such as 2h.")
@click.option("--until", type=Moment(), help="Or until when.")
@click.option("--by", metavar="NAME", help="Whose silence it is; else yours.")
@click.option("--comment", default="", help="Why.")
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
    """Send nothing about the alerts that match, for a time."""
    matchers = {name: glob for name, glob in globs.items() if glob is not None}
    if not matchers:
        raise click.UsageError("say which alerts: --agent, --rule, --level, ...", ctx)
    if (length is None) == (until is None):
        raise click.UsageError("say how long: either --for or --until", ctx)
    end = time.time() + length if length is not None else until
    if end is not None and not time.time() < end < _LATEST:
        given = "--until" if length is None else "--for"
        raise click.UsageError(f"{given} must end in a time to come, before the year 9999", ctx)
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
    """List the silences that are not over."""
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
    """End a silence before its time."""
    with open_to_write(ctx, given_storage(ctx, storage)) as monitor:
        known = [silence.silence_id for silence in monitor.get_silences()]
        full = only_one("silence", silence_id, known, "perfmon alerts silences")
        monitor.unsilence(full)
    click.echo(f"{full}: over")
