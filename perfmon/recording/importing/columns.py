"""Maps the columns of a file to fields, compiled once from its header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from perfmon.errors import PerfmonError
from perfmon.recording.importing.cells import CONVERTERS, converted
from perfmon.recording.importing.encodings import DamagedRow, legible, mended
from perfmon.recording.importing.kinds import KINDS, REQUIRED, TARGETS, Found, finished, kind_of
from perfmon.records.stamps import AssumedTime
from perfmon.records.validation import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_ALIASES = {"cost_usd": "cost"}
_LONGEST_NAMES = 300
_CLOCKS = ("timestamp", "started_at", "outcome_timestamp")
_DECADES = (631_152_000, 4_102_444_800)  # 1990 to 2099
_NAMES = {"run": ("run_id", "agent_name"), "outcome": ("task_id",)} | dict.fromkeys(
    ("accuracy", "prediction"), ("agent_name", "task_id")
)
_ALL = frozenset(field for fields in TARGETS.values() for field in fields)
_OF_OUTCOMES = tuple(dict.fromkeys(f for kind in KINDS if kind != "run" for f in TARGETS[kind]))


class Columns:
    """How rows become the arguments of what a monitor records.

    Args:
        mapping: field to column, for columns that are not named like their field.
        kind: what rows are that do not say so themselves, one of `KINDS`; None goes by their
            fields.
        default_time: epoch seconds of rows without a clock; None refuses them.
        tenant: of rows that name none.

    Raises:
        PerfmonError: the mapping names a field that does not exist.
    """

    def __init__(
        self,
        mapping: Mapping[str, str] | None = None,
        *,
        kind: str | None = None,
        default_time: float | None = None,
        tenant: str | None = None,
    ) -> None:
        self.mapping = dict(mapping or {})
        self.given = kind
        self.default_time = None if default_time is None else AssumedTime(default_time)
        self.tenant = tenant
        for field in self.mapping:
            if field not in _ALL and not field.startswith("metadata."):
                allowed = ", ".join(sorted(_ALL))
                raise PerfmonError(f"--map {field}: no such field (allowed: {allowed}, metadata.X)")

    def target(self, column: str, allowed: Collection[str]) -> str | None:
        """The field a column of this name fills by itself, `metadata.x` for `meta_x`, or None."""
        if column.startswith("meta_"):
            return "metadata." + column[5:]
        field = _ALIASES.get(column, column)
        if field in self.mapping:
            return None
        return field if field in allowed else None

    def kind(self, names: Collection[str]) -> str:
        """What rows with these columns (or keys) are."""
        mapped = (field for field, name in self.mapping.items() if name in names)
        return self.given or kind_of({*names, *mapped})

    def finished(self, fields: dict[str, Any], kind: str) -> Found:
        """See `kinds.finished`."""
        return finished(kind, fields, default_time=self.default_time, tenant=self.tenant)


def told(header: Sequence[str]) -> str:
    """The names of columns, which may be anything where the file is no CSV."""
    names = legible(", ".join(header)) or "none"
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in names)
    return plain if len(plain) <= _LONGEST_NAMES else plain[:_LONGEST_NAMES] + "..."


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
        self._kind = columns.kind(header)
        # With columns for both outcomes each row is what its own cells make it.
        self._by_row = self._kind == "accuracy" and columns.given is None
        self._allowed = _OF_OUTCOMES if self._by_row else TARGETS[self._kind]
        self._fields: list[tuple[int, str, Callable[[str], Any] | None]] = []
        self._metadata: list[tuple[int, str]] = []
        self._texts: dict[int, str] = {}
        self.left_out: list[str] = []
        places = {name: index for index, name in enumerate(header)}
        for field, name in columns.mapping.items():
            if name not in places:
                raise PerfmonError(f"{where}: no column {name!r} (columns: {told(header)})")
            self._add(places[name], field)
        for name, index in places.items():
            self._add_by_name(index, name)
        self._check_required(header, where)
        read = [field[0] for field in self._fields] + [index for index, _ in self._metadata]
        for name in (header[place] for place in read):
            if header.count(name) > 1:
                raise PerfmonError(f"{where}: two columns are named {name!r}")

    def _add_by_name(self, index: int, name: str) -> None:
        field = self._columns.target(name, self._allowed)
        if field is not None:
            self._add(index, field)
        elif name not in self._columns.mapping.values():
            self.left_out.append(name)

    def _add(self, index: int, field: str) -> None:
        if field.startswith("metadata."):
            self._metadata.append((index, field[9:]))
            self._texts.setdefault(index, "metadata")
        else:
            self._texts[index] = field
            self._fields.append((index, field, CONVERTERS.get(field)))

    def _check_required(self, header: Sequence[str], where: str) -> None:
        found = {field for _, field, _ in self._fields}
        for field in REQUIRED[self._kind]:
            if field not in found:
                raise PerfmonError(
                    f"{where}: no column for {field} (columns: {told(header)}); "
                    f"name it with --map {field}=COLUMN"
                )

    def found(self, row: list[str]) -> Found:
        """What a row stands for; a blank cell is left out.

        Raises:
            ValueError: a cell cannot be read, the row has another width, or no clock.
        """
        if len(row) != self._width:
            raise DamagedRow(f"{len(row)} cells where the header has {self._width}")
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
        kind = self._kind
        if self._by_row:
            kind = kind_of(fields, kind)
            fields = {name: value for name, value in fields.items() if name in TARGETS[kind]}
        return self._columns.finished(fields, kind)

    def mended(self, row: list[str], encoding: str) -> list[str]:
        """The row without bytes that are no text; see `encodings.mended`.

        Raises:
            DamagedRow: there are some in a key.
        """
        row = [
            legible(cell) if index not in self._texts else cell for index, cell in enumerate(row)
        ]
        for index, field in self._texts.items():
            row[index] = mended(field, row[index], encoding)
        return row

    def is_row(self, row: list[str], other: list[str]) -> bool:
        """Whether cells are certainly a row: its needed fields are there and what they should be.

        A run has a status; anything else has a clock of these decades, or the agent of the other
        row where there are no clocks. No line of a message has these at their places by chance.
        """
        try:
            found = self.found(row)
        except ValueError:
            return False
        fields = found.fields
        if not all(fields.get(name) for name in _NAMES[found.kind]):
            return False
        if found.kind == "run":
            return fields.get("status") in STATUS_CODES
        clocks = [index for index, name, _ in self._fields if name in _CLOCKS]
        if clocks:
            return any(row[index] for index in clocks) and (
                _DECADES[0] < fields["timestamp"] < _DECADES[1]
            )
        agents = [index for index, name, _ in self._fields if name == "agent_name"]
        return any(row[index] == cell for index in agents for cell in other[index : index + 1])

    def _slowly(self, row: list[str]) -> dict[str, Any]:
        return {
            name: converted(name, row[index])
            for index, name, _ in self._fields
            if row[index].strip()
        }


class JsonColumns:
    """The keys of JSON objects as fields; each object tells what it is."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._left_out: dict[str, None] = {}

    @property
    def left_out(self) -> list[str]:
        return [legible(name) for name in self._left_out]

    def found(self, found: Any, marked_of: str | None = None) -> Found:
        """What an object stands for.

        Args:
            found: the decoded line.
            marked_of: the encoding that some bytes of it are no text of.

        Raises:
            ValueError: it is no such object, or has no clock.
        """
        if not isinstance(found, dict):
            raise DamagedRow("not a JSON object")
        kind = self._kind(found)
        fields = {field: found[key] for field, key in self._columns.mapping.items() if key in found}
        metadata = self._by_name(found, kind, fields)
        if metadata:
            fields["metadata"] = {**(fields.get("metadata") or {}), **metadata}
        if marked_of is not None:
            fields = {name: mended(name, value, marked_of) for name, value in fields.items()}
        for name in _CLOCKS:
            if isinstance(fields.get(name), str):
                fields[name] = converted(name, fields[name])
            elif isinstance(fields.get(name), (bool, int, float)):
                fields[name] = converted(name, str(fields[name]))
        return self._columns.finished(fields, kind)

    def _kind(self, found: dict[str, Any]) -> str:
        if "type" not in found or "type" in self._columns.mapping.values():
            return self._columns.kind(found)
        kind = found.pop("type")
        if isinstance(kind, str) and kind in KINDS:
            return kind
        raise ValueError(f"type = {kind!r}: must be one of {', '.join(KINDS)}")

    def _by_name(self, found: dict[str, Any], kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        metadata = {
            field[9:]: fields.pop(field) for field in list(fields) if field.startswith("metadata.")
        }
        mapped = self._columns.mapping.values()
        for key, value in found.items():
            field = self._columns.target(key, TARGETS[kind])
            if field is None:
                if key not in mapped:
                    self._left_out[key] = None
            elif field.startswith("metadata."):
                metadata[field[9:]] = value
            else:
                fields[field] = value
        return metadata
