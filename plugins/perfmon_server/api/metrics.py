"""The routes that read metrics: each asks the monitor and returns JSON."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from perfmon import AgentPerformance, agent_fields, jsonable, render_report
from perfmon_server.api import types as shapes
from perfmon_server.http.errors import Refusal
from perfmon_server.http.params import FLAG, SCOPE, WINDOW, Param
from perfmon_server.http.route import PREFIX, Question, Route, now

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


async def health(question: Question) -> Any:
    return await question.read(partial(question.monitor.get_health, **question.query))


async def system_metrics(question: Question) -> Any:
    call = partial(question.monitor.get_system_metrics, **question.query)
    return {"metrics": await question.read(call), "generated_at": now(question.monitor)}


def agent_answer(agent: AgentPerformance, at: datetime) -> dict[str, Any]:
    return {**agent_fields(agent), "generated_at": at}


async def agent_metrics(question: Question) -> Any:
    name = question.name("name")
    call = partial(question.monitor.get_agent_metrics, name, **question.query)
    agent = await question.read(call)
    if agent.status == "unknown":
        raise Refusal(404, "not_found", f"no runs recorded for agent {name!r}", field="name")
    return agent_answer(agent, now(question.monitor))


async def all_agents(question: Question) -> Any:
    call = partial(question.monitor.get_all_agent_metrics, **question.query)
    agents = await question.read(call)
    at = now(question.monitor)
    answers = {name: agent_answer(agent, at) for name, agent in agents.items()}
    return {"agents": answers, "total_agents": len(answers), "generated_at": at}


async def report(question: Question) -> Any:
    made = await question.read(partial(question.monitor.generate_report, **question.query))
    form = _form(question.request.headers.get("Accept", ""))
    if form is None:
        return {"report": made}
    text = await question.read(render_report, made, form)
    return web.Response(
        text=text,
        content_type=f"text/{form}",
        headers={"Content-Security-Policy": REPORT_POLICY},
    )


def _form(accept: str) -> str | None:
    """The form of a report that a client likes best; None is JSON, also for one that likes all."""
    best, form = 0.0, None
    offers = {"text/html": "html", "text/markdown": "markdown", "application/json": None}
    for entry in accept.split(","):
        name, *options = [part.strip().lower() for part in entry.split(";")]
        if name in offers and (weight := _weight(options)) > best:
            best, form = weight, offers[name]
    return form


def _weight(options: list[str]) -> float:
    found = [option[2:] for option in options if option.startswith("q=")]
    return float(found[0]) if found and re.fullmatch(r"[01](\.\d{0,3})?", found[0]) else 1.0


async def stats(question: Question) -> Any:
    return jsonable(await question.read(question.monitor.get_stats))


ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/health",
        summary="The health score of the window and what lowers it",
        answer=health,
        shape=shapes.Health,
        params=(WINDOW, *SCOPE),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/metrics/system",
        summary="The metrics of all agents together",
        answer=system_metrics,
        shape=shapes.SystemMetrics,
        params=(WINDOW, *SCOPE),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/metrics/agent/{{name}}",
        summary="The metrics and scores of one agent",
        answer=agent_metrics,
        shape=shapes.AgentAnswer,
        params=(WINDOW, *SCOPE),
        names={"name": "The agent's name; a slash in it is written %2F."},
        refuses=(404,),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/metrics/agents",
        summary="The metrics and scores of every agent",
        answer=all_agents,
        shape=shapes.AgentsAnswer,
        params=(WINDOW, *SCOPE),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/report",
        summary="The full report; HTML or Markdown with Accept: text/html or text/markdown",
        answer=report,
        shape=shapes.ReportAnswer,
        contents={"text/html": "One self-contained page.", "text/markdown": "The same as text."},
        params=(
            Param(
                name="include_agents",
                kind=FLAG,
                default=True,
                description="Whether to include each agent.",
            ),
            WINDOW,
            *SCOPE,
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/stats",
        summary="The monitor's internal counters",
        answer=stats,
        shape=dict,
    ),
)
