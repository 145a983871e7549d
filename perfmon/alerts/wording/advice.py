"""Recommendations for an alert, where the figures behind it support one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.wording.sentences import Situation
from perfmon.metrics.formatting import count, percent
from perfmon.records.catalog import METRICS

_ONE = 0.6  # of the bad runs are on one model or agent
_RISE = 2.0
_GROWTH = 1.25
_FEW = 3
_OFTEN_RETRIED = 0.1


# Of a snapshot, rather than figures to show.
_OWN = frozenset(("rest", "at", "began", "bad", "classes", "unclassed"))


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
        at: the moment they are of, as the verdict's (microseconds).
        began: when what is wrong began, found back in the runs, or None.
        errors, errors_before: classes of the runs that are bad (where the alert is not about
            failures: of those that failed) with their counts, most frequent first.
        classes, unclassed: how many classes there are, and how many of these runs have none.
        bad: how many runs are bad.
        runs, runs_before: how many runs those are of.
        agents, models: the worst first.
        retry_rate, retry_rate_before: shares of runs.
        prompt_tokens, prompt_tokens_before: mean input tokens of a run.
        rest: what another version of perfmon keeps here.
    """

    at: int = 0
    began: int | None = None
    bad: int = 0
    classes: int = 0
    unclassed: int = 0
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
    rest: dict[str, Any] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Details:
        """From its JSON values; fields that are not known are its `rest`."""
        kinds = {field.name: str(field.type) for field in attrs.fields(cls) if field.name != "rest"}
        known = kinds.keys()
        made: dict[str, Any] = {
            name: math.nan if value is None and kinds[name] == "float" else value
            for name, value in plain.items()
            if name in known
        }
        for name in ("agents", "models"):
            parts = plain.get(name) or ()
            made[name] = tuple(Part(part["name"], part["bad"], part["runs"]) for part in parts)
        for name in ("errors", "errors_before"):
            counts = plain.get(name) or {}
            made[name] = {error: n for error, n in counts.items() if isinstance(n, int)}
        return cls(**made, rest={n: value for n, value in plain.items() if n not in known})

    def figures(self) -> dict[str, Any]:
        """What is known of it, as JSON values."""
        found: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            if field.name in _OWN:
                continue
            value = getattr(self, field.name)
            known = not math.isnan(value) if isinstance(value, float) else bool(value)
            if known:
                parts = isinstance(value, tuple)
                found[field.name] = [attrs.asdict(part) for part in value] if parts else value
        return found


def recommendation(situation: Situation, details: Details) -> str | None:
    """What the figures advise, or None where they say nothing particular."""
    if situation.kind is Kind.CONFLICTS:
        return (
            "Give each run a unique ID, such as a UUID: IDs that restart with the process, or that"
            " come from a trace or a row, hide all later runs."
        )
    advice = (_class_rises, _one_model, _one_agent, _retries, _prompts)
    about_money = _about_spending(situation)
    ordered = (_prompts, _retries, _one_model, _one_agent, _class_rises) if about_money else advice
    return next((text for ask in ordered if (text := ask(situation, details))), None)


def _about_failures(s: Situation) -> bool:
    metric = METRICS.get(s.metric)
    return metric is not None and metric.is_share_of_runs


def _about_spending(s: Situation) -> bool:
    """Whether it is about what runs cost or how long they take."""
    return s.unit in ("$", "tokens") or "latency" in s.metric or s.metric == "retry_rate"


def _class_rises(situation: Situation, details: Details) -> str | None:
    # What fails says nothing of how long runs take, or of what they cost, hold or get right.
    metric = METRICS.get(situation.metric)
    if not details.errors or metric is None or not metric.has_error_classes:
        return None
    name, count = max(details.errors.items(), key=lambda item: (item[1], item[0]))
    named = sum(details.errors.values())
    share, all_errors = count / max(1, details.runs), max(named, details.bad)
    before = details.errors_before.get(name, 0)
    share_before = before / details.runs_before if details.runs_before else math.nan
    if count < _FEW or count < all_errors / 2:
        return None
    rose = "" if math.isnan(share_before) else f", {percent(share_before)} in the previous window"
    if not math.isnan(share_before) and share < _RISE * share_before:
        return None
    return (
        f"Likely cause: {name} ({count:,} of {all_errors:,} errors, {percent(share)} of"
        f" runs{rose}). {_hint(name)}".rstrip()
    )


def _hint(error: str) -> str:
    plain = error.lower().replace("_", "").replace(" ", "")
    for words, hint in _HINTS:
        if any(word in plain for word in words):
            return hint
    return ""


_HINTS = (
    (("ratelimit", "429", "quota"), "Reduce concurrency, back off, or raise the quota."),
    (("timeout", "deadline"), "Find the slow step before raising the time limit."),
    (("auth", "401", "403", "apikey", "permission"), "Check credentials and permissions."),
    (("context", "tokenlimit", "toolong", "maxtoken"), "Shorten the prompt."),
    (("connection", "network", "dns", "503", "502", "unavailable"),
     "Check whether the provider is up, and use another one meanwhile."),
    (("json", "parse", "schema", "validation", "format"),
     "Check recent changes of prompt or model: the output format differs."),
    (("memory", "oom"), "Give it more memory, or reduce what it holds at once."),
)  # fmt: skip


def _one(parts: tuple[Part, ...], details: Details) -> Part | None:
    """The part that has most of what is bad, and more than its share."""
    if len(parts) < 2:
        return None
    worst = max(parts, key=lambda part: (part.bad, part.name))
    bad = max(details.bad, sum(part.bad for part in parts))
    runs = max(details.runs, sum(part.runs for part in parts))
    others_bad, others = bad - worst.bad, runs - worst.runs
    if worst.bad < _FEW or worst.bad < _ONE * bad or not others:
        return None
    return worst if worst.bad * others >= _RISE * others_bad * worst.runs else None


def _counts_bad_runs(s: Situation) -> bool:
    """Whether the parts of `Details` count the runs that this alert is about."""
    return _about_failures(s) or s.kind is Kind.BEYOND


def _one_model(situation: Situation, details: Details) -> str | None:
    worst = _one(details.models, details) if _counts_bad_runs(situation) else None
    if worst is None:
        return None
    bad = max(details.bad, sum(part.bad for part in details.models))
    return (
        f"{worst.bad:,} of {bad:,} affected runs use model {worst.name}"
        f" ({worst.bad:,} of its {worst.runs:,}): use another model until it recovers."
    )


def _one_agent(situation: Situation, details: Details) -> str | None:
    asked = "agent" not in situation.labels and _counts_bad_runs(situation)
    worst = _one(details.agents, details) if asked else None
    if worst is None:
        return None
    bad = max(details.bad, sum(part.bad for part in details.agents))
    return (
        f"Check agent {worst.name} first: it has {worst.bad:,} of {bad:,} affected runs"
        f" ({worst.bad:,} of its {worst.runs:,})."
    )


def _retries(situation: Situation, details: Details) -> str | None:
    if not _about_spending(situation):
        return None
    now, before = details.retry_rate, details.retry_rate_before
    if not now >= _OFTEN_RETRIED or now < _RISE * before:
        return None
    was = "" if math.isnan(before) else f", {percent(before)} in the previous window"
    return (
        f"{percent(now)} of runs were retried{was}: fixing the first failures saves time and money."
    )


def _prompts(situation: Situation, details: Details) -> str | None:
    if not _about_spending(situation):
        return None
    now, before = details.prompt_tokens, details.prompt_tokens_before
    if not (before > 0 and now >= _GROWTH * before):
        return None
    return (
        f"Prompts grew from {count(before)} to {count(now)} tokens per run: check what was added,"
        " such as history or retrieved text."
    )
