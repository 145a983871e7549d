"""What alerting needs to know about runs, provided by recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from perfmon.metrics.known_agents import KnownAgents
from perfmon.metrics.queries import Queries
from perfmon.storage.storage import Watcher
from perfmon.window.live import LiveWindow


class Incoming(Protocol):
    """What is recorded, on its way to the window."""

    @property
    def has_news(self) -> bool:
        """Whether something was recorded that is not in the window yet."""
        ...

    @property
    def conflict_count(self) -> int:
        """How many runs came under known ids with other content."""
        ...

    def catch_up(self) -> None:
        """Bring into the window what was recorded so far."""
        ...


@attrs.frozen
class Sources:
    """The sources of alerting.

    Attributes:
        queries: answers as people get them.
        window: what ran recently.
        agents: all known agents, of any age.
        incoming: what is recorded here.
        others: what other processes store.
        in_flight: the runs in flight, as `get_in_flight()` returns them.
        end_runs: says that runs with these labels which began before a time (microseconds) are
            not under way any more.
    """

    queries: Queries
    window: LiveWindow
    agents: KnownAgents
    incoming: Incoming
    others: Watcher
    in_flight: Callable[[], list[dict[str, Any]]]
    end_runs: Callable[[Mapping[str, str], int], None]

    @property
    def changes(self) -> int:
        """Grows with whatever may change a verdict."""
        return self.window.changes + self.incoming.conflict_count
