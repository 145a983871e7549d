"""The contract of `perfmon.Storage`: one test per sentence."""

from __future__ import annotations

import random
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from perfmon.errors import StorageError
from perfmon.records import CellKey, Scope
from perfmon.records.validation import RUN_FIELDS
from perfmon.storage.storage import ConflictCount, KnownAgent, Row, Storage, Stored
from perfmon.testing.alerts import AlertStorageContract, SharedAlertStorageContract
from perfmon.testing.measurements import MeasurementStorageContract
from perfmon.testing.rows import START_US, make_measurements, make_rows, run_row
from perfmon.testing.stored import (
    assert_same_cells,
    cells_of,
    expected_cells,
    measurements_of,
    runs_of,
    stored,
)
from perfmon.testing.threads import at_once, meanwhile
from perfmon.window.batch import Batch
from perfmon.window.cells import HOUR, Cells, Stat
from perfmon.window.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

_AT = RUN_FIELDS.index("timestamp")


class BrokenBatch(Batch):
    """Fails in the middle of its transaction, after its rows were put in."""

    def cells(self, *_: Any, **__: Any) -> Cells:
        raise StorageError("the disk is full")


class StorageContract(MeasurementStorageContract, AlertStorageContract):
    """Every sentence of `perfmon.Storage`, a test each.

    A subclass gives the fixture `open_storage`: a function that opens an empty storage.
    """

    odd_texts: ClassVar = (
        "it's", 'a "quote"', "back\\slash", "{1,2}", "NULL", "a\tb\nc", "ünïcödé 🦜", "%s ? :a",
    )  # fmt: skip

    def test_everything_stored_is_read_back(self, open_storage: Callable[[], Storage]) -> None:
        """Every field of every run comes back equal, oldest first."""
        storage, rows = open_storage(), make_rows(300)
        assert stored(storage, random.Random(1).sample(rows, 300)).runs.all()  # noqa: S311
        assert runs_of(storage) == rows

    def test_none_is_not_zero(self, open_storage: Callable[[], Storage]) -> None:
        """An unknown number comes back as None, and 0 as 0."""
        storage = open_storage()
        rows = [run_row("a"), run_row("b", duration_ms=0, cost=0.0, tokens_used=0, timed_out=True)]
        stored(storage, rows)
        assert runs_of(storage) == rows

    def test_large_numbers(self, open_storage: Callable[[], Storage]) -> None:
        """Amounts up to 1e15, counts up to 2**31 - 1 and the times of all years are kept."""
        storage = open_storage()
        rows = [
            run_row("a", tokens_used=10**15, cost=0.1 + 0.2, retries=2**31 - 1),
            run_row("b", timestamp=-62_135_510_399_999_999),
            run_row("c", timestamp=253_402_214_399_999_999, duration_ms=5e-324),
        ]
        stored(storage, rows)
        assert sorted(runs_of(storage)) == rows

    def test_odd_texts(self, open_storage: Callable[[], Storage]) -> None:
        """Quotes, backslashes, braces and all of Unicode are text like any other."""
        storage = open_storage()
        rows = [
            run_row(text, agent_name=text, model=text, error_type=text, task_id=text)
            for text in self.odd_texts
        ]
        stored(storage, rows)
        assert runs_of(storage) == rows

    def test_repeats_are_told_and_not_stored(self, open_storage: Callable[[], Storage]) -> None:
        """A row is new only once, in its batch and in later ones; the first occurrence wins."""
        storage = open_storage()
        first, other = run_row("a", cost=1.0), run_row("b", cost=2.0)
        told = stored(storage, [first, run_row("a", cost=9.0), other, other])
        assert told.runs.tolist() == [True, False, True, False]
        again = stored(storage, [other, run_row("c", cost=3.0), run_row("a", cost=8.0)])
        assert again.runs.tolist() == [False, True, False]
        assert [row[RUN_FIELDS.index("cost")] for row in runs_of(storage)] == [1.0, 2.0, 3.0]

    def test_conflicts_are_told_and_not_stored(self, open_storage: Callable[[], Storage]) -> None:
        """Of a run whose key is there with other content it is said which fields differ."""
        storage, rows = open_storage(), make_rows(900)
        cost = RUN_FIELDS.index("cost")
        others = [(*row[:cost], -1.0, *row[cost + 1 :]) for row in rows]
        told = stored(storage, [*rows[:600], others[0], rows[0]])
        assert told.conflicts == ((600, ("cost",)),)
        again = stored(storage, [*others[:600], *rows])
        assert again.conflicts == tuple((place, ("cost",)) for place in range(600))
        assert again.runs.tolist() == [False] * 1200 + [True] * 300
        assert runs_of(storage) == rows

    def test_conflicts_are_counted_by_agent_and_hour(
        self, open_storage: Callable[[], Storage]
    ) -> None:
        """Counts of one hour are added up, and leave with the runs of their time."""
        storage = open_storage()
        first = ConflictCount("default", "it's, a", START_US, 3, START_US + 5, "r,1", ("cost",))
        later = first._replace(runs=2, last_at=START_US + 9, fields=("status", "model"))
        other = first._replace(tenant="acme", hour=START_US + HOUR)
        storage.note_conflicts([first, other])
        storage.note_conflicts([later])
        assert storage.read_conflicts(START_US) == [later._replace(runs=5), other]
        assert storage.read_conflicts(START_US + 1) == [other]
        storage.purge(START_US + HOUR - 1, 0)
        assert storage.read_conflicts(0) == [later._replace(runs=5), other]
        storage.purge(START_US + HOUR, 0)
        assert storage.read_conflicts(0) == [other]

    def test_repeats_in_a_large_batch(self, open_storage: Callable[[], Storage]) -> None:
        """New rows are reported row by row, wherever the repeats are."""
        storage, rows = open_storage(), make_rows(1200)
        known = set(random.Random(2).sample(rows, 100))  # noqa: S311
        stored(storage, list(known))
        told = stored(storage, [*rows, *rows[:50]])
        assert told.runs.tolist() == [row not in known for row in rows] + [False] * 50
        assert_same_cells(cells_of(storage), expected_cells(rows))

    def test_the_key_of_a_run(self, open_storage: Callable[[], Storage]) -> None:
        """Tenant, run_id and agent_name make a run; its other fields do not."""
        storage = open_storage()
        rows = [run_row("a"), run_row("a", tenant="other"), run_row("a", agent_name="other")]
        assert stored(storage, rows).runs.all()
        repeat = run_row("a", agent_type="x", model="y", timestamp=START_US + HOUR)
        assert not stored(storage, [repeat]).runs.any()
        assert runs_of(storage) == rows

    def test_cells_in_any_split(self, open_storage: Callable[[], Storage]) -> None:
        """The cells are those of all new rows, however they were split into batches."""
        storage, runs, measurements = open_storage(), make_rows(600), make_measurements(90)
        vocabulary = Vocabulary()
        for start, end in ((0, 7), (0, 250), (100, 450), (440, 600)):
            stored(storage, runs[start:end], measurements[start // 7 : end // 7], vocabulary)
        stored(storage, measurements=measurements)
        assert_same_cells(cells_of(storage), expected_cells(runs, measurements))

    def test_empty_batch(self, open_storage: Callable[[], Storage]) -> None:
        """A batch without rows is stored like any other."""
        storage = open_storage()
        told = stored(storage)
        assert (len(told.runs), len(told.measurements)) == (0, 0)
        assert (runs_of(storage), storage.known_agents(), storage.oldest()) == ([], [], None)

    def test_ranges_are_half_open(self, open_storage: Callable[[], Storage]) -> None:
        """A range holds its since and not its until, for runs, measurements and cells."""
        storage, width = open_storage(), 6 * HOUR
        runs, measured = make_rows(60, span=width), make_measurements(60, span=width)
        stored(storage, runs, measured)
        since, until = START_US + HOUR, START_US + 3 * HOUR
        inside = [row for row in runs if since <= row[_AT] < until]
        assert list(storage.read_runs(since, until, Scope())) == [inside]
        assert list(storage.read_measurements(since, until, Scope())) == [
            [row for row in measured if since <= row[_AT] < until]
        ]
        slices = storage.read_cells(since, until, Scope(), Vocabulary()).slices
        assert set(slices.tolist()) == {since, since + HOUR}

    def test_limit_is_the_newest(self, open_storage: Callable[[], Storage]) -> None:
        """A limit takes the newest rows, still oldest first; several may have one time."""
        storage = open_storage()
        rows = [run_row(f"{place:02}", timestamp=START_US + place // 4) for place in range(20)]
        stored(storage, rows)
        stored(storage, measurements=make_measurements(9))
        for limit in (0, 1, 6, 20, 99):
            assert runs_of(storage, limit=limit) == rows[max(0, 20 - limit) :]
        assert len(measurements_of(storage, limit=4)) == 4

    def test_scopes(self, open_storage: Callable[[], Storage]) -> None:
        """A scope takes the runs and the cells whose keys it matches."""
        storage, rows = open_storage(), make_rows(200, tenants=("default", "acme"))
        stored(storage, rows)
        for scope in (
            Scope(tenant="acme"),
            Scope(agent_name="agent-1"),
            Scope(agent_type="react"),
            Scope(model="large"),
            Scope(task_type="search"),
            Scope(tenant="nobody"),
            Scope("acme", "agent-2", "evaluator", "small", "summary"),
        ):
            inside = [row for row in rows if scope.matches(CellKey(*row[1:6]))]
            assert runs_of(storage, scope) == inside
            assert runs_of(storage, scope, limit=3) == inside[-3:]
            assert_same_cells(cells_of(storage, scope), expected_cells(inside))

    def test_a_failed_store_changes_nothing(self, open_storage: Callable[[], Storage]) -> None:
        """After an error inside the transaction nothing of it is there, and it can be repeated."""
        storage, rows, measured = open_storage(), make_rows(50), make_measurements(5)
        stored(storage, rows[:10])
        before = storage.known_agents()
        try:
            storage.store(BrokenBatch([*rows, run_row(agent_name="x")], measured, Vocabulary()))
        except StorageError:
            pass
        else:
            raise AssertionError("the error of the batch was swallowed")
        assert (runs_of(storage), measurements_of(storage)) == (rows[:10], [])
        assert storage.known_agents() == before
        assert_same_cells(cells_of(storage), expected_cells(rows[:10]))
        # Another agent now gets the number that was given in vain.
        late = run_row(agent_name="y", timestamp=START_US + 9 * HOUR)
        assert stored(storage, [late, *rows], measured).runs.sum() == 41
        assert (runs_of(storage), measurements_of(storage)) == ([*rows, late], measured)

    def test_known_agents(self, open_storage: Callable[[], Storage]) -> None:
        """An agent is known with the type and time of its last run, or without either."""
        storage = open_storage()
        newest = run_row("b", agent_type="new", timestamp=START_US + 5)
        stored(storage, [newest, run_row("a", agent_type="old")])
        stored(storage, [run_row("c", agent_type="older", timestamp=START_US - 5)])
        measured = [row for row in make_measurements(9) if row[2] == "agent-1"]
        stored(storage, [run_row("a", tenant="acme")], measured)
        assert set(storage.known_agents()) == {
            KnownAgent("default", "agent", "new", START_US + 5),
            KnownAgent("default", "agent-1", None, None),
            KnownAgent("acme", "agent", None, START_US),
        }

    def test_purge(self, open_storage: Callable[[], Storage]) -> None:
        """Runs and measurements go by age, their cells later; agents stay known."""
        storage, runs, measured = open_storage(), make_rows(60), make_measurements(60)
        stored(storage, runs, measured)
        edge = START_US + 4 * HOUR
        gone = sum(row[_AT] < edge for row in [*runs, *measured])
        assert storage.purge(edge, START_US - 1) == gone
        assert runs_of(storage) == [row for row in runs if row[_AT] >= edge]
        assert measurements_of(storage) == [row for row in measured if row[_AT] >= edge]
        assert_same_cells(cells_of(storage), expected_cells(runs, measured))
        assert storage.oldest() == START_US
        assert storage.purge(0, START_US + 2 * HOUR - 1) > 0
        assert storage.oldest() == START_US + HOUR
        assert len(storage.known_agents()) == 4

    def test_readers_see_whole_batches(self, open_storage: Callable[[], Storage]) -> None:
        """Threads that read during a store see all of a batch or nothing of it."""
        storage, rows, done = open_storage(), make_rows(1000), threading.Event()
        seen: list[int] = []

        def read() -> None:
            while not done.is_set():
                seen.append(len(runs_of(storage)))
                seen.append(int(cells_of(storage).stats[:, Stat.RUNS].sum()))

        with meanwhile(read, read):
            for start in range(0, 1000, 100):
                stored(storage, rows[start : start + 100])
                assert len(runs_of(storage)) == start + 100
            done.set()
        assert seen
        assert all(count % 100 == 0 for count in seen)

    def test_checks_and_description(self, open_storage: Callable[[], Storage]) -> None:
        """It says how it is and where it is, and makes what was stored safe."""
        storage = open_storage()
        stored(storage, make_rows(10))
        storage.check()
        storage.sync()
        assert {"engine", "url", "bytes"} <= storage.describe().keys()

    def test_closed_while_it_is_read(self, open_storage: Callable[[], Storage]) -> None:
        """Whoever reads meanwhile gets an answer or a refusal, and the process goes on."""
        refused: list[bool] = []

        def read(storage: Storage) -> None:
            try:
                while True:
                    runs_of(storage)
            except StorageError:
                refused.append(True)

        for _ in range(20):
            storage = open_storage()
            stored(storage, make_rows(50))
            with meanwhile(*[partial(read, storage)] * 3):
                storage.close()
        assert len(refused) == 60

    def test_close(self, open_storage: Callable[[], Storage]) -> None:
        """It may be closed twice, and refuses everything then."""
        storage = open_storage()
        storage.close()
        storage.close()
        for refused in (storage.check, lambda: stored(storage, [run_row()])):
            try:
                refused()
            except StorageError:
                continue
            raise AssertionError("a closed storage answered")


class SharedStorageContract(SharedAlertStorageContract, StorageContract):
    """The contract of a storage that outlives its process and may have several writers.

    Here each call of `open_storage` opens the same one again.
    """

    def test_opened_again(self, open_storage: Callable[[], Storage]) -> None:
        """All is there after closing and opening, and a repeat is still one."""
        storage, runs, measured = open_storage(), make_rows(100), make_measurements(10)
        stored(storage, runs[:60], measured)
        agents = storage.known_agents()
        storage.close()
        storage = open_storage()
        assert (runs_of(storage), measurements_of(storage)) == (runs[:60], measured)
        assert storage.known_agents() == agents
        assert stored(storage, runs, measured).runs.sum() == 40
        assert_same_cells(cells_of(storage), expected_cells(runs, measured))

    def test_two_writers(self, open_storage: Callable[[], Storage]) -> None:
        """Their cells stand side by side, and what both got is counted once."""
        one, two, rows = open_storage(), open_storage(), make_rows(300)
        assert stored(one, rows[:200]).runs.sum() == 200
        assert stored(two, rows[100:]).runs.sum() == 100
        assert stored(one, rows).runs.sum() == 0
        for storage in (one, two):
            assert runs_of(storage) == rows
            assert_same_cells(cells_of(storage), expected_cells(rows))

    def test_two_writers_at_once(self, open_storage: Callable[[], Storage]) -> None:
        """The same runs from two sides, in opposite order, are new to one of them only."""
        rows = make_rows(400)
        told: list[int] = []
        start = threading.Barrier(2)

        def write(storage: Storage, mine: list[Row]) -> None:
            start.wait()
            told.extend(stored(storage, mine[place : place + 200]).runs.sum() for place in (0, 200))

        storages = [open_storage(), open_storage()]
        at_once(partial(write, storages[0], rows), partial(write, storages[1], rows[::-1]))
        assert (sum(told), len(told)) == (400, 4)
        assert sorted(runs_of(storages[0])) == sorted(rows)
        assert_same_cells(cells_of(storages[1]), expected_cells(rows))

    def test_two_writers_of_other_content(self, open_storage: Callable[[], Storage]) -> None:
        """Of two runs of one key one is kept and the other a conflict, whoever came first."""
        rows = make_rows(400)
        cost = RUN_FIELDS.index("cost")
        others = [(*row[:cost], -1.0, *row[cost + 1 :]) for row in rows[::-1]]
        told: list[Stored] = []
        start = threading.Barrier(2)

        def write(storage: Storage, mine: list[Row]) -> None:
            start.wait()
            told.extend(stored(storage, mine[place : place + 200]) for place in (0, 200))

        storages = [open_storage(), open_storage()]
        at_once(partial(write, storages[0], rows), partial(write, storages[1], others))
        assert sum(one.runs.sum() for one in told) == 400
        conflicts = [fields for one in told for _, fields in one.conflicts]
        assert conflicts == [("cost",)] * 400
        assert len(runs_of(storages[0])) == 400
