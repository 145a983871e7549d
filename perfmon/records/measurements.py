"""Measurements, predictions and outcomes as rows of one kind, and what each may contain.

A prediction waits for its outcome, an outcome is recorded before or after it, and a measurement is
the two compared. All three are passed around and stored as rows of `MEASUREMENT_FIELDS` in
different states.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from hashlib import blake2s
from typing import Any, NamedTuple

from perfmon.errors import InvalidRun
from perfmon.records.stamps import AssumedTime
from perfmon.records.validation import (
    MAX_ID,
    as_read,
    cut_text,
    json_text,
    metadata_text,
    optional_text,
    share,
    stamp,
    task_type_of,
    text,
)

MEASUREMENT_FIELDS = (
    "measurement_id", "tenant", "agent_name", "agent_type", "model", "task_type",
    "timestamp", "task_id", "predicted_outcome", "actual_outcome", "accuracy_score",
    "feedback_source", "scorer", "confidence", "metadata", "state", "correct", "note",
    "scoring_cost", "round", "prediction_id", "stamped",
)  # fmt: skip
MAX_OUTCOME = 1_048_576
MAX_NOTE = 1_000
NO_OUTCOME = ""  # no JSON value is empty text
NO_SCORE = -1.0
ANY_AGENT = ""  # no agent has an empty name
Row = tuple[Any, ...]


# What a caller may give of each.
_COMMON = ("agent_name", "task_id", "metadata", "tenant", "timestamp")
MEASUREMENT_ARGUMENTS = (
    *_COMMON, "predicted_outcome", "actual_outcome", "feedback_source", "confidence", "model",
    "task_type", "measurement_id",
)  # fmt: skip
PREDICTION_ARGUMENTS = (*_COMMON, "predicted_outcome", "confidence", "model", "task_type")
OUTCOME_ARGUMENTS = (*_COMMON, "actual_outcome", "feedback_source", "outcome_id")


class Stamped(enum.IntEnum):
    """Who said when a row happened."""

    GIVEN = 0  # its caller
    HERE = 1  # the clock, when it was recorded
    ASSUMED = 2  # an import, of a row without a clock: the next one may assume another time


_GIVEN, _HERE, _ASSUMED = map(int, Stamped)  # plain numbers, as every storage takes them


class RowState(enum.IntEnum):
    """The state of a measurements row. From `JOINED_MEASURED` on it came from a prediction."""

    MEASURED = 0  # given with its outcome
    UNMAPPED = 1  # no field of the prediction is one of the outcome
    SCORING = 2  # waiting for a remote scorer
    FAILED = 3  # and never did
    WAITING = 4  # a prediction without an outcome
    ANSWERED = 5  # a prediction with one
    TOLD = 6  # an outcome that was not compared yet
    REPEATED = 7  # an outcome that was told before
    JOINED_MEASURED = 8
    JOINED_UNMAPPED = 9
    JOINED_SCORING = 10
    JOINED_FAILED = 11
    SUPERSEDED = 12  # another source's outcome of the task goes before
    CORRECTED = 13  # the same source told another outcome later
    KNOWN = 14  # an outcome that was compared, or has no prediction yet
    REPREDICTED = 15  # a prediction that was made before
    REPLACED = 16  # a prediction that its agent replaced before the outcome

    @property
    def word(self) -> str:
        """As people read it."""
        return _WORDS[self]

    @property
    def joined(self) -> RowState:
        """The same state of a measurement that came from a prediction."""
        return RowState(self + RowState.JOINED_MEASURED) if self <= RowState.FAILED else self


_WORDS = {
    RowState.MEASURED: "measured", RowState.UNMAPPED: "unmapped", RowState.SCORING: "scoring",
    RowState.FAILED: "failed", RowState.WAITING: "waiting", RowState.ANSWERED: "answered",
    RowState.TOLD: "outcome", RowState.REPEATED: "repeated", RowState.JOINED_MEASURED: "measured",
    RowState.JOINED_UNMAPPED: "unmapped", RowState.JOINED_SCORING: "scoring",
    RowState.JOINED_FAILED: "failed", RowState.SUPERSEDED: "superseded",
    RowState.CORRECTED: "corrected", RowState.KNOWN: "outcome",
    RowState.REPREDICTED: "repeated", RowState.REPLACED: "replaced",
}  # fmt: skip
MEASURED_STATES = frozenset((RowState.MEASURED, RowState.JOINED_MEASURED))
MEASUREMENT_STATES = tuple(_WORDS[state] for state in sorted(RowState))
"""What the numbers of a row's state stand for."""


class Scored(NamedTuple):
    """The result of scoring a prediction.

    Attributes:
        score: in [0, 1], or NaN in any other state than `measured`.
        scorer: the plugin that answered, or that is to be asked; several of them joined by `+`.
        state: `measured`; `unmapped`, where the two share no field and no mapping says which
            belong together; `scoring`, where a remote scorer must be waited for; `failed`, where
            that one gave no answer.
        confidence: of the prediction, in [0, 1]: the scorer's, else the caller's, else what was
            a field of the prediction.
        correct: 1 or 0 where the scorer says whether what was forecast happened.
        note: a scorer's reason, the fields to map, or why it failed.
        cost: what the scoring itself cost, in US dollars.
    """

    score: float
    scorer: str
    state: str = "measured"
    confidence: float | None = None
    correct: float | None = None
    note: str | None = None
    cost: float | None = None


SCORED_STATES = {state.word: state for state in RowState if state <= RowState.FAILED}
Compare = Callable[[str, Any, Any, float | None], Scored]


def checked_measurement(
    fields: Mapping[str, Any], now_us: int | None, compare: Compare | None = None
) -> Row:
    """The row of a measurement, in the order of `MEASUREMENT_FIELDS`, or `InvalidRun`.

    `compare` is asked where the fields have no `accuracy_score`. It sees outcomes that are
    known to be JSON values, so that it need not fear a circle.
    """
    predicted = json_text("predicted_outcome", fields["predicted_outcome"], MAX_OUTCOME)
    actual = json_text("actual_outcome", fields["actual_outcome"], MAX_OUTCOME)
    agent_name = text("agent_name", fields["agent_name"])
    confidence = share("confidence", fields.get("confidence"))
    given = fields.get("accuracy_score")
    if given is None and compare is not None:
        scored = compare(
            agent_name,
            as_read(fields["predicted_outcome"], predicted),
            as_read(fields["actual_outcome"], actual),
            confidence,
        )
    else:
        scored = _given(fields, given, confidence)
    return (
        text("measurement_id", fields["measurement_id"], MAX_ID),
        text("tenant", _tenant(fields)),
        agent_name,
        None,
        cut_text("model", fields.get("model")),
        task_type_of(fields),
        stamp("timestamp", fields.get("timestamp"), now_us),
        text("task_id", fields["task_id"], MAX_ID),
        predicted,
        actual,
        *scored_fields(scored, _source(fields)),
        metadata_text("metadata", fields.get("metadata")),
        int(SCORED_STATES[scored.state]),
        *said_fields(scored),
        None,
        None,
        _stamped(fields),
    )


def scored_fields(scored: Scored, source: str) -> tuple[float, str, str, float | None]:
    """Score, source, scorer and confidence, as a row has them."""
    score = scored.score
    known = NO_SCORE if score != score else float(score)  # noqa: PLR0124 - NaN
    return known, source, scored.scorer, _plain(scored.confidence)


def said_fields(scored: Scored) -> tuple[float | None, str | None, float | None]:
    """How right it was, the note and the cost, as a row has them."""
    note = scored.note
    if note is not None:
        # A scorer may quote anything; no storage takes NUL, nor half a surrogate pair.
        note = note[:MAX_NOTE].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return _plain(scored.correct), note, _plain(scored.cost)


def _plain(number: float | None) -> float | None:
    """A scorer's truth or numpy number as a float, the one kind that every storage takes."""
    return None if number is None else float(number)


def _given(fields: Mapping[str, Any], given: Any, confidence: float | None) -> Scored:
    """A score given by the caller."""
    score = share("accuracy_score", given)
    if score is None:
        raise InvalidRun("accuracy_score", None, "a number in [0, 1]")
    return Scored(score, optional_text("scorer", fields.get("scorer")), confidence=confidence)  # type: ignore[arg-type]


def prediction_row(fields: Mapping[str, Any], now_us: int) -> Row:
    """The row of a prediction that waits for its outcome, or `InvalidRun`."""
    tenant = text("tenant", _tenant(fields))
    agent_name = text("agent_name", fields["agent_name"])
    task_id = text("task_id", fields["task_id"], MAX_ID)
    model, task_type = cut_text("model", fields.get("model")), task_type_of(fields)
    at = stamp("timestamp", fields.get("timestamp"), now_us)
    predicted = json_text("predicted_outcome", fields["predicted_outcome"], MAX_OUTCOME)
    confidence = share("confidence", fields.get("confidence"))
    metadata = metadata_text("metadata", fields.get("metadata"))
    stamped = _stamped(fields)
    when = "" if stamped == Stamped.ASSUMED else str(at)
    sure = "" if confidence is None else repr(float(confidence))
    said = predicted, sure, model or "", task_type or "", metadata or ""
    return (
        _prediction_id(tenant, agent_name, task_id, when, *said),
        tenant,
        agent_name,
        None,
        model,
        task_type,
        at,
        task_id,
        predicted,
        NO_OUTCOME,
        NO_SCORE,
        "",
        None,
        confidence,
        metadata,
        int(RowState.WAITING),
        None,
        None,
        None,
        1,  # until it is known better
        None,
        stamped,
    )


def outcome_row(fields: Mapping[str, Any], now_us: int) -> Row:
    """The row of an outcome as it was recorded, or `InvalidRun`."""
    agent_name = fields.get("agent_name")
    return (
        text("outcome_id", fields["outcome_id"], MAX_ID),
        text("tenant", _tenant(fields)),
        ANY_AGENT if agent_name is None else text("agent_name", agent_name),
        None,
        None,
        None,
        stamp("timestamp", fields.get("timestamp"), now_us),
        text("task_id", fields["task_id"], MAX_ID),
        NO_OUTCOME,
        json_text("actual_outcome", fields["actual_outcome"], MAX_OUTCOME),
        NO_SCORE,
        _source(fields),
        None,
        None,
        metadata_text("metadata", fields.get("metadata")),
        int(RowState.TOLD),
        None,
        None,
        None,
        None,
        None,
        _stamped(fields),
    )


def _source(fields: Mapping[str, Any]) -> str:
    return cut_text("feedback_source", fields.get("feedback_source")) or "user"


def _tenant(fields: Mapping[str, Any]) -> Any:
    given = fields.get("tenant")
    return "default" if given is None else given


def _stamped(fields: Mapping[str, Any]) -> int:
    given = fields.get("timestamp")
    if given is None:
        return _HERE
    return _ASSUMED if type(given) is AssumedTime else _GIVEN


def _prediction_id(*parts: str) -> str:
    """What was predicted of a task and when: the same row has the same id, however often it comes.

    Whether a prediction is another one or a repeat is for `perfmon.accuracy.rounds` to say.
    """
    return "prediction:" + _digest(*parts)


def told_id(tenant: str, agent_name: str, task_id: str, outcome_id: str) -> str:
    """An outcome's id is its teller's own: the same one may name others, of other tasks."""
    return "outcome:" + _digest(tenant, agent_name, task_id, outcome_id)


def joined_id(outcome_id: str, agent_name: str) -> str:
    """The measurement of an agent's prediction and an outcome: however often it is made."""
    return "joined:" + _digest(outcome_id, agent_name)


def _digest(*parts: str) -> str:
    return blake2s("\0".join(parts).encode(), digest_size=16).hexdigest()


def padded(row: Row) -> Row:
    """A row as an older version left it in its journal, with what was added since."""
    missing = len(MEASUREMENT_FIELDS) - len(row)
    if missing == len(_FIRST_ADDED) + _THEN_ADDED:
        row, missing = (*row, *_FIRST_ADDED), _THEN_ADDED
    if missing == _THEN_ADDED:
        is_prediction = row[MEASUREMENT_FIELDS.index("state")] == RowState.WAITING
        return (*row, 1 if is_prediction else None, None, int(Stamped.GIVEN))
    return row


_FIRST_ADDED = (int(RowState.MEASURED), None, None, None)
_THEN_ADDED = 3
