"""The parts of a monitor on one storage: the one place that wires things together."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from perfmon.accuracy.matching import Matcher
from perfmon.accuracy.queries import AccuracyQueries
from perfmon.accuracy.remote_scoring import RemoteScoring
from perfmon.accuracy.scoring import Scoring
from perfmon.accuracy.tasks import Priority
from perfmon.alerts.evaluator import Evaluator
from perfmon.alerts.firing import Firing
from perfmon.alerts.listing import AlertListing
from perfmon.alerts.questions import AlertQuestions
from perfmon.alerts.ruleset import Ruleset
from perfmon.alerts.saved_state import SavedState
from perfmon.alerts.sources import Sources
from perfmon.config.config import Config
from perfmon.delivery.outbox import Outbox
from perfmon.delivery.terms import DeliveryTerms
from perfmon.errors import StorageError
from perfmon.metrics.history import History
from perfmon.metrics.known_agents import KnownAgents
from perfmon.metrics.queries import Queries
from perfmon.monitor.opening import journal_folder, journal_owner, open_journal, open_storage
from perfmon.plugins.bus import Bus
from perfmon.recording.conflicts import Conflicts
from perfmon.recording.counts import Counts
from perfmon.recording.in_flight import InFlight
from perfmon.recording.intake import Intake
from perfmon.recording.journal import Journal
from perfmon.recording.journal_rows import Row
from perfmon.recording.loading import load_lately
from perfmon.recording.other_processes import Others
from perfmon.recording.queue import RecordQueue
from perfmon.recording.recovery import recover
from perfmon.recording.unstored import Unstored
from perfmon.storage.storage import Storage
from perfmon.window.cells import HOUR
from perfmon.window.live import LiveWindow
from perfmon.window.recent import CHUNK
from perfmon.window.vocabulary import Vocabulary
from perfmon.window.window import Window

_log = logging.getLogger("perfmon")


@attrs.frozen(kw_only=True)
class Setup:
    """What parts are made from; it is the same where they are opened anew.

    Attributes:
        now: the time in UTC microseconds; `steady` are seconds for waiting.
        in_flight: the runs in flight; `runs_in_flight` returns them as shown to users.
        priority: of an agent's sources, as they are configured now.
        is_alerting, is_trending: whether alerts are evaluated, and metrics carry trends.
        link: the dashboard's address, where there is one.
        is_read_only: whether storage is opened without making or changing anything there.
    """

    config: Config
    bus: Bus
    scoring: Scoring
    vocabulary: Vocabulary
    now: Callable[[], int]
    steady: Callable[[], float]
    in_flight: InFlight
    runs_in_flight: Callable[[], list[dict[str, Any]]]
    priority: Priority
    is_alerting: bool
    is_trending: bool
    link: str | None
    is_read_only: bool


class Parts:
    """Opened as one, and closed as one.

    Attributes:
        storage, queue: where rows go, and where callers leave them.
        counts: of what became of them.
        window, agents: what ran recently, and all known agents.
        intake: brings rows from the queue to the window, and to storage.
        others: brings in what other processes store.
        queries, accuracy: answers about runs, and about outcomes.
        remote_scoring: asks scorers that take their time.
        outbox, terms: sends alerts to sinks, each to those that want it.
        evaluator, alerts, listing: decides about alerts, answers for them, and finds them.
    """

    def __init__(self, setup: Setup, storage: Storage, counts: Counts) -> None:
        config, bus, now = setup.config, setup.bus, setup.now
        settings = config.monitor
        self._setup = setup
        self.storage = storage
        self.counts = counts
        self._owner = journal_owner(settings.storage, storage)
        try:
            journal = self.open_journal()
        except StorageError:
            journal = None  # what fills the disk may be stored in a moment
        self._journal_is_due = journal is None
        self.queue = RecordQueue(journal, synced=settings.durability == "power")
        vocabulary, retention = setup.vocabulary, settings.retention_hours * HOUR
        self.window = LiveWindow(Window(vocabulary, retention, settings.max_runs_in_memory), now)
        self.agents = KnownAgents(storage, self.window)
        self.intake = self._intake()
        self.others = Others(self.intake, now, settings)
        self.queries = Queries(
            self.window,
            History(storage, vocabulary),
            self.agents,
            bus,
            config,
            now,
            take_in=self.intake.catch_up,
            others=self.others,
            flush=self.intake.store_now,
            with_trends=setup.is_trending,
        )
        self.remote_scoring = RemoteScoring(self.intake.matcher, setup.scoring)
        self.accuracy = AccuracyQueries(
            self.queries, storage, is_away=self._is_away, flush=self.intake.store_now
        )
        self.terms = DeliveryTerms(bus, config)
        self._make_alerts()

    def _intake(self) -> Intake:
        setup, settings = self._setup, self._setup.config.monitor
        writing = threading.Lock()
        matcher = Matcher(
            self.storage,
            self.window,
            setup.bus,
            counts=self.counts.matched,
            compare=setup.scoring.score,
            priority=setup.priority,
            writing=writing,
        )
        unstored = Unstored(
            self.window,
            self.counts,
            remember=settings.max_runs_in_memory + 2 * CHUNK,
            shared=self.storage.shared,
        )
        self.conflicts = Conflicts(self.storage, setup.now)
        return Intake(
            self.queue,
            unstored,
            self.storage,
            setup.bus,
            matcher,
            self.agents,
            counts=self.counts,
            conflicts=self.conflicts,
            writing=writing,
        )

    def _make_alerts(self) -> None:
        setup, storage, now = self._setup, self.storage, self._setup.now
        sources = Sources(
            self.queries,
            self.window,
            self.agents,
            self.intake,
            self.others,
            setup.runs_in_flight,
            setup.in_flight.close,
        )
        rules = Ruleset.of(setup.config, self.terms.all, setup.link, is_on=setup.is_alerting)
        is_power_safe = setup.config.monitor.durability == "power"
        state = SavedState(storage, rules, is_power_safe=is_power_safe)
        firing = Firing(storage, state, now)
        self.outbox = Outbox(
            storage,
            setup.bus,
            now,
            steady=setup.steady,
            firing=firing.now,
            accepts=self.terms.accepts,
        )
        self.evaluator = Evaluator(
            setup.config,
            storage,
            sources,
            state,
            firing,
            setup.bus,
            self.outbox,
            self.terms,
            now,
            link=setup.link,
        )
        self.alerts = AlertQuestions(
            self.evaluator, storage, sources, state, firing, self.outbox, now
        )
        self.listing = AlertListing(self.evaluator, self.alerts, storage)

    @classmethod
    def open(cls, setup: Setup, counts: Counts) -> Parts:
        """Open storage and journal, and make what stands on them; `begin` comes next.

        Raises:
            StorageError: storage cannot be opened.
        """
        settings = setup.config.monitor
        storage = open_storage(setup.bus, settings.storage, read_only=setup.is_read_only)
        return cls(setup, storage, counts)

    def begin(self, before: RecordQueue) -> None:
        """Go on from what storage and dead processes' journals have, and from a queue before.

        Raises:
            StorageError: storage is unavailable.
        """
        settings, in_flight = self._setup.config.monitor, self._setup.in_flight
        self.agents.learn()
        recover(self.intake, journal_folder(settings), self._owner)
        if self._journal_is_due:
            self.queue.begin(self.open_journal())
        self.queue.take_over(before)
        before.close(keep=False)
        in_flight.forget_saved()
        with contextlib.suppress(StorageError):  # they are looked at again
            in_flight.look(self.storage, at_once=True)

    def open_journal(self) -> Journal | None:
        """A journal of this process for this storage; None where nothing outlives it."""
        return open_journal(self._setup.config.monitor, self._owner)

    def abandon(self) -> None:
        """They could not begin: nothing is left open."""
        self.queue.close(keep=False)
        self.storage.close()

    def _is_away(self) -> bool:
        return self.intake.storage_error is not None

    def load(self, hours: float) -> int:
        """Bring history into the window; returns how many rows came, those of others too.

        Raises:
            StorageError: storage is unavailable.
        """
        self.others.begin()
        setup = self._setup
        loaded = load_lately(self.intake, hours, setup.now(), setup.config.monitor)
        return loaded + self.others.brought()

    def reload(self, config: Config, *, is_alerting: bool) -> None:
        """Go on under a changed configuration."""
        self.queries.reload(config)
        self.terms.reload(config)
        self.evaluator.reload(config, is_on=is_alerting)

    def look_after(self) -> None:
        """Housekeeping, about every second, in the background."""
        self.others.check()
        self.conflicts.look()
        self.remote_scoring.look()
        in_flight = self._setup.in_flight
        in_flight.save(self.storage)
        in_flight.look(self.storage)
        if self.queries.trending is not None:
            self.queries.trending.look_back()

    # Over a fork, and to the end. Those that sleep have the same.

    def pause(self) -> bool:
        """No transaction is under way and nobody reads the window until `resume`."""
        self.intake.pause()
        self.queue.lock.acquire()
        self.storage.pause()
        return True

    def resume(self) -> None:
        """The fork is over."""
        self.storage.resume()
        self.queue.lock.release()
        self.intake.resume()

    def leave_to_parent(self) -> None:
        """This is a child, and they are its parent's."""
        if self.queue.journal is not None:
            self.queue.journal.abandon()

    def wake_if_recorded(self) -> None:
        """They are awake."""

    @property
    def unstored_rows(self) -> tuple[list[Row], list[Row]]:
        """Runs and measurements that were taken from the queue and are not in storage."""
        return self.intake.unstored.contents()

    def close(self, timeout: float, stop_writer: Callable[[float], None]) -> None:
        """Store what was recorded, as far as it can be in time, and let go of everything.

        What cannot be stored in time is in the journal, for the next start.
        """
        deadline, moment = time.monotonic() + timeout, min(timeout, 2.0)
        self.evaluator.stop(moment)
        stop_writer(timeout)
        self.remote_scoring.stop(moment)
        self.queue.shut()
        self._store_the_rest(deadline)
        self._setup.bus.close(moment)
        self.remote_scoring.stop(moment)  # what was cut off now
        self.queue.close(keep=self.intake.pending > 0)
        self.conflicts.look(is_last=True)
        with contextlib.suppress(StorageError):
            self._setup.in_flight.save(self.storage, is_last=True)
        self.storage.close()

    def _store_the_rest(self, deadline: float) -> None:
        try:
            self.intake.store_now(deadline)
            if self._setup.config.monitor.durability == "power":
                self.storage.sync()
        except StorageError as problem:
            _log.warning("stopped with runs not stored yet: %s", problem)
        self.queue.refuse_bulks()
