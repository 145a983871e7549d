"""The lines of a text, one after another, of which some can be taken back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

LONGEST = 1 << 24
"""Characters of a line, and of a cell; what is longer is refused, and not held in memory."""


class _TooLong(str):
    """Stands for a line that was too long."""

    __slots__ = ()


_ENDS = ("\n", "\r")


class Lines:
    """Lines with their ends, also those of old Macs.

    Args:
        readline: reads a line, or as many characters as asked; empty at the end of the text.

    Attributes:
        read: how many lines came from the text so far.
    """

    def __init__(self, readline: Callable[[int], str]) -> None:
        self._readline = readline
        self._back: deque[str] = deque()
        self.read = 0

    def next(self) -> str:
        """The next line, empty at the end; see `is_too_long`."""
        if self._back:
            return self._back.popleft()
        line = self._readline(LONGEST)
        if not line:
            return line
        self.read += 1
        if len(line) < LONGEST or line.endswith(_ENDS):
            return line
        while (rest := self._readline(LONGEST)) and not rest.endswith(_ENDS):
            pass
        return _TooLong("\n")

    def take_back(self, lines: Iterable[str]) -> None:
        """Have `next` give these again, in their order."""
        self._back.extendleft(reversed(list(lines)))


def is_too_long(line: str) -> bool:
    """Whether a line was longer than `LONGEST`, and is not here."""
    return type(line) is _TooLong


TOO_LONG = f"a line of more than {LONGEST:,} characters"
