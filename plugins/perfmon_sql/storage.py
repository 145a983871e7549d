"""The storage interface on a database."""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmon import StorageError
from perfmon.storage import (
    HOUR,
    Batch,
    Cells,
    KnownAgent,
    News,
    Scope,
    Stored,
)
from perfmon_sql.alerts import SqlAlerts
from perfmon_sql.arrivals import BUT_NEWEST, Bookmark, note_arrival, read_news
from perfmon_sql.cells import OpenCells, read_packed
from perfmon_sql.commits import Commits
from perfmon_sql.database import TRIES
from perfmon_sql.in_flight import forget_recorded
from perfmon_sql.keys import KeyNumbers
from perfmon_sql.outcomes import (
    amend,
    by_ids,
    disputed,
    find,
    of_tasks,
    open_tasks,
    unscored,
    waiting,
)
from perfmon_sql.repeats import conflicts, note, noted
from perfmon_sql.rows import CHUNK, MEASUREMENTS, RUNS, RowTable, insert, select, select_start
from perfmon_sql.statements import Row, fetched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import sqlalchemy as sa

    from perfmon.storage import ConflictCount, FoundBy
    from perfmon_sql.database import Database
    from perfmon_sql.rows import Span

    Ints = npt.NDArray[np.int64]

TABLES = ("runs", "measurements", "cells", "agents")
_LOOSE = (
    "DELETE FROM outbox_alerts WHERE NOT EXISTS "
    "(SELECT 1 FROM outbox o WHERE o.id = outbox_alerts.outbox_id)"
)
_TYPE = RUNS.fields.index("agent_type")
_LATELY, _LATELY_BATCHES = 2.0, 5  # seconds, and a maximum of batches


class SqlStorage(SqlAlerts):
    """Keeps runs, measurements and hour cells in a database; see `perfmon.Storage`.

    Each storage writes cells of its own, so that several may write to one database.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._numbers = KeyNumbers(database.mark)
        self._writer = secrets.randbits(62)
        self._open_cells = OpenCells(self._writer, self._numbers, database.mark)
        self._read_at: tuple[object, object] = (None, None)  # stamp and place of the last news
        self._commits = Commits(database.mark)
        self._lately: deque[tuple[float, Batch]] = deque(maxlen=_LATELY_BATCHES)
        database.reopened = self._reopened

    def store(self, batch: Batch) -> Stored:
        for attempt in range(1, TRIES + 1):
            committing = False
            try:
                with self._database.writing() as connection:
                    stored = self._commits.earlier(connection, batch)
                    if stored is None:
                        stored = self._stored(connection, batch)
                        self._commits.note(connection, batch, stored)
                    committing = True
            except BaseException as problem:
                # Their numbers were given in the transaction that was rolled back.
                self._numbers.forget()
                self._open_cells.forget()
                if committing:
                    self._commits.doubt(batch)
                    if isinstance(problem, StorageError):
                        problem.in_doubt = True
                if attempt == TRIES or not self._database.worth_repeating(problem):
                    raise
            else:
                self._open_cells.keep()
                self._commits.settle(batch)
                self._remember(batch)
                return stored
        raise AssertionError

    def read_runs(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        return self._read(RUNS, since, until, scope, limit)

    def read_measurements(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        return self._read(MEASUREMENTS, since, until, scope, limit)

    def read_cells(self, since: int, until: int, scope: Scope, vocabulary: Any) -> Cells:
        with self._database.reading() as connection:
            packed = read_packed(connection, since, until, scope, self._mark)
        return Cells.unpacked(packed, vocabulary)

    def find_measurements(self, since: int, until: int, scope: Scope, by: FoundBy) -> list[Row]:
        with self._database.reading() as connection:
            return find(connection, since, until, scope, by, self._mark)

    def read_disputed(self, since: int, until: int, scope: Scope, limit: int) -> list[list[Row]]:
        with self._database.reading() as connection:
            return disputed(connection, since, until, scope, limit, self._mark)

    def read_tasks(self, tasks: Sequence[tuple[str | None, str]]) -> list[Row]:
        with self._database.reading() as connection:
            return of_tasks(connection, tasks, self._mark)

    def read_ids(self, ids: Sequence[str]) -> list[Row]:
        with self._database.reading() as connection:
            return by_ids(connection, ids, self._mark)

    def open_tasks(self) -> list[tuple[str, str]]:
        with self._database.reading() as connection:
            return open_tasks(connection)

    def read_unscored(self, limit: int) -> list[Row]:
        with self._database.reading() as connection:
            return unscored(connection, limit, self._mark)

    def waiting(self, scope: Scope) -> tuple[int, int | None]:
        with self._database.reading() as connection:
            return waiting(connection, scope, self._mark)

    def note_conflicts(self, counts: Sequence[ConflictCount]) -> None:
        self._database.write(lambda connection: note(connection, counts, self._mark))

    def read_conflicts(self, since: int) -> list[ConflictCount]:
        with self._database.reading() as connection:
            return noted(connection, since, self._mark)

    def known_agents(self) -> list[KnownAgent]:
        rows = self._rows(
            "SELECT tenant, name, agent_type, last_run FROM agents WHERE name <> '' ORDER BY id"
        )
        return [KnownAgent(*row) for row in rows]

    def oldest(self) -> int | None:
        start: int | None = self._rows("SELECT min(slice_start) FROM cells")[0][0]
        return start

    @property
    def shared(self) -> bool:
        return self._database.kind != "memory"

    def news(self, place: object | None, since: int) -> News:
        self._database.check()
        known = place if isinstance(place, Bookmark) else None
        stamp = self._database.stamp()
        if known is not None and stamp is not None and self._read_at == (stamp, known):
            return News(known)
        with self._database.reading() as connection:
            news = read_news(connection, self._writer, known, since, self._mark)
        self._read_at = (stamp, None if news.has_more else news.place)
        return news

    def purge(self, runs_before: int, cells_before: int, *, limit: int | None = None) -> int:
        self._database.write(forget_recorded)
        self._forget("commits", "at", runs_before, limit)
        self._forget("arrivals", "at", time.time_ns() // 1_000 - HOUR, limit, BUT_NEWEST)
        return (
            self._forget("runs", "at", runs_before, limit)
            + self._forget("measurements", "at", runs_before, limit, " AND state < 4")
            # Predictions, outcomes and what came of them: another outcome may be told in a year.
            + self._forget("measurements", "at", cells_before, limit)
            + self._forget("cells", "slice_start", cells_before - HOUR + 1, limit)
            + self._forget("conflicts", "hour", runs_before - HOUR + 1, limit)
            + self._forget("alerts", "resolved_at", runs_before, limit)
            + self._forget("outbox", "closed_at", runs_before, limit)
            + self._forget("silences", "ends_at", runs_before, limit)
        )

    def compact(self, seconds: float) -> bool:
        return self._database.compact(seconds)

    def sync(self) -> None:
        self._database.sync()

    def check(self) -> None:
        self._database.check()
        while self._lately and self._lately[0][0] < time.monotonic() - _LATELY:
            self._lately.popleft()
        self._rows("SELECT min(id) FROM agents")

    def describe(self) -> dict[str, Any]:
        """Engine, URL without secrets, bytes, and about how many rows (counting would be slow)."""
        database = self._database
        database.check()
        with database.reading() as connection:
            return {
                "engine": database.kind,
                "url": database.shown,
                **{table: database.about(connection, table) for table in TABLES},
                **database.size(connection),
            }

    def pause(self) -> None:
        self._database.pause()

    def resume(self) -> None:
        self._database.resume()

    def close(self) -> None:
        self._database.close()

    def _remember(self, batch: Batch) -> None:
        """For `_reopened`, which only a file is: its rows, without all that was made of them."""
        if self._database.kind == "sqlite":
            rows = Batch(batch.runs, batch.measurements, batch.vocabulary, batch.amended)
            self._lately.append((time.monotonic(), rows))

    def _reopened(self, is_same: bool) -> None:
        """Numbers may be others; of the same database the last moment may be missing.

        Whoever removed the log had copied it into the file a moment before.
        """
        self._numbers.forget()
        self._open_cells.forget()
        since = time.monotonic() - _LATELY if is_same else 1e300
        for at, batch in list(self._lately):
            if at >= since:
                with self._database.writing() as connection:
                    self._stored(connection, batch)
                self._open_cells.keep()

    def _stored(self, connection: sa.Connection, batch: Batch) -> Stored:
        added, runs, agents = self._added(connection, RUNS, batch.run_fields, *batch.run_keys)
        new_runs = np.array(added, bool)
        new_measurements, measurements, _ = self._added(
            connection, MEASUREMENTS, batch.measurement_fields, *batch.measurement_keys
        )
        amended = amend(connection, batch.amended, self._numbers, self._mark)
        stored = Stored(
            new_runs,
            np.array(new_measurements, bool),
            np.array(amended, bool),
            conflicts(connection, batch.runs, agents, new_runs, self._mark),
        )
        note_arrival(connection, self._writer, batch, stored, (runs, measurements), self._mark)
        fresh = batch.cells(HOUR, stored.runs, stored.measurements, stored.amended)
        if len(fresh):
            self._open_cells.add(connection, fresh)
            if stored.runs.any():
                self._seen(connection, agents, batch, stored.runs)
        return stored

    def _added(
        self,
        connection: sa.Connection,
        target: RowTable,
        fields: list[list[Any]],
        keys: list[Row],
        places: Ints,
    ) -> tuple[list[bool], list[Span], Ints]:
        """Which rows were new, the ids of those, and the number of each row's agent."""
        if not fields:
            return [], [], np.zeros(0, np.int64)
        numbers = np.array(self._numbers.of(connection, keys), np.int64)[places]
        agent_ids, key_ids = numbers[:, 0], numbers[:, 1]
        columns = [fields[0], agent_ids.tolist(), key_ids.tolist(), *fields[6:]]
        return *insert(connection, target, columns), agent_ids

    def _seen(
        self, connection: sa.Connection, agents: Ints, batch: Batch, new: npt.NDArray[np.bool_]
    ) -> None:
        """Note each agent's last run."""
        places = np.flatnonzero(new)
        numbers, at = agents[places], batch.run_columns.at[places]
        order = np.lexsort((at, numbers))
        ends = np.flatnonzero(np.diff(numbers[order], append=-1))
        last = {
            int(numbers[row]): (int(at[row]), batch.runs[places[row]][_TYPE])
            for row in order[ends].tolist()
        }
        if last:
            mark = self._mark
            # In order of their numbers: two writers that lock the same rows then never cross.
            connection.exec_driver_sql(
                f"UPDATE agents SET last_run = {mark}, agent_type = {mark} "
                f"WHERE id = {mark} AND coalesce(last_run, {mark}) <= {mark}",
                [(at, kind, agent, at, at) for agent, (at, kind) in sorted(last.items())],
            )

    def _read(
        self, target: RowTable, since: int, until: int, scope: Scope, limit: int | None
    ) -> Iterator[list[Row]]:
        """Each chunk is a statement of its own: an unfinished reader holds nothing up."""
        place = (since, -1)
        if limit is not None:
            place = self._start(target, since, until, scope, limit)
        statement, values = select(target, scope, self._mark)
        left = CHUNK if limit is None else limit
        while left > 0:
            rows = self._rows(statement, (*place, until, *values, min(left, CHUNK)))
            if rows:
                yield [row[:-1] for row in rows]
            if len(rows) < min(left, CHUNK):
                return
            place = (rows[-1][target.fields.index("timestamp")], rows[-1][-1])
            left -= 0 if limit is None else len(rows)

    def _start(
        self, target: RowTable, since: int, until: int, scope: Scope, limit: int
    ) -> tuple[int, int]:
        """The place just before the newest `limit` rows."""
        if limit <= 0:
            return (until, 0)
        statement, values = select_start(target, scope, self._mark)
        found = self._rows(statement, (since, until, *values, limit - 1))
        return (found[0][0], found[0][1] - 1) if found else (since, -1)

    def _forget(
        self, table: str, column: str, before: int, limit: int | None, which: str = ""
    ) -> int:
        """In parts, so that recording goes on in between."""
        mark, removed = self._mark, 0
        chunk = CHUNK if limit is None else min(limit, CHUNK)
        statement = (
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} "
            f"WHERE {column} < {mark}{which} ORDER BY {column} LIMIT {chunk})"
        )
        while True:
            with self._database.writing() as connection:
                count = connection.exec_driver_sql(statement, (before,)).rowcount
                if count and table == "outbox":
                    connection.exec_driver_sql(_LOOSE)
            removed += count
            if count < chunk or (limit is not None and removed >= limit):
                return removed

    def _rows(self, statement: str, values: Row = ()) -> list[Row]:
        with self._database.reading() as connection:
            return fetched(connection, statement, values)
