"""The rules: each looks for one thing worth doing, and states it with figures.

Shares count only where the 95% interval (Wilson) supports them, so that three unlucky runs
send nobody looking.
"""

from __future__ import annotations

from collections.abc import Iterator

from perfmon import METRICS, Recommendation, figure, percent, wilson
from perfmon_recommend.figures import (
    A_WHILE,
    ENOUGH,
    Figures,
    View,
    likely,
    moved,
    named,
    share_of,
)

# How much a run that is affected matters, next to one that failed.
_TIMEOUT, _MONEY, _SLOW, _RETRY, _HABIT = 0.9, 0.5, 0.4, 0.4, 0.3

_OVER = "over-confident"
_CLEAR = 0.05  # by which confidence is beyond accuracy

Found = Iterator[tuple[float, Recommendation]]


def advice(
    weight: float, text: str, reason: str, expected_effect: str, agent_name: str | None = None
) -> tuple[float, Recommendation]:
    """A recommendation with its weight: the share of the runs that it would help."""
    return weight, Recommendation(
        text=text, reason=reason, expected_effect=expected_effect, agent_name=agent_name
    )


def _failing_agents(view: View) -> Found:
    for name, agent, usual in view.failing():
        runs, failures = agent.count("total_tasks"), agent.count("failed_tasks")
        avoidable = failures - runs * usual
        error, count = agent.worst_error
        yield advice(
            avoidable / view.runs,
            text=f"Check agent {name!r}: it fails in {share_of(failures, runs)}, the others in"
            f" {percent(usual)}" + (f"; {count:,} of them are {error}" if count else ""),
            reason=f"95% interval {likely(failures, runs)}, worse than all other agents",
            expected_effect=_lifted(view, avoidable),
            agent_name=name,
        )


def _lifted(view: View, avoidable: float) -> str:
    """What the system gains if an agent fails as rarely as the others; nothing under 0.1 points."""
    now, gain = view.system["success_rate"], avoidable / view.runs
    if gain < 0.001:
        return ""
    return (
        f"if it failed as rarely as the others, overall success would be {percent(now + gain)}"
        f" (+{100 * gain:.1f} points)"
    )


def _dominant_error(view: View) -> Found:
    error, count = view.system.worst_error
    total = sum(view.system.errors.values())
    failures = view.system.count("failed_tasks")
    if not failures or count < 5 or wilson(count, total)[0] < 0.4:
        return
    by_agent = {name: agent.errors.get(error, 0) for name, agent in view.agents.items()}
    name, most = max(by_agent.items(), key=lambda item: item[1], default=("", 0))
    if most > 0.8 * count and any(name == failing for failing, *_ in view.failing()):
        return  # reported for that agent already
    # A run that succeeded may name an error, too: how many of the failures are of a class is then
    # not known.
    has_others = total > failures
    noun = "named errors" if has_others else "errors"
    some = "by its share of the failures"
    less = f"to {percent(max(0, failures - count) / view.runs)}"
    yield advice(
        min(count, failures) / view.runs,
        text=f"Fix {error}: it causes {share_of(count, total, noun)}"
        + (f", {most:,} of them in agent {name!r}" if most else ""),
        reason="one class causes most of the errors, so one fix has a large effect",
        expected_effect=f"without it the error rate, now {percent(view.system['error_rate'])},"
        f" could fall {some if has_others else less}",
        agent_name=name if most > 0.8 * count else None,
    )


def _low_success(view: View) -> Found:
    runs, won = view.runs, view.system.count("successful_tasks")
    least = view.limits["success_rate_min"]
    if runs < 10 or wilson(won, runs)[1] >= least:
        return
    yield advice(
        least - won / runs,
        text=f"Bring the success rate back to {percent(least)}: it is {share_of(won, runs)}",
        reason=f"even the upper end of its 95% interval ({likely(won, runs)}) is below",
        expected_effect=f"about {least * runs - won:,.0f} more successes in as many runs",
    )


def _timeouts(view: View) -> Found:
    rate = view.system["timeout_rate"]
    hit = view.system.runs_at("timeout_rate")
    if (
        hit < 3
        or wilson(hit, view.runs)[0] < 0.05
        or "timeout" in view.system.worst_error[0].lower()
    ):
        return
    yield advice(
        _TIMEOUT * rate,
        text="Raise the time limit or shorten the work: a time limit ended"
        f" {share_of(hit, view.runs)}",
        reason=f"p95 is {figure(view.system['p95_latency_ms'], 'ms')}, the longest run"
        f" {figure(view.system['max_latency_ms'], 'ms')}",
        expected_effect=f"up to {percent(rate)} of the runs could succeed instead",
    )


def _retries(view: View) -> Found:
    rate = view.system["retry_rate"]
    told = view.system.count("retries_count")
    again = view.system.runs_at("retry_rate", "retries_count")
    if again < 3 or wilson(again, told)[0] < 0.10:
        return
    whose = "runs" if told == view.runs else "runs that report retries"
    yield advice(
        _RETRY * rate,
        text="Find out why runs are retried:"
        f" {share_of(again, told, whose)} needed more than one attempt",
        reason="each further attempt costs tokens and time again"
        + (f"; {view.most('retry_rate')}" if view.agents else ""),
        expected_effect=f"shorter and cheaper runs in {percent(rate)} of the cases",
    )


def _slow(view: View) -> Found:
    p95, limit = view.system["p95_latency_ms"], view.limits["latency_p95_max_ms"]
    # With fewer runs than 59 nothing certain can be said about a 95th percentile (Wilks).
    if view.system.count("latency_count") < 59 or not p95 > limit:
        return
    yield advice(
        _SLOW * (1 - limit / p95),
        text=f"Make runs faster: p95 latency is {figure(p95, 'ms')}, the limit is"
        f" {figure(limit, 'ms')}",
        reason=f"one run in twenty takes longer than that; check {view.most('p95_latency_ms')}",
        expected_effect="users stop waiting, and the latency part of the health score recovers",
    )


def _tail(view: View) -> Found:
    p50, p99 = view.system["p50_latency_ms"], view.system["p99_latency_ms"]
    if view.system.count("latency_count") < 299 or not (p99 > 10 * p50 and p99 > 1000):
        return
    yield advice(
        _SLOW * 0.1,
        text=f"Reduce tail latency: p99 is {figure(p99, 'ms')},"
        f" {figure(p99 / max(p50, 1e-3), 'x')} the median of {figure(p50, 'ms')}",
        reason="such a gap comes from waiting (limits, queues, retries) more than from work;"
        f" check {view.most('p99_latency_ms')}",
        expected_effect=f"a time limit near {figure(p99, 'ms')} would affect one run in a hundred",
    )


def _wasted_cost(view: View) -> Found:
    total = view.system["total_cost"]
    for name, agent in view.agents.items():
        cost, runs, won = agent["total_cost"], agent.count("total_tasks"), agent["success_rate"]
        if len(view.agents) < 2 or agent.count("cost_count") < 10 or not cost > 0.5 * total:
            continue
        if wilson(agent.count("successful_tasks"), runs)[1] >= view.limits["success_rate_min"]:
            continue
        # Failures often have no cost that anybody knows: what those took is no part of this.
        lost, known = agent["failed_cost"], agent.count("failed_cost_count")
        if not lost > 0:
            continue
        failures, priced = agent.count("failed_tasks"), agent.count("cost_count")
        of_known = "" if view.system.count("cost_count") == view.runs else "known "
        yield advice(
            _MONEY * lost / total,
            text=f"Stop paying for failures of agent {name!r}: it takes {percent(cost / total)} of"
            f" all {of_known}cost ({figure(cost, '$')}) and succeeds in {percent(won)} of its runs",
            reason=f"{priced:,} runs{'' if priced == runs else ' of known cost'},"
            f" {figure(agent['cost_per_task'], '$')} each",
            expected_effect=f"{figure(lost, '$')} went into {known:,} failed runs"
            + ("" if known == failures else f"; the cost of {failures - known:,} more is unknown"),
            agent_name=name,
        )


def _beyond_limits(view: View) -> Found:
    for field, counted, limit, words in (
        ("cost_per_task", "cost_count", "cost_per_task_max", "a cheaper model or fewer calls"),
        ("tokens_per_task", "tokens_count", "token_per_task_max", "shorter prompts"),
        ("max_memory_mb", "total_tasks", "memory_max_mb", "smaller working sets"),
    ):
        value, most = view.system[field], view.limits[limit]
        if view.system.count(counted) < 10 or not value > most:
            continue
        found, allowed = (figure(each, METRICS[field].unit) for each in (value, most))
        yield advice(
            _HABIT * (1 - most / value),
            text=f"Try {words}: {named(field)} is {found}, the limit is {allowed}",
            reason=f"from {view.system.count(counted):,} runs; check {view.most(field)}",
            expected_effect=f"{percent(1 - most / value)} less brings it back within the limit",
        )


def _accuracy(view: View) -> Found:
    accuracy, outcomes = view.system["avg_accuracy"], view.system.count("accuracy_count")
    sure, least = view.system["avg_confidence"], view.limits["accuracy_min"]
    if outcomes < 10:
        return
    highest = wilson(accuracy * outcomes, outcomes)[1]
    if highest < least:
        yield advice(
            least - accuracy,
            text=f"Check the agents' predictions: accuracy is {percent(accuracy)},"
            f" the limit is {percent(least)}",
            reason=f"{outcomes:,} outcomes are known; check the least accurate task types",
            expected_effect="fewer wrong decisions based on these predictions",
        )
    # Where predictions had a confidence of their own, that one is compared instead.
    told = (view.accuracy.get("calibration") or {}).get("count")
    if not told and sure - accuracy > 0.15 and highest < sure:
        yield advice(
            _HABIT * (sure - accuracy),
            text=f"Trust stated confidence less: it is {percent(sure)} on average, and"
            f" {percent(accuracy)} turned out right",
            reason=f"{outcomes:,} outcomes are known, too many for chance to explain the gap",
            expected_effect="calibrated confidence shows which answers need review",
        )


def _over_confident(view: View) -> Found:
    found = view.accuracy.get("calibration_by_agent") or {}
    for name, of in found.items():
        gap = (of.get("confidence") or 0) - (of.get("accuracy") or 0)
        if of["verdict"] != _OVER or gap < _CLEAR:
            continue
        yield advice(
            _HABIT * gap,
            text=f"Do not rely on the confidence of agent {name!r}: {of['sentence']}",
            reason="too many outcomes for chance to explain the gap; its expected calibration"
            f" error is {percent(of['expected_calibration_error'])}",
            expected_effect="calibrated (or lowered) confidence shows which answers need review",
            agent_name=name,
        )


def _unmapped(view: View) -> Found:
    overall = Figures(view.accuracy.get("overall"))
    left_out, counted = Figures(view.accuracy).count("unmapped"), overall.count("count")
    share = left_out / (left_out + counted) if left_out else 0.0
    by_agent = {name: agent.count("unmapped_count") for name, agent in view.agents.items()}
    name, most = max(by_agent.items(), key=lambda item: item[1], default=("", 0))
    # One agent may have most of its outcomes left out, and be few among many.
    mostly = most and most >= view.agents[name].count("accuracy_count")
    if left_out < 3 or not (share >= 0.05 or mostly):
        return
    whose = f", {most:,} of agent {name!r}" if most else ""
    whose = f" of agent {name!r}" if most == left_out else whose
    yield advice(
        _HABIT * (max(share, 0.3) if mostly else share),
        text=f"Map the fields of {left_out:,} outcomes{whose}, which have none in common with"
        f" their predictions{_told(view)}",
        reason="until then it is unknown whether these predictions were right, and they do not"
        " count in accuracy",
        expected_effect=f"accuracy from {left_out + counted:,} outcomes instead of {counted:,}",
        agent_name=name if most == left_out else None,
    )


def _told(view: View) -> str:
    """What storage suggests, without what was said already."""
    for suggestion in view.accuracy.get("suggestions") or []:
        return f": {str(suggestion).partition('; ')[2]}"
    return ""


def _waiting(view: View) -> Found:
    overall, waiting = Figures(view.accuracy.get("overall")), Figures(view.accuracy)["waiting"]
    known, predictions = overall.count("labelled"), overall.count("predictions")
    if predictions < ENOUGH or not (waiting >= ENOUGH and view.waiting_for > A_WHILE):
        return
    if wilson(known, predictions)[1] > 0.5:
        return
    yield advice(
        _HABIT * (1 - known / predictions) / 4,
        text="Record more outcomes: accuracy covers only"
        f" {share_of(known, predictions, 'predictions')}",
        reason=f"{waiting:,.0f} predictions await outcomes, the oldest for"
        f" {figure(view.waiting_for, 's')}; those with a known outcome may not be representative",
        expected_effect="a reliable accuracy; outcomes may be recorded at any time",
    )


def _disagreeing(view: View) -> Found:
    figures = Figures(view.accuracy)
    several, disagree = figures.count("compared_sources"), figures.count("disagreeing")
    if disagree < 3 or wilson(disagree, several)[0] < 0.10:
        return
    first = (view.accuracy.get("disagreements") or [{}])[0]
    names = " and ".join(map(repr, first.get("sources") or {}))
    yield advice(
        _HABIT * disagree / several / 2,
        text="Review outcomes on which sources disagree:"
        f" {share_of(disagree, several, 'tasks')} with several sources",
        reason=f"95% interval {likely(disagree, several)}; the most recent is task"
        f" {first.get('task_id')!r}, {names}"
        if first
        else "",
        expected_effect="a clear rule of what counts as right; until then source_priority of"
        " [accuracy] decides",
    )


def _degrading(view: View) -> Found:
    worse = {m: t for m, t in view.trends.items() if t.get("direction") == "degrading"}
    if not worse:
        return
    moves = ", ".join(f"{named(name)} {moved(name, trend)}" for name, trend in worse.items())
    yield advice(
        _HABIT * len(worse) / 4,
        text=f"Find out what changed since the previous window: {moves}",
        reason="beyond the usual 5%, with enough samples on both sides",
        expected_effect="the sooner a change is found, the easier it is to revert",
    )


RULES = (
    _failing_agents, _dominant_error, _low_success, _timeouts, _retries, _slow, _tail,
    _wasted_cost, _beyond_limits, _accuracy, _over_confident, _unmapped, _waiting, _disagreeing,
    _degrading,
)  # fmt: skip
