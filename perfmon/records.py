"""The frozen values everything else speaks in: runs, measurements, metrics, alerts, trends."""

from __future__ import annotations

import enum
import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

import attrs

from perfmon.checks import checked_measurement, checked_run

NAN = math.nan
STATUSES = ("success", "failure", "partial")


class AlertLevel(enum.StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class MetricType(enum.StrEnum):
    """What a threshold or an alert is about."""

    SUCCESS_RATE = "success_rate"
    LATENCY = "latency"
    TOKEN_USAGE = "token_usage"  # noqa: S105 - tokens of a language model
    API_CALLS = "api_calls"
    COST = "cost"
    MEMORY = "memory"
    CPU = "cpu"
    ACCURACY = "accuracy"
    QUALITY = "quality"
    ERROR_RATE = "error_rate"


class CellKey(NamedTuple):
    """The combination of keys whose runs share a cell."""

    tenant: str
    agent_name: str
    agent_type: str | None
    model: str | None
    task_type: str | None


@attrs.frozen
class Scope:
    """Which runs a question is about; None means any."""

    tenant: str | None = None
    agent_name: str | None = None
    agent_type: str | None = None
    model: str | None = None
    task_type: str | None = None

    def matches(self, key: CellKey) -> bool:
        wanted = (self.tenant, self.agent_name, self.agent_type, self.model, self.task_type)
        return all(want is None or want == has for want, has in zip(wanted, key, strict=True))

    @property
    def is_everything(self) -> bool:
        return self == EVERYTHING


EVERYTHING = Scope()


def to_micros(moment: datetime | float) -> int:
    """UTC microseconds since the epoch, the unit of time inside perfmon."""
    if isinstance(moment, datetime):
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return round(moment * 1_000_000)


def from_micros(micros: float) -> datetime:
    """The aware UTC datetime of a stamp in microseconds."""
    whole = int(micros)
    return datetime.fromtimestamp(whole // 1_000_000, UTC).replace(microsecond=whole % 1_000_000)


@attrs.frozen(kw_only=True)
class AgentRun:
    """One execution of an agent.

    Attributes:
        run_id: unique with tenant and agent_name; a repeat is a duplicate.
        agent_name: the agent's name.
        agent_type: what kind of agent it is.
        status: `success`, `failure` or `partial`.
        duration_ms: wall time in milliseconds; None is unknown, 0 is 0.
        tokens_used: all tokens; input + output where only those are known.
        input_tokens, output_tokens, cached_tokens: tokens by kind.
        cost: US dollars.
        memory_mb: peak memory in MiB.
        cpu_ms: CPU time in milliseconds.
        quality_score, confidence: in [0, 1].
        api_calls, retries: counts.
        timed_out: whether a time limit ended (or marked) the run.
        error_type: the error's class; a success may carry one.
        model, task_type, task_id: what it ran on, what for, and the task it belongs to.
        tenant: whose run it is.
        timestamp: when the run ended: an aware datetime (or epoch seconds; None is now).
        metadata: anything else, JSON values.

    Raises:
        InvalidRun: a field has a value that is not allowed.
    """

    run_id: str
    agent_name: str
    agent_type: str | None
    status: str
    duration_ms: float | None = None
    tokens_used: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cached_tokens: float | None = None
    cost: float | None = None
    memory_mb: float | None = None
    cpu_ms: float | None = None
    quality_score: float | None = None
    confidence: float | None = None
    api_calls: int = 1
    retries: int = 0
    timed_out: bool = False
    error_type: str | None = None
    model: str | None = None
    task_type: str | None = None
    task_id: str | None = None
    tenant: str = "default"
    timestamp: datetime | float | None = None
    metadata: dict[str, Any] | None = None

    def __attrs_post_init__(self) -> None:
        checked_run(attrs.asdict(self, recurse=False), now_us=None)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> AgentRun:
        """The run of a row in the order of `RUN_FIELDS` (checked when it was recorded)."""
        import msgspec

        from perfmon.checks import RUN_FIELDS

        run = cls.__new__(cls)
        values = dict(zip(RUN_FIELDS, row, strict=True))
        values["status"] = STATUSES[values["status"]]
        values["timed_out"] = bool(values["timed_out"])
        values["timestamp"] = from_micros(values["timestamp"])
        if values["metadata"] is not None:
            values["metadata"] = msgspec.json.decode(values["metadata"])
        for name, value in values.items():
            object.__setattr__(run, name, value)
        return run


@attrs.frozen(kw_only=True)
class AccuracyMeasurement:
    """One prediction compared with its actual outcome.

    Attributes:
        measurement_id: stable and unique.
        agent_name, task_id: what was predicted, by whom.
        predicted_outcome, actual_outcome: any JSON values.
        accuracy_score: in [0, 1]; 1 is right.
        feedback_source: `user`, `automated`, `system` or any name.
        scorer: the plugin whose scorer answered.
        confidence: the prediction's own confidence in [0, 1], or None.
        model, task_type, tenant, metadata: as in a run.
        timestamp: when the outcome became known.

    Raises:
        InvalidRun: a field has a value that is not allowed.
    """

    measurement_id: str
    agent_name: str
    task_id: str
    predicted_outcome: Any
    actual_outcome: Any
    accuracy_score: float
    feedback_source: str = "user"
    scorer: str | None = None
    confidence: float | None = None
    model: str | None = None
    task_type: str | None = None
    tenant: str = "default"
    timestamp: datetime | float | None = None
    metadata: dict[str, Any] | None = None

    def __attrs_post_init__(self) -> None:
        checked_measurement(attrs.asdict(self, recurse=False), now_us=None)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> AccuracyMeasurement:
        """The measurement of a row in the order of `MEASUREMENT_FIELDS`."""
        import msgspec

        from perfmon.checks import MEASUREMENT_FIELDS

        measurement = cls.__new__(cls)
        values = dict(zip(MEASUREMENT_FIELDS, row, strict=True))
        values.pop("agent_type")
        values["timestamp"] = from_micros(values["timestamp"])
        for name in ("predicted_outcome", "actual_outcome", "metadata"):
            if values[name] is not None:
                values[name] = msgspec.json.decode(values[name])
        for name, value in values.items():
            object.__setattr__(measurement, name, value)
        return measurement


@attrs.frozen(kw_only=True)
class PerformanceMetrics:
    """What happened in a window. A mean or rate over nothing is NaN (null in JSON), never 0.

    Rates are over all runs (a partial is neither success nor error). Totals are sums over the
    runs that have the value; `tokens_count`, `cost_count` and the like say how many those are.
    Latencies are in milliseconds, memory in MiB, cost in US dollars. Quantiles interpolate
    linearly and are within 1 % of the true value, exact for few runs. Trends are `improving`,
    `stable`, `degrading` or `insufficient_data`. `window_start` is exclusive and `window_end`
    inclusive for a window that ends now; `[since, until)` otherwise.
    """

    total_tasks: int = 0
    successful_tasks: int = 0
    failed_tasks: int = 0
    partial_tasks: int = 0
    success_rate: float = NAN
    error_rate: float = NAN
    timeout_rate: float = NAN
    retry_rate: float = NAN
    runs_per_minute: float = NAN
    avg_latency_ms: float = NAN
    p50_latency_ms: float = NAN
    p95_latency_ms: float = NAN
    p99_latency_ms: float = NAN
    max_latency_ms: float = NAN
    total_tokens: int = 0
    total_input_tokens: int = 0
    total_output_tokens: int = 0
    total_api_calls: int = 0
    total_cost: float = 0.0
    latency_count: int = 0
    tokens_count: int = 0
    cost_count: int = 0
    cost_per_task: float = NAN
    tokens_per_task: float = NAN
    avg_memory_mb: float = NAN
    max_memory_mb: float = NAN
    avg_cpu_ms: float = NAN
    avg_quality_score: float = NAN
    avg_confidence: float = NAN
    avg_accuracy: float = NAN
    accuracy_count: int = 0
    errors: dict[str, int] = attrs.Factory(dict)
    success_rate_interval: tuple[float, float] = (NAN, NAN)
    success_rate_trend: str = "insufficient_data"
    latency_trend: str = "insufficient_data"
    cost_trend: str = "insufficient_data"
    accuracy_trend: str = "insufficient_data"
    window_start: datetime | None = None
    window_end: datetime | None = None
    sample_size: int = 0


@attrs.frozen(kw_only=True)
class AgentPerformance:
    """One agent in a window.

    Attributes:
        status: `active` (runs in this window), `inactive` (seen before), `unknown` (never seen).
        last_run: when its last run ended, or None.
        reliability_score, efficiency_score, specialization_score: in [0, 1], NaN if unmeasured.
    """

    agent_name: str
    agent_type: str | None = None
    status: str = "unknown"
    last_run: datetime | None = None
    metrics: PerformanceMetrics = attrs.Factory(PerformanceMetrics)
    reliability_score: float = NAN
    efficiency_score: float = NAN
    specialization_score: float = NAN


@attrs.frozen(kw_only=True)
class PerformanceAlert:
    """A threshold crossed with evidence; see `AlertLevel` and `MetricType`."""

    alert_id: str
    level: AlertLevel
    metric_type: MetricType
    message: str
    current_value: float
    threshold: float
    agent_name: str | None = None
    timestamp: datetime = attrs.Factory(lambda: datetime.now(UTC))
    recommendation: str | None = None
    details: dict[str, Any] = attrs.Factory(dict)
    state: str = "firing"


@attrs.frozen
class Point:
    """One value of a series: `value` over `[start, end)` from `count` samples; times in epoch s."""

    start: float
    end: float
    value: float
    count: int


@attrs.frozen(kw_only=True)
class Series:
    """A metric over consecutive windows that do not overlap, oldest first.

    Attributes:
        metric: a field of `PerformanceMetrics`.
        higher_is_better: the metric's good direction.
        points: the windows; `value` may be NaN where nothing was measured.
    """

    metric: str
    higher_is_better: bool
    points: tuple[Point, ...]


@attrs.frozen(kw_only=True)
class Trend:
    """How a metric moved between the last two windows of a series.

    Attributes:
        direction: `improving`, `stable`, `degrading` or `insufficient_data`.
        change: relative change, 0.05 for +5 %; NaN where there is no base.
    """

    metric: str
    direction: str
    change: float = NAN
    previous: float = NAN
    current: float = NAN
    sample_size: int = 0


@attrs.frozen(kw_only=True)
class Recommendation:
    """What to do, why the figures say so, and what it should change."""

    text: str
    reason: str
    expected_effect: str
    agent_name: str | None = None


@attrs.frozen(kw_only=True)
class Rejection:
    """One refused item of a batch: its index, the field at fault, and why."""

    index: int
    field: str
    message: str


@attrs.frozen(kw_only=True)
class Receipt:
    """What became of a batch: counts, and what was refused.

    `dropped` found no room and were not recorded: send them again. `stored` is False when
    storage was away and the accepted wait for it; duplicates are then not known yet and
    counted in `accepted`.
    """

    accepted: int = 0
    duplicates: int = 0
    dropped: int = 0
    rejected: tuple[Rejection, ...] = ()
    stored: bool = True


def jsonable(value: Any) -> Any:
    """Records as plain JSON values: NaN is null, times are ISO 8601 in UTC with `Z`."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if attrs.has(type(value)):
        return {f.name: jsonable(getattr(value, f.name)) for f in attrs.fields(type(value))}
    if isinstance(value, enum.Enum):
        return value.value
    return value
