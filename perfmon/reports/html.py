"""A report as one HTML file: no script, nothing loaded, light and dark, fit to print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from perfmon.reports.calibration import calibration_plot
from perfmon.reports.parts import Outline, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --line: #dfe3e8; --soft: #5b6470;
  --good: #1a7f4b; --fair: #9a6700; --poor: #c0322b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --line: #30363d;
  --soft: #9aa4af; --good: #4cc38a; --fair: #e0b13c; --poor: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.125rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .25rem; }
.soft { color: var(--soft); margin: .25rem 0; }
.health { font-size: 2.5rem; font-weight: 600; margin: 1rem 0 0; }
.health small { font-size: 1rem; font-weight: 400; }
.good { color: var(--good); } .fair { color: var(--fair); } .poor { color: var(--poor); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; }
.left { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 5rem; }
th.left { min-width: 8rem; }
tbody th { font-weight: 400; }
li { margin: .5rem 0; overflow-wrap: anywhere; }
pre { border: 1px solid var(--line); border-radius: .375rem; padding: .75rem 1rem;
  overflow-x: auto; }
summary { cursor: pointer; }
@media print { :root { --ink: #000; --paper: #fff; --line: #bbb; --soft: #444; }
  body { max-width: none; padding: 0; font-size: 10pt; } .wide { overflow: visible; }
  tr, li, figure { break-inside: avoid; } h2, h3 { break-after: avoid; }
  thead { display: table-header-group; } }
"""
_TONES = {"excellent": "good", "good": "good", "healthy": "good", "fair": "fair",
          "degraded": "fair", "poor": "poor", "unhealthy": "poor"}  # fmt: skip


def html(report: Outline) -> str:
    """The report as a page; every value is escaped."""
    tone = _TONES.get(report.status.lower(), "soft")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(report.title)}, {escape(report.range)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
<p class="soft">{escape(report.range)}, generated {escape(report.generated)}</p>
<p class="health {tone}">{escape(report.score)} <small>of 100, {escape(report.status)}</small></p>
</header>
<main>
{"".join(_section(section) for section in report.sections)}</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = "".join(
        f"<h3>{escape(part.title)}</h3>\n{''.join(_body(part))}" for part in section.parts
    )
    return (
        f"<section>\n<h2>{escape(section.title)}</h2>\n{''.join(_body(section))}{parts}</section>\n"
    )


def _body(section: Section) -> Iterator[str]:
    if section.facts:
        yield _table(Table((), section.facts), remarks=True)
    if section.table is not None:
        yield _table(section.table)
    if section.plot is not None:
        yield calibration_plot(section.plot.calibration, section.plot.who)
    if section.items:
        items = "".join(f"<li>{escape(item)}</li>\n" for item in section.items)
        yield f"<ul>\n{items}</ul>\n"
    if section.lines:
        yield f"<pre><code>{escape(chr(10).join(section.lines))}</code></pre>\n"


def _table(table: Table, *, remarks: bool = False) -> str:
    left = {place for place, name in enumerate(table.names) if name in table.left}
    left = {0, 2} if remarks else left
    names = "".join(
        _cell("th", name, place in left, ' scope="col"') for place, name in enumerate(table.names)
    )
    head = f"<thead><tr>{names}</tr></thead>\n" if names else ""
    rows = "".join(f"<tr>{_row(row, left)}</tr>\n" for row in table.rows)
    return f'<div class="wide"><table>\n{head}<tbody>\n{rows}</tbody>\n</table></div>\n'


def _row(row: tuple[str, ...], left: set[int]) -> str:
    first = _cell("th", row[0], 0 in left, ' scope="row"')
    return first + "".join(_cell("td", cell, at in left, "") for at, cell in enumerate(row[1:], 1))


def _cell(tag: str, value: str, is_left: bool, extra: str) -> str:
    style = ' class="left"' if is_left else ""
    return f"<{tag}{extra}{style}>{escape(value)}</{tag}>"
