"""`perfmon alerts`: list, show, acknowledge, resolve and silence alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perfmon.cli.alert_list import alert_lines, as_json, delivery_lines, full_id
from perfmon.cli.alert_trials import backtest_command, send_test_command, test_command
from perfmon.cli.opening import open_monitor, open_to_write
from perfmon.cli.options import (
    Since,
    config_option,
    given_storage,
    remember_storage,
    storage_option,
    user_name,
)
from perfmon.cli.output import json_text
from perfmon.cli.silences import silence_command, silences_command, unsilence_command

if TYPE_CHECKING:
    from perfmon.alerts.listing import FoundAlerts

_FORMATS = click.Choice(["text", "json"])
_EPILOG = """\b
Examples:
  perfmon alerts --state firing
  perfmon alerts --since 7d --agent billing --format json
  perfmon alerts show 3f2a9c01
  perfmon alerts silence --agent 'billing-*' --for 2h --comment "migration"
  perfmon alerts ack 3f2a9c01
  perfmon alerts resolve 3f2a9c01 --comment "agent retired"
  perfmon alerts send-test slack
  perfmon alerts backtest --since 30d

These commands work on the storage, also while a server is using it; the server picks up silences
and acknowledgements within a minute. An ID may be shortened as long as it is unambiguous.
"""


@click.group(name="alerts", epilog=_EPILOG, invoke_without_command=True)
@click.option(
    "--state",
    type=click.Choice(["pending", "firing", "resolved"]),
    help="Only alerts in this state; by default firing and resolved ones.",
)
@click.option(
    "--level", type=click.Choice(["info", "warning", "critical"]), help="Only this level."
)
@click.option("--agent", metavar="NAME", help="Only alerts of this agent.")
@click.option(
    "--since", type=Since(), help="Leave out alerts resolved before then; 2h is two hours ago."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True)
@storage_option
@config_option
@click.pass_context
def alerts_command(
    ctx: click.Context,
    state: str | None,
    level: str | None,
    agent: str | None,
    since: float | None,
    limit: int,
    form: str,
    storage: str | None,
) -> None:
    """List, acknowledge, silence and test alerts.

    Without a command it lists firing and resolved alerts, newest first.
    """
    if ctx.invoked_subcommand is not None:
        remember_storage(ctx, storage)
        return
    with open_monitor(ctx, storage) as monitor:
        found = monitor.find_alerts(level, agent, limit, state=state, since=since)
        now = monitor.now_us()
    _print(found, form, now)


def _print(found: FoundAlerts, form: str, now: int) -> None:
    if form == "json":
        listed = [as_json(one) for one in found.alerts]
        _print_json({"alerts": listed, "total_count": found.total})
        return
    others = [one.alert for one in found.alerts]
    for alert in others:
        click.echo("\n".join(alert_lines(alert, now, others=others)))
    if not found.alerts:
        click.echo("no alerts")
    elif found.total > len(found.alerts):
        click.echo(f"and {found.total - len(found.alerts):,} more (raise --limit to see them)")


def _print_json(value: Any) -> None:
    click.echo(json_text(value))


@click.command(name="show")
@click.argument("alert_id", metavar="ID")
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True)
@storage_option
@config_option
@click.pass_context
def show_command(ctx: click.Context, alert_id: str, form: str, storage: str | None) -> None:
    """Show one alert and its notifications."""
    with open_monitor(ctx, given_storage(ctx, storage)) as monitor:
        found = monitor.get_alert(full_id(monitor, alert_id))
        now = monitor.now_us()
    if form == "json":
        _print_json(as_json(found))
    else:
        click.echo("\n".join(alert_lines(found.alert, now, full=True)))
        click.echo("\n".join(delivery_lines(found.deliveries)))


@click.command(name="ack")
@click.argument("alert_id", metavar="ID")
@click.option("--by", metavar="NAME", help="Who acknowledges it [default: your user name]")
@storage_option
@config_option
@click.pass_context
def ack_command(ctx: click.Context, alert_id: str, by: str | None, storage: str | None) -> None:
    """Acknowledge an alert: no reminders until it gets worse."""
    name = user_name(by)
    with open_to_write(ctx, given_storage(ctx, storage)) as monitor:
        alert = monitor.acknowledge(full_id(monitor, alert_id), name)
    click.echo(f"{alert.alert_id}: acknowledged by {alert.acknowledged_by}")


@click.command(name="resolve")
@click.argument("alert_id", metavar="ID")
@click.option("--by", metavar="NAME", help="Who resolves it [default: your user name]")
@click.option("--comment", metavar="TEXT", help="Reason.")
@storage_option
@config_option
@click.pass_context
def resolve_command(
    ctx: click.Context, alert_id: str, by: str | None, comment: str | None, storage: str | None
) -> None:
    """Resolve an alert by hand.

    For example one about an agent that was retired.
    """
    name = user_name(by)
    with open_to_write(ctx, given_storage(ctx, storage)) as monitor:
        alert = monitor.resolve(full_id(monitor, alert_id), name, comment)
    click.echo(f"{alert.alert_id}: resolved by {name}")


for command in (
    show_command,
    ack_command,
    resolve_command,
    silence_command,
    silences_command,
    unsilence_command,
    send_test_command,
    test_command,
    backtest_command,
):
    alerts_command.add_command(command)
