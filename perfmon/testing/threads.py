"""Runs functions in several threads at once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def meanwhile(*works: Callable[[], None]) -> Iterator[None]:
    """Do this beside the block, each on a thread of its own; ends when all of it is done."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def at_once(*works: Callable[[], None]) -> None:
    """Do all of this at the same time."""
    with meanwhile(*works):
        pass
