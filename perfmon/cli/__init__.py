"""The command line: `perfmon serve | import | report | alerts | check | plugins | init | demo`."""

from __future__ import annotations

from perfmon.cli.root import cli


def main() -> None:
    """The console script `perfmon`."""
    cli()


__all__ = ["cli", "main"]
