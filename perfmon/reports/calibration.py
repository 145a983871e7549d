"""The reliability diagram: stated confidence against observed accuracy, as SVG with a table."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from perfmon.metrics import formatting as figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfmon.accuracy.calibration import Calibration, CalibrationBin

# In units of the viewBox: the square of the diagram, and the strip of counts below it.
_LEFT, _TOP, _SIDE = 72, 14, 384
_STRIP_TOP, _STRIP = 420, 56
_WIDTH, _HEIGHT = 480, 536
_BOTTOM = _STRIP_TOP + _STRIP

_STYLE = """
.calibration { margin: 1rem 0; max-width: 34rem; }
.calibration svg { display: block; width: 100%; height: auto; }
.calibration text { fill: var(--soft, currentColor); font: 12px system-ui, sans-serif; }
.calibration .grid { stroke: var(--line, #8884); stroke-width: 1; }
.calibration .ideal { stroke: var(--soft, currentColor); stroke-width: 1.5; stroke-dasharray: 5 5; }
.calibration .on { --tone: var(--good, #1a7f4b); }
.calibration .off { --tone: var(--poor, #c0322b); }
.calibration .bar { stroke: var(--tone); stroke-width: 2; stroke-linecap: round; }
.calibration .point { fill: var(--tone); stroke: var(--paper, #fff); stroke-width: 1.5; }
.calibration .count { fill: var(--soft, currentColor); fill-opacity: .45; }
"""


def calibration_plot(calibration: Calibration, who: str = "Overall") -> str:
    """A figure: the diagram as inline SVG, the verdict below it, and its numbers as a table.

    A point stands at a bin's mean confidence and accuracy, the larger the more outcomes, with the
    95% interval of the accuracy; on the dashed line accuracy equals stated confidence. Points whose
    interval misses the line have another colour. Colours are the page's, with fallbacks of their
    own. The text is well-formed as XML, too. Without outcomes there is no
    diagram, only a sentence. `who` is its subject.
    """
    filled = [each for each in calibration.bins if _is_drawn(each)]
    sentence, subject = escape(calibration.sentence), escape(who)
    if not filled:
        return f'<p class="soft">Calibration: {sentence}.</p>\n'
    most = max(each.count for each in filled)
    points = "".join(_point(each, most) for each in filled)
    bars = "".join(_bar(each, most) for each in filled)
    return f"""<figure class="calibration">
<style>{_STYLE}</style>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">
<title>Calibration: observed accuracy by stated confidence</title>
<desc>{subject}: {sentence}. The table below has the numbers of each bin.</desc>
{"".join(_axes())}<g>
{points}</g>
<g>
{bars}</g>
</svg>
<figcaption class="soft">{subject}: {sentence}.</figcaption>
{_table(filled)}</figure>
"""


def _is_drawn(each: CalibrationBin) -> bool:
    numbers = (each.confidence, each.accuracy, *each.interval)
    return each.count > 0 and all(map(math.isfinite, numbers))


def _axes() -> Iterator[str]:
    for tenth in range(0, 11, 2):
        share, label = tenth / 10, f"{10 * tenth}%"
        x, y = _x(share), _y(share)
        yield f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{_BOTTOM}"/>\n'
        yield f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_LEFT + _SIDE}" y2="{y}"/>\n'
        yield f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end" dy=".35em">{label}</text>\n'
        yield f'<text x="{x}" y="{_BOTTOM + 18}" text-anchor="middle">{label}</text>\n'
    yield f'<line class="grid" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_LEFT + _SIDE}" y2="{_BOTTOM}"/>\n'
    yield f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>\n'
    middle = _TOP + _SIDE / 2
    yield (
        f'<text x="14" y="{middle:g}" text-anchor="middle"'
        f' transform="rotate(-90 14 {middle:g})">observed accuracy</text>\n'
    )
    yield (
        f'<text x="{_LEFT + _SIDE / 2:g}" y="{_BOTTOM + 40}" text-anchor="middle">'
        "stated confidence</text>\n"
    )
    yield f'<text x="{_LEFT - 8}" y="{_BOTTOM - 4}" text-anchor="end">outcomes</text>\n'


def _point(each: CalibrationBin, most: int) -> str:
    low, high = each.interval
    side = "on" if low <= each.confidence <= high else "off"
    x, y = _x(each.confidence), _y(each.accuracy)
    radius = round(4 + 6 * math.sqrt(each.count / most), 1)
    return (
        f'<g class="{side}"><title>{escape(_told(each))}</title>'
        f'<line class="bar" x1="{x}" y1="{_y(low)}" x2="{x}" y2="{_y(high)}"/>'
        f'<circle class="point" cx="{x}" cy="{y}" r="{radius}"/></g>\n'
    )


def _bar(each: CalibrationBin, most: int) -> str:
    left, right = _x(each.low) + 2, _x(each.high) - 2
    height = round(max(1.5, (_STRIP - 16) * each.count / most), 1)
    top = round(_BOTTOM - height, 1)
    return (
        f'<rect class="count" x="{left:g}" y="{top}" width="{right - left:g}" height="{height}"/>'
        f'<text x="{(left + right) / 2:g}" y="{top - 4:g}" text-anchor="middle">'
        f"{escape(figures.brief_count(each.count))}</text>\n"
    )


def _told(each: CalibrationBin) -> str:
    return (
        f"{_range(each)}: stated {figures.percent(each.confidence)}, observed"
        f" {figures.percent(each.accuracy)} (95%: {figures.interval(each.interval)}),"
        f" {figures.count(each.count)} outcomes"
    )


def _table(filled: list[CalibrationBin]) -> str:
    names = ("Confidence", "Outcomes", "Stated, mean", "Observed", "95% interval")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{_range(each)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(each))
        + "</tr>\n"
        for each in filled
    )
    return (
        "<details><summary>The numbers</summary>\n"
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n</details>\n"
    )


def _cells(each: CalibrationBin) -> tuple[str, ...]:
    return (
        figures.count(each.count),
        figures.percent(each.confidence),
        figures.percent(each.accuracy),
        figures.interval(each.interval),
    )


def _range(each: CalibrationBin) -> str:
    return f"{figures.percent(each.low, 0)} to {figures.percent(each.high, 0)}"


def _x(share: float) -> float:
    return round(_LEFT + _SIDE * min(1.0, max(0.0, share)), 1)


def _y(share: float) -> float:
    return round(_TOP + _SIDE * (1 - min(1.0, max(0.0, share))), 1)
