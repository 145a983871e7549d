"""Recommendations derived from a report's figures: what to do, why, and the expected effect."""

from __future__ import annotations

from typing import Any

from perfmon import Recommendation, hookimpl
from perfmon_recommend.figures import ENOUGH, View, likely, share_of
from perfmon_recommend.rules import RULES

MOST = 10


@hookimpl
def recommend(report: dict[str, Any]) -> list[Recommendation]:
    """At most ten recommendations, most important first; one if no action is needed."""
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
        text="No recommendations: there are no runs in this window",
        reason="either no agent ran, or no runs were recorded",
        expected_effect="a longer window, or recorded runs, will show something",
    )


def _ids_again(conflicts: list[dict[str, Any]]) -> Recommendation:
    """What was not kept is in none of the figures, so this goes before them."""
    runs = sum(one["runs"] for one in conflicts)
    most, last = conflicts[0], max(conflicts, key=lambda one: str(one["last_at"]))
    whose = f"agent {most['agent_name']!r}" + (" and others" if len(conflicts) > 1 else "")
    return Recommendation(
        text=f"Give every run of {whose} a unique ID: {runs:,} reused IDs already stored with"
        " different content and were not kept",
        reason=f"most recently run {last['run_id']!r}, with different {', '.join(last['fields'])};"
        " IDs that restart with a process, or come from a trace, hide later runs",
        expected_effect="every run is counted in these figures",
        agent_name=most["agent_name"],
    )


def _alerts_fire(firing: list[dict[str, Any]]) -> Recommendation:
    first = firing[0]
    more = f" ({len(firing) - 1:,} more fire)" if len(firing) > 1 else ""
    return Recommendation(
        text=f"Handle the firing alert first: {first['message']}{more}",
        reason=f"a {first['level']} alert is firing, but nothing else stands out in these figures",
        expected_effect="the alert resolves once its cause is fixed",
    )


def _all_is_well(view: View) -> Recommendation:
    won = view.system.count("successful_tasks")
    if view.runs < ENOUGH:
        return Recommendation(
            text=f"Nothing stands out yet: {share_of(won, view.runs)} succeeded",
            reason=f"only {view.runs} runs: the success rate may be anywhere in"
            f" {likely(won, view.runs)}",
            expected_effect="more runs, or a longer window, will give a clearer picture",
        )
    return Recommendation(
        text=f"No action needed: {share_of(won, view.runs)} succeeded",
        reason=f"95% interval {likely(won, view.runs)}, and every metric is within its limit",
        expected_effect="",
    )
