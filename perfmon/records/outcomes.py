"""A prediction compared with what really happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from perfmon.records.measurements import (
    MEASUREMENT_FIELDS,
    MEASUREMENT_STATES,
    NO_SCORE,
    checked_measurement,
)
from perfmon.records.plain import NAN, from_micros


@attrs.frozen(kw_only=True, slots=False)  # so that `of_row` can fill it at once
class AccuracyMeasurement:
    """One prediction compared with its actual outcome.

    Attributes:
        measurement_id: stable and unique.
        agent_name, task_id: who predicted, and for which task.
        predicted_outcome, actual_outcome: any JSON values.
        accuracy_score: in [0, 1], 1 is right; NaN if there is none, and `state` says why.
        feedback_source: `user`, `automated`, `system` or any name.
        scorer: the plugin that scored it, or will.
        confidence: the prediction's own confidence in [0, 1], or None.
        model, task_type, tenant, metadata: as in a run.
        timestamp: when the outcome became known.
        state: `measured`; `unmapped` (prediction and outcome have no field in common),
            `scoring` (waiting for a remote scorer) or `failed` (that scorer never answered);
            `superseded` (a source with higher priority counts) or `corrected` (its source
            corrected it later). Only `measured` ones count in means.
        correct: whether it was right, where calibration uses another number than the score.
        note: why it has this score, in a sentence, or None.
        scoring_cost: what the scoring cost, in US dollars, or None.
        round: the agent's prediction of this task that it belongs to, from 1; None if it was
            measured without a prediction.
        prediction_id: that prediction's id, or None.

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
    state: str = "measured"
    correct: float | None = None
    note: str | None = None
    scoring_cost: float | None = None
    round: int | None = None
    prediction_id: str | None = None

    def __attrs_post_init__(self) -> None:
        checked_measurement(attrs.asdict(self, recurse=False), now_us=None)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> AccuracyMeasurement:
        """The measurement of a row in the order of `MEASUREMENT_FIELDS`."""
        import msgspec

        decoded = [msgspec.json.decode(row[place]) if row[place] else None for place in _OUTCOMES]
        return cls.of_row(row, *decoded)

    @classmethod
    def of_row(
        cls, row: tuple[Any, ...], predicted: Any, actual: Any, metadata: dict[str, Any] | None
    ) -> AccuracyMeasurement:
        """The same, where the values are at hand that the row has as JSON."""
        measurement = cls.__new__(cls)
        values = measurement.__dict__
        values.update(zip(MEASUREMENT_FIELDS, row, strict=True))
        del values["agent_type"], values["stamped"]
        values["predicted_outcome"] = predicted
        values["actual_outcome"] = actual
        values["metadata"] = metadata
        values["timestamp"] = from_micros(values["timestamp"])
        values["state"] = MEASUREMENT_STATES[values["state"]]
        if values["accuracy_score"] == NO_SCORE:
            values["accuracy_score"] = NAN
        return measurement


_OUTCOMES = tuple(
    MEASUREMENT_FIELDS.index(name) for name in ("predicted_outcome", "actual_outcome", "metadata")
)


@attrs.frozen
class OutcomeReceipt:
    """The result of recording an outcome.

    Attributes:
        outcome_id: the outcome's own id.
        status: `measured` (there was a prediction), `superseded` (measured, but an outcome from a
            source with higher priority counts), `unmapped`, `scoring` or `failed` (as a
            measurement's state), `duplicate` (its source reported the same before; nothing was
            added), `waiting` (no prediction of this task yet; kept until one arrives),
            `other_tenant` (the same, but another tenant has a prediction with this task ID),
            `pending` (storage is unavailable; scored once it is back), `dropped` (the queue was
            full, or the monitor has stopped: not recorded, send it again).
        message: the same as a sentence.
        measurements: one for each agent that predicted the task.
        round: the prediction of the task it refers to, from 1 (the latest, if agents have
            several); None if there is none yet.
    """

    outcome_id: str
    status: str
    message: str
    measurements: tuple[AccuracyMeasurement, ...] = ()
    round: int | None = None


@attrs.frozen
class PredictionReceipt:
    """The result of recording a prediction.

    Attributes:
        prediction_id: the prediction's ID; for a repeat, the ID of the first.
        status: `waiting` for its outcome, `answered`, `superseded` (its agent predicted something
            else before the outcome), `pending` (storage is unavailable), `dropped` (the queue was
            full, or the monitor has stopped: not recorded).
        round: the number of this prediction among the agent's predictions of the task, from 1;
            None if not known yet.
    """

    prediction_id: str
    status: str
    round: int | None = None


@attrs.frozen
class Score:
    """A scorer's answer, when it is more than a number.

    Attributes:
        value: in [0, 1]; 1 is right.
        confidence, correct: a pair for calibration, for scorers that know it better than the
            measurement: the forecast probability, and whether it happened (1 or 0).
        note: why, in a sentence: a judge's reason, the first violation of a schema.
        cost: what the scoring itself cost, in US dollars.
    """

    value: float
    confidence: float | None = None
    correct: float | None = None
    note: str | None = None
    cost: float | None = None
