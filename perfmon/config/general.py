"""The core's own tables of monitor.toml, except those about alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import attrs

from perfmon.config.secret import redacted
from perfmon.config.validators import (
    SecretText,
    above_zero,
    some_text,
    whole,
)
from perfmon.records.equality import plain_text

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def check_url(_instance: Any, _attribute: Any, value: str) -> None:
    """Refuses what is no URL."""
    if not _URL.match(value):
        raise ValueError('must be a URL such as "sqlite:///perfmon.db", or "memory:"')


@attrs.frozen(kw_only=True)
class MonitorTable:
    """`[monitor]`.

    Attributes:
        window_size_minutes: the default window of queries.
        retention_hours: how much the memory holds.
        max_runs_in_memory: raw runs kept for exact edges.
        storage: any SQLAlchemy URL; `memory:` keeps nothing.
        durability: what a recorded run survives.
        log_file: a log file, in addition to the program's own logging.
        journal: the folder of the journal; None is beside the database.
        journal_max_mb: its bound.
        keep_runs_days, keep_cells_days: how long storage keeps raw runs, and their cells.
    """

    window_size_minutes: int = attrs.field(default=60, validator=whole(1, 527_040))
    retention_hours: int = attrs.field(default=24, validator=whole(1, 24 * 366))
    max_runs_in_memory: int = attrs.field(default=1_000_000, validator=whole(1, 1_000_000_000))
    storage: SecretText = attrs.field(
        default="sqlite:///perfmon.db", validator=check_url, repr=redacted
    )
    durability: Literal["memory", "process", "power"] = "process"
    log_file: str | None = attrs.field(default=None, validator=some_text)
    journal: str | None = attrs.field(default=None, validator=some_text)
    journal_max_mb: int = attrs.field(default=256, validator=whole(1, 1_048_576))
    keep_runs_days: float = attrs.field(default=30.0, validator=above_zero("days"))
    keep_cells_days: float = attrs.field(default=730.0, validator=above_zero("days"))

    def __attrs_post_init__(self) -> None:
        if self.keep_cells_days < self.keep_runs_days:
            raise ValueError("keep_cells_days must be at least keep_runs_days")


@attrs.frozen(kw_only=True)
class ScoresTable:
    """`[scores]`: up to which mean latency an agent is wholly efficient, and from where not."""

    latency_ms: float = attrs.field(default=1000.0, validator=above_zero("ms"))
    latency_limit_ms: float = attrs.field(default=5000.0, validator=above_zero("ms"))

    def __attrs_post_init__(self) -> None:
        if self.latency_limit_ms <= self.latency_ms:
            raise ValueError("latency_limit_ms must be above latency_ms")


def _own_names(_instance: Any, _attribute: Any, names: list[str] | None) -> None:
    names = names or []
    if not all(name.strip() for name in names):
        raise ValueError("must be a list of non-empty text")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"must not repeat a name; {', '.join(map(repr, twice))} occurs twice")


@attrs.frozen(kw_only=True)
class AccuracyTable:
    """`[accuracy]`: how predictions are compared with outcomes, for every agent.

    Attributes:
        source_priority: whose outcome counts where several of a task disagree: the first named.
            Sources that are not named come last, the newest of them first.
        confidence_fields: fields of a dictionary prediction that are its confidence, and not a
            part of what it says.
    """

    source_priority: list[str] = attrs.field(
        factory=lambda: ["audit", "system", "user", "automated"], validator=_own_names
    )
    confidence_fields: list[str] = attrs.field(factory=lambda: ["confidence"], validator=_own_names)


Synonyms = dict[str, list[Any]]
"""Values by the word that stands for them: `{"approve": ["approved", "yes", True]}`."""


def value_key(value: Any) -> tuple[str, Any] | None:
    """What makes two plain values the same to synonyms; None for what can have none.

    Text is the same in any case and form of Unicode, and with any space around it; true is not 1.
    """
    if isinstance(value, str):
        return "text", plain_text(value, ignore_case=True).strip()
    if isinstance(value, bool):
        return "flag", value
    return ("number", value) if isinstance(value, (int, float)) else None


def _synonyms(_instance: Any, _attribute: Any, groups: Synonyms) -> None:
    meaning: dict[Any, str] = {}
    for word, value in _meanings(groups):
        key = value_key(value)
        if key is None:
            raise ValueError("must map words to lists of text, numbers, true or false")
        if meaning.setdefault(key, word) != word:
            raise ValueError(
                f"must give each value one meaning; {value!r} means both {meaning[key]!r} and"
                f" {word!r}"
            )


def _meanings(groups: Synonyms) -> Iterator[tuple[str, Any]]:
    for word, values in groups.items():
        yield word, word
        yield from ((word, value) for value in values)


@attrs.frozen(kw_only=True)
class FieldTable:
    """One of `[agents.<name>.outcomes.fields]`: where a field of the outcome was predicted.

    Attributes:
        predicted: the field of the prediction; dots go into nested objects.
        scorer: the plugin that is asked about this field first; None is the agent's.
        weight: how much it counts in the mean of the fields.
        synonyms: equivalent values, in addition to the agent's.
    """

    short: ClassVar[str] = "predicted"

    predicted: str = attrs.field(validator=some_text)
    scorer: str | None = attrs.field(default=None, validator=some_text)
    weight: float = attrs.field(default=1.0, validator=above_zero())
    synonyms: Synonyms = attrs.field(factory=dict, validator=_synonyms)


@attrs.frozen(kw_only=True)
class OutcomesTable:
    """`[agents.<name>.outcomes]`: how an agent's predictions are compared with real outcomes.

    Attributes:
        scorer: the plugin that is asked first: about the whole outcome where no fields are
            mapped, else about each field that names none.
        confidence: the field of the prediction that is its confidence, instead of the general
            `confidence_fields`.
        source_priority: as in `[accuracy]`, for this agent.
        synonyms: values that mean the same, by the word that stands for them.
        fields: by field of the actual outcome, the field of the prediction.
    """

    scorer: str | None = attrs.field(default=None, validator=some_text)
    confidence: str | None = attrs.field(default=None, validator=some_text)
    source_priority: list[str] | None = attrs.field(default=None, validator=_own_names)
    synonyms: Synonyms = attrs.field(factory=dict, validator=_synonyms)
    fields: dict[str, FieldTable] = attrs.Factory(dict)


@attrs.frozen(kw_only=True)
class AgentTable:
    """`[agents.<name>]`: the task types an agent is meant for, and how its outcomes compare.

    For `outcomes` the name may be a glob.
    """

    specialties: list[str] = attrs.Factory(list)
    outcomes: OutcomesTable | None = None
