"""Reports for people: true figures, safe names, 80 columns, one file."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser

import attrs
import pytest
from rich.cells import cell_len

from perfmon import (
    AccuracyFigures,
    AccuracySummary,
    Disagreement,
    InvalidRun,
    NumericErrors,
    PerformanceMetrics,
    jsonable,
    render_report,
)
from perfmon.accuracy.calibration import BinSums, calibration
from perfmon.accuracy.mapping import suggestion
from perfmon.metrics import formatting as figures

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


def test_a_page_on_a_phone_keeps_names_readable():
    """A column whose words may break anywhere would else become as narrow as a letter."""
    assert "th.left { min-width: 8rem; }" in render_report(make_report(), "html")


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_format_has_the_figures(form):
    """Counts to the one, sums to the last digit, rates, trends and errors are in each format."""
    written = render_report(make_report(), form)
    for figure in ("19,431", "14,650", "24.6%", "24.0% to 25.2%", "13,440,032,237",
                   "$18,896.98", "14 min 35 s", "47.1", "degrading", "+12.0%", "12,886"):  # fmt: skip
        assert figure in written


def test_text_fits_eighty_columns():
    """No line is wider, whatever the names; the figures are never cut."""
    agents = {
        name * 9: make_report()["agent_metrics"]["large"] for name in ("long name ", "日本語")
    }
    written = render_report(make_report(agent_metrics=agents), "text")
    assert max(map(cell_len, written.splitlines())) <= 80
    assert written.count("$18,896.98") == 3


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


# Accuracy


def figures_of(accuracy, count, interval, labelled, predictions, unmapped=0):
    coverage = labelled / predictions if predictions else math.nan
    return AccuracyFigures(
        count=count, accuracy=accuracy, interval=interval, labelled=labelled,
        predictions=predictions, coverage=coverage, unmapped=unmapped,
    )  # fmt: skip


def with_accuracy(**changes):
    """A report of few outcomes, with something of everything."""
    whole = calibration([BinSums()] * 9 + [BinSums(42, 40.0, 30.0, 38.1, 30.0, 28.6)])
    overall = figures_of(0.857, 42, (0.71, 0.94), 42, 60, 12)
    of_agent = {"verdict": whole.verdict, "sentence": whole.sentence, "count": whole.count,
                "confidence": whole.confidence, "accuracy": whole.accuracy}  # fmt: skip
    told = Disagreement(
        tenant="default", agent_name=NASTY, task_id="t-17",
        predicted_outcome={"a": 1, "b": NASTY}, scores={"user": 1.0, "audit": math.nan},
        sources={"user": {"a": 1, "b": NASTY}, "audit": {"a": 1, "b": 2}},
    )  # fmt: skip
    summary = AccuracySummary(
        overall=overall, by_agent={"one": overall, NASTY: overall},
        by_source={"user": overall, NASTY: figures_of(0.5, 7, (0.2, 0.8), 0, 0)},
        by_model={"m": overall}, unmapped=12, waiting=18,
        oldest_waiting=datetime(2025, 12, 30, 3, 4, 5, tzinfo=UTC),
        errors=NumericErrors(count=5, mean_error=-3.25, mean_absolute_error=4.0, root_mean_square_error=5.5),
        calibration=whole, compared_sources=40, disagreeing=9, disagreements=(told,),
        suggestions=(
            suggestion(NASTY, {"recommendation": "yes", "x": NASTY}, {"result": "yes"}),
            suggestion("one", {"guess": 1}, {"truth": "x"}),
        ),
    )  # fmt: skip
    plain = {**jsonable(summary), "calibration_by_agent": {"one": of_agent, NASTY: of_agent}}
    return make_report(accuracy={**plain, **changes})


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_an_accuracy_is_never_without_its_sample(form):
    """Interval, outcomes, coverage, what waits, errors and who disagrees, in each format."""
    written = plain_text(render_report(with_accuracy(), form))
    for figure in (
        "85.7%", "71.0% to 94.0%, 42 outcomes", "42 of 60 predictions have an outcome",
        "70.0% of 60", "oldest: 3 d", "-3.25", "in the outcome's unit", "9 of 40 tasks",
        'predicted {"b": ', "audit: ", "stated confidence 95% on average, observed accuracy 71%",
        "over-confident by 24 points, 42 outcomes", 'result = "recommendation"',
    ):  # fmt: skip
        assert figure in written, figure


def plain_text(written):
    """Without markup, escapes and line breaks."""
    written = unescape(re.sub(r"<[^>]*>", " ", written)) if "<html" in written else written
    return re.sub(r"\s+", " ", re.sub(r"\\([^\w])", r"\1", written))


def test_accuracy_is_told_where_something_was_measured_only():
    """No heading for nothing; predictions that wait are something."""
    for form in ("text", "markdown", "html"):
        for found in (None, {}, jsonable(AccuracySummary())):
            assert "Accuracy" not in render_report(
                make_report(accuracy=found, agent_metrics={}), form
            )
    waiting = make_report(accuracy=jsonable(AccuracySummary(waiting=3)), agent_metrics={})
    written = render_report(waiting, "text")
    assert "Awaiting outcome" in written
    assert "no outcomes yet" in written
    assert "Calibration" not in written


def test_a_table_of_one_model_is_left_out():
    """It would say what the overall figure says."""
    assert "By model" not in render_report(with_accuracy(), "text")
    figures = with_accuracy()["accuracy"]["by_model"]["m"]
    written = render_report(with_accuracy(by_model={"m": figures, "n": figures}), "text")
    assert "By model" in written


def test_many_groups_are_cut_short_but_no_agents():
    """A report is to be read."""
    figures = with_accuracy()["accuracy"]["overall"]
    groups = {f"name-{n:03}": figures for n in range(50)}
    written = render_report(with_accuracy(by_agent=groups, by_model=groups), "text")
    assert "and 30 more with fewer outcomes" in written
    assert written.count("name-049") == 1


def test_accuracy_in_text_fits_eighty_columns_and_a_terminal():
    """Whatever agents, tasks, outcomes and sources are called."""
    long = with_accuracy()["accuracy"]["overall"] | {
        "predictions": 10**9, "labelled": 10**9 - 1, "count": 10**9
    }  # fmt: skip
    report = with_accuracy(overall=long, by_agent={"long name " * 9: long, "日本語" * 20: long})
    written = render_report(report, "text")
    assert max(map(cell_len, written.splitlines())) <= 80
    assert "\x1b" not in written
    assert "\n# x" not in written


def test_the_lines_to_add_are_toml_to_copy():
    """In Markdown as a block of code, in HTML as preformatted text; one table for an agent."""
    shapes = [{"recommendation": "yes"}, {"score_given": 7}]
    notes = [suggestion("a b", predicted, {"result": "yes", "score": 7}) for predicted in shapes]
    report = with_accuracy(suggestions=notes)
    block = re.search(r"```toml\n(.*?)\n```", render_report(report, "markdown"), re.DOTALL)[1]
    fields = tomllib.loads(block)["agents"]["a b"]["outcomes"]["fields"]
    assert fields == {"result": "recommendation", "score": "score_given"}
    assert "<pre><code>[agents.&quot;a b&quot;.outcomes.fields]" in render_report(report, "html")


def test_html_draws_the_calibration():
    """One figure, well-formed like the rest, with whose it is; the agents' sentences below."""
    page = Tags()
    written = render_report(with_accuracy(), "html")
    page.feed(written)
    assert page.open == []
    assert [tag for tag, _ in page.seen].count("svg") == 1
    assert "Overall: stated confidence 95%" in written
    assert "<img" not in written
    one = with_accuracy()["accuracy"]["calibration_by_agent"]["one"]
    alone = render_report(with_accuracy(calibration_by_agent={"one": one}), "html")
    assert '<figcaption class="soft">one: stated confidence 95%' in alone


def test_markdown_of_accuracy_keeps_names_from_being_markup():
    """In sections of sections, too."""
    written = render_report(with_accuracy(), "markdown")
    outside = re.sub(r"```toml\n.*?\n```", "", written, flags=re.DOTALL)
    assert "<img" not in outside.replace("\\<img", "")
    assert "\n# x" not in written


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


def test_alerts_say_since_when_and_who_cares():
    """In every form: a firing one since when, one that is over from when to when, and its marks."""
    alert = {"level": "critical", "message": "too slow", "started_at": "2026-01-31T10:00:00Z",
             "timestamp": "2026-01-31T12:00:00Z"}  # fmt: skip
    alerts = [
        {**alert, "state": "firing", "acknowledged_by": "ann", "recommendation": "Retry less."},
        {**alert, "state": "resolved", "resolved_at": "2026-01-31T11:30:00Z"},
        {**alert, "state": "firing", "silenced_by": "s", "inhibited_by": "k"},
    ]
    for form in ("text", "markdown", "html"):
        said = " ".join(render_report({"recent_alerts": alerts}, form).split())
        assert "too slow (firing since 2026-01-31 10:00" in said
        assert "acknowledged by ann) Retry less." in said
        assert "11:30" in said
        assert "silenced, suppressed: same cause as another alert)" in said
