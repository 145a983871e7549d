"""The storage interface, as narrow as the calls the core makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import attrs

from perfmon.storage.alerts import AlertStorage

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt

    from perfmon.records import Scope
    from perfmon.window.batch import Batch
    from perfmon.window.cells import Cells
    from perfmon.window.vocabulary import Vocabulary

Row = tuple[Any, ...]


class Clock(Protocol):
    """Tells the time: an aware datetime or epoch seconds."""

    def __call__(self) -> datetime | float: ...


class KnownAgent(NamedTuple):
    """An agent that storage has runs or measurements of; `last_run` in microseconds or None."""

    tenant: str
    agent_name: str
    agent_type: str | None
    last_run: int | None


class Stored(NamedTuple):
    """Which rows of a batch were really new, and which were amended, in the batch's order.

    `conflicts` has those runs whose key is there with other content: their place in the batch, and
    the names of the fields that differ. What is neither new nor among them was a duplicate.
    """

    runs: npt.NDArray[np.bool_]
    measurements: npt.NDArray[np.bool_]
    amended: npt.NDArray[np.bool_]
    conflicts: tuple[tuple[int, tuple[str, ...]], ...] = ()


class ConflictCount(NamedTuple):
    """Runs of an agent that came under known ids with other content within an hour of the clock.

    Attributes:
        tenant, agent_name: whose they are.
        hour: when the hour begins, in microseconds.
        runs: how many.
        last_at: when the last one came.
        run_id, fields: of the last one, and which of its fields differ.
    """

    tenant: str
    agent_name: str
    hour: int
    runs: int
    last_at: int
    run_id: str
    fields: tuple[str, ...]


class Watcher(Protocol):
    """Brings what other processes store on the same storage into the window."""

    @property
    def is_current(self) -> bool:
        """Whether the window has what storage has, but for the last moment."""
        ...

    def begin(self) -> None:
        """What is stored from now on is news."""
        ...

    def brought(self) -> int:
        """How many rows came since this was asked last."""
        ...

    def catch_up(self, every: float) -> None:
        """Look, and where nothing was begun begin with what is there."""
        ...

    def look(self, every: float = ..., patience: float = ...) -> bool:
        """Bring in what is new; whether storage was asked."""
        ...


class FoundBy(NamedTuple):
    """Which measurements of a range are looked for.

    Attributes:
        source: the feedback source; None is any.
        task_id: of this task alone.
        state: only those in this state, by its word; None is any.
        worst: the lowest scores first, of what counts; else the newest first, of any state.
        limit: the maximum number.
    """

    source: str | None = None
    task_id: str | None = None
    state: str | None = None
    worst: bool = False
    limit: int = 100


@attrs.define
class News:
    """What others stored on a shared storage since a place.

    Attributes:
        place: from where to go on the next time; what it is, is the storage's own business.
        runs, measurements: their rows, as `read_runs` and `read_measurements` give them.
        minutes: the starts of minutes in which they amended measurements.
        has_more: whether more is there already.
        is_whole: False where something was forgotten by now: all is to be read again.
    """

    place: object
    runs: list[Row] = attrs.field(factory=list)
    measurements: list[Row] = attrs.field(factory=list)
    minutes: set[int] = attrs.field(factory=set)
    has_more: bool = False
    is_whole: bool = True


class Storage(AlertStorage, Protocol):
    """Keeps and finds runs, measurements, cells and alerts (`AlertStorage`).

    Threads: any method may be called from any thread; `store` from one at a time.
    Consistency: what `store` returned for is seen by every later read.
    Durability: a returned `store` survives the end of the process; after `sync()`, which
    storages on a server need not do anything for, also the loss of power.
    Repeats: `store` adds a row only if its key (tenant, run_id, agent_name; for measurements
    the measurement_id) is not there, neither in storage nor earlier in the batch. A run whose key
    is there is a conflict where `perfmon.differing` names fields, else a duplicate.
    Amendments: `store` replaces a measurement only if it still has the state it was read with,
    and is still of the same prediction.
    Times are UTC microseconds; ranges are [since, until).
    Sharing: `shared` says whether other processes may store there at the same time.
    Errors: `StorageError`; a failed `store` has changed nothing, or all of it, where only the
    answer was lost (the error is `in_doubt`). Repeated with the same batch (its `token`) it then
    returns what the lost answer said, and changes nothing more.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may store there at the same time."""
        ...

    def news(self, place: object | None, since: int) -> News:
        """What others stored after a place, but for runs and measurements older than `since`.

        None is the place where storage is now, before which nothing is new. What this storage
        object stored itself is no news. Asked for about once a second where it is `shared`.
        """
        ...

    def store(self, batch: Batch) -> Stored:
        """Add what is new, amend, and merge the hour cells (`batch.cells`), in one transaction."""
        ...

    def read_runs(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        """Rows in the order of `RUN_ROW`, oldest first, in chunks; the newest `limit`."""
        ...

    def read_measurements(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        """Rows in the order of `MEASUREMENT_FIELDS`, oldest first, in chunks."""
        ...

    def find_measurements(self, since: int, until: int, scope: Scope, by: FoundBy) -> list[Row]:
        """Measurements (not predictions or outcomes alone), newest or worst first."""
        ...

    def read_disputed(self, since: int, until: int, scope: Scope, limit: int) -> list[list[Row]]:
        """What several sources measured of one task in the range: the newest `limit` tasks.

        Of very many measurements only the newest are looked through.
        """
        ...

    def read_tasks(self, tasks: Sequence[tuple[str | None, str]]) -> list[Row]:
        """What waits for these tasks (tenant, or None for any, and task id), was recorded for them,
        or came of both, in the order in which it was stored.
        """
        ...

    def read_ids(self, ids: Sequence[str]) -> list[Row]:
        """The measurements, predictions and outcomes that have one of these ids."""
        ...

    def open_tasks(self) -> list[tuple[str, str]]:
        """Tasks (tenant, task id) with a told outcome or a prediction that can be compared."""
        ...

    def read_unscored(self, limit: int) -> list[Row]:
        """The oldest measurements that wait for a remote scorer."""
        ...

    def waiting(self, scope: Scope) -> tuple[int, int | None]:
        """How many predictions wait for their outcome, and the time of the oldest."""
        ...

    def read_cells(self, since: int, until: int, scope: Scope, vocabulary: Vocabulary) -> Cells:
        """Hour cells whose slice starts in the range; several writers' cells stand side by side."""
        ...

    def known_agents(self) -> list[KnownAgent]:
        """Every agent ever stored, with the type and time of its last run."""
        ...

    def note_conflicts(self, counts: Sequence[ConflictCount]) -> None:
        """Add to what is known of these agents' hours; the last ones are then those given here."""
        ...

    def read_conflicts(self, since: int) -> list[ConflictCount]:
        """What is known of hours that begin at a time or later, the oldest first."""
        ...

    def oldest(self) -> int | None:
        """The start of the oldest hour cell, or None where nothing was stored."""
        ...

    def purge(self, runs_before: int, cells_before: int, *, limit: int | None = None) -> int:
        """Forget runs and measurements, and cells, that ended before; returns rows removed.

        With a limit at most that many of each kind, the oldest first. Predictions, outcomes and
        what came of both stay as long as cells. Episodes, messages and silences go with runs, but
        none that still fires, waits or holds.
        """
        ...

    def compact(self, seconds: float) -> bool:
        """Give back what a purge has freed, for about so long; returns whether there is more.

        Others write in between. Where what is kept has to be copied for it, that too has a bound.
        """
        ...

    def sync(self) -> None:
        """Make what was stored survive the loss of power."""
        ...

    def check(self) -> None:
        """Raise `StorageError` if storage does not answer."""
        ...

    def pause(self) -> None:
        """Wait for what is under way, let go of every connection, and take none until `resume`.

        Called in the thread that is about to fork; both processes then call `resume`.
        """
        ...

    def resume(self) -> None:
        """Go on after `pause`."""
        ...

    def describe(self) -> dict[str, Any]:
        """Engine, place (without secrets), rows and bytes: what `get_stats()` shows."""
        ...

    def close(self) -> None:
        """Release everything; may be called twice."""
        ...
