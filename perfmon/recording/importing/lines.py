"""The lines of a text, one after another; some can be put back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

LONGEST = 1 << 24
"""Characters of a line, and of a cell; what is longer is refused, and not held in memory."""

_PIECE = 1 << 16  # characters that are asked for at once
_SOME = 64


class _TooLong(str):
    """Stands for a line that was too long."""

    __slots__ = ()


class Lines:
    """Lines with their ends, also those of old Macs.

    Args:
        readline: reads a line, or as many characters as asked; empty at the end of the text.

    Attributes:
        read: how many lines came from the text so far.
    """

    def __init__(self, readline: Callable[[int], str]) -> None:
        self._readline = readline
        self._pieces = iter(partial(readline, _PIECE), "")
        self._ahead: deque[str] = deque()
        self._problem: Exception | None = None
        self._back: deque[str] = deque()
        self.read = 0

    @property
    def are_at_hand(self) -> bool:
        """Whether the next line was read before."""
        return bool(self._back or self._ahead)

    def next(self) -> str:
        """The next line, empty at the end; see `is_too_long`."""
        if self._back:
            return self._back.popleft()
        line = self._piece()
        if not line:
            return line
        self.read += 1
        return line if line[-1] == "\n" or len(line) < _PIECE else self._whole(line)

    def take_back(self, lines: Iterable[str]) -> None:
        """Have `next` give these again, in their order."""
        self._back.extendleft(reversed(list(lines)))

    def some(self) -> list[str]:
        """Further lines, or pieces of them; `take` or `leave` them. No line is at hand."""
        pieces: list[str] = []
        if self._problem is not None:
            return pieces
        try:
            pieces.extend(islice(self._pieces, _SOME))
        except Exception as problem:  # comes after those that could be read
            self._problem = problem
        return pieces

    def take(self, lines: list[str]) -> None:
        """Those of `some` are lines, and need not come again."""
        self.read += len(lines)

    def leave(self, pieces: list[str]) -> None:
        """Have `next` make lines of what came from `some`."""
        self._ahead.extend(pieces)

    def _piece(self) -> str:
        if self._ahead:
            return self._ahead.popleft()
        if self._problem is not None:
            raise self._problem
        return self._readline(_PIECE)

    def _whole(self, piece: str) -> str:
        """The line that begins with this piece."""
        parts, size = [piece], len(piece)
        while len(piece) == _PIECE and piece[-1] != "\n":
            may_have_ended, piece = piece[-1] == "\r", self._piece()
            if may_have_ended and piece != "\n":
                self._ahead.appendleft(piece)
                break
            size += len(piece)
            if size > LONGEST:
                parts.clear()
            parts.append(piece)
        return _TooLong("\n") if size > LONGEST else "".join(parts)


def is_too_long(line: str) -> bool:
    """Whether a line was longer than `LONGEST`, and is not here."""
    return type(line) is _TooLong


TOO_LONG = f"a line of more than {LONGEST:,} characters"
