"""What the core asks of its parts, as narrow as the calls it makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

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
    """Which rows of a batch were really new, in the batch's order."""

    runs: npt.NDArray[np.bool_]
    measurements: npt.NDArray[np.bool_]


class Storage(Protocol):
    """Keeps and finds runs, measurements, cells and alerts.

    Threads: any method may be called from any thread; `store` from one at a time.
    Consistency: what `store` returned for is seen by every later read.
    Durability: a returned `store` survives the end of the process; after `sync()`, which
    storages on a server need not do anything for, also the loss of power.
    Repeats: `store` adds a row only if its key (tenant, run_id, agent_name; for measurements
    the measurement_id) is not there, neither in storage nor earlier in the batch.
    Times are UTC microseconds; ranges are [since, until).
    Sharing: `shared` says whether other processes may store there at the same time.
    Errors: `StorageError`; a failed `store` has changed nothing and may be repeated.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may store there at the same time."""
        ...

    def store(self, batch: Batch) -> Stored:
        """Add what is new, and its hour cells (`batch.cells`), in one transaction."""
        ...

    def read_runs(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        """Rows in the order of `RUN_FIELDS`, oldest first, in chunks; the newest `limit`."""
        ...

    def read_measurements(
        self, since: int, until: int, scope: Scope, *, limit: int | None = None
    ) -> Iterator[list[Row]]:
        """Rows in the order of `MEASUREMENT_FIELDS`, oldest first, in chunks."""
        ...

    def read_cells(self, since: int, until: int, scope: Scope, vocabulary: Vocabulary) -> Cells:
        """Hour cells whose slice starts in the range; several writers' cells stand side by side."""
        ...

    def known_agents(self) -> list[KnownAgent]:
        """Every agent ever stored, with the type and time of its last run."""
        ...

    def oldest(self) -> int | None:
        """The start of the oldest hour cell, or None where nothing was stored."""
        ...

    def purge(self, runs_before: int, cells_before: int, *, limit: int | None = None) -> int:
        """Forget runs and measurements, and cells, that ended before; returns rows removed.

        With a limit at most so many of each kind, the oldest first.
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
