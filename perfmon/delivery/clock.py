"""The clock that delays go by: it starts at the wall clock and advances with a steady one."""

from __future__ import annotations

from collections.abc import Callable

_SECOND = 1_000_000


class Anchored:
    """UTC microseconds that no correction of the wall's clock moves.

    Pauses and limits are stored as moments, so that they hold through a restart; within a process
    they must not grow by three hours because a clock was set back, nor end because it was set
    ahead.

    Args:
        now: the wall's time in UTC microseconds.
        steady: seconds of a clock that only moves on.
    """

    def __init__(self, now: Callable[[], int], steady: Callable[[], float]) -> None:
        self.wall = now
        self._steady = steady
        self._began_wall, self._began_steady = now(), steady()

    def __call__(self) -> int:
        """The time, in microseconds."""
        return self._began_wall + round((self._steady() - self._began_steady) * _SECOND)

    def on_the_wall(self, moment: int) -> int:
        """When a moment of this clock is by the wall's, for people."""
        return self.wall() + moment - self()

    def earlier(self) -> int:
        """The earlier of both times: what ends by age alone must be old by each of them."""
        return min(self.wall(), self())
