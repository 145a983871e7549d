"""Joins predictions and outcomes: in any order, across restarts, with several sources per task.

Pure: from what storage has of a task follows what shall be there. Doing it again changes
nothing, so that it may be done after a crash, and in two processes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from perfmon.accuracy.rounds import Round, Task, by_task, is_of
from perfmon.records.measurements import (
    MEASUREMENT_FIELDS,
    NO_SCORE,
    SCORED_STATES,
    Compare,
    Row,
    RowState,
    joined_id,
    said_fields,
    scored_fields,
)

_F = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_ID, _TENANT, _AGENT, _AT, _TASK = (
    _F[name] for name in ("measurement_id", "tenant", "agent_name", "timestamp", "task_id")
)
_PREDICTED, _ACTUAL, _SCORE, _SOURCE = (
    _F[name]
    for name in ("predicted_outcome", "actual_outcome", "accuracy_score", "feedback_source")
)
_CONFIDENCE, _METADATA, _STATE = (_F[name] for name in ("confidence", "metadata", "state"))
_ROUND, _PREDICTION, _STAMPED = (_F[name] for name in ("round", "prediction_id", "stamped"))
_decode = msgspec.json.decode
Priority = Callable[[str], Sequence[str]]
"""The sources of an agent in the order in which they are believed."""


class Joined(NamedTuple):
    """What is new, and what was there and is to change: as it was read, and as it shall be."""

    new: list[Row]
    amended: list[tuple[Row, Row]]


def joined(rows: Iterable[Row], compare: Compare, priority: Priority) -> Joined:
    """What comes of all that is known of some tasks (rows of several, as they were stored)."""
    result = Joined([], [])
    for _, of_task in by_task(rows):
        _join_task(of_task, compare, priority, result)
    return result


def _join_task(rows: list[Row], compare: Compare, priority: Priority, result: Joined) -> None:
    there, task = {row[_ID]: row for row in rows}, Task(rows)
    for row in task.told:
        _amend(result, row, RowState.KNOWN)
    for row, _ in task.repeated.values():
        _amend(result, row, RowState.REPEATED)
    for agent, rounds in task.agents.items():
        for row, one in rounds.repeats:
            _amend(result, row, RowState.REPREDICTED, one.number)
        for row, one in rounds.replaced:
            _amend(result, row, RowState.REPLACED, one.number)
        for one in rounds.rounds:
            state = RowState.ANSWERED if one.outcomes else RowState.WAITING
            _amend(result, one.prediction, state, one.number)
            for outcome, standing in _standings(one.outcomes, priority(agent)):
                made = there.get(joined_id(outcome[_ID], agent))
                if made is None:
                    result.new.append(_standing(_compared(one, outcome, compare), standing))
                else:
                    _restate(result, made, standing, one, outcome, compare)


def _standings(
    outcomes: list[Row], sources: Sequence[str]
) -> Iterable[tuple[Row, RowState | None]]:
    """Each outcome with its state among the others: None counts, the rest does not."""
    latest = {row[_SOURCE]: place for place, row in enumerate(outcomes)}
    rank = {source: place for place, source in enumerate(sources)}
    # The best source goes first; of those not named the one that spoke last.
    order = sorted(latest, key=lambda source: (rank.get(source, len(rank)), -latest[source]))
    for place, row in enumerate(outcomes):
        if latest[row[_SOURCE]] != place:
            yield row, RowState.CORRECTED
        else:
            yield row, None if row[_SOURCE] == order[0] else RowState.SUPERSEDED


def _compared(one: Round, outcome: Row, compare: Compare) -> Row:
    prediction = one.prediction
    scored = compare(
        prediction[_AGENT],
        _decode(prediction[_PREDICTED]),
        _decode(outcome[_ACTUAL]),
        prediction[_CONFIDENCE],
    )
    return (
        joined_id(outcome[_ID], prediction[_AGENT]),
        *prediction[1:_AT],
        outcome[_AT],
        prediction[_TASK],
        prediction[_PREDICTED],
        outcome[_ACTUAL],
        *scored_fields(scored, outcome[_SOURCE]),
        _both(prediction[_METADATA], outcome[_METADATA]),
        int(SCORED_STATES[scored.state].joined),
        *said_fields(scored),
        one.number,
        prediction[_ID],
        outcome[_STAMPED],
    )


def _both(prediction: str | None, outcome: str | None) -> str | None:
    """The metadata of both."""
    if prediction is None or outcome is None:
        return prediction or outcome
    return msgspec.json.encode(_decode(prediction) | _decode(outcome)).decode()


def _restate(
    result: Joined,
    row: Row,
    standing: RowState | None,
    one: Round,
    outcome: Row,
    compare: Compare,
) -> None:
    """A measurement that is there already may have lost its standing, or won it, or its round."""
    if not is_of(row, one.prediction):
        result.amended.append((row, _standing(_compared(one, outcome, compare), standing)))
    elif standing is not None:
        _amend(result, row, standing, one.number)
    elif row[_STATE] not in (RowState.SUPERSEDED, RowState.CORRECTED):
        _amend(result, row, row[_STATE], one.number)
    elif row[_SCORE] != NO_SCORE:
        _amend(result, row, RowState.JOINED_MEASURED, one.number)
    else:
        result.amended.append((row, _compared(one, outcome, compare)))


def _amend(result: Joined, row: Row, state: RowState, number: int | None = None) -> None:
    number = row[_ROUND] if number is None else number
    if (row[_STATE], row[_ROUND]) != (state, number):
        after = _in(row, state)
        result.amended.append((row, (*after[:_ROUND], number, *after[_ROUND + 1 :])))


def _standing(row: Row, standing: RowState | None) -> Row:
    return row if standing is None else _in(row, standing)


def _in(row: Row, state: RowState) -> Row:
    return (*row[:_STATE], int(state), *row[_STATE + 1 :])


def scored_again(row: Row, compare: Compare) -> Row:
    """A measurement as it is when its scorer has answered at last."""
    scored = compare(row[_AGENT], _decode(row[_PREDICTED]), _decode(row[_ACTUAL]), row[_CONFIDENCE])
    state = SCORED_STATES[scored.state]
    return (
        *row[:_SCORE],
        *scored_fields(scored, row[_SOURCE]),
        row[_METADATA],
        int(state.joined if row[_STATE] >= RowState.JOINED_MEASURED else state),
        *said_fields(scored),
        *row[_ROUND:],
    )


def tasks_of(rows: Iterable[Row]) -> list[tuple[Any, Any]]:
    """The tasks of predictions and outcomes that were not compared yet."""
    fresh = (RowState.WAITING, RowState.TOLD)
    return list(dict.fromkeys((row[_TENANT], row[_TASK]) for row in rows if row[_STATE] in fresh))
