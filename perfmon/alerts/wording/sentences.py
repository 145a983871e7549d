"""The message of an alert: what is wrong, how certain that is, and since when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import attrs

from perfmon.alerts.rules.rule import Kind
from perfmon.metrics.formatting import figure, interval, lasted, many, moment
from perfmon.records import from_micros
from perfmon.records.catalog import METRICS, label_of

_MICROS = 1_000_000
_MOST = 3  # of a list in a sentence


@attrs.frozen(kw_only=True)
class Situation:
    """What a sentence is made of; as in `Episode`."""

    kind: Kind
    rule: str = ""
    metric: str = ""
    unit: str = ""
    above: bool = True
    word: str = ""
    labels: Mapping[str, str] = attrs.Factory(dict)
    value: float = math.nan
    threshold: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sample_size: int = 0
    bad: int = 0
    seconds: float = math.nan
    words: str = ""
    state: str = "firing"
    reason: str = ""
    evidence: str = "breach"
    starts: int = 1
    started_at: int | None = None
    resolved_at: int | None = None
    errors: Mapping[str, int] = attrs.Factory(dict)
    classes: int = 0
    unclassed: int = 0
    at: int | None = None
    breached: bool = True


def whom(labels: Mapping[str, str]) -> str:
    """The scope of an alert."""
    names = {"agent": "agent", "agent_type": "agent type", "model": "model", "tenant": "tenant"}
    parts = [f"{word} {labels[name]}" for name, word in names.items() if name in labels]
    if not parts:
        return "the whole system"
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({', '.join(parts[1:])})"


def sentence(situation: Situation) -> str:
    """What is wrong, or that it is resolved, in one sentence."""
    who = whom(situation.labels)
    if situation.state == "resolved":
        return f"{who}: {_over(situation)}"
    parts = [_wrong(situation), *_more(situation)]
    return f"{who}: {'; '.join(parts)}"


def _wrong(s: Situation) -> str:
    if s.kind in _KINDS:
        return _KINDS[s.kind](s)
    found = f"{figure(s.value, s.unit)}{_interval(s)}"
    if _is_back(s):
        counts = f", {_counts(s)}" if s.sample_size else ""
        return f"{label_of(s.metric)} is recovering: {found}{counts}; {_until(s)}"
    text = f"{label_of(s.metric)} {found} is {_side(s)} {_limit(s)}"
    return f"{text}: {_counts(s)}" if s.sample_size else text


def _until(s: Situation) -> str:
    """When what has recovered, but is firing yet, will be resolved."""
    return f"resolves once it stays {'below' if _is_upward(s) else 'above'} {_limit(s)}"


def _side(s: Situation) -> str:
    """Where the value is: while an alert is still firing it may be back within the limit."""
    if _is_back(s):
        return "back below" if _is_upward(s) else "back above"
    return "above" if _is_upward(s) else "below"


def _is_back(s: Situation) -> bool:
    return s.value < s.threshold if _is_upward(s) else s.value > s.threshold


def _is_upward(s: Situation) -> bool:
    return s.above or s.kind in (Kind.BURN, Kind.NO_RUNS)


def _limit(s: Situation) -> str:
    return figure(s.threshold, s.unit)


def _interval(s: Situation) -> str:
    shown = interval((s.low, s.high), s.unit)
    return f" ({shown})" if shown else ""


def _counts(s: Situation) -> str:
    metric = METRICS.get(s.metric)
    noun = "outcome" if metric is not None and metric.among == "ACCURACY_N" else "run"
    runs = f"the last {many(s.sample_size, noun)}"
    if s.kind is Kind.SHARE and metric is not None and metric.done:
        done = metric.done if s.above != metric.higher_is_better else "did"
        fits = metric.has_error_classes and 0 < sum(s.errors.values()) <= s.bad
        errors = f" ({_classes(s)})" if fits else ""
        return f"{s.bad:,} of {runs} {done}{errors}"
    if s.kind in (Kind.BEYOND, Kind.ANY):
        return f"{s.bad:,} of {runs} were {'above' if s.above else 'below'} it"
    return f"over {runs}"


def _classes(s: Situation) -> str:
    ordered = sorted(s.errors.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {count:,}" for name, count in ordered[:_MOST]]
    left = max(s.classes, len(ordered)) - len(shown)
    shown += [f"{left} more class{'' if left == 1 else 'es'}"] if left > 0 else []
    return ", ".join([*shown, f"{s.unclassed:,} without a class"] if s.unclassed else shown)


def _single(s: Situation) -> str:
    what = "used" if s.metric == "max_memory_mb" else "took"
    if not s.breached and not s.bad:
        return f"no recent run {what} more than {_limit(s)}; at most {figure(s.value, s.unit)}"
    runs = "a run" if s.bad <= 1 else f"{s.bad:,} runs"
    return f"{runs} {what} up to {figure(s.value, s.unit)}, far beyond the limit ({_limit(s)})"


def _budget(s: Situation) -> str:
    return f"{figure(s.value, '$')} spent of a budget of {_limit(s)} in this period ({s.rule})"


def _burn(s: Situation) -> str:
    return (
        f"the error budget is burning at {figure(s.value, 'x')}{_interval(s)} the allowed rate,"
        f" {_side(s)} {_limit(s)}: {s.bad:,} of the last {s.sample_size:,} runs did not succeed"
    )


def _no_runs(s: Situation) -> str:
    if _is_back(s):
        return f"the last run was {figure(s.value, 's')} ago, after a gap of more than {_limit(s)}"
    down = f" ({s.words})" if s.words else ""
    return f"no run for {figure(s.value, 's')}{down}, longer than {_limit(s)}"


def _unfinished(s: Situation) -> str:
    if s.evidence == "clear":
        return f"no run has been in progress for longer than {_limit(s)}"
    runs = "a run has" if s.bad <= 1 else f"{s.bad:,} runs have"
    which = f" ({s.words})" if s.words else ""
    return (
        f"{runs} been in progress for up to {figure(s.value, 's')}{which}, longer than {_limit(s)}"
    )


def _conflicts(s: Situation) -> str:
    if s.evidence == "clear":
        return "runs have unique IDs again"
    return (
        f"{s.bad:,} runs reused run IDs already stored with different content and were not kept"
        f" ({s.words})"
    )


def _trend(s: Situation) -> str:
    is_it = "is" if s.breached else "is no longer"
    return f"{label_of(s.metric)} {is_it} {s.word}{f' ({s.words})' if s.words else ''}"


def _anomaly(s: Situation) -> str:
    told = f": {s.words}" if s.words else ""
    is_it = "is" if s.breached else "is no longer"
    return f"{label_of(s.metric)} {figure(s.value, s.unit)} {is_it} anomalous{_expected(s)}{told}"


def _expected(s: Situation) -> str:
    shown = interval((s.low, s.high), s.unit)
    return f" (expected {shown})" if shown else ""


def _forecast(s: Situation) -> str:
    return (
        f"{label_of(s.metric)} is forecast to be {figure(s.value, s.unit)}{_interval(s)},"
        f" {_side(s)} {_limit(s)}, within {figure(s.seconds, 's')}"
    )


def _number(s: Situation) -> str:
    if s.unit == "failures":
        return f"{s.rule} ({s.words})" if s.words else s.rule
    if _is_back(s):
        return f"{label_of(s.metric)} is recovering: {figure(s.value, s.unit)}; {_until(s)}"
    return f"{label_of(s.metric)} {figure(s.value, s.unit)} is {_side(s)} {_limit(s)}"


_KINDS: dict[Kind, Callable[[Situation], str]] = {
    Kind.SINGLE: _single, Kind.BUDGET: _budget, Kind.BURN: _burn, Kind.NO_RUNS: _no_runs,
    Kind.UNFINISHED: _unfinished, Kind.CONFLICTS: _conflicts, Kind.TREND: _trend,
    Kind.ANOMALY: _anomaly, Kind.FORECAST: _forecast, Kind.NUMBER: _number,
}  # fmt: skip


def _more(s: Situation) -> Iterable[str]:
    if s.started_at is not None:
        yield f"since {from_micros(s.started_at):%Y-%m-%d %H:%M} UTC"
    if s.at is not None:
        yield f"as of {_moment(s.at)}"
    if s.evidence == "no_data":
        yield "no runs since then, so recovery is unknown"
    elif s.evidence == "insufficient_data":
        yield "too few runs to tell whether it has recovered"
    elif s.evidence == "failed":
        yield "its evaluation is failing"
    if s.starts > 1:
        yield f"fired {s.starts} times in 24 hours"


_AS_IT_WAS = (Kind.UNFINISHED, Kind.CONFLICTS)
_REASONS = {
    "no_data": "no more runs to evaluate",
    "insufficient_data": "too few runs to evaluate",
}


def _subject(s: Situation) -> str:
    if s.kind is Kind.BURN:
        return "burn rate of the error budget"
    return s.rule if s.unit == "failures" else (label_of(s.metric) or s.rule)


def _over(s: Situation) -> str:
    what = _subject(s)
    after = ""
    if s.started_at is not None and s.resolved_at is not None:
        after = f" after {lasted((s.resolved_at - s.started_at) / _MICROS)}"
    if s.reason != "clear":
        return f"{what}: closed{after}, {_REASONS.get(s.reason, s.reason)}"
    resolved = f"resolved{after}: {what}"
    # A run that has ended has no age any more; the last figure is that of the breach.
    if math.isnan(s.value) or s.unit == "failures" or s.kind in _AS_IT_WAS:
        return resolved
    if s.kind in (Kind.TREND, Kind.ANOMALY):
        return f"{resolved} is no longer {s.word or 'anomalous'}"
    if s.kind is Kind.NO_RUNS:
        return f"{resolved}: the last run was {figure(s.value, 's')} ago"
    beside = [
        _interval(s).strip(" ()"),
        f"limit: at {'most' if _is_upward(s) else 'least'} {_limit(s)}",
    ]
    beside += [] if s.at is None else [f"as of {_moment(s.at)}"]
    noted = ", ".join(part for part in beside if part)
    is_back = "is back to" if _is_back(s) else "is now"
    return f"{resolved} {is_back} {figure(s.value, s.unit)} ({noted}){_newest(s)}"


def _newest(s: Situation) -> str:
    """A whole window may still hold its failures when its newest runs prove the recovery."""
    if _is_back(s) or s.value == s.threshold or s.kind is not Kind.SHARE:
        return ""
    return "; the latest runs are within the limit"


def _moment(micros: int) -> str:
    return moment(from_micros(micros))
