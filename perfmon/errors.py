"""The one family of errors perfmon raises on purpose; each is one clear line at the edge."""

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
    """The root: whatever perfmon refuses to do, and says why."""


class InvalidRun(PerfmonError, ValueError):
    """A run, measurement or query has a field with a value that is not allowed.

    Attributes:
        field: the field's name.
        value: what was found.
        allowed: what would have been accepted, in words.
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
    """Storage cannot be opened, or refuses a transaction for now; what was recorded waits.

    Attributes:
        in_doubt: only the answer is missing; the transaction may be stored as a whole.
    """

    in_doubt = False


class StorageMissing(StorageError):
    """Nothing is at the place of a storage that is to be read."""


class DeliveryError(PerfmonError):
    """A sink could not deliver.

    Attributes:
        permanent: trying again is of no use.
        retry_after: seconds before which the receiver does not want to be asked again, or None.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        super().__init__(message)
