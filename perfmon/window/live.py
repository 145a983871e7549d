"""The window with its lock inside, as used by many threads.

Several reads of one moment are one method. This lock is the innermost: whoever holds it waits for
no other, so it may be taken under any. A fork is the one that takes it from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from perfmon.records import CellKey, Scope
from perfmon.window.batch import Batch
from perfmon.window.cells import MINUTE, Stat, add_up
from perfmon.window.columns import MeasurementColumns, RunColumns
from perfmon.window.ragged import Floats, Ints
from perfmon.window.tail import Tail
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Answer, Mask, Prepared, Receipted, Window

Masks = tuple[Mask, Mask]
"""Of a batch's runs, and of its measurements."""


class LastRun(NamedTuple):
    """When a scope's last run ended (microseconds), and whether the window reaches back to it."""

    at: int | None
    is_held: bool


class LiveWindow:
    """A `Window` for many threads; its methods take its lock, and nobody else needs it.

    Args:
        window: which nobody else touches from now on.
        now: the time in UTC microseconds.

    Attributes:
        vocabulary: that of its cells.
        retention: how far back it reaches, in microseconds.
    """

    def __init__(self, window: Window, now: Callable[[], int]) -> None:
        self.vocabulary: Vocabulary = window.vocabulary
        self.retention = window.retention
        self._window = window
        self._now = now
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """How many runs are held raw."""
        return len(self._window)

    @property
    def floor(self) -> int:
        """The oldest time it answers for."""
        return self._window.floor

    @property
    def complete_from(self) -> int | None:
        """Since when it has all that storage has; None if history was never loaded."""
        return self._window.complete_from

    @property
    def changes(self) -> int:
        """How often something was added or taken away."""
        return self._window.keys.changes

    @property
    def raw_since(self) -> int:
        """From when on the runs and measurements here are all here raw."""
        return self._window.raw_since

    def pause(self) -> None:
        """Nothing is read or changed until `resume`, for a fork."""
        self._lock.acquire()

    def resume(self) -> None:
        """The fork is over."""
        self._lock.release()

    # What comes in

    def prepare(self, batch: Batch, which: Masks) -> Prepared:
        """The columns and cells of these rows, if not too old; needs no lock."""
        return self._window.prepare(batch, *which, self._now())

    def add(self, prepared: Prepared) -> Receipted:
        """Take in what was made ready."""
        with self._lock:
            return self._window.add(prepared, self._now())

    def retract(self, where: Receipted, batch: Batch, which: Masks) -> None:
        """Take back rows that were added."""
        with self._lock:
            self._window.retract(where, batch, *which)

    def correct(self, where: Receipted, batch: Batch, old: Masks, new: Masks) -> None:
        """Of a batch take back what is no news, and add what was left out and is."""
        with self._lock:
            if _any(old):
                self._window.retract(where, batch, *old)
            if _any(new):
                now = self._now()
                self._window.add(self._window.prepare(batch, *new, now), now)

    def amend(
        self, prepared: Prepared, before: MeasurementColumns, after: MeasurementColumns
    ) -> None:
        """Add what was made ready, and put new versions of measurements for the old ones."""
        with self._lock:
            self._window.add(prepared, self._now())
            self._window.amend(before, after)

    def bring_up_to_date(self, batch: Batch, since: int, until: int) -> tuple[int, bool]:
        """Replace those minutes of `[since, until)` of which a batch has more, or has it amended.

        Returns how many rows were not here, and whether any minute was replaced.
        """
        with self._lock:
            missing, minutes = self._window.missing(batch, since, until)
            for minute in minutes:
                self._window.drop(minute)
            if minutes:
                runs, measurements = (np.isin(at // MINUTE * MINUTE, minutes) for at in batch.times)
                now = self._now()
                self._window.add(self._window.prepare(batch, runs, measurements, now), now)
        return missing, bool(minutes)

    def note_complete(self, since: int) -> None:
        """It has all that storage has from then on."""
        with self._lock:
            known = self._window.complete_from
            self._window.complete_from = since if known is None else min(known, since)

    # What happened

    def answer(self, since: int, until: int, scope: Scope, *, by_key: bool = False) -> Answer:
        """The cells of `[since, until)` that match; with `by_key` never totals of all keys."""
        with self._lock:
            self._window.expire(self._now())
            ask = self._window.by_key if by_key else self._window.answer
            return ask(since, until, scope)

    def pieces(self, since: int, until: int, step: int, scope: Scope) -> list[Answer]:
        """The cells of consecutive steps, all of one moment; the last one may be shorter."""
        with self._lock:
            return [
                self._window.answer(at, min(at + step, until), scope)
                for at in range(since, until, step)
            ]

    def held_stats(self, since: int, until: int, scope: Scope) -> Floats | None:
        """Counts, sums and extremes in one row; None where it does not reach back so far."""
        with self._lock:
            if since < self._window.floor:
                return None
            return self._window.stats(since, until, scope)

    def held_by_key(self, since: int, until: int, scope: Scope) -> Answer | None:
        """The cells with their keys; None where it does not reach back so far."""
        with self._lock:
            if since < self._window.floor:
                return None
            return self._window.by_key(since, until, scope)

    def tail(self, since: int, until: int, scope: Scope) -> Tail:
        """The cells of whole minutes, from the one of `since` to the one of `until`."""
        with self._lock:
            return self._window.tail(since, until, scope)

    def longer(self, tail: Tail, since: int, scope: Scope, counted: Stat, count: int) -> Tail:
        """A tail and the minutes before it, back to the one of `since`, until it has enough."""
        with self._lock:
            return self._window.longer(tail, since, scope, counted, count)

    def sums(self, scopes: Iterable[Scope]) -> dict[Scope, Floats]:
        """The statistics of all that is here, summed up for each scope."""
        with self._lock:
            totals = self._window.totals_by_key()
            return {scope: add_up(totals[self._window.keys.of(scope)]) for scope in scopes}

    def raw_runs(self, since: int, until: int, scope: Scope) -> RunColumns | None:
        """The runs of `[since, until)` in the order of time; None where some are not here raw."""
        with self._lock:
            return self._window.raw_runs(since, until, scope)

    def raw_scores(self, since: int, until: int, scope: Scope) -> tuple[Ints, Floats]:
        """When the measurements of `[since, until)` that count became known, with their scores."""
        with self._lock:
            return self._window.raw_scores(since, until, scope)

    def raw_memory(self, since: int, scope: Scope) -> Floats:
        """The memory (MiB) of the runs since then that are here raw, where it is known."""
        with self._lock:
            return self._window.raw_memory(since, scope)

    # Whose it is

    def version(self, scope: Scope) -> int:
        """Another number whenever something was added to what a scope has here, or taken away."""
        with self._lock:
            return self._window.keys.version(scope)

    def is_ahead(self, now: int) -> bool:
        """Whether something is here of a minute that is still to come: time can go backwards."""
        with self._lock:
            return self._window.is_ahead(now)

    def keys_since(self, moment: int) -> list[CellKey]:
        """The keys of runs since then, and of what has only measurements here."""
        with self._lock:
            return self._window.keys.since(moment)

    def last_run(self, scope: Scope) -> LastRun:
        """A scope's last run, of any age."""
        with self._lock:
            at = self._window.keys.last_run(scope)
            return LastRun(at, at is not None and at >= self._window.floor)

    def last_runs(self) -> list[tuple[CellKey, int | None]]:
        """Each key, with when its last run ended, of any age."""
        with self._lock:
            keys = list(self.vocabulary.keys.values)
            return list(zip(keys, self._window.keys.last_runs(), strict=False))

    def last_type(self, agent: tuple[str, str]) -> tuple[int, str | None]:
        """When the last run of an agent (tenant, name) ended, 0 if it has none, and its type."""
        with self._lock:
            return self._window.keys.last_type(agent)


def _any(which: Masks) -> bool:
    return bool(which[0].any() or which[1].any())
