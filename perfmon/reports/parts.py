"""The parts of a report, for any format: sections of facts, tables, sentences and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Collection

    from perfmon.accuracy.calibration import Calibration


@attrs.frozen
class Table:
    """Rows of cells below their names; the columns in `left` are text, the others numbers.

    The columns in `extra` are left out where there is little room.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()

    def without(self, names: Collection[str]) -> Table:
        """The table less these columns."""
        kept = [place for place, name in enumerate(self.names) if name not in names]
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return Table(tuple(self.names[place] for place in kept), rows, self.left, self.extra)

    def without_empty(self, unknown: str) -> Table:
        """The table less the columns in which nothing is known."""
        columns = zip(*self.rows, strict=True)
        empty = {
            name
            for name, column in zip(self.names, columns, strict=True)
            if all(cell == unknown for cell in column)
        }
        return self.without(empty)


@attrs.frozen
class Plot:
    """A calibration, drawn where possible, else in words; `who` is its subject."""

    who: str
    calibration: Calibration

    @property
    def sentence(self) -> str:
        return f"{self.who}: {self.calibration.sentence}"


@attrs.frozen
class Section:
    """A title and what stands below it.

    Attributes:
        facts: each a name, a figure and a remark.
        items: sentences.
        lines: to be copied as they are.
        parts: sections of its own, which have no parts.
    """

    title: str
    facts: tuple[tuple[str, str, str], ...] = ()
    table: Table | None = None
    plot: Plot | None = None
    items: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    parts: tuple[Section, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The items, below what a plot would show."""
        return self.items if self.plot is None else (self.plot.sentence, *self.items)


@attrs.frozen
class Outline:
    """The whole report; `status` is the health's word, `score` its figure."""

    title: str
    range: str
    generated: str
    score: str
    status: str
    sections: tuple[Section, ...]
