"""Names and their numbers: agents, and keys of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.storage import CellKey, Scope
from perfmon_sql.statements import fetched, flat, in_parts, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

Key = tuple[Any, ...]
KEY_COLUMNS = (
    "a.tenant, a.name, nullif(k.agent_type, ''), nullif(k.model, ''), nullif(k.task_type, '')"
)
_SCOPE_COLUMNS = ("a.tenant", "a.name", "k.agent_type", "k.model", "k.task_type")
_REMEMBERED = 100_000


class KeyNumbers:
    """The numbers (agent, key) of keys, remembered from transaction to transaction.

    Numbers never change, and a row of names is never removed. But those given in a transaction
    that fails are gone, so `forget` is called then.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._known: dict[Key, tuple[int, int]] = {}

    def forget(self) -> None:
        self._known = {}

    def of(self, connection: sa.Connection, keys: Sequence[Key]) -> list[tuple[int, int]]:
        """The numbers of each key, given now if it has none."""
        try:
            known = self._known
            return [known[key] for key in keys]
        except KeyError:
            self._learn(connection, set(keys))
            return [self._known[key] for key in keys]

    def _learn(self, connection: sa.Connection, keys: set[Key]) -> None:
        if len(self._known) > _REMEMBERED:
            self.forget()
        missing = sorted((key[:2], _spelled(key[2:]), key) for key in keys - self._known.keys())
        names = sorted({name for name, _, _ in missing})
        agents = self._numbers(connection, "agents", ("tenant", "name"), names)
        wanted = [(agents[name], *rest) for name, rest, _ in missing]
        columns = ("agent_id", "agent_type", "model", "task_type")
        numbers = self._numbers(connection, "cell_keys", columns, wanted)
        for name, rest, key in missing:
            self._known[key] = (agents[name], numbers[agents[name], *rest])

    def _numbers(
        self, connection: sa.Connection, table: str, columns: tuple[str, ...], rows: list[Key]
    ) -> dict[Key, int]:
        names = ", ".join(columns)
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES {places(rows[:1], self._mark)} "
            "ON CONFLICT DO NOTHING",
            rows,
        )
        numbers: dict[Key, int] = {}
        same = " AND ".join(f"t.{name} = w.{name}" for name in columns)
        for part in in_parts(rows):
            found = fetched(
                connection,
                f"WITH w ({names}) AS (VALUES {places(part, self._mark)}) "
                f"SELECT t.id, w.* FROM w CROSS JOIN {table} t WHERE {same}",
                flat(part),
            )
            numbers.update((row[1:], row[0]) for row in found)
        return numbers


def keys_in(connection: sa.Connection, scope: Scope, mark: str) -> dict[int, CellKey]:
    """The keys of a scope by their number."""
    wanted, values = scope_filter(scope, mark)
    found = fetched(
        connection,
        f"SELECT k.id, {KEY_COLUMNS} FROM cell_keys k, agents a WHERE a.id = k.agent_id{wanted}",
        values,
    )
    return {row[0]: CellKey(*row[1:]) for row in found}


def scope_filter(scope: Scope, mark: str) -> tuple[str, tuple[Any, ...]]:
    """What to add to a WHERE over `cell_keys k` and `agents a`, and its values."""
    wanted = (scope.tenant, scope.agent_name, scope.agent_type, scope.model, scope.task_type)
    asked = [
        (name, value)
        for name, value in zip(_SCOPE_COLUMNS, wanted, strict=True)
        if value is not None
    ]
    return "".join(f" AND {name} = {mark}" for name, _ in asked), tuple(v for _, v in asked)


def _spelled(rest: Key) -> Key:
    """None is spelled '' in the database, where two NULLs would be two keys."""
    return tuple("" if name is None else name for name in rest)
