"""The elements that charts are made of: escaped, short, and with colours that can be overridden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from math import isfinite
from typing import NamedTuple

TONES = {
    "good": "#12805c",
    "warning": "#d97706",
    "bad": "#d92d20",
    "info": "#1570ef",
    "accent": "#7a5af8",
    "first": "#1570ef",
    "second": "#98a2b3",
    "third": "#84adff",
    "none": "#d0d5dd",
    "text": "#667085",
    "grid": "#e4e7ec",
}
"""The tones by name, with the colours they have where no style sheet says otherwise."""
STACK = ("#53b1fd", "#fdb022", "#7a5af8", "#32d583", "#f97066", "#36bffa", "#ee46bc", "#98a2b3")
"""The colours of what is stacked, in their order."""


class Size(NamedTuple):
    """Width and height of a drawing, in units of its viewBox."""

    width: int = 640
    height: int = 160


def number(value: float) -> str:
    """A coordinate in as few letters as a tenth of a unit takes."""
    text = f"{value:.1f}"
    return "0" if text in ("-0.0", "0.0") else text.removesuffix(".0")


def element(name: str, content: str = "", /, **attributes: str | float | None) -> str:
    """One element; `class_` is class, `_` in names is `-`, and what is None is left out.

    Args:
        name: of the element.
        content: its markup, already escaped.
        attributes: escaped here; numbers to a tenth.
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="'
        f'{escape(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}>{content}</{name}>" if content else f"<{name}{words}/>"


def text(x: float, y: float, words: str, *, anchor: str = "start", tone: str = "text") -> str:
    """A small label."""
    return element(
        "text", escape(words), x=x, y=y, text_anchor=anchor, font_size="10",
        class_=f"pf-{tone}", fill=TONES[tone],
    )  # fmt: skip


def titled(markup: str, title: str, href: str | None = None) -> str:
    """With a tooltip, and as a link where it leads somewhere."""
    inner = f"<title>{escape(title)}</title>{markup}" if title else markup
    return element("a", inner, href=href) if href else f"<g>{inner}</g>"


def drawing(size: Size, label: str, parts: Iterable[str], **attributes: str | None) -> str:
    """The whole of it; `label` says what is seen, for those who cannot see it."""
    return element(
        "svg", f"<title>{escape(label)}</title>" + "".join(parts),
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {size.width} {size.height}", role="img",
        font_family="system-ui, sans-serif", **attributes,
    )  # fmt: skip


Point = tuple[float, float]


def stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Runs of points without a gap between them."""
    for is_there, part in groupby(points, key=lambda point: isfinite(point[0] + point[1])):
        if is_there:
            yield list(part)


def polyline(points: Sequence[Point], *, tone: str, width: float = 1.6) -> str:
    """A line through points; a point by itself is a dot."""
    if len(points) == 1:
        (x, y) = points[0]
        return element("circle", cx=x, cy=y, r=width, class_=f"pf-{tone} pf-fill", fill=TONES[tone])
    return element(
        "polyline", points=path(points), fill="none", class_=f"pf-{tone} pf-stroke",
        stroke=TONES[tone], stroke_width=width, stroke_linejoin="round",
    )  # fmt: skip


def polygon(points: Sequence[Point], *, tone: str, opacity: float) -> str:
    """A filled shape."""
    return element(
        "polygon", points=path(points), class_=f"pf-{tone} pf-fill", fill=TONES[tone],
        fill_opacity=f"{opacity:g}",
    )  # fmt: skip


def path(points: Sequence[Point]) -> str:
    """Points as an attribute."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)
