"""Rounds of a task: each prediction an agent makes of it, with the outcomes that belong to it.

Ids of tasks come again: row numbers every night, answers that are tried twice. A prediction with
the content of the one before it is a repeat within 24 hours of it; with other content it replaces
the one before it, as long as it has no outcome yet. Anything else begins a new round,
and an outcome is about the latest round of its time. Pure, as `perfmon.accuracy.tasks` is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import attrs
import msgspec

from perfmon.records.equality import same_value
from perfmon.records.measurements import (
    ANY_AGENT,
    MEASUREMENT_FIELDS,
    Row,
    RowState,
    Stamped,
    joined_id,
)

DAY_US = 24 * 60 * 60 * 1_000_000
_F = {name: place for place, name in enumerate(MEASUREMENT_FIELDS)}
_ID, _TENANT, _AGENT, _AT, _TASK = (
    _F[name] for name in ("measurement_id", "tenant", "agent_name", "timestamp", "task_id")
)
_PREDICTED, _ACTUAL, _METADATA = (
    _F[name] for name in ("predicted_outcome", "actual_outcome", "metadata")
)
_SOURCE, _STATE = _F["feedback_source"], _F["state"]
_ROUND, _PREDICTION, _STAMPED = (_F[name] for name in ("round", "prediction_id", "stamped"))
_PLAIN = tuple(_F[name] for name in ("confidence", "model", "task_type"))
PREDICTIONS = frozenset(
    (RowState.WAITING, RowState.ANSWERED, RowState.REPREDICTED, RowState.REPLACED)
)
OUTCOMES = frozenset((RowState.TOLD, RowState.KNOWN, RowState.REPEATED))
_decode = msgspec.json.decode


@attrs.define(eq=False)
class Round:
    """One prediction that counts, and the outcomes recorded for it, in their order.

    Attributes:
        number: from 1 on, by agent and task.
    """

    number: int
    prediction: Row
    outcomes: list[Row]


@attrs.define(eq=False)
class Rounds:
    """What one agent predicted of a task: rounds, and what is none."""

    rounds: list[Round] = attrs.Factory(list)
    replaced: list[tuple[Row, Round]] = attrs.Factory(list)
    repeats: list[tuple[Row, Round]] = attrs.Factory(list)

    def take(self, row: Row, early: Sequence[Row], first: int) -> bool:
        """The next prediction; whether it begins a round after others."""
        if not self.rounds:
            self.rounds.append(Round(first, row, list(early)))
            return first > 1
        now = self.rounds[-1]
        if _same_prediction(now.prediction, row):
            if row[_AT] - now.prediction[_AT] <= DAY_US:
                self.repeats.append((row, now))
                return False
        elif not now.outcomes:
            self.replaced.append((now.prediction, now))
            now.prediction = row
            return False
        self.rounds.append(Round(now.number + 1, row, []))
        return True


class Task:
    """All that is known of one task of one tenant.

    Args:
        rows: predictions, outcomes and measurements in the order in which they were stored.

    Attributes:
        agents: by name, those that predicted it.
        told: the outcomes, without those that say what their source had said last.
        repeated: these, each with the number of the round that it repeats an outcome of.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.agents: dict[str, Rounds] = {}
        self.told: list[Row] = []
        self.repeated: dict[str, tuple[Row, int | None]] = {}
        self._there = {row[_ID]: row for row in rows}
        # What each source said last: of everybody, and of single agents since. None is nothing
        # yet in an agent's new round.
        self._said: dict[str, dict[str, Row | None]] = {}
        for row in _in_order(rows):
            if row[_STATE] in PREDICTIONS:
                self._predicted(row)
            else:
                self._tell(row)

    def _predicted(self, row: Row) -> None:
        agent = row[_AGENT]
        rounds = self.agents.setdefault(agent, Rounds())
        early, first = ([], 1) if rounds.rounds else self._early(row)
        if rounds.take(row, early, first):
            for before in self._said.values():
                before[agent] = None

    def _early(self, row: Row) -> tuple[list[Row], int]:
        """The outcomes recorded before the first prediction, and the number of its round.

        Those that were compared belong to rounds that are forgotten by now.
        """
        early, first = [], row[_ROUND] or 1
        for outcome in self.told:
            if outcome[_AGENT] in (ANY_AGENT, row[_AGENT]):
                made = self._there.get(joined_id(outcome[_ID], row[_AGENT]))
                if made is None or is_of(made, row) or made[_PREDICTION] in self._there:
                    early.append(outcome)
                else:
                    first = max(first, (made[_ROUND] or 1) + 1)
        return early, first

    def _tell(self, row: Row) -> None:
        before = self._said.setdefault(row[_SOURCE], {})
        # What was compared stays so; what was a repeat is none if an outcome comes in between.
        if row[_STATE] != RowState.KNOWN and _is_repeat(row, before):
            self.repeated[row[_ID]] = row, self._number(row)
            return
        self.told.append(row)
        if row[_AGENT] == ANY_AGENT:
            before.clear()
        before[row[_AGENT]] = row
        for rounds in self._theirs(row):
            rounds.rounds[-1].outcomes.append(row)

    def _theirs(self, outcome: Row) -> list[Rounds]:
        if outcome[_AGENT] == ANY_AGENT:
            return list(self.agents.values())
        return [self.agents[outcome[_AGENT]]] if outcome[_AGENT] in self.agents else []

    def _number(self, outcome: Row) -> int | None:
        return max((found.rounds[-1].number for found in self._theirs(outcome)), default=None)


def is_of(measurement: Row, prediction: Row) -> bool:
    """Whether this is the prediction that was compared."""
    named = measurement[_PREDICTION]
    if named is None:  # older versions did not say
        return bool(measurement[_PREDICTED] == prediction[_PREDICTED])
    return bool(named == prediction[_ID])


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Predictions and outcomes in the order of their times, those of one time as they were stored.

    Who dates an outcome by the day that it is about says that it came before its prediction.
    Where nothing else is left for it, it comes after the prediction that was there already when
    it was recorded.
    """
    made = _Made(row for row in rows if row[_STATE] in PREDICTIONS)
    found: list[tuple[int, Row]] = []
    for row in rows:
        if row[_STATE] in PREDICTIONS:
            made.see(row)
            found.append((row[_AT], row))
        elif row[_STATE] in OUTCOMES:
            found.append((made.moment_of(row), row))
    found.sort(key=lambda item: item[0])
    return [row for _, row in found]


class _Made:
    """The predictions of a task: those of all times, and those that were stored so far."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._of: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda row: row[_AT]):
            for agent in (ANY_AGENT, row[_AGENT]):
                self._of.setdefault(agent, []).append(row)
        # The newest by this clock; what callers stamp may come in any order.
        self._seen: dict[str, Row] = {}
        self._claimed: set[tuple[str, str]] = set()

    def see(self, row: Row) -> None:
        if row[_STAMPED] == Stamped.HERE:
            for agent in (ANY_AGENT, row[_AGENT]):
                if agent not in self._seen or self._seen[agent][_AT] <= row[_AT]:
                    self._seen[agent] = row

    def moment_of(self, outcome: Row) -> int:
        """When an outcome counts as told."""
        at: int = outcome[_AT]
        agent, source = outcome[_AGENT], outcome[_SOURCE]
        made, last = self._of.get(agent, []), self._seen.get(agent)
        place = bisect_right(made, at, key=lambda row: row[_AT])
        own = made[place - 1] if place else None
        is_free = own is not None and (source, own[_ID]) not in self._claimed
        if last is not None and last[_AT] > at and not is_free:
            own, at = last, last[_AT]
        if own is not None:
            self._claimed.add((source, own[_ID]))
        return at


def _is_repeat(row: Row, before: Mapping[str, Row | None]) -> bool:
    if row[_AGENT] == ANY_AGENT:
        return ANY_AGENT in before and all(_says(one, row) for one in before.values())
    return _says(before.get(row[_AGENT], before.get(ANY_AGENT)), row)


def _says(one: Row | None, other: Row) -> bool:
    return one is not None and same_json(one[_ACTUAL], other[_ACTUAL])


def _same_prediction(one: Row, other: Row) -> bool:
    return (
        all(one[place] == other[place] for place in _PLAIN)
        and same_json(one[_PREDICTED], other[_PREDICTED])
        and same_json(one[_METADATA], other[_METADATA])
    )


def same_json(one: str | None, other: str | None) -> bool:
    """The order of keys does not matter, nor whether 1 is written 1.0; true is not 1."""
    if one == other:
        return True
    if not one or not other:
        return False
    return same_value(_decode(one), _decode(other))


def by_task(rows: Iterable[Row]) -> Iterable[tuple[tuple[Any, Any], list[Row]]]:
    """Rows of several tasks, those of each in the order in which they come."""
    ordered = sorted(rows, key=lambda row: (row[_TENANT], row[_TASK]))
    for task, of_task in groupby(ordered, key=lambda row: (row[_TENANT], row[_TASK])):
        yield task, list(of_task)


def repeats(known: Iterable[Row], fresh: Sequence[Row]) -> set[str]:
    """The ids of those fresh predictions that say again what was predicted before."""
    there = {row[_ID]: row for row in known}
    added = {row[_ID]: row for row in fresh if row[_ID] not in there}
    wanted = {
        (row[_TENANT], row[_TASK]) for row in added.values() if row[_STATE] == RowState.WAITING
    }
    rows = [
        row for row in (*there.values(), *added.values()) if (row[_TENANT], row[_TASK]) in wanted
    ]
    return {
        row[_ID]
        for _, of_task in by_task(rows)
        if len(of_task) > 1
        for rounds in Task(of_task).agents.values()
        for row, _ in rounds.repeats
        if row[_ID] in added
    }
