"""Recommendations that follow from a report's figures: what to do, why, what it should change."""

from __future__ import annotations

from typing import Any

from perfmon import Recommendation, hookimpl
from perfmon_recommend.figures import ENOUGH, View, interval, share_of
from perfmon_recommend.rules import RULES

MOST = 10


@hookimpl
def recommend(report: dict[str, Any]) -> list[Recommendation]:
    """At most ten recommendations, most important first; one where nothing is to be done."""
    view = View.of_report(report)
    if not view.runs:
        return [_nothing_ran()]
    found = [item for rule in RULES for item in rule(view)]
    found.sort(key=lambda item: -item[0])
    firing = (report.get("health") or {}).get("alerts") or []
    rest = [_alerts_fire(firing)] if firing else [_all_is_well(view)]
    return [recommendation for _, recommendation in found[:MOST]] or rest


def _nothing_ran() -> Recommendation:
    return Recommendation(
        text="Nothing can be recommended: there are no runs in this window",
        reason="either no agent ran, or none is recorded",
        expected_effect="a longer window, or a first recorded run, gives something to look at",
    )


def _alerts_fire(firing: list[dict[str, Any]]) -> Recommendation:
    first = firing[0]
    more = f" and {len(firing) - 1:,} more" if len(firing) > 1 else ""
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
            f" {interval(won, view.runs)}",
            expected_effect="more runs, or a longer window, would tell",
        )
    return Recommendation(
        text=f"All is well, nothing needs to be done: {share_of(won, view.runs)} succeeded",
        reason=f"95 % interval {interval(won, view.runs)}, and no figure is beyond its limit",
        expected_effect="none needed",
    )
