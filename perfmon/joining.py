"""Predictions meet their outcomes: in any order, across restarts, several sources for a task.

Pure: from what storage has of a task follows what shall be there. Doing it again changes
nothing, so that it may be done after a crash, and in two processes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from perfmon.equality import same_value
from perfmon.measurements import (
    ANY_AGENT,
    MEASUREMENT_FIELDS,
    NO_SCORE,
    SCORED_STATES,
    Compare,
    Row,
    State,
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
_PREDICTIONS = (State.WAITING, State.ANSWERED)
_OUTCOMES = (State.TOLD, State.KNOWN, State.REPEATED)
_decode = msgspec.json.decode
Priority = Callable[[str], Sequence[str]]
"""The sources of an agent in the order in which they are believed."""


class Joined(NamedTuple):
    """What is new, and what was there and is to change: as it was read, and as it shall be."""

    new: list[Row]
    amended: list[tuple[Row, Row]]


def joined(rows: Iterable[Row], compare: Compare, priority: Priority) -> Joined:
    """What comes of all that is known of some tasks (rows of several, in order of time)."""
    result = Joined([], [])
    ordered = sorted(rows, key=lambda row: (row[_TENANT], row[_TASK]))
    for _, of_task in groupby(ordered, key=lambda row: (row[_TENANT], row[_TASK])):
        _join_task(list(of_task), compare, priority, result)
    return result


def _join_task(rows: list[Row], compare: Compare, priority: Priority, result: Joined) -> None:
    there = {row[_ID]: row for row in rows}
    outcomes = _told(rows, result)
    for prediction in rows:
        if prediction[_STATE] in _PREDICTIONS:
            mine = [row for row in outcomes if row[_AGENT] in (ANY_AGENT, prediction[_AGENT])]
            _amend(result, prediction, State.ANSWERED if mine else State.WAITING)
            for outcome, standing in _standings(mine, priority(prediction[_AGENT])):
                made = joined_id(outcome[_ID], prediction[_AGENT])
                if made not in there:
                    compared = _compared(made, prediction, outcome, compare)
                    result.new.append(compared if standing is None else _in(compared, standing))
                else:
                    _restate(result, there[made], standing, prediction, outcome, compare)


def _told(rows: list[Row], result: Joined) -> list[Row]:
    """The outcomes, without those that say what their source had said last."""
    kept: list[Row] = []
    # What each source said last: of everybody, and of single agents since.
    said: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row[_STATE] not in _OUTCOMES:
            continue
        before = said.setdefault(row[_SOURCE], {})
        # What was compared stays so; what was a repeat is none if an outcome comes in between.
        if row[_STATE] != State.KNOWN and _is_repeat(row, before):
            _amend(result, row, State.REPEATED)
            continue
        _amend(result, row, State.KNOWN)
        kept.append(row)
        if row[_AGENT] == ANY_AGENT:
            before.clear()
        before[row[_AGENT]] = row
    return kept


def _is_repeat(row: Row, before: dict[str, Row]) -> bool:
    if row[_AGENT] == ANY_AGENT:
        return ANY_AGENT in before and all(_same(one, row) for one in before.values())
    last = before.get(row[_AGENT], before.get(ANY_AGENT))
    return last is not None and _same(last, row)


def _same(one: Row, other: Row) -> bool:
    # The order of keys does not matter, nor whether 1 is written 1.0; true is not 1.
    return one[_ACTUAL] == other[_ACTUAL] or same_value(
        _decode(one[_ACTUAL]), _decode(other[_ACTUAL])
    )


def _standings(outcomes: list[Row], sources: Sequence[str]) -> Iterable[tuple[Row, State | None]]:
    """Each outcome with what it is besides others: None counts, the rest does not."""
    latest = {row[_SOURCE]: place for place, row in enumerate(outcomes)}
    rank = {source: place for place, source in enumerate(sources)}
    # The best source goes first; of those not named the one that spoke last.
    order = sorted(latest, key=lambda source: (rank.get(source, len(rank)), -latest[source]))
    for place, row in enumerate(outcomes):
        if latest[row[_SOURCE]] != place:
            yield row, State.CORRECTED
        else:
            yield row, None if row[_SOURCE] == order[0] else State.SUPERSEDED


def _compared(made: str, prediction: Row, outcome: Row, compare: Compare) -> Row:
    scored = compare(
        prediction[_AGENT],
        _decode(prediction[_PREDICTED]),
        _decode(outcome[_ACTUAL]),
        prediction[_CONFIDENCE],
    )
    return (
        made,
        *prediction[1:_AT],
        outcome[_AT],
        prediction[_TASK],
        prediction[_PREDICTED],
        outcome[_ACTUAL],
        *scored_fields(scored, outcome[_SOURCE]),
        _both(prediction[_METADATA], outcome[_METADATA]),
        int(SCORED_STATES[scored.state].joined),
        *said_fields(scored),
    )


def _both(prediction: str | None, outcome: str | None) -> str | None:
    """The metadata of both."""
    if prediction is None or outcome is None:
        return prediction or outcome
    return msgspec.json.encode(_decode(prediction) | _decode(outcome)).decode()


def _restate(
    result: Joined,
    row: Row,
    standing: State | None,
    prediction: Row,
    outcome: Row,
    compare: Compare,
) -> None:
    """A measurement that is there already may have lost its standing, or won it."""
    if standing is not None:
        _amend(result, row, standing)
    elif row[_STATE] in (State.SUPERSEDED, State.CORRECTED):
        if row[_SCORE] != NO_SCORE:
            _amend(result, row, State.JOINED_MEASURED)
        else:
            result.amended.append((row, _compared(row[_ID], prediction, outcome, compare)))


def _amend(result: Joined, row: Row, state: State) -> None:
    if row[_STATE] != state:
        result.amended.append((row, _in(row, state)))


def _in(row: Row, state: State) -> Row:
    return (*row[:_STATE], int(state), *row[_STATE + 1 :])


def scored_again(row: Row, compare: Compare) -> Row:
    """A measurement as it is when its scorer has answered at last."""
    scored = compare(row[_AGENT], _decode(row[_PREDICTED]), _decode(row[_ACTUAL]), row[_CONFIDENCE])
    state = SCORED_STATES[scored.state]
    return (
        *row[:_SCORE],
        *scored_fields(scored, row[_SOURCE]),
        row[_METADATA],
        int(state.joined if row[_STATE] >= State.JOINED_MEASURED else state),
        *said_fields(scored),
    )


def tasks_of(rows: Iterable[Row]) -> list[tuple[Any, Any]]:
    """The tasks of predictions and outcomes that were not compared yet."""
    fresh = (State.WAITING, State.TOLD)
    return list(dict.fromkeys((row[_TENANT], row[_TASK]) for row in rows if row[_STATE] in fresh))
