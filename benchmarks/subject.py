"""What each script is besides its measuring: options, a folder of its own, progress, a table."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.table import Figure, plain, show

Thing = TypeVar("Thing")


@attrs.frozen
class Bench:
    """What a subject measures with.

    Attributes:
        quick: seconds rather than minutes; less is measured, so figures shake more.
        folder: an empty folder that is removed afterwards.
    """

    quick: bool
    folder: Path
    _progress: Progress

    def size(self, quick: int, full: int) -> int:
        """How much of something, by the kind of run."""
        return quick if self.quick else full

    def track(
        self, what: str, things: Iterable[Thing], total: int | None = None
    ) -> Iterator[Thing]:
        """The things one by one, with a bar."""
        with self.bar(what, total) as advance:
            if total is None and isinstance(things, Sized):
                advance.expect(len(things))
            for thing in things:
                yield thing
                advance(1)

    @contextmanager
    def bar(self, what: str, total: float | None) -> Iterator[Bar]:
        """A bar to push on by hand."""
        task = self._progress.add_task(what, total=total)
        try:
            yield Bar(self._progress, task)
        finally:
            self._progress.remove_task(task)

    def say(self, text: str) -> None:
        """A line that stays, on stderr."""
        self._progress.console.print(f"  {text}", markup=False, highlight=False)


@attrs.frozen
class Bar:
    """A bar under way."""

    _progress: Progress
    _task: TaskID

    def __call__(self, steps: float) -> None:
        self._progress.advance(self._task, steps)

    def expect(self, total: float) -> None:
        self._progress.update(self._task, total=total)


Measure = Callable[[Bench], Iterable[Figure]]


def run_alone(name: str, measure: Measure) -> None:
    """The command line of one subject."""

    @click.command(name=name)
    @click.option("--quick", is_flag=True, help="Seconds rather than minutes.")
    @click.option("--json", "as_json", is_flag=True, help="The figures as JSON, without a table.")
    def command(*, quick: bool, as_json: bool) -> None:
        errors = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        progress = Progress(
            *columns, console=errors, transient=True, disable=not errors.is_terminal
        )
        with tempfile.TemporaryDirectory(prefix="perfmon-bench-") as folder, progress:
            figures = list(measure(Bench(quick, Path(folder), progress)))
        if as_json:
            json.dump(plain(figures), sys.stdout)
        else:
            show({name: figures}, Console())

    command()
