"""The JSON types of predictions, outcomes and measurements."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from perfmon import AccuracySummary, Calibration
from perfmon_server.api.types import RecordedRuns


class AccuracyBody(TypedDict):
    """A prediction and what really happened: any JSON values."""

    agent_name: str
    task_id: str
    predicted_outcome: Any
    actual_outcome: Any
    feedback_source: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    confidence: NotRequired[float | None]
    model: NotRequired[str | None]
    task_type: NotRequired[str | None]
    tenant: NotRequired[str | None]
    timestamp: NotRequired[datetime | float | None]
    measurement_id: NotRequired[str | None]


class PredictionBody(TypedDict):
    """What an agent predicts of a task; another prediction before the outcome replaces it."""

    agent_name: str
    task_id: str
    predicted_outcome: Any
    metadata: NotRequired[dict[str, Any] | None]
    confidence: NotRequired[float | None]
    model: NotRequired[str | None]
    task_type: NotRequired[str | None]
    tenant: NotRequired[str | None]
    timestamp: NotRequired[datetime | float | None]


class OutcomeBody(TypedDict):
    """What really happened; without `agent_name` it is for every agent that predicted the task."""

    task_id: str
    actual_outcome: Any
    agent_name: NotRequired[str | None]
    feedback_source: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any] | None]
    tenant: NotRequired[str | None]
    timestamp: NotRequired[datetime | float | None]
    outcome_id: NotRequired[str | None]


MeasurementState = Literal["measured", "unmapped", "scoring", "failed", "superseded", "corrected"]
OutcomeStatus = Literal[
    "measured",
    "unmapped",
    "scoring",
    "failed",
    "superseded",
    "corrected",
    "duplicate",
    "waiting",
    "other_tenant",
    "pending",
]


class MeasurementAnswer(TypedDict):
    """One prediction and its outcome; `accuracy_score` is null where `state` says why."""

    measurement_id: str
    agent_name: str
    task_id: str
    predicted_outcome: Any
    actual_outcome: Any
    accuracy_score: float | None
    feedback_source: str
    scorer: str | None
    confidence: float | None
    model: str | None
    task_type: str | None
    tenant: str
    timestamp: datetime
    metadata: dict[str, Any] | None
    state: MeasurementState
    correct: float | None
    note: str | None
    scoring_cost: float | None
    round: int | None
    prediction_id: str | None


class RecordedAccuracy(MeasurementAnswer):
    status: Literal["success"]


class RecordedAccuracies(RecordedRuns):
    """`measurements` has null where an item was refused."""

    status: Literal["success"]
    measurements: list[MeasurementAnswer | None]


class PredictionAnswer(TypedDict):
    """The prediction that counts (of a repeat, the first), and which round of its task it is."""

    prediction_id: str
    status: Literal["waiting", "answered", "superseded", "pending"]
    round: int | None


class RecordedPredictions(RecordedRuns):
    """Duplicates say what the agent had said within 24 hours; null is what was refused."""

    status: Literal["success"]
    predictions: list[PredictionAnswer | None]


class OutcomeAnswer(TypedDict):
    """What became of an outcome: `status` in a word, `message` in a sentence, what it measured."""

    outcome_id: str
    status: OutcomeStatus
    message: str
    measurements: list[MeasurementAnswer]
    round: int | None


class RecordedOutcome(TypedDict):
    """`status` says that the outcome was taken in, `outcome.status` what became of it."""

    status: Literal["success"]
    outcome: OutcomeAnswer


class RecordedOutcomes(RecordedRuns):
    """`outcomes` has null where an item was refused."""

    status: Literal["success"]
    outcomes: list[OutcomeAnswer | None]


class MeasurementsAnswer(TypedDict):
    """`count` is how many are here, `more` whether the range has others beyond the limit."""

    measurements: list[MeasurementAnswer]
    count: int
    more: bool
    generated_at: datetime


class SummaryAnswer(TypedDict):
    summary: AccuracySummary
    generated_at: datetime


class CalibrationAnswer(TypedDict):
    calibration: Calibration
    generated_at: datetime
