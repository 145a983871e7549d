"""`perfmon init`: a commented monitor.toml to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

import perfmon
from perfmon.errors import PerfmonError


def template() -> str:
    """The text of the monitor.toml that ships with perfmon."""
    packaged = files("perfmon").joinpath("monitor.toml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    # An editable install runs from the checkout, where the file lies beside the package.
    beside = Path(perfmon.__file__).resolve().parent.parent / "monitor.toml"
    try:
        return beside.read_text(encoding="utf-8")
    except OSError:
        raise PerfmonError("this installation has no monitor.toml to copy") from None


@click.command(name="init")
@click.argument("path", default="monitor.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init_command(path: Path, force: bool) -> None:
    """Write a complete, commented monitor.toml to PATH."""
    text = template()
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PerfmonError(f"{path} already exists (--force overwrites it)") from None
    click.echo(f"{path}: written; perfmon check validates it, perfmon serve runs it")
