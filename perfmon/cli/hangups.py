"""A SIGHUP that arrives before the server can reload is remembered until it can."""

from __future__ import annotations

import signal

_SIGHUP = getattr(signal, "SIGHUP", None)  # not on Windows
_came = False


def hold() -> None:
    """Remember hangups from now on, instead of exiting on one."""
    if _SIGHUP is not None:
        signal.signal(_SIGHUP, _remember)


def _remember(*_: object) -> None:
    global _came  # noqa: PLW0603 - a signal belongs to the process
    _came = True


def deliver() -> None:
    """The server can reload now: a SIGHUP that came earlier is raised again."""
    global _came  # noqa: PLW0603
    if _came and _SIGHUP is not None:
        _came = False
        signal.raise_signal(_SIGHUP)
