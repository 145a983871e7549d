"""The storage interface and leases: the names that the author of a storage needs.

`Storage` and `AlertStorage` are the contract; the others are what passes through it.
`perfmon.testing.StorageContract` is the same as tests.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfmon.records import CellKey, Scope
    from perfmon.records.content import RUN_ROW, differing
    from perfmon.records.measurements import MEASUREMENT_FIELDS, MEASUREMENT_STATES
    from perfmon.records.validation import RUN_FIELDS
    from perfmon.storage.alerts import (
        AlertState,
        AlertStorage,
        DueMessage,
        RunInFlight,
        SinkState,
    )
    from perfmon.storage.storage import (
        ConflictCount,
        FoundBy,
        KnownAgent,
        News,
        Storage,
        Stored,
    )
    from perfmon.window.batch import Batch
    from perfmon.window.cells import HOUR, Cells, PackedCell

# Imported at their first use: cells need numpy, and the rest of perfmon this folder.
_HOMES = {
    "AlertState": "perfmon.storage.alerts",
    "AlertStorage": "perfmon.storage.alerts",
    "Batch": "perfmon.window.batch",
    "CellKey": "perfmon.records",
    "Cells": "perfmon.window.cells",
    "ConflictCount": "perfmon.storage.storage",
    "differing": "perfmon.records.content",
    "DueMessage": "perfmon.storage.alerts",
    "FoundBy": "perfmon.storage.storage",
    "HOUR": "perfmon.window.cells",
    "KnownAgent": "perfmon.storage.storage",
    "MEASUREMENT_FIELDS": "perfmon.records.measurements",
    "MEASUREMENT_STATES": "perfmon.records.measurements",
    "News": "perfmon.storage.storage",
    "PackedCell": "perfmon.window.cells",
    "RUN_FIELDS": "perfmon.records.validation",
    "RUN_ROW": "perfmon.records.content",
    "RunInFlight": "perfmon.storage.alerts",
    "Scope": "perfmon.records",
    "SinkState": "perfmon.storage.alerts",
    "Storage": "perfmon.storage.storage",
    "Stored": "perfmon.storage.storage",
}

__all__ = [
    "HOUR",
    "MEASUREMENT_FIELDS",
    "MEASUREMENT_STATES",
    "RUN_FIELDS",
    "RUN_ROW",
    "AlertState",
    "AlertStorage",
    "Batch",
    "CellKey",
    "Cells",
    "ConflictCount",
    "DueMessage",
    "FoundBy",
    "KnownAgent",
    "News",
    "PackedCell",
    "RunInFlight",
    "Scope",
    "SinkState",
    "Storage",
    "Stored",
    "differing",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'perfmon.storage' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
