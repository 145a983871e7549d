"""Receipts of predictions and outcomes, from what is stored for their tasks."""

from __future__ import annotations

from collections.abc import Sequence

from perfmon.accuracy.known_ids import stored_as
from perfmon.accuracy.rounds import PREDICTIONS, Rounds, Task, by_task
from perfmon.records import AccuracyMeasurement, OutcomeReceipt, PredictionReceipt
from perfmon.records.measurements import MEASUREMENT_FIELDS, Row, RowState, joined_id

_F = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_ID, _TENANT, _AGENT, _TASK, _STATE = (
    _F[name] for name in ("measurement_id", "tenant", "agent_name", "task_id", "state")
)


def prediction_receipts(
    rows: Sequence[Row], known: Sequence[Row] | None, *, lost: bool
) -> dict[str, PredictionReceipt]:
    """Receipts of predictions, by their IDs; None if storage is unavailable."""
    if known is None:
        status = "dropped" if lost else "pending"
        return {row[_ID]: PredictionReceipt(row[_ID], status) for row in rows}
    found: dict[str, PredictionReceipt] = {}
    there = {row[_ID] for row in known}
    # A repeat is not stored: what it repeats is found as it was when it was left out.
    fresh = {row[_ID]: row for row in rows if row[_ID] not in there}
    for _, of_task in by_task((*known, *fresh.values())):
        for rounds in Task(of_task).agents.values():
            found |= _standings(rounds)
    return found


def _standings(rounds: Rounds) -> dict[str, PredictionReceipt]:
    found = {}
    for one in rounds.rounds:
        status = "answered" if one.outcomes else "waiting"
        found[one.prediction[_ID]] = PredictionReceipt(one.prediction[_ID], status, one.number)
    for row, one in rounds.repeats:
        found[row[_ID]] = found[one.prediction[_ID]]
    for row, one in rounds.replaced:
        found[row[_ID]] = PredictionReceipt(row[_ID], "superseded", one.number)
    return found


def unknown_outcomes(rows: Sequence[Row], *, lost: bool) -> list[OutcomeReceipt]:
    """The receipts of outcomes if storage is unavailable."""
    said = ("dropped", _DROPPED) if lost else ("pending", _PENDING)
    return [OutcomeReceipt(row[_ID], *said) for row in rows]


def outcome_receipts(rows: Sequence[Row], known: Sequence[Row]) -> list[OutcomeReceipt]:
    """Receipts of outcomes; `known` has their tasks, also of other tenants."""
    by_id: dict[str, list[Row]] = {}
    for row in known:
        by_id.setdefault(row[_TASK], []).append(row)
    return [_receipt(row, by_id.get(row[_TASK], [])) for row in rows]


_DROPPED = "the outcome was not recorded: the queue is full, or the monitor has stopped"
_PENDING = "storage is unavailable: the outcome is kept, and scored once storage is back"


def _receipt(told: Row, of_task: list[Row]) -> OutcomeReceipt:
    mine = [row for row in of_task if row[_TENANT] == told[_TENANT]]
    outcome_id = stored_as(told, mine)
    made = {joined_id(outcome_id, row[_AGENT]) for row in mine}
    rows = [row for row in mine if row[_ID] in made]
    name = f"task {told[_TASK]!r} of tenant {told[_TENANT]!r}"
    if rows:
        measurements = tuple(map(AccuracyMeasurement.from_row, rows))
        status = measurements[0].state
        agents = ", ".join(sorted({measurement.agent_name for measurement in measurements}))
        message = f"{name}: {_SAID[status]} ({agents})"
        number = max((one.round or 1 for one in measurements), default=None)
        return OutcomeReceipt(told[_ID], status, message, measurements, number)
    state = next((row[_STATE] for row in mine if row[_ID] == outcome_id), None)
    if state is None:
        return OutcomeReceipt(told[_ID], "dropped", f"{name}: storage cannot store this outcome")
    if state == RowState.REPEATED:
        _, number = Task(mine).repeated.get(outcome_id, (None, None))
        message = f"{name}: this source has already reported this outcome"
        return OutcomeReceipt(told[_ID], "duplicate", message, round=number)
    if state == RowState.TOLD:
        return OutcomeReceipt(told[_ID], "pending", _PENDING)
    if _has_prediction(of_task):
        whose = "another tenant" if not _has_prediction(mine) else "another agent"
        return OutcomeReceipt(
            told[_ID],
            "other_tenant" if whose == "another tenant" else "waiting",
            f"{name} has no prediction from this agent and tenant, but {whose} has one with this "
            "task ID; the outcome is kept until a prediction arrives",
        )
    return OutcomeReceipt(
        told[_ID], "waiting", f"{name} has no prediction yet; the outcome is kept until one arrives"
    )


def _has_prediction(rows: Sequence[Row]) -> bool:
    return any(row[_STATE] in PREDICTIONS for row in rows)


_SAID = {
    "measured": "measured",
    "superseded": "measured, but an outcome from a source with higher priority counts",
    "corrected": "measured, but its source has corrected it since",
    "unmapped": "the prediction and the outcome have no field in common; see its note",
    "scoring": "waiting for a remote scorer",
    "failed": "its remote scorer did not answer",
}
