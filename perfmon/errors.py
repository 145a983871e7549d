"""The errors perfmon raises on purpose; users see each as one clear line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any


def spelled(value: Any, spell: Callable[[Any], str] = str) -> str:
    """Anybody's object as text, also where it has no words for itself."""
    try:
        return spell(value)
    except Exception:
        return f"<{type(value).__name__}>"


class PerfmonError(Exception):
    """The base class of all errors that perfmon raises on purpose."""


class InvalidRun(PerfmonError, ValueError):
    """A run, measurement or query has a field with a value that is not allowed.

    Attributes:
        field: the field's name.
        value: what was found.
        allowed: what is accepted, in words.
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        shown = value.isoformat() if isinstance(value, datetime) else spelled(value, repr)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field} = {shown}: must be {allowed}")

    def __reduce__(self) -> tuple[Any, ...]:  # it travels between processes
        return type(self), (self.field, self.value, self.allowed)


class ConfigError(PerfmonError):
    """The configuration has mistakes; `mistakes` lists all of them, one line each."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.mistakes,)


class PluginError(PerfmonError):
    """A plugin cannot be found, imported or registered."""


class StorageError(PerfmonError):
    """Storage cannot be opened, or cannot commit for now; recorded data is kept until it can.

    Attributes:
        in_doubt: only the reply is missing; the transaction may have been committed.
    """

    in_doubt = False


class StorageMissing(StorageError):
    """The storage to read does not exist."""


class DeliveryError(PerfmonError):
    """A sink could not deliver.

    Attributes:
        permanent: retrying will not help.
        retry_after: seconds that the receiver asks to wait before the next attempt, or None.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        super().__init__(message)
