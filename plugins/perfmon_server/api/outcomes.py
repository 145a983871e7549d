"""The routes about outcomes: predictions, actual outcomes, accuracy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from perfmon_server.api import outcome_types as outcome_shapes
from perfmon_server.api import types as shapes
from perfmon_server.api.runs import answer_of, refuse_unstored
from perfmon_server.http.errors import Refusal
from perfmon_server.http.params import AGENT, ID, INTEGER, SCOPE, WINDOW, Param
from perfmon_server.http.route import PREFIX, Body, Question, Route, decoded, now

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor, Receipt


async def accuracy(question: Question) -> Any:
    items, alone = await _items(question, "a measurement")
    measurements, receipt = await question.write(_measure, question.monitor, items)
    if alone:
        _refuse_alone(receipt)
        return {"status": "success", **msgspec.to_builtins(measurements[0])}
    return answer_of(receipt, status="success", measurements=measurements)


def _measure(monitor: PerformanceMonitor, items: list[Any]) -> Any:
    measurements, receipt = monitor.record_accuracies(items, wait=True)
    refuse_unstored(monitor, receipt)
    return measurements, receipt


async def predictions(question: Question) -> Any:
    items, _ = await _items(question, "a prediction")
    predicted, receipt = await question.write(_predict, question.monitor, items)
    return answer_of(receipt, status="success", predictions=predicted)


def _predict(monitor: PerformanceMonitor, items: list[Any]) -> Any:
    predicted, receipt = monitor.record_each_prediction(items)
    refuse_unstored(monitor, receipt)
    return predicted, receipt


async def outcomes(question: Question) -> Any:
    items, alone = await _items(question, "an outcome")
    told, receipt = await question.write(_tell, question.monitor, items)
    if alone:
        _refuse_alone(receipt)
        return {"status": "success", "outcome": told[0]}
    return answer_of(receipt, status="success", outcomes=told)


def _tell(monitor: PerformanceMonitor, items: list[Any]) -> Any:
    told, receipt = monitor.record_outcomes(items)
    refuse_unstored(monitor, receipt)
    return told, receipt


async def _items(question: Question, one: str) -> tuple[list[Any], bool]:
    """What the body has, and whether it came alone and not in a list."""
    found = decoded(await question.body())
    if isinstance(found, dict):
        return [found], True
    if not isinstance(found, list):
        raise Refusal(400, "malformed_json", f"{one} is an object; several are a list of objects")
    return found, False


def _refuse_alone(receipt: Receipt) -> None:
    if receipt.rejected:
        first = receipt.rejected[0]
        raise Refusal(422, "invalid_run", first.message, field=first.field)


async def measurements(question: Question) -> Any:
    """One more than asked for is looked for, to tell whether there are more."""
    query = dict(question.query)
    limit = query.pop("limit", 100)
    worst = query.pop("order", "newest") == "worst"
    call = partial(question.monitor.get_measurements, worst=worst, limit=limit + 1, **query)
    found = await question.read(call)
    return {
        "measurements": found[:limit],
        "count": len(found[:limit]),
        "more": len(found) > limit,
        "generated_at": now(question.monitor),
    }


async def accuracy_summary(question: Question) -> Any:
    found = await question.read(partial(question.monitor.get_accuracy, **question.query))
    return {"summary": found, "generated_at": now(question.monitor)}


async def calibration(question: Question) -> Any:
    found = await question.read(partial(question.monitor.get_calibration, **question.query))
    return {"calibration": found, "generated_at": now(question.monitor)}


_MEASUREMENT = {
    "agent_name": "billing-agent",
    "task_id": "r-1",
    "predicted_outcome": {"total": 42},
    "actual_outcome": {"total": 40},
}
_PREDICTION = {
    "agent_name": "billing-agent",
    "task_id": "invoice-7",
    "predicted_outcome": {"total": 42},
    "confidence": 0.9,
}
_OUTCOME = {"task_id": "invoice-7", "actual_outcome": {"total": 40}, "feedback_source": "audit"}

_TASK_TYPE = Param(name="task_type", description="Only this type of task.")
_WHOSE = (WINDOW, AGENT, *SCOPE, _TASK_TYPE)

ROUTES = (
    Route(
        method="POST",
        path=f"{PREFIX}/accuracy",
        summary="Compare predictions with what really happened",
        answer=accuracy,
        shape=outcome_shapes.RecordedAccuracy | outcome_shapes.RecordedAccuracies,
        body=Body(
            shape=outcome_shapes.AccuracyBody | list[outcome_shapes.AccuracyBody],
            example=_MEASUREMENT,
        ),
        also={422: shapes.NoneRecorded | shapes.Problem},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/predictions",
        summary="Record predictions; each waits for its outcome, for months if necessary",
        answer=predictions,
        shape=outcome_shapes.RecordedPredictions,
        body=Body(
            shape=outcome_shapes.PredictionBody | list[outcome_shapes.PredictionBody],
            example=_PREDICTION,
        ),
        also={422: shapes.NoneRecorded},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/outcomes",
        summary="Record what really happened, before or after the prediction",
        answer=outcomes,
        shape=outcome_shapes.RecordedOutcome | outcome_shapes.RecordedOutcomes,
        body=Body(
            shape=outcome_shapes.OutcomeBody | list[outcome_shapes.OutcomeBody],
            example=_OUTCOME,
        ),
        also={422: shapes.NoneRecorded | shapes.Problem},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/accuracy",
        summary="Single measurements with both outcomes, newest or worst first",
        answer=measurements,
        shape=outcome_shapes.MeasurementsAnswer,
        params=(
            *_WHOSE,
            Param(name="source", description="Only outcomes of this feedback source."),
            Param(name="task_id", kind=ID, description="Only this task: its whole history."),
            Param(
                name="state",
                choices=get_args(outcome_shapes.MeasurementState),
                description="Only measurements in this state.",
            ),
            Param(
                name="order",
                choices=("newest", "worst"),
                default="newest",
                description="Newest first, or worst first (only measurements that count).",
            ),
            Param(
                name="limit",
                kind=INTEGER,
                least=1,
                most=1000,
                default=100,
                description="Maximum number of measurements; `more` says whether there are others.",
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/accuracy/summary",
        summary="Accuracy of agents: means with intervals, coverage, sources, errors",
        answer=accuracy_summary,
        shape=outcome_shapes.SummaryAnswer,
        params=_WHOSE,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/accuracy/calibration",
        summary="Calibration: whether agents are right as often as their confidence says",
        answer=calibration,
        shape=outcome_shapes.CalibrationAnswer,
        params=_WHOSE,
    ),
)
