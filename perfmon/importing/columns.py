"""Which column of a file is which field, compiled once from its header."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from perfmon.errors import InvalidRun, PerfmonError
from perfmon.importing.cells import (
    CONVERTERS,
    MEASUREMENT_TARGETS,
    RUN_TARGETS,
    converted,
    moment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ALIASES = {"cost_usd": "cost"}
_TARGETS = frozenset(RUN_TARGETS) | frozenset(MEASUREMENT_TARGETS)
_REQUIRED = {
    "run": ("run_id", "agent_name", "status"),
    "accuracy": ("agent_name", "task_id", "predicted_outcome", "actual_outcome"),
}
NO_CLOCK = "timestamp is missing: the row has no clock (give --default-time for such rows)"


class Columns:
    """How rows become the arguments of `record_agent_run` and `record_accuracy`.

    Args:
        mapping: field to column, for columns that are not named like their field.
        default_time: epoch seconds of rows without a clock; None refuses them.
        tenant: of rows that name none.

    Raises:
        PerfmonError: the mapping names a field that does not exist.
    """

    def __init__(
        self,
        mapping: Mapping[str, str] | None = None,
        *,
        default_time: float | None = None,
        tenant: str | None = None,
    ) -> None:
        self.mapping = dict(mapping or {})
        self.default_time = default_time
        self.tenant = tenant
        for field in self.mapping:
            if field not in _TARGETS and not field.startswith("metadata."):
                allowed = ", ".join(sorted(_TARGETS))
                raise PerfmonError(f"--map {field}: no such field (allowed: {allowed}, metadata.X)")

    def target(self, column: str, kind: str) -> str | None:
        """The field a column of this name fills by itself, `metadata.x` for `meta_x`, or None."""
        if column.startswith("meta_"):
            return "metadata." + column[5:]
        field = _ALIASES.get(column, column)
        if field in self.mapping:
            return None
        allowed = RUN_TARGETS if kind == "run" else (*MEASUREMENT_TARGETS, "started_at")
        return field if field in allowed else None

    def kind(self, names: Sequence[str]) -> str:
        """What a row with these columns (or keys) is: `run` or `accuracy`."""
        found = {*names, *(field for field, name in self.mapping.items() if name in names)}
        return "accuracy" if {"predicted_outcome", "actual_outcome"} <= found else "run"

    def finished(self, fields: dict[str, Any], kind: str) -> dict[str, Any]:
        """The fields with their stamp, tenant and, for a measurement, a stable id."""
        if self.tenant is not None and fields.get("tenant") is None:
            fields["tenant"] = self.tenant
        started = fields.pop("started_at", None)
        if fields.get("timestamp") is None:
            fields["timestamp"] = _ended(started, fields.get("duration_ms"))
        if kind == "accuracy":
            _identify(fields)
        if fields["timestamp"] is None:
            if self.default_time is None:
                raise ValueError(NO_CLOCK)
            fields["timestamp"] = self.default_time
        return fields


def _ended(started: float | None, duration_ms: Any) -> float | None:
    if started is None or not isinstance(duration_ms, (int, float)):
        return started
    return started + duration_ms / 1000


def _identify(fields: dict[str, Any]) -> None:
    for name in _REQUIRED["accuracy"]:
        if name not in fields:
            raise ValueError(f"{name} is missing")
    if fields.get("measurement_id") is None:
        # Before the default time comes in: that may differ from one import to the next.
        fields["measurement_id"] = _measurement_id(fields)


def _measurement_id(fields: Mapping[str, Any]) -> str:
    own = {name: fields.get(name) for name in MEASUREMENT_TARGETS if name != "metadata"}
    return hashlib.sha256(msgspec.json.encode(own)).hexdigest()[:32]


class CsvColumns:
    """The converters of one CSV file.

    Args:
        columns: the mapping asked for.
        header: the file's column names.
        where: the file's name, for errors.

    Raises:
        PerfmonError: a column asked for, or one that every row needs, is not there.
    """

    def __init__(self, columns: Columns, header: Sequence[str], where: str) -> None:
        self._columns = columns
        self._width = len(header)
        self.kind = columns.kind(header)
        self._fields: list[tuple[int, str, Callable[[str], Any] | None]] = []
        self._metadata: list[tuple[int, str]] = []
        self.left_out: list[str] = []
        places = {name: index for index, name in enumerate(header)}
        for field, name in columns.mapping.items():
            if name not in places:
                raise PerfmonError(f"{where}: no column {name!r}, only {', '.join(header)}")
            self._add(places[name], field)
        for name, index in places.items():
            self._add_by_name(index, name)
        self._check_required(header, where)

    def _add_by_name(self, index: int, name: str) -> None:
        field = self._columns.target(name, self.kind)
        if field is not None:
            self._add(index, field)
        elif name not in self._columns.mapping.values():
            self.left_out.append(name)

    def _add(self, index: int, field: str) -> None:
        if field.startswith("metadata."):
            self._metadata.append((index, field[9:]))
        else:
            self._fields.append((index, field, CONVERTERS.get(field)))

    def _check_required(self, header: Sequence[str], where: str) -> None:
        found = {field for _, field, _ in self._fields}
        for field in _REQUIRED[self.kind]:
            if field not in found:
                names = ", ".join(header) or "none"
                raise PerfmonError(
                    f"{where}: no column for {field} (columns: {names}); "
                    f"name it with --map {field}=COLUMN"
                )

    def fields(self, row: list[str]) -> dict[str, Any]:
        """The arguments a row stands for; a blank cell is left out.

        Raises:
            ValueError: a cell cannot be read, the row has another width, or no clock.
        """
        if len(row) != self._width:
            raise ValueError(f"{len(row)} cells where the header has {self._width}")
        try:
            fields: dict[str, Any] = {
                name: convert(row[index]) if convert else row[index]
                for index, name, convert in self._fields
                if row[index]
            }
        except (ValueError, OverflowError, msgspec.DecodeError):
            fields = self._slowly(row)
        metadata = {name: row[index] for index, name in self._metadata if row[index]}
        if metadata:
            fields["metadata"] = {**(fields.get("metadata") or {}), **metadata}
        return self._columns.finished(fields, self.kind)

    def _slowly(self, row: list[str]) -> dict[str, Any]:
        read = {name: converted(name, row[index]) for index, name, _ in self._fields}
        return {name: value for name, value in read.items() if value is not None}


class JsonColumns:
    """The keys of JSON objects as fields; each object tells what it is."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._left_out: dict[str, None] = {}

    @property
    def left_out(self) -> list[str]:
        return list(self._left_out)

    def fields(self, found: Any) -> tuple[str, dict[str, Any]]:
        """The kind of an object and its arguments.

        Raises:
            ValueError: it is no such object, or has no clock.
        """
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - what a file says, not a bug
        kind = self._kind(found)
        fields = {field: found[key] for field, key in self._columns.mapping.items() if key in found}
        metadata = self._by_name(found, kind, fields)
        if metadata:
            fields["metadata"] = {**(fields.get("metadata") or {}), **metadata}
        for name in ("timestamp", "started_at"):
            if isinstance(fields.get(name), str):
                fields[name] = converted(name, fields[name])
            elif isinstance(fields.get(name), bool):
                raise InvalidRun(name, fields[name], "a time in ISO 8601 or epoch seconds")
        return kind, self._columns.finished(fields, kind)

    def _kind(self, found: dict[str, Any]) -> str:
        if "type" not in found or "type" in self._columns.mapping.values():
            return self._columns.kind(list(found))
        kind = found.pop("type")
        if isinstance(kind, str) and kind in _REQUIRED:
            return kind
        raise ValueError(f"type = {kind!r}: must be run or accuracy")

    def _by_name(self, found: dict[str, Any], kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        metadata = {
            field[9:]: fields.pop(field) for field in list(fields) if field.startswith("metadata.")
        }
        mapped = self._columns.mapping.values()
        for key, value in found.items():
            field = self._columns.target(key, kind)
            if field is None:
                if key not in mapped:
                    self._left_out[key] = None
            elif field.startswith("metadata."):
                metadata[field[9:]] = value
            else:
                fields[field] = value
        return metadata


__all__ = ["Columns", "CsvColumns", "JsonColumns", "moment"]
