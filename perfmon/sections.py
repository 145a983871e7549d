"""The tables of monitor.toml that are the core's own, and what each key may be."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

from perfmon.limits import (
    Duration,
    SecretText,
    a_while,
    above_zero,
    did_you_mean,
    share,
    some_text,
    whole,
)
from perfmon.records import AlertLevel, PerformanceMetrics
from perfmon.secret import redacted

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NUMBERS = frozenset(
    f.name for f in attrs.fields(PerformanceMetrics) if f.type in ("int", "float", int, float)
)
# The words of the thresholds, for the fields they are about.
_OTHER_NAMES = {
    "latency_avg_ms": "avg_latency_ms", "latency_p50_ms": "p50_latency_ms",
    "latency_p95_ms": "p95_latency_ms", "latency_p99_ms": "p99_latency_ms",
    "latency_max_ms": "max_latency_ms", "memory_mb": "max_memory_mb",
    "token_per_task": "tokens_per_task", "accuracy": "avg_accuracy",
}  # fmt: skip


def check_url(_instance: Any, _attribute: Any, value: str) -> None:
    """Refuses what is no URL."""
    if not _URL.match(value):
        raise ValueError('must be a URL such as "sqlite:///perfmon.db", or "memory:"')


def _metric(_instance: Any, _attribute: Any, value: str) -> None:
    names = _NUMBERS | set(_OTHER_NAMES)
    if value not in names:
        hint = did_you_mean(value, names)
        raise ValueError(f"must be a number of PerformanceMetrics{hint or ', such as error_rate'}")


@attrs.frozen(kw_only=True)
class MonitorTable:
    """`[monitor]`.

    Attributes:
        window_size_minutes: what "now" means when nobody asks for another window.
        retention_hours: how much the memory holds.
        max_runs_in_memory: raw runs kept for exact edges.
        storage: any SQLAlchemy URL; `memory:` keeps nothing.
        durability: what a recorded run survives.
        log_file: where the log goes, besides the host's own logging.
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
class Repeat:
    """`[alerts] repeat`: seconds between reminders of a firing alert, by level; None is never."""

    critical: Duration | None = 4 * 3600.0
    warning: Duration | None = 24 * 3600.0
    info: Duration | None = None


@attrs.frozen(kw_only=True)
class Thresholds:
    """`[alerts.thresholds]`: the limits watched by default; ms, dollars and MiB."""

    success_rate_min: float = attrs.field(default=0.80, validator=share)
    error_rate_max: float = attrs.field(default=0.15, validator=share)
    latency_p95_max_ms: float = attrs.field(default=5000.0, validator=above_zero("ms"))
    cost_per_task_max: float = attrs.field(default=1.0, validator=above_zero("dollars"))
    accuracy_min: float = attrs.field(default=0.70, validator=share)
    memory_max_mb: float = attrs.field(default=1024.0, validator=above_zero("MiB"))
    token_per_task_max: float = attrs.field(default=5000.0, validator=above_zero("tokens"))


@attrs.frozen(kw_only=True)
class Rule:
    """One of `[[alerts.rules]]`: a limit on a metric of the runs it is about.

    Attributes:
        name: unique.
        metric: a number of `PerformanceMetrics`; `field` is its name there.
        above, below: the limit; exactly one of them.
        agent, agent_type, model, tenant: globs; None is any.
        level: how urgent a breach is.
        window_minutes: the window looked at; None is the monitor's.
        for_, keep_firing_for, group_wait: seconds; None is the default of `[alerts]`.
    """

    name: str = attrs.field(validator=some_text)
    metric: str = attrs.field(validator=_metric)
    above: float | None = None
    below: float | None = None
    agent: str | None = attrs.field(default=None, validator=some_text)
    agent_type: str | None = attrs.field(default=None, validator=some_text)
    model: str | None = attrs.field(default=None, validator=some_text)
    tenant: str | None = attrs.field(default=None, validator=some_text)
    level: AlertLevel = AlertLevel.WARNING
    window_minutes: int | None = attrs.field(default=None, validator=whole(1, 527_040))
    for_: Duration | None = None
    keep_firing_for: Duration | None = None
    group_wait: Duration | None = None

    def __attrs_post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError("must have exactly one of above and below")

    @property
    def field(self) -> str:
        """The metric's name in `PerformanceMetrics`."""
        return _OTHER_NAMES.get(self.metric, self.metric)


def _unique(_instance: Any, _attribute: Any, rules: list[Rule]) -> None:
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"must have names of their own; {', '.join(map(repr, twice))} is not one")


@attrs.frozen(kw_only=True)
class AlertsTable:
    """`[alerts]`; times in seconds. The four after the interval are a rule's defaults."""

    enabled: bool = True
    evaluation_interval: Duration = attrs.field(default=5.0, validator=a_while)
    for_: Duration = 0.0
    keep_firing_for: Duration = 60.0
    group_wait: Duration = 2.0
    repeat: Repeat = attrs.Factory(Repeat)
    thresholds: Thresholds = attrs.Factory(Thresholds)
    rules: list[Rule] = attrs.field(factory=list, validator=_unique)


@attrs.frozen(kw_only=True)
class ScoresTable:
    """`[scores]`: up to which mean latency an agent is wholly efficient, and from where not."""

    latency_ms: float = attrs.field(default=1000.0, validator=above_zero("ms"))
    latency_limit_ms: float = attrs.field(default=5000.0, validator=above_zero("ms"))

    def __attrs_post_init__(self) -> None:
        if self.latency_limit_ms <= self.latency_ms:
            raise ValueError("latency_limit_ms must be above latency_ms")


@attrs.frozen(kw_only=True)
class AgentTable:
    """`[agents.<name>]`: the task types an agent is meant for."""

    specialties: list[str] = attrs.Factory(list)
