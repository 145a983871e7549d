"""A SQLite database whose answers get lost."""

from __future__ import annotations

import contextlib
from typing import Any

from perfmon import StorageError


class LostAnswers:
    """Loses the answers to the next commits of a SQLite database."""

    def __init__(self, database: Any) -> None:
        self.to_lose = self.spared = self.lost = 0
        self._writing = database.writing
        database.writing = self._losing

    def lose_answers(self, commits: int, *, after: int = 0) -> None:
        self.to_lose, self.spared = commits, after

    @contextlib.contextmanager
    def _losing(self) -> Any:
        with self._writing() as connection:
            yield connection
        if self.spared:
            self.spared -= 1
        elif self.to_lose:
            self.to_lose -= 1
            self.lost += 1
            raise StorageError("the answer was lost")
