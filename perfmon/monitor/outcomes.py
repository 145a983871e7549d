"""Recording of measurements, predictions, and what really happened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from perfmon.accuracy.receipts import outcome_receipts, prediction_receipts, unknown_outcomes
from perfmon.accuracy.scoring import Scoring
from perfmon.errors import InvalidRun, StorageError
from perfmon.monitor.rows import RowPage
from perfmon.records import (
    AccuracyMeasurement,
    OutcomeReceipt,
    PredictionReceipt,
    Receipt,
    Rejection,
)
from perfmon.records.content import cut
from perfmon.records.ids import new_id
from perfmon.records.measurements import (
    MEASUREMENT_ARGUMENTS,
    MEASUREMENT_FIELDS,
    OUTCOME_ARGUMENTS,
    PREDICTION_ARGUMENTS,
    Row,
    checked_measurement,
    outcome_row,
    prediction_row,
    told_id,
)

_F = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_ID, _TENANT, _AGENT, _TASK = (
    _F[name] for name in ("measurement_id", "tenant", "agent_name", "task_id")
)
Made = Callable[[dict[str, Any]], Row]
Task = tuple[str | None, str]


class OutcomePage(RowPage):
    """What a monitor can be told of predictions and outcomes."""

    scoring: Scoring

    def record_accuracy(
        self,
        agent_name: str,
        task_id: str,
        predicted_outcome: Any,
        actual_outcome: Any,
        feedback_source: str = "user",
        metadata: Mapping[str, Any] | None = None,
        *,
        confidence: float | None = None,
        model: str | None = None,
        task_type: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
        measurement_id: str | None = None,
    ) -> AccuracyMeasurement:
        """Compare a prediction with what really happened, and record the measurement.

        Outcomes are any JSON values. By default every call is a separate measurement. With a
        `measurement_id`, the same content within 24 hours is a repeat and counts once; different
        content, or a later repeat, is a separate measurement whose ID gets a suffix. With a remote
        scorer the measurement is returned in state `scoring` and gets its score later.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        row = self._record_measurement(
            {
                "agent_name": agent_name,
                "task_id": task_id,
                "predicted_outcome": predicted_outcome,
                "actual_outcome": actual_outcome,
                "feedback_source": feedback_source,
                "metadata": metadata,
                "confidence": confidence,
                "model": model,
                "task_type": task_type,
                "tenant": tenant,
                "timestamp": timestamp,
                "measurement_id": measurement_id,
            }
        )
        return AccuracyMeasurement.of_row(
            row, predicted_outcome, actual_outcome, None if metadata is None else dict(metadata)
        )

    def record_accuracies(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> tuple[list[AccuracyMeasurement | None], Receipt]:
        """Record many measurements, given as mappings of `record_accuracy`'s arguments.

        The list has None where an item was rejected.
        """
        rows, rejected, cut = self._rows(items, MEASUREMENT_ARGUMENTS, self._measurement_row)
        measured = [None if row is None else AccuracyMeasurement.from_row(row) for row in rows]
        return measured, self._record_rows([], _kept(rows), rejected, wait=wait, cut=cut)

    def record_measurement(self, measurement: AccuracyMeasurement) -> None:
        """Record a measurement that has its score already."""
        self._record_measurement(attrs.asdict(measurement, recurse=False))

    def record_prediction(
        self,
        agent_name: str,
        task_id: str,
        predicted_outcome: Any,
        metadata: Mapping[str, Any] | None = None,
        *,
        confidence: float | None = None,
        model: str | None = None,
        task_type: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
    ) -> str:
        """Record a prediction; it waits for its outcome, for months if necessary.

        Returns the ID of this prediction, within microseconds. The same again within 24 hours is
        a duplicate. A different one replaces the previous one as long as that has no outcome;
        otherwise, and after 24 hours, a new round of the task begins, which is measured
        separately. If the outcome was recorded first, the prediction is scored once it is stored.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        fields = {
            "agent_name": agent_name,
            "task_id": task_id,
            "predicted_outcome": predicted_outcome,
            "metadata": metadata,
            "confidence": confidence,
            "model": model,
            "task_type": task_type,
            "tenant": tenant,
            "timestamp": timestamp,
        }
        with self._counting():
            row = self._prediction_row(fields)
        self._count_cut(_is_cut(fields, row))
        self._append_measurement(row)
        return str(row[_ID])

    def record_predictions(
        self, items: Iterable[Mapping[str, Any]], *, wait: bool = True
    ) -> Receipt:
        """Record many predictions, given as mappings of `record_prediction`'s arguments."""
        rows, rejected, cut = self._rows(items, PREDICTION_ARGUMENTS, self._prediction_row)
        return self._record_rows([], _kept(rows), rejected, wait=wait, cut=cut)

    def record_each_prediction(
        self, items: Iterable[Mapping[str, Any]]
    ) -> tuple[list[PredictionReceipt | None], Receipt]:
        """Record many predictions, and return the result and round of each.

        The list has None where an item was rejected.
        """
        rows, rejected, cut = self._rows(items, PREDICTION_ARGUMENTS, self._prediction_row)
        kept = _kept(rows)
        receipt = self._record_rows([], kept, rejected, wait=True, cut=cut)
        known = self._of_tasks(receipt, dict.fromkeys((row[_TENANT], row[_TASK]) for row in kept))
        told = prediction_receipts(kept, known, lost=receipt.dropped > 0)
        return [None if row is None else told[row[_ID]] for row in rows], receipt

    def record_outcome(
        self,
        task_id: str,
        actual_outcome: Any,
        feedback_source: str = "user",
        metadata: Mapping[str, Any] | None = None,
        *,
        agent_name: str | None = None,
        tenant: str = "default",
        timestamp: datetime | float | None = None,
        outcome_id: str | None = None,
    ) -> OutcomeReceipt:
        """Record what really happened, and compare it with the prediction of the task.

        Without `agent_name` it applies to every agent that predicted the task. Returns once it is
        stored, with the result; an outcome without a prediction is kept until one arrives. It
        refers to the latest round of the task at its time. Recording the same again changes
        nothing; different content from the same source for the same round is a correction.
        `outcome_id` makes it safe to repeat this call within 24 hours.

        Raises:
            InvalidRun: a field has a value that is not allowed; nothing was recorded.
        """
        fields = {
            "task_id": task_id,
            "actual_outcome": actual_outcome,
            "feedback_source": feedback_source,
            "metadata": metadata,
            "agent_name": agent_name,
            "tenant": tenant,
            "timestamp": timestamp,
            "outcome_id": outcome_id,
        }
        with self._counting():
            row = self._outcome_row(fields)
        receipt = self._record_rows([], [row], [], wait=True, cut=_is_cut(fields, row))
        return _named(self._receipts([row], receipt)[0], outcome_id)

    def record_outcomes(
        self, items: Iterable[Mapping[str, Any]]
    ) -> tuple[list[OutcomeReceipt | None], Receipt]:
        """Record many outcomes, given as mappings of `record_outcome`'s arguments.

        The list has None where an item was rejected.
        """
        items = list(items)
        rows, rejected, cut = self._rows(items, OUTCOME_ARGUMENTS, self._outcome_row)
        kept = _kept(rows)
        receipt = self._record_rows([], kept, rejected, wait=True, cut=cut)
        told = iter(self._receipts(kept, receipt))
        return [
            None if row is None else _named(next(told), item.get("outcome_id"))
            for row, item in zip(rows, items, strict=True)
        ], receipt

    def _record_measurement(self, fields: dict[str, Any]) -> Row:
        try:
            row = self._measurement_row(fields)
        except InvalidRun:
            self._count_rejected(1)
            raise
        self._count_cut(_is_cut(fields, row))
        self._append_measurement(row)
        return row

    def _append_measurement(self, row: Row) -> None:
        self._parts.queue.append_measurement(row)
        if self._writer is None:
            self._take_in_if_many()

    def _measurement_row(self, fields: dict[str, Any]) -> Row:
        if fields.get("measurement_id") is None:
            fields["measurement_id"] = new_id()
        return checked_measurement(fields, self.now_us(), self.scoring.score)

    def _prediction_row(self, fields: dict[str, Any]) -> Row:
        return prediction_row(fields, self.now_us())

    def _outcome_row(self, fields: dict[str, Any]) -> Row:
        given = fields.get("outcome_id")
        row = outcome_row(
            {**fields, "outcome_id": new_id() if given is None else given}, self.now_us()
        )
        if given is None:
            return row
        return (told_id(row[_TENANT], row[_AGENT], row[_TASK], row[_ID]), *row[1:])

    def _rows(
        self, items: Iterable[Mapping[str, Any]], allowed: tuple[str, ...], made: Made
    ) -> tuple[list[Row | None], list[Rejection], int]:
        """The rows of many items, None where one is refused, why, and how many were cut."""
        rows: list[Row | None] = []
        rejected: list[Rejection] = []
        cut = 0
        for index, item in enumerate(items):
            try:
                fields = _known_fields(item, allowed)
                row = made(fields)
                rows.append(row)
                cut += _is_cut(fields, row)
            except InvalidRun as problem:
                rows.append(None)
                rejected.append(Rejection(index=index, field=problem.field, message=str(problem)))
        return rows, rejected, cut

    def _receipts(self, rows: list[Row], receipt: Receipt) -> list[OutcomeReceipt]:
        """What became of outcomes, from what storage now has of their tasks."""
        if not rows:
            return []
        known = self._of_tasks(receipt, dict.fromkeys((None, row[_TASK]) for row in rows))
        if known is None:
            # Which of several is not known: all may be told again.
            return unknown_outcomes(rows, lost=receipt.dropped > 0)
        return outcome_receipts(rows, known)

    def _of_tasks(
        self, receipt: Receipt, tasks: Iterable[tuple[str | None, str]]
    ) -> list[Row] | None:
        """What storage has of these tasks, or None where it does not answer."""
        if receipt.stored:
            with contextlib.suppress(StorageError):
                return self._parts.storage.read_tasks(list(tasks))
        return None


def _named(receipt: OutcomeReceipt, given: str | None) -> OutcomeReceipt:
    """With the id that its teller knows."""
    return attrs.evolve(receipt, outcome_id=given) if given else receipt


def _is_cut(fields: Mapping[str, Any], row: Row) -> bool:
    """Whether something of these fields was too large for their row."""
    return bool(cut(fields, row, _F))


def _kept(rows: list[Row | None]) -> list[Row]:
    return [row for row in rows if row is not None]


def _known_fields(item: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise InvalidRun("measurement", item, "an object of a measurement's fields")
    for name in item:
        if name not in allowed:
            raise InvalidRun(str(name), item[name], f"one of {', '.join(sorted(allowed))}")
    for name in ("agent_name", "task_id", "predicted_outcome", "actual_outcome"):
        # An outcome need not say of which agent it is.
        if (
            name in allowed
            and name not in item
            and not (name == "agent_name" and "outcome_id" in allowed)
        ):
            raise InvalidRun(name, None, "given")
    return dict(item)
