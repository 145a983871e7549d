"""A measured figure, its target, its yardstick, and the table they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from rich.console import Console
from rich.table import Table

HEADER = ("subject", "figure", "measured", "target", "yardstick", "its figure", "ratio", "met")


@attrs.frozen
class Figure:
    """One line of the table.

    Attributes:
        what: what was measured.
        value: the figure, in `unit`.
        target: what it should be at most, or with `at_least` at least; None where it is only told.
        yardstick: what it stands beside; `beside` is that one's figure of the same run, in `unit`.
    """

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False
    yardstick: str = ""
    beside: float | None = None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def ratio(self) -> float | None:
        """How many times the yardstick's figure this one is."""
        return self.value / self.beside if self.beside else None

    def texts(self) -> tuple[str, ...]:
        sign = "≥" if self.at_least else "≤"
        return (
            self.what,
            _number(self.value, self.unit),
            "" if self.target is None else f"{sign} {_number(self.target, self.unit)}",
            self.yardstick,
            "" if self.beside is None else _number(self.beside, self.unit),
            "" if self.ratio is None else _number(self.ratio, "x"),
            {None: "", True: "met", False: "NOT MET"}[self.met],
        )


Figures = dict[str, list[Figure]]
"""The figures of each subject."""


def _number(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def show(figures: Figures, console: Console) -> None:
    """The table for people."""
    if not console.is_terminal:
        console.width = 160
    table = Table(box=None, header_style="bold")
    for place, name in enumerate(HEADER):
        table.add_column(name, justify="right" if place in (2, 3, 5, 6) else "left")
    for subject, texts in _lines(figures):
        style = "red" if texts[-1] == "NOT MET" else None
        table.add_row(subject, *texts, style=style)
    console.print(table)


def markdown(figures: Figures) -> str:
    """The same for a page."""
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|--:|--:|---|--:|--:|---|"]
    lines += [f"| {' | '.join((subject, *texts))} |" for subject, texts in _lines(figures)]
    return "\n".join(lines) + "\n"


def _lines(figures: Figures) -> Iterator[tuple[str, tuple[str, ...]]]:
    for subject, found in figures.items():
        for place, figure in enumerate(found):
            yield subject if place == 0 else "", figure.texts()


def plain(figures: Iterable[Figure]) -> list[dict[str, object]]:
    """JSON values, by which a subject's process tells its figures."""
    return [attrs.asdict(figure) for figure in figures]
