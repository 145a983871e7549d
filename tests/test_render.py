"""Reports for people: true figures, safe names, 80 columns, one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import attrs
import pytest
from rich.cells import cell_len

from perfmon import InvalidRun, PerformanceMetrics, jsonable, render_report
from perfmon.render import figures

NASTY = '<img src=x onerror="alert(1)">|*`\x1b[31m\n# x'


def make_report(**changes):
    metrics = PerformanceMetrics(
        total_tasks=19_431, successful_tasks=4_781, failed_tasks=14_650, success_rate=0.24605,
        error_rate=0.75395, timeout_rate=0.0, success_rate_interval=(0.2401, 0.2521),
        avg_latency_ms=264_337.616, p95_latency_ms=875_328.65, latency_count=19_431,
        total_tokens=13_440_032_237, tokens_count=19_430, total_cost=18_896.9755, cost_count=19_430,
    )  # fmt: skip
    small = attrs.evolve(metrics, total_tasks=12)
    agents = {
        name: {"metrics": jsonable(m), "scores": {"efficiency": None, "specialization": 0.5}}
        for name, m in (("small", small), ("large", metrics), (NASTY, small))
    }
    return {
        "generated_at": "2026-01-02T03:04:05.678Z", "time_window_minutes": 1440,
        "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z",
        "health_score": 47.06, "health_status": "Poor", "system_metrics": jsonable(metrics),
        "agent_metrics": agents, "recent_alerts": [], "anomalies": [], "forecasts": {},
        "trends": {"error_rate": {"direction": "degrading", "change": 0.12, "previous": 0.1, "current": 0.112}},
        "error_patterns": [{"error_type": NASTY, "count": 12_886, "share": 0.8796, "agents": ["a", "b"]}],
        "recommendations": [f"Look at {NASTY}."], "recommendation_details": [], **changes,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_format_has_the_figures(form):
    """Counts to the one, sums to the last digit, rates, trends and errors are in each format."""
    written = render_report(make_report(), form)
    for figure in ("19,431", "14,650", "24.6 %", "24.0 % to 25.2 %", "13,440,032,237",
                   "$18,896.9755", "875,328.65 ms", "47.1", "degrading", "+12.0 %", "12,886"):  # fmt: skip
        assert figure in written


def test_text_fits_eighty_columns():
    """No line is wider, whatever the names; the figures are never cut."""
    agents = {
        name * 9: make_report()["agent_metrics"]["large"] for name in ("long name ", "日本語")
    }
    written = render_report(make_report(agent_metrics=agents), "text")
    assert max(map(cell_len, written.splitlines())) <= 80
    assert written.count("$18,897") == 2


def test_text_cannot_steer_a_terminal():
    """Escape sequences and line breaks in names come out as replacement characters."""
    written = render_report(make_report(), "text")
    assert "\x1b" not in written
    assert "\n# x" not in written


def test_markdown_keeps_names_from_being_markup():
    """Pipes, tags and headings of a name are escaped, and each row stays a row."""
    written = render_report(make_report(), "markdown")
    assert "<img" not in written.replace("\\<img", "")
    assert "\n# x" not in written
    rows = [line for line in written.splitlines() if "12,886" in line]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5


class Tags(HTMLParser):
    """Collects the tags of a page, and checks that they are closed."""

    def __init__(self):
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_safe_file():
    """Well-formed, without scripts, handlers or anything loaded, and names are only text."""
    page = Tags()
    page.feed(render_report(make_report(), "html"))
    assert page.open == []
    names = {tag for tag, _ in page.seen}
    assert not names & {"script", "img", "link", "iframe"}
    assert not any(key.startswith(("on", "src", "href")) for _, keys in page.seen for key in keys)


def test_agents_come_busiest_first():
    """The table lists all agents by their runs."""
    written = render_report(make_report(), "text")
    assert written.index("large") < written.index("small")
    assert "Agents (3)" in written


def test_what_is_unknown_is_a_dash():
    """A report without runs shows dashes for rates and latencies, not zeros, in any format."""
    empty = jsonable(PerformanceMetrics())
    report = make_report(
        system_metrics=empty, agent_metrics={}, health_score=None, error_patterns=[]
    )
    for form in ("text", "markdown", "html"):
        written = render_report({**report, "health_status": "no_data"}, form)
        assert re.search(rf"Success rate[^\n]*{figures.UNKNOWN}", written)
        assert "no data" in written
        assert "NaN" not in written
        assert "None" not in written


def test_an_unknown_format_is_refused():
    """The error names the formats there are."""
    with pytest.raises(InvalidRun, match="text, markdown or html"):
        render_report(make_report(), "pdf")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0 ms"), (0.25, "0.25 ms"), (999.6, "1 s"), (1500, "1.5 s"), (90_000, "90 s"), (600_000, "10 min"),
     (7_199_999, "2 h"), (7_200_000, "2 h"), (723_785_651, "8.4 d")],
)  # fmt: skip
def test_spans_are_in_the_unit_that_fits(ms, shown):
    """From microseconds to days, three digits say it."""
    assert figures.span(ms) == shown


def test_percent_never_rounds_to_all_or_nothing():
    """One failure among ten thousand is neither 0 % nor its rest 100 %."""
    assert figures.percent(0.9999) == "99.9 %"
    assert figures.percent(0.0001) == "<0.1 %"
    assert figures.percent(1.0) == "100.0 %"
    assert figures.percent(0.0) == "0.0 %"
