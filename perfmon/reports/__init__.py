"""Renders reports: plain text, Markdown, or one self-contained HTML file."""

from __future__ import annotations

from typing import Any

from perfmon.errors import InvalidRun

FORMATS = ("text", "markdown", "html")


def render_report(report: dict[str, Any], format: str) -> str:  # noqa: A002 - the public keyword
    """The report of `generate_report()` as `text` (80 columns), `markdown` or `html`.

    Raises:
        InvalidRun: there is no such format.
    """
    from perfmon.reports.outline import outline

    if format == "text":
        from perfmon.reports.text import text as write
    elif format == "markdown":
        from perfmon.reports.markdown import markdown as write
    elif format == "html":
        from perfmon.reports.html import html as write
    else:
        raise InvalidRun("format", format, "text, markdown or html")
    return write(outline(report))
