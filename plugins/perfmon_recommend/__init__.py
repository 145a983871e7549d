"""Recommendations that follow from a report's figures: what to do, why, what it should change."""

from __future__ import annotations

from typing import Any

from perfmon import Recommendation, hookimpl
from perfmon_recommend.figures import ENOUGH, View, likely, share_of
from perfmon_recommend.rules import RULES

MOST = 10


@hookimpl
def recommend(report: dict[str, Any]) -> list[Recommendation]:
    """At most ten recommendations, most important first; one where nothing is to be done."""
    view = View.of_report(report)
    mixed_up = [_ids_again(report["conflicts"])] if report.get("conflicts") else []
    firing = (report.get("health") or {}).get("alerts") or []
    if not view.runs:
        return mixed_up or [_alerts_fire(firing) if firing else _nothing_ran()]
    found = [item for rule in RULES for item in rule(view)]
    found.sort(key=lambda item: -item[0])
    rest = [_alerts_fire(firing)] if firing else [_all_is_well(view)]
    wanted = [*mixed_up, *(recommendation for _, recommendation in found)]
    return wanted[:MOST] or rest


def _nothing_ran() -> Recommendation:
    return Recommendation(
        text="Nothing can be recommended: there are no runs in this window",
        reason="either no agent ran, or none is recorded",
        expected_effect="a longer window, or a first recorded run, gives something to look at",
    )


def _ids_again(conflicts: list[dict[str, Any]]) -> Recommendation:
    """What was not kept is in none of the figures, so this goes before them."""
    runs = sum(one["runs"] for one in conflicts)
    most, last = conflicts[0], max(conflicts, key=lambda one: str(one["last_at"]))
    whose = f"agent {most['agent_name']!r}" + (" and others" if len(conflicts) > 1 else "")
    return Recommendation(
        text=f"Give every run of {whose} an id of its own: {runs:,} came under ids that are known"
        " with other content, and were not kept",
        reason=f"the last was run {last['run_id']!r}, with other {', '.join(last['fields'])}; ids"
        " that restart with a process, or are those of a trace, hide what comes later",
        expected_effect="all runs count, in every figure here",
        agent_name=most["agent_name"],
    )


def _alerts_fire(firing: list[dict[str, Any]]) -> Recommendation:
    first = firing[0]
    more = f" ({len(firing) - 1:,} more fire)" if len(firing) > 1 else ""
    return Recommendation(
        text=f"See to what fires first: {first['message']}{more}",
        reason=f"a {first['level']} alert fires, though nothing else in these figures stands out",
        expected_effect="the alert is over once what it is about is",
    )


def _all_is_well(view: View) -> Recommendation:
    won = view.system.count("successful_tasks")
    if view.runs < ENOUGH:
        return Recommendation(
            text=f"Nothing stands out yet: {share_of(won, view.runs)} succeeded",
            reason=f"{view.runs} runs are few; their success rate lies anywhere in"
            f" {likely(won, view.runs)}",
            expected_effect="more runs, or a longer window, would tell",
        )
    return Recommendation(
        text=f"All is well, nothing needs to be done: {share_of(won, view.runs)} succeeded",
        reason=f"95% interval {likely(won, view.runs)}, and no figure is beyond its limit",
        expected_effect="none needed",
    )
