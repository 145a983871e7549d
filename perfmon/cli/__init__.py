"""The command line: `perfmon serve | import | report | alerts | check | plugins | init | demo`."""

from __future__ import annotations

import sys

from perfmon.cli import hangups

TYPE_CHECKING = False  # as typing's, which takes long to import
if TYPE_CHECKING:
    from typing import Any

    from perfmon.cli.root import cli

__all__ = ["cli", "main"]


def main() -> None:
    """The console script `perfmon`."""
    # First of all: what is imported next takes a while, in which a SIGHUP would end the process.
    if "serve" in sys.argv:
        hangups.hold()
    from perfmon.cli.root import cli

    cli()


def __getattr__(name: str) -> Any:
    if name != "cli":
        raise AttributeError(f"module 'perfmon.cli' has no attribute {name!r}")
    from perfmon.cli.root import cli

    return cli
