"""What an alert says: what is wrong, how sure that is, since when, and what the figures advise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from perfmon.alerts.rules import Kind
from perfmon.records import from_micros

_MICROS = 1_000_000
_MOST = 3  # of a list in a sentence
_ONE = 0.6  # of the bad runs are on one model or agent
_RISE = 2.0
_GROWTH = 1.25
_FEW = 3
_OFTEN_RETRIED = 0.1

_NAMES = {
    "p50_latency_ms": "median latency", "p95_latency_ms": "p95 latency",
    "p99_latency_ms": "p99 latency", "max_latency_ms": "longest run",
    "avg_latency_ms": "mean latency", "max_memory_mb": "peak memory",
    "avg_memory_mb": "mean memory", "avg_cpu_ms": "mean CPU time", "avg_accuracy": "accuracy",
    "avg_quality_score": "mean quality", "avg_confidence": "mean confidence",
    "total_tasks": "number of runs", "total_cost": "cost", "runs_per_minute": "runs a minute",
    "cost_per_task": "cost per task", "tokens_per_task": "tokens per task",
}  # fmt: skip
_BAD = {
    "success_rate": "did not succeed", "error_rate": "failed", "timeout_rate": "timed out",
    "retry_rate": "were retried",
}  # fmt: skip


@attrs.frozen
class Part:
    """An agent's or a model's part of the runs an alert is about."""

    name: str
    bad: int
    runs: int


@attrs.frozen(kw_only=True)
class Details:
    """Figures behind a breach, as far as they are known; `before` is the window before this one.

    Attributes:
        errors, errors_before: error classes with their counts, most frequent first.
        runs, runs_before: how many runs those are of.
        agents, models: the worst first.
        retry_rate, retry_rate_before: shares of runs.
        prompt_tokens, prompt_tokens_before: mean input tokens of a run.
    """

    errors: dict[str, int] = attrs.Factory(dict)
    errors_before: dict[str, int] = attrs.Factory(dict)
    runs: int = 0
    runs_before: int = 0
    agents: tuple[Part, ...] = ()
    models: tuple[Part, ...] = ()
    retry_rate: float = math.nan
    retry_rate_before: float = math.nan
    prompt_tokens: float = math.nan
    prompt_tokens_before: float = math.nan

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Details:
        """From its JSON values."""
        made: dict[str, Any] = {
            name: math.nan if value is None else value for name, value in plain.items()
        }
        for name in ("agents", "models"):
            made[name] = tuple(Part(**part) for part in plain[name])
        return cls(**made)

    def figures(self) -> dict[str, Any]:
        """What is known of it, as JSON values."""
        found: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            known = not math.isnan(value) if isinstance(value, float) else bool(value)
            if known:
                parts = isinstance(value, tuple)
                found[field.name] = [attrs.asdict(part) for part in value] if parts else value
        return found


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


def figure(value: float, unit: str) -> str:
    """A value with its unit.

    >>> figure(0.618, "share"), figure(5200, "ms"), figure(1.2, "$"), figure(5400, "s")
    ('61.8%', '5,200 ms', '$1.20', '1 h 30 min')
    """
    if math.isnan(value):
        return "unknown"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "$":
        return f"${value:,.2f}" if abs(value) >= 1 else f"${value:,.4f}"
    if unit == "s":
        return lasting(value)
    if unit == "x":
        return f"{value:.3g} times"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
    return f"{digits} {unit}".strip()


def lasting(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = round(max(0.0, seconds))
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def whom(labels: Mapping[str, str]) -> str:
    """Whose runs an alert is about."""
    names = {"agent": "agent", "agent_type": "agent type", "model": "model", "tenant": "tenant"}
    parts = [f"{word} {labels[name]}" for name, word in names.items() if name in labels]
    if not parts:
        return "the whole system"
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({', '.join(parts[1:])})"


def sentence(situation: Situation) -> str:
    """What is wrong, or that it is over, in one sentence."""
    who = whom(situation.labels)
    if situation.state == "resolved":
        return f"{who}: {_over(situation)}"
    parts = [_wrong(situation), *_more(situation)]
    return f"{who}: {'; '.join(parts)}"


def _wrong(s: Situation) -> str:
    if s.kind in _KINDS:
        return _KINDS[s.kind](s)
    side = "above" if s.above else "below"
    text = f"{_named(s.metric)} {figure(s.value, s.unit)}{_interval(s)} is {side} {_limit(s)}"
    return f"{text}: {_counts(s)}" if s.sample_size else text


def _named(metric: str) -> str:
    return _NAMES.get(metric, metric.replace("_", " "))


def _limit(s: Situation) -> str:
    return figure(s.threshold, s.unit)


def _interval(s: Situation) -> str:
    if math.isnan(s.low) or math.isnan(s.high):
        return ""
    return f" ({figure(s.low, s.unit)} to {figure(s.high, s.unit)})"


def _counts(s: Situation) -> str:
    noun = "outcome" if s.metric == "avg_accuracy" else "run"
    runs = f"the last {s.sample_size:,} {noun}{'' if s.sample_size == 1 else 's'}"
    if s.kind is Kind.SHARE and s.metric in _BAD:
        done = _BAD[s.metric] if s.above or s.metric == "success_rate" else "did"
        errors = f" ({_listed(s.errors)})" if s.errors else ""
        return f"{s.bad:,} of {runs} {done}{errors}"
    if s.kind in (Kind.BEYOND, Kind.ANY):
        return f"{s.bad:,} of {runs} were {'above' if s.above else 'below'} it"
    return f"over {runs}"


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {count:,}" for name, count in ordered[:_MOST]]
    left = len(ordered) - len(shown)
    return ", ".join([*shown, f"{left} more classes"] if left > 0 else shown)


def _single(s: Situation) -> str:
    what = "used" if s.metric == "max_memory_mb" else "took"
    runs = "a run" if s.bad <= 1 else f"{s.bad:,} runs"
    return f"{runs} {what} up to {figure(s.value, s.unit)}, far beyond the limit ({_limit(s)})"


def _budget(s: Situation) -> str:
    return f"{figure(s.value, '$')} spent of a budget of {_limit(s)} in this period ({s.rule})"


def _burn(s: Situation) -> str:
    return (
        f"the error budget burns {figure(s.value, 'x')}{_interval(s)} as fast as it may, above"
        f" {_limit(s)}: {s.bad:,} of the last {s.sample_size:,} runs did not succeed"
    )


def _no_runs(s: Situation) -> str:
    return f"no run for {figure(s.value, 's')}, longer than {_limit(s)}"


def _unfinished(s: Situation) -> str:
    runs = "a run is" if s.bad <= 1 else f"{s.bad:,} runs are"
    return f"{runs} under way for up to {figure(s.value, 's')}, longer than {_limit(s)}"


def _trend(s: Situation) -> str:
    return f"{_named(s.metric)} is {s.word}{f' ({s.words})' if s.words else ''}"


def _anomaly(s: Situation) -> str:
    told = f": {s.words}" if s.words else ""
    return f"{_named(s.metric)} {figure(s.value, s.unit)} is anomalous{_expected(s)}{told}"


def _expected(s: Situation) -> str:
    if math.isnan(s.low) or math.isnan(s.high):
        return ""
    return f" (expected {figure(s.low, s.unit)} to {figure(s.high, s.unit)})"


def _forecast(s: Situation) -> str:
    side = "above" if s.above else "below"
    return (
        f"{_named(s.metric)} is forecast to be {figure(s.value, s.unit)}{_interval(s)}, {side}"
        f" {_limit(s)}, within {figure(s.seconds, 's')}"
    )


def _number(s: Situation) -> str:
    if s.unit == "failures":
        return f"{s.rule} ({s.words})" if s.words else s.rule
    side = "above" if s.above else "below"
    return f"{_named(s.metric)} {figure(s.value, s.unit)} is {side} {_limit(s)}"


_KINDS: dict[Kind, Callable[[Situation], str]] = {
    Kind.SINGLE: _single, Kind.BUDGET: _budget, Kind.BURN: _burn, Kind.NO_RUNS: _no_runs,
    Kind.UNFINISHED: _unfinished, Kind.TREND: _trend, Kind.ANOMALY: _anomaly,
    Kind.FORECAST: _forecast, Kind.NUMBER: _number,
}  # fmt: skip


def _more(s: Situation) -> Iterable[str]:
    if s.started_at is not None:
        yield f"since {from_micros(s.started_at):%Y-%m-%d %H:%M} UTC"
    if s.evidence == "no_data":
        yield "no runs since then to tell whether it is over"
    elif s.evidence == "insufficient_data":
        yield "too few runs to tell whether it is over"
    elif s.evidence == "failed":
        yield "its evaluation fails at present"
    if s.starts > 1:
        yield f"it fired {s.starts} times in 24 hours"


_REASONS = {
    "no_data": "there have been no runs to tell",
    "insufficient_data": "there are too few runs to tell any more",
}


def _over(s: Situation) -> str:
    what = s.rule if s.unit == "failures" else (_named(s.metric) or s.rule)
    lasted = ""
    if s.started_at is not None and s.resolved_at is not None:
        lasted = f" after {lasting((s.resolved_at - s.started_at) / _MICROS)}"
    if s.reason != "clear":
        return f"{what}: closed{lasted}, because {_REASONS.get(s.reason, s.reason)}"
    if math.isnan(s.value) or s.unit == "failures":
        return f"{what}: over{lasted}"
    return f"{what}: over{lasted}; now {figure(s.value, s.unit)}{_interval(s)}, limit {_limit(s)}"


# What to do


def recommendation(situation: Situation, details: Details) -> str | None:
    """What the figures advise, or None where they say nothing particular."""
    advice = (_class_rises, _one_model, _one_agent, _retries, _prompts)
    about_money = situation.unit in ("$", "tokens", "ms")
    ordered = (_prompts, _retries, _one_model, _one_agent, _class_rises) if about_money else advice
    return next((text for ask in ordered if (text := ask(situation, details))), None)


def _about_failures(s: Situation) -> bool:
    return s.metric in _BAD or s.kind is Kind.BURN


def _class_rises(situation: Situation, details: Details) -> str | None:
    # What fails says nothing of what runs cost, hold or get right; it may be why they take long.
    if not details.errors or not (_about_failures(situation) or situation.unit == "ms"):
        return None
    name, count = max(details.errors.items(), key=lambda item: (item[1], item[0]))
    share, all_errors = count / max(1, details.runs), sum(details.errors.values())
    before = details.errors_before.get(name, 0)
    share_before = before / details.runs_before if details.runs_before else math.nan
    if count < _FEW or count < all_errors / 2:
        return None
    rose = "" if math.isnan(share_before) else f", {share_before:.1%} in the window before"
    if not math.isnan(share_before) and share < _RISE * share_before:
        return None
    return (
        f"Look at {name} first: it is {count:,} of {all_errors:,} errors"
        f" ({share:.1%} of runs{rose}). {_hint(name)}".rstrip()
    )


def _hint(error: str) -> str:
    plain = error.lower().replace("_", "").replace(" ", "")
    for words, hint in _HINTS:
        if any(word in plain for word in words):
            return hint
    return ""


_HINTS = (
    (("ratelimit", "429", "quota"), "Run fewer at once, back off, or raise the quota."),
    (("timeout", "deadline"), "See which step is slow before raising the time limit."),
    (("auth", "401", "403", "apikey", "permission"), "Check the credentials and their rights."),
    (("context", "tokenlimit", "toolong", "maxtoken"), "Shorten what goes into the prompt."),
    (("connection", "network", "dns", "503", "502", "unavailable"),
     "Check whether the provider is up, and send to another one meanwhile."),
    (("json", "parse", "schema", "validation", "format"),
     "Look at recent changes of prompt or model: the output has another form."),
    (("memory", "oom"), "Give it more memory, or less to hold at once."),
)  # fmt: skip


def _one(parts: tuple[Part, ...]) -> Part | None:
    """The part that has most of what is bad, and more than its share."""
    if len(parts) < 2:
        return None
    worst = max(parts, key=lambda part: (part.bad, part.name))
    bad, runs = sum(part.bad for part in parts), sum(part.runs for part in parts)
    others_bad, others = bad - worst.bad, runs - worst.runs
    if worst.bad < _FEW or worst.bad < _ONE * bad or not others:
        return None
    return worst if worst.bad * others >= _RISE * others_bad * worst.runs else None


def _counts_bad_runs(s: Situation) -> bool:
    """Whether the parts of `Details` count the runs that this alert is about."""
    return _about_failures(s) or s.kind is Kind.BEYOND


def _one_model(situation: Situation, details: Details) -> str | None:
    worst = _one(details.models) if _counts_bad_runs(situation) else None
    if worst is None:
        return None
    bad = sum(part.bad for part in details.models)
    return (
        f"{worst.bad:,} of {bad:,} bad runs are on model {worst.name}"
        f" ({worst.bad:,} of its {worst.runs:,}): use another one until it is well."
    )


def _one_agent(situation: Situation, details: Details) -> str | None:
    asked = "agent" not in situation.labels and _counts_bad_runs(situation)
    worst = _one(details.agents) if asked else None
    if worst is None:
        return None
    bad = sum(part.bad for part in details.agents)
    return (
        f"Look at agent {worst.name} first: it has {worst.bad:,} of {bad:,} bad runs"
        f" ({worst.bad:,} of its {worst.runs:,})."
    )


def _retries(_situation: Situation, details: Details) -> str | None:
    now, before = details.retry_rate, details.retry_rate_before
    if not now >= _OFTEN_RETRIED or now < _RISE * before:
        return None
    was = "" if math.isnan(before) else f", {before:.1%} in the window before"
    return (
        f"{now:.1%} of runs were retried{was}: what makes them fail at first costs time and money."
    )


def _prompts(_situation: Situation, details: Details) -> str | None:
    now, before = details.prompt_tokens, details.prompt_tokens_before
    if not now >= _GROWTH * before:
        return None
    return (
        f"Prompts grew from {before:,.0f} to {now:,.0f} tokens a run: look at what was added,"
        " such as history or retrieved text."
    )
