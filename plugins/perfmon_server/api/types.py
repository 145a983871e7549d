"""The JSON types of requests and responses, from which the OpenAPI document is generated."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from perfmon import (
    AccuracySummary,
    PerformanceAlert,
    PerformanceMetrics,
    Recommendation,
    Trend,
)

HealthStatus = Literal["healthy", "degraded", "unhealthy", "no_data"]


class HealthPart(TypedDict):
    """Points of a part of the health score: what it came to, could have, and so lost."""

    part: str
    points: float
    most: float
    lost: float


class HealthAlert(TypedDict):
    alert_id: str
    level: Literal["info", "warning", "critical"]
    message: str


class HealthParts(TypedDict):
    """What is behind a health score; `few_runs` are too few to say much."""

    status: HealthStatus
    runs: int
    few_runs: bool
    parts: list[HealthPart]
    alerts: list[HealthAlert]
    reasons: list[str]


class Health(HealthParts):
    """`healthy` from 70, `degraded` from 50, else `unhealthy`; `no_data` and null without runs.

    Never `healthy` while a critical alert fires about these runs.
    """

    health_score: float | None
    timestamp: datetime


class SystemMetrics(TypedDict):
    metrics: PerformanceMetrics
    generated_at: datetime


class Scores(TypedDict):
    """In [0, 1]; null where nothing was measured."""

    specialization: float | None
    reliability: float | None
    efficiency: float | None


class ReportAgent(TypedDict):
    """`inactive` is an agent that was seen before, but not in this window."""

    agent_name: str
    agent_type: str | None
    status: Literal["active", "inactive", "unknown"]
    last_run: datetime | None
    metrics: PerformanceMetrics
    scores: Scores


class AgentAnswer(ReportAgent):
    generated_at: datetime


class AgentsAnswer(TypedDict):
    """Agents by name."""

    agents: dict[str, AgentAnswer]
    total_agents: int
    generated_at: datetime


class AgentConflicts(TypedDict):
    """Runs that came under known ids with other content; `run_id` and `fields` of the last one."""

    tenant: str
    agent_name: str
    runs: int
    last_at: datetime
    run_id: str
    fields: list[str]


class Report(TypedDict):
    """The whole report; see Accept for forms that people read."""

    generated_at: datetime
    time_window_minutes: float
    since: datetime
    until: datetime
    health_score: float | None
    health_status: str
    health: HealthParts
    system_metrics: PerformanceMetrics
    agent_metrics: dict[str, ReportAgent]
    accuracy: AccuracySummary
    trends: dict[str, Trend]
    recent_alerts: list[PerformanceAlert]
    error_patterns: list[ErrorPattern]
    conflicts: list[AgentConflicts]
    anomalies: list[Any]
    forecasts: dict[str, Any]
    thresholds: dict[str, float]
    recommendations: list[str]
    recommendation_details: list[Recommendation]


class ReportAnswer(TypedDict):
    report: Report


class TrendsAnswer(TypedDict):
    """Each metric's change between a window and the one before it."""

    trends: dict[str, Trend]
    generated_at: datetime


class SeriesPoint(TypedDict):
    """One value over [start, end) from `count` samples; null where nothing was measured."""

    start: datetime
    end: datetime
    value: float | None
    count: int


class SeriesAnswer(TypedDict):
    """Oldest first; `higher_is_better` is null for a metric without a good direction."""

    metric: str
    higher_is_better: bool | None
    step_minutes: float
    points: list[SeriesPoint]
    generated_at: datetime


class ErrorPattern(TypedDict):
    """`share` is of all runs, in [0, 1]; `agents` has how many each of them had."""

    error_type: str
    count: int
    share: float | None
    agents: dict[str, int]


class ErrorsAnswer(TypedDict):
    """Most frequent first."""

    errors: list[ErrorPattern]
    generated_at: datetime


class Comparison(TypedDict):
    """`changes` are relative, 0.05 for +5%; null where there is no base."""

    current: PerformanceMetrics
    against: PerformanceMetrics
    changes: dict[str, float | None]


class CompareAnswer(TypedDict):
    comparison: Comparison
    generated_at: datetime


class RejectedItem(TypedDict):
    """An item of a batch that was refused: its index from 0, the field at fault, and why."""

    index: int
    field: str
    message: str


class ConflictItem(TypedDict):
    """An item whose id is stored with other content, which is kept: which fields differ."""

    index: int
    run_id: str
    fields: list[str]


class RecordedRuns(TypedDict):
    """Accepted runs are stored as durably as configured; duplicates were stored before.

    Of `cut` of them, where there are any, the end of a text or the whole metadata was too large
    and is left out.
    """

    accepted: int
    duplicates: int
    conflicts: list[ConflictItem]
    rejected: list[RejectedItem]
    cut: NotRequired[int]


class ErrorBody(TypedDict):
    """`code` is for programs, `message` for people; `field` is the parameter or field at fault."""

    code: str
    message: str
    field: NotRequired[str]


class Problem(TypedDict):
    error: ErrorBody


class NoneRecorded(RecordedRuns):
    """Nothing of the batch was recorded; `error` is about the first one."""

    error: ErrorBody


class RunBody(TypedDict):
    """A run; `timestamp` is when it ended, in ISO 8601 with a zone or epoch seconds."""

    run_id: str
    agent_name: str
    status: Literal["success", "failure", "partial"]
    agent_type: NotRequired[str | None]
    duration_ms: NotRequired[float | None]
    tokens_used: NotRequired[float | None]
    input_tokens: NotRequired[float | None]
    output_tokens: NotRequired[float | None]
    cached_tokens: NotRequired[float | None]
    cost: NotRequired[float | None]
    memory_mb: NotRequired[float | None]
    cpu_ms: NotRequired[float | None]
    quality_score: NotRequired[float | None]
    confidence: NotRequired[float | None]
    api_calls: NotRequired[int | None]
    retries: NotRequired[int | None]
    timed_out: NotRequired[bool | None]
    error_type: NotRequired[str | None]
    model: NotRequired[str | None]
    task_type: NotRequired[str | None]
    task_id: NotRequired[str | None]
    tenant: NotRequired[str | None]
    timestamp: NotRequired[datetime | float | None]
    metadata: NotRequired[dict[str, Any] | None]


class StartedBody(TypedDict):
    run_id: str
    agent_name: str
    agent_type: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    tenant: NotRequired[str]


class Done(TypedDict):
    status: Literal["success"]


class SyncBody(TypedDict, total=False):
    lookback_hours: float


class Synced(TypedDict):
    status: Literal["success"]
    loaded: int


class Alive(TypedDict):
    status: Literal["alive"]


class Ready(TypedDict):
    """`problems` says why not."""

    status: Literal["ready", "not_ready"]
    problems: list[str]


class Tick(TypedDict):
    """What each event of the stream holds; the window is the monitor's usual one."""

    health: Health
    metrics: PerformanceMetrics
    alerts: list[PerformanceAlert]
    generated_at: datetime
