"""Charts as SVG text, for pages, reports and mails: complete without scripts or style sheets.

Every function gives one `<svg>` element as text, well-formed as XML, with all its texts escaped.
Colours are attributes that a style sheet may override by class (`pf-` and a tone); nothing is
loaded, and nothing in it is inline style or script. Values that are NaN or infinite are gaps.
"""

from __future__ import annotations

from perfmon.charts.axes import Axis
from perfmon.charts.bars import Bar, bars, histogram
from perfmon.charts.calibration import Bin, calibration
from perfmon.charts.heat import heat
from perfmon.charts.lines import Area, Limit, Line, Mark, Moment, Span, lines
from perfmon.charts.small import Slot, sparkline, strip
from perfmon.charts.svg import TONES, Size

__all__ = [
    "TONES",
    "Area",
    "Axis",
    "Bar",
    "Bin",
    "Limit",
    "Line",
    "Mark",
    "Moment",
    "Size",
    "Slot",
    "Span",
    "bars",
    "calibration",
    "heat",
    "histogram",
    "lines",
    "sparkline",
    "strip",
]
