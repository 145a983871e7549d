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
        agent_name, task_id: what was predicted, by whom.
        predicted_outcome, actual_outcome: any JSON values.
        accuracy_score: in [0, 1], 1 is right; NaN where there is none, and `state` says why.
        feedback_source: `user`, `automated`, `system` or any name.
        scorer: the plugin whose scorer answered, or will.
        confidence: the prediction's own confidence in [0, 1], or None.
        model, task_type, tenant, metadata: as in a run.
        timestamp: when the outcome became known.
        state: `measured`; `unmapped` (no field of the prediction is one of the outcome),
            `scoring` (a remote scorer has still to answer) or `failed` (it never did);
            `superseded` (another source goes before) or `corrected` (its source told another
            outcome later). Only what is `measured` counts in means.
        correct: how right it was, where calibration takes another number than the score.
        note: why it has this score, in a sentence, or None.
        scoring_cost: what the scoring cost, in US dollars, or None.
        round: which of the agent's predictions of this task it is of, from 1 on; None of what was
            measured without one.
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
    """What became of an outcome that was told.

    Attributes:
        outcome_id: the outcome's own id.
        status: `measured` (a prediction was there), `superseded` (measured, but the outcome of
            another source goes before), `unmapped`, `scoring` or `failed` (as a measurement's
            state), `duplicate` (its source told the same before; nothing was added), `waiting`
            (there is no prediction of this task yet; it is kept until one comes),
            `other_tenant` (the same, and another tenant has a prediction of a task of this id),
            `pending` (storage is away; it is compared when it is back), `dropped` (there was no
            room, or the monitor has stopped: it was not recorded, tell it again).
        message: the same as a sentence.
        measurements: what was measured, one for each agent that predicted the task.
        round: which of the predictions of the task it is about, from 1 on (the latest, where
            agents have several); None where it is about none yet.
    """

    outcome_id: str
    status: str
    message: str
    measurements: tuple[AccuracyMeasurement, ...] = ()
    round: int | None = None


@attrs.frozen
class PredictionReceipt:
    """What became of a prediction.

    Attributes:
        prediction_id: the prediction's id; of a repeat, that of the first.
        status: `waiting` for its outcome, `answered`, `superseded` (its agent predicted something
            else before the outcome), `pending` (storage is away), `dropped` (there was no room,
            or the monitor has stopped: it was not recorded).
        round: which of the agent's predictions of this task it is, from 1 on; None where that is
            not known yet.
    """

    prediction_id: str
    status: str
    round: int | None = None


@attrs.frozen
class Score:
    """What a scorer can say beyond a number.

    Attributes:
        value: in [0, 1]; 1 is right.
        confidence, correct: a pair for calibration where the scorer knows it better than the
            measurement: the probability that was forecast, and whether it happened (1 or 0).
        note: why, in a sentence: a judge's reason, the first violation of a schema.
        cost: what the scoring itself cost, in US dollars.
    """

    value: float
    confidence: float | None = None
    correct: float | None = None
    note: str | None = None
    cost: float | None = None
