"""The storage contract for measurements: stored, amended, found, and awaiting outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmon.records import Scope
from perfmon.records.measurements import ANY_AGENT, MEASUREMENT_FIELDS, NO_SCORE, RowState
from perfmon.storage.storage import FoundBy, Row
from perfmon.testing.rows import START_US, make_measurements
from perfmon.testing.stored import (
    assert_same_cells,
    cells_of,
    expected_cells,
    measurements_of,
    stored,
)
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Stat
from perfmon.window.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfmon.storage.storage import Storage

_TASK, _SCORE, _SOURCE, _STATE = (
    MEASUREMENT_FIELDS.index(name)
    for name in ("task_id", "accuracy_score", "feedback_source", "state")
)
_MODEL, _ROUND = MEASUREMENT_FIELDS.index("model"), MEASUREMENT_FIELDS.index("round")


def _stated(row: Row, state: RowState) -> Row:
    return (*row[:_STATE], int(state), *row[_STATE + 1 :])


def _answered(rows: list[Row]) -> list[tuple[Row, Row]]:
    return [(row, _stated(row, RowState.ANSWERED)) for row in rows]


class MeasurementStorageContract:
    """What `perfmon.Storage` says of measurements, a test each."""

    def test_measurements(self, open_storage: Callable[[], Storage]) -> None:
        """Measurements are kept, found and told apart by their id as runs are."""
        storage, rows = open_storage(), make_measurements(100)
        assert stored(storage, measurements=rows[:60]).measurements.all()
        told = stored(storage, measurements=[*rows, rows[99]])
        assert told.measurements.tolist() == [False] * 60 + [True] * 40 + [False]
        assert measurements_of(storage) == rows
        scope = Scope(agent_name="agent-1", model="large")
        inside = [row for row in rows if row[2] == "agent-1" and row[4] == "large"]
        assert measurements_of(storage, scope) == inside

    def test_amendments(self, open_storage: Callable[[], Storage]) -> None:
        """A measurement gets its new version, once, and its cells follow."""
        storage, rows = open_storage(), make_measurements(40)
        waiting = [_stated(row, RowState.WAITING) for row in rows]
        stored(storage, measurements=waiting)
        assert storage.waiting(Scope()) == (40, START_US)
        assert storage.waiting(Scope(agent_name="agent-1"))[0] < 40
        pairs = [(row, _stated(row, RowState.ANSWERED)) for row in waiting[:30]]
        told = storage.store(Batch([], [], Vocabulary(), pairs))
        assert told.amended.tolist() == [True] * 30
        # Whoever read the old version as well comes too late.
        again = storage.store(Batch([], [], Vocabulary(), [*pairs[:3], *_answered(waiting[30:])]))
        assert again.amended.tolist() == [False] * 3 + [True] * 10
        after = [_stated(row, RowState.ANSWERED) for row in rows]
        assert measurements_of(storage) == after
        assert_same_cells(cells_of(storage), expected_cells((), after))
        assert storage.waiting(Scope()) == (0, None)

    def test_amended_once_for_each_prediction(self, open_storage: Callable[[], Storage]) -> None:
        """A measurement that is of another prediction now is not amended as of the first."""
        storage, (row,) = open_storage(), make_measurements(1)
        first = (*_stated(row, RowState.JOINED_MEASURED)[:_ROUND], 1, "p1", 0)
        second = (*first[:_MODEL], "other", *first[_MODEL + 1 : _ROUND], 2, "p2", 0)
        stored(storage, measurements=[first])
        told = [storage.store(Batch([], [], Vocabulary(), [(first, second)])) for _ in range(2)]
        assert [one.amended.tolist() for one in told] == [[True], [False]]
        assert measurements_of(storage) == [second]
        cells = cells_of(storage)
        models = [cells.vocabulary.keys.values[key].model for key in cells.keys]
        counts = dict(zip(models, cells.stats[:, Stat.ACCURACY_N].tolist(), strict=True))
        assert counts.pop("other") == 1
        assert not any(counts.values())

    def test_ids(self, open_storage: Callable[[], Storage]) -> None:
        """Rows of any state are found by their ids, and what is not there is left out."""
        storage, rows = open_storage(), make_measurements(len(RowState))
        rows = [_stated(row, RowState(place)) for place, row in enumerate(rows)]
        stored(storage, measurements=rows)
        wanted = [rows[9], rows[4], rows[0]]
        assert sorted(storage.read_ids([*(row[0] for row in wanted), "none"])) == sorted(wanted)
        assert storage.read_ids([]) == []

    def test_an_amended_score(self, open_storage: Callable[[], Storage]) -> None:
        """A score that comes later is kept with its scorer, note and cost, and counts."""
        storage, rows = open_storage(), make_measurements(20)
        unscored = [
            (
                *(*row[:_SCORE], NO_SCORE, *row[_SCORE + 1 : _STATE], int(RowState.SCORING)),
                *(*[None] * 3, *row[_STATE + 4 :]),
            )
            for row in rows
        ]
        stored(storage, measurements=unscored)
        assert storage.read_unscored(5) == unscored[:5]
        told = storage.store(Batch([], [], Vocabulary(), list(zip(unscored, rows, strict=True))))
        assert told.amended.all()
        assert (measurements_of(storage), storage.read_unscored(5)) == (rows, [])
        assert_same_cells(cells_of(storage), expected_cells((), rows))

    def test_tasks(self, open_storage: Callable[[], Storage]) -> None:
        """Predictions and outcomes of a task are found by its ID; what is measured is not."""
        storage = open_storage()
        one, two, three = make_measurements(3)
        told = ("told", "default", ANY_AGENT, *_stated(one, RowState.TOLD)[3:])
        rows = [_stated(one, RowState.WAITING), told, _stated(two, RowState.WAITING), three]
        stored(storage, measurements=rows)
        task = rows[0][_TASK]
        assert storage.read_tasks([("default", task)]) == rows[:2]
        assert storage.read_tasks([(None, task), ("default", rows[2][_TASK])]) == rows[:3]
        assert storage.read_tasks([("other", task), ("default", rows[3][_TASK])]) == []
        assert storage.open_tasks() == [("default", task)]
        storage.store(Batch([], [], Vocabulary(), [(rows[1], _stated(rows[1], RowState.KNOWN))]))
        assert storage.open_tasks() == [("default", task)]
        storage.store(Batch([], [], Vocabulary(), _answered(rows[:1])))
        assert storage.open_tasks() == []
        names = {agent.agent_name for agent in storage.known_agents()}
        assert names == {row[2] for row in rows} - {ANY_AGENT}

    def test_finding_measurements(self, open_storage: Callable[[], Storage]) -> None:
        """Newest or worst first, by source, task and state; predictions are none."""
        storage, rows = open_storage(), make_measurements(60)
        rows = [_stated(row, RowState(place % 5)) for place, row in enumerate(rows)]
        rows = [(*r[:_SOURCE], "audit", *r[_SOURCE + 1 :]) if r[_SCORE] > 0.5 else r for r in rows]
        stored(storage, measurements=rows)
        find, everything = storage.find_measurements, (START_US, START_US + 9 * HOUR, Scope())
        there = [row for row in rows if row[_STATE] != RowState.WAITING][::-1]
        audits = [row for row in there if row[_SOURCE] == "audit"]
        unmapped = [row for row in there if row[_STATE] == RowState.UNMAPPED]
        assert find(*everything, FoundBy()) == there
        assert find(*everything, FoundBy(limit=7)) == there[:7]
        assert find(*everything, FoundBy(source="audit")) == audits
        assert find(*everything, FoundBy(state="unmapped")) == unmapped
        assert find(*everything, FoundBy(task_id=there[3][_TASK])) == [there[3]]
        assert find(*everything, FoundBy(state="unmapped", worst=True)) == []
        worst = find(*everything, FoundBy(worst=True, limit=5))
        counted = sorted(row[_SCORE] for row in there if row[_STATE] == 0)
        assert [row[_SCORE] for row in worst] == counted[:5]

    def test_disputes(self, open_storage: Callable[[], Storage]) -> None:
        """Tasks that several sources measured come together, the newest first, and no others."""
        storage, rows = open_storage(), make_measurements(6)
        task = ("default", "agent", None, None, None)
        older, newer = (
            [
                (f"{name}{n}", *task, at + n, name, *row[8:_SOURCE], source, *row[_SOURCE + 1 :])
                for n, (row, source) in enumerate(
                    zip(rows, ("user", "audit", "user"), strict=False)
                )
            ]
            for name, at in (("z", START_US), ("t", START_US + 10))
        )
        stored(storage, measurements=[*newer, *older, *rows[3:]])
        hour = START_US, START_US + HOUR, Scope()
        assert storage.read_disputed(*hour, 10) == [newer, older]
        assert storage.read_disputed(*hour, 1) == [newer]
        assert storage.read_disputed(START_US, START_US + 1, Scope(), 10) == []

    def test_what_waits_is_kept(self, open_storage: Callable[[], Storage]) -> None:
        """Predictions, outcomes and what came of them stay as long as cells."""
        storage, rows = open_storage(), make_measurements(len(RowState))
        rows = [_stated(row, RowState(place)) for place, row in enumerate(rows)]
        stored(storage, measurements=rows)
        later = START_US + 9 * HOUR
        assert storage.purge(later, START_US - HOUR) == 4
        assert [row[_STATE] for row in measurements_of(storage)] == list(range(4, len(RowState)))
        storage.purge(later, later)
        assert measurements_of(storage) == []
