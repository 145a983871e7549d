"""The accuracy section of a report: accuracy, intervals, coverage, open questions."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from perfmon.accuracy.calibration import OVER, UNDER, Calibration, CalibrationBin
from perfmon.accuracy.mapping import suggested
from perfmon.metrics import formatting as figures
from perfmon.reports.parts import Plot, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 12
_EXAMPLES = 5
_MOST_ROWS = 20
_LONGEST = 60


def accuracy_section(report: dict[str, Any]) -> Section | None:
    """The section, or None where nothing was predicted or measured."""
    found = report.get("accuracy") or {}
    overall = found.get("overall") or {}
    if not (overall.get("predictions") or overall.get("count") or found.get("waiting")):
        return None
    parts = (
        *_tables(found),
        _calibration(found),
        _disagreements(found),
        _unmapped(found),
    )
    return Section(
        "Accuracy",
        facts=tuple(_facts(report, found, overall)),
        parts=tuple(part for part in parts if part is not None),
    )


def _facts(
    report: dict[str, Any], found: dict[str, Any], overall: dict[str, Any]
) -> Iterator[tuple[str, str, str]]:
    count, predictions = overall.get("count"), overall.get("predictions")
    bounds = figures.sample(overall.get("interval"), count) if count else "no outcomes yet"
    yield "Accuracy", figures.percent(overall.get("accuracy")), bounds
    if predictions:
        known = f"{figures.count(overall.get('labelled'))} of {figures.count(predictions)}"
        share = figures.percent(overall.get("coverage"))
        yield "Coverage", share, f"{known} predictions have an outcome"
    if found.get("waiting"):
        since = _age(found.get("oldest_waiting"), report.get("generated_at"))
        oldest = "" if since is None else f"oldest: {figures.lasted(since)}"
        yield "Awaiting outcome", figures.count(found["waiting"]), oldest
    if found.get("superseded"):
        why = "replaced by the agent before the outcome"
        yield "Superseded", figures.count(found["superseded"]), why
    if found.get("unmapped"):
        yield "Unmapped", figures.count(found["unmapped"]), "not counted: no field in common"
    yield from _errors(found.get("errors") or {})
    if found.get("scoring_cost"):
        yield "Scoring cost", figures.figure(found["scoring_cost"], "$"), ""


def _errors(errors: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    if errors.get("count"):
        from_many = f"n = {figures.count(errors['count'])}, in the outcome's unit"
        yield "Mean error", figures.figure(errors.get("mean_error")), from_many
        for name, field in (
            ("Mean absolute error", "mean_absolute_error"),
            ("RMS error", "root_mean_square_error"),
        ):
            yield name, figures.figure(errors.get(field)), "in the outcome's unit"


def _age(since: str | None, now: str | None) -> float | None:
    """Seconds between two times in ISO 8601."""
    if not since or not now:
        return None
    both = [datetime.fromisoformat(moment) for moment in (since, now)]
    return max(0.0, (both[1] - both[0]).total_seconds())


def _tables(found: dict[str, Any]) -> Iterator[Section]:
    for field, title, name, least in (
        ("by_agent", "By agent", "Agent", 1),
        ("by_source", "By source", "Source", 1),
        ("by_model", "By model", "Model", 2),
        ("by_task_type", "By task type", "Task type", 2),
    ):
        groups = found.get(field) or {}
        if len(groups) >= least:
            ranked = sorted(groups.items(), key=_most_first)
            most = len(ranked) if field == "by_agent" else _MOST_ROWS
            more = len(ranked) - most
            items = (f"and {more} more with fewer outcomes",) if more > 0 else ()
            yield Section(title, table=_table(name, ranked[:most]), items=items)


def _most_first(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    return -(item[1].get("count") or 0), item[0]


def _table(name: str, ranked: list[tuple[str, dict[str, Any]]]) -> Table:
    names = (name, "Accuracy", "95% interval", "Outcomes", "Coverage", "Unmapped")
    rows = tuple(
        (
            group,
            figures.percent(of.get("accuracy")),
            figures.interval(of.get("interval")) or figures.UNKNOWN,
            figures.count(of.get("count")),
            _coverage(of),
            figures.count(of.get("unmapped") or None),
        )
        for group, of in ranked
    )
    return Table(names, rows, frozenset((name,))).without_empty(figures.UNKNOWN)


def _coverage(of: dict[str, Any]) -> str:
    share = figures.percent(of.get("coverage"))
    many = of.get("predictions")
    return f"{share} of {figures.brief_count(many)}" if many else share


def _calibration(found: dict[str, Any]) -> Section | None:
    whole = found.get("calibration") or {}
    if not whole.get("count"):
        return None
    agents = found.get("calibration_by_agent") or {}
    if len(agents) == 1:
        return Section("Calibration", plot=Plot(next(iter(agents)), _revived(whole)))
    ranked = sorted(agents.items(), key=_urgency)
    items = [f"{name}: {of['sentence']}" for name, of in ranked[:_SHOWN]]
    if len(ranked) > _SHOWN:
        items.append(f"and {len(ranked) - _SHOWN} more")
    plot = Plot("Overall", _revived(whole))
    return Section("Calibration", plot=plot, items=tuple(items))


def _urgency(item: tuple[str, dict[str, Any]]) -> tuple[int, float, int]:
    """The over-confident first, and of them those who are it most."""
    of = item[1]
    verdict = 0 if of["verdict"] == OVER else 1 if of["verdict"] == UNDER else 2
    gap = 0.0 if verdict == 2 else abs(of["confidence"] - of["accuracy"])
    return verdict, -gap, -of["count"]


def _revived(whole: dict[str, Any]) -> Calibration:
    """The record that became JSON: null is NaN again."""
    made = []
    for each in whole.get("bins") or []:
        low, high = map(_number, each["interval"])
        made.append(CalibrationBin(**{**_numbers(CalibrationBin, each), "interval": (low, high)}))
    return Calibration(**{**_numbers(Calibration, whole), "bins": tuple(made)})


def _numbers(kind: type, plain: dict[str, Any]) -> dict[str, Any]:
    return {field.name: _number(plain.get(field.name)) for field in attrs.fields(kind)}


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _disagreements(found: dict[str, Any]) -> Section | None:
    examples = found.get("disagreements") or []
    if not examples:
        return None
    disagreeing, compared = found.get("disagreeing"), found.get("compared_sources")
    title = f"Sources disagree ({figures.count(disagreeing)} of"
    items = tuple(_disagreement(one) for one in examples[:_EXAMPLES])
    return Section(
        f"{title} {figures.many(compared or 0, 'task')} with several sources)", items=items
    )


def _disagreement(one: dict[str, Any]) -> str:
    scores, sources = one.get("scores") or {}, one.get("sources") or {}
    predicted, *actual = map(
        _outcome, _told_apart([one.get("predicted_outcome"), *sources.values()])
    )
    told = ", ".join(
        f"{source}: {shown} ({figures.percent(scores.get(source))})"
        for source, shown in zip(sources, actual, strict=True)
    )
    return f"{one.get('agent_name')}, task {one.get('task_id')}: predicted {predicted}; {told}"


def _told_apart(outcomes: list[Any]) -> list[Any]:
    """Of objects only the fields in which they differ."""
    if not all(isinstance(outcome, dict) for outcome in outcomes):
        return outcomes
    first = outcomes[0]
    same = {
        name
        for name in first
        if all(name in outcome and outcome[name] == first[name] for outcome in outcomes)
    }
    return [
        {name: value for name, value in outcome.items() if name not in same} for outcome in outcomes
    ]


def _outcome(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _unmapped(found: dict[str, Any]) -> Section | None:
    many = found.get("unmapped")
    if not many:
        return None
    # Two shapes of one agent's outcomes go into one table, as TOML wants it.
    tables: dict[str, dict[str, None]] = {}
    items = []
    for note in found.get("suggestions") or []:
        lines = suggested(note)
        if lines:
            tables.setdefault(lines[0], {}).update(dict.fromkeys(lines[1:]))
        else:
            items.append(f"{note[:1].upper()}{note[1:]}.")
    if tables:
        items.append("If these fields mean the same, add to monitor.toml:")
    lines = [line for header, pairs in tables.items() for line in (header, *pairs)]
    return Section(
        f"Unmapped outcomes ({figures.count(many)})", items=tuple(items), lines=tuple(lines)
    )
