"""`python -m benchmarks`: every subject in a process of its own, one table in the end."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from benchmarks.table import Figure, Figures, markdown, show

HERE = Path(__file__).resolve().parent
SUBJECTS = (
    "recording", "sustained", "footprint", "queries", "server", "history", "accuracy", "imports",
    "alerting", "evaluating", "reliability",
)  # fmt: skip
_RESULTS = HERE / "RESULTS.md"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


@click.command(name="python -m benchmarks")
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1, type=click.Choice(SUBJECTS))
@click.option("--quick", is_flag=True, help="Seconds rather than minutes; figures shake more.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The table as Markdown.")
@click.option("--results", is_flag=True, help="Write the table into benchmarks/RESULTS.md, too.")
def main(subjects: tuple[str, ...], *, quick: bool, as_markdown: bool, results: bool) -> None:
    """Measure all subjects, or those named, and print one table."""
    console = Console(stderr=True)
    figures: Figures = {}
    for subject in subjects or SUBJECTS:
        console.print(f"[bold]{subject}[/bold]")
        found = _measured(subject, quick=quick)
        if found is None:
            console.print(f"{subject} failed; the table goes without it", style="red")
        else:
            figures[subject] = found
    text = f"{_conditions(quick=quick)}\n\n{markdown(figures)}"
    if results:
        _write_results(text)
    if as_markdown:
        click.echo(text)
    else:
        click.echo(_conditions(quick=quick))
        show(figures, Console())
    if len(figures) < len(subjects or SUBJECTS):
        sys.exit(1)


def _measured(subject: str, *, quick: bool) -> list[Figure] | None:
    arguments = [sys.executable, "-m", f"benchmarks.{subject}", "--json"]
    arguments += ["--quick"] if quick else []
    done = subprocess.run(arguments, stdout=subprocess.PIPE, cwd=HERE.parent, check=False)
    if done.returncode:
        return None
    return [Figure(**figure) for figure in json.loads(done.stdout)]


def _conditions(*, quick: bool) -> str:
    import os

    kind = "quick" if quick else "full"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {kind} run: Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )


def _write_results(text: str) -> None:
    page = _RESULTS.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    _RESULTS.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
