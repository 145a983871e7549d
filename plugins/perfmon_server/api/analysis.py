"""The routes for analysis: trends, time series, errors, comparisons."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from perfmon import METRICS
from perfmon_server.api import types as shapes
from perfmon_server.http.params import (
    AGENT,
    MOMENT,
    SCOPE,
    STEP,
    WINDOW,
    Param,
    ParamKind,
    read_moment,
)
from perfmon_server.http.route import PREFIX, Question, Route, now


async def trends(question: Question) -> Any:
    found = await question.read(partial(question.monitor.get_trends, **question.query))
    return {"trends": found, "generated_at": now(question.monitor)}


async def timeseries(question: Question) -> Any:
    query = dict(question.query)
    step = query.pop("step", 5.0)
    call = partial(question.monitor.get_timeseries, step_minutes=step, **query)
    series = await question.read(call)
    return {
        "metric": series.metric,
        "higher_is_better": series.higher_is_better,
        # History is kept by the hour, so that its steps may be longer than asked for.
        "step_minutes": max([step, *((point.end - point.start) / 60 for point in series.points)]),
        "points": [
            {
                "start": datetime.fromtimestamp(point.start, UTC),
                "end": datetime.fromtimestamp(point.end, UTC),
                "value": point.value,
                "count": point.count,
            }
            for point in series.points
        ],
        "generated_at": now(question.monitor),
    }


async def errors(question: Question) -> Any:
    found = await question.read(partial(question.monitor.get_error_patterns, **question.query))
    return {"errors": found, "generated_at": now(question.monitor)}


async def compare(question: Question) -> Any:
    found = await question.read(partial(question.monitor.compare, **question.query))
    return {"comparison": found, "generated_at": now(question.monitor)}


def _against(text: str) -> Any:
    if text in ("previous", "same-time-yesterday"):
        return text
    since, _, until = text.partition("/")
    return read_moment(since), read_moment(until)


AGAINST = ParamKind(
    _against,
    "previous, same-time-yesterday, or two times such as 2026-01-30T00:00:00Z/2026-01-31T00:00:00Z",
    {"type": "string"},
)

ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/trends",
        summary="How each metric changed compared with the previous window",
        answer=trends,
        shape=shapes.TrendsAnswer,
        params=(WINDOW, AGENT, *SCOPE),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/timeseries",
        summary="One metric over time",
        answer=timeseries,
        shape=shapes.SeriesAnswer,
        params=(
            Param(
                name="metric",
                choices=tuple(name for name, metric in METRICS.items() if metric.is_number),
                required=True,
                description="A number of PerformanceMetrics.",
            ),
            Param(
                name="step",
                kind=STEP,
                default="5m",
                description="The length of one point: minutes, or a duration such as 30s or 1h.",
            ),
            WINDOW,
            AGENT,
            *SCOPE,
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/errors",
        summary="Error classes, most frequent first",
        answer=errors,
        shape=shapes.ErrorsAnswer,
        params=(WINDOW, AGENT, *SCOPE),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/compare",
        summary="The window compared with another one",
        answer=compare,
        shape=shapes.CompareAnswer,
        params=(
            Param(
                name="window_minutes",
                kind=WINDOW.kind,
                least=WINDOW.least,
                most=WINDOW.most,
                description=WINDOW.description,
            ),
            Param(
                name="against",
                kind=AGAINST,
                default="previous",
                description=f"What to compare with: {AGAINST.allowed}.",
            ),
            AGENT,
            *(param for param in SCOPE if param.kind is not MOMENT),
        ),
    ),
)
