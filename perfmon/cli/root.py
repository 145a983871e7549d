"""The command `perfmon` itself: its options, its subcommands, and its errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import click

from perfmon.cli.options import config_option
from perfmon.cli.output import complain, print_what_can_be_printed
from perfmon.errors import PerfmonError

INTERRUPTED = 130
# A subcommand's module is imported when it is called, so that --help stays quick.
_COMMANDS = {
    "serve": "perfmon.cli.serve",
    "import": "perfmon.cli.import_files",
    "report": "perfmon.cli.report",
    "alerts": "perfmon.cli.alerts",
    "check": "perfmon.cli.check",
    "plugins": "perfmon.cli.check",
    "init": "perfmon.cli.init",
    "demo": "perfmon.cli.demo.command",
}


class Perfmon(click.Group):
    """The built-in subcommands, and those that enabled plugins add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_plugins(ctx)
        return [*_COMMANDS, *sorted(self.commands.keys() - _COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = import_module(_COMMANDS[cmd_name])
            return cast("click.Command", getattr(module, f"{cmd_name}_command"))
        self._add_plugins(ctx)
        return super().get_command(ctx, cmd_name)

    def _add_plugins(self, ctx: click.Context) -> None:
        from perfmon.cli.plugin_commands import add_commands

        if not ctx.meta.get("perfmon.extended"):
            ctx.meta["perfmon.extended"] = True
            add_commands(self, ctx)

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """As click's, but an expected failure prints one line, whatever its source."""
        print_what_can_be_printed()
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **options)
        try:
            code = run(*args, standalone_mode=False, **options)
        except click.ClickException as problem:
            code = _usage(problem)
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader of a pipe had enough; the flush at exit must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except (PerfmonError, OSError) as problem:
            complain(str(problem) if isinstance(problem, PerfmonError) else _os_words(problem))
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def _usage(problem: click.ClickException) -> int:
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        problem.show()
    else:
        ctx = getattr(problem, "ctx", None)
        hint = f" (see {ctx.command_path} --help)" if ctx else ""
        complain(f"{problem.format_message()}{hint}")
    return problem.exit_code


def _os_words(problem: OSError) -> str:
    words = problem.strerror or str(problem)
    return f"{problem.filename}: {words}" if problem.filename else words


_EXAMPLES = """\b
Examples:
  perfmon demo                              try it with simulated agents
  perfmon init && perfmon serve             run your own monitor
  perfmon import runs.csv.gz                load runs you already have
  perfmon report --window-minutes 1440      what happened in the last 24 hours
  perfmon alerts                            firing and resolved alerts
"""


@click.group("perfmon", cls=Perfmon, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agent-perfmon", prog_name="perfmon")
@config_option
def cli() -> None:
    """The performance monitor for LLM agents: do they succeed, what do they cost, are they
    right, and when did that change."""  # noqa: D209


cli.epilog = _EXAMPLES
