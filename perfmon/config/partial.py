"""The valid part of a table with mistakes, so that further mistakes can be reported as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

import attrs

T = TypeVar("T")


class UndecidedError(Exception):
    """A question that only a value with a mistake could answer."""


class _Unknown:
    """Stands where a mistake stands: something is given, and nothing is known of it."""

    __slots__ = ()

    def _undecided(self, *_: object) -> NoReturn:
        raise UndecidedError

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __getattr__ = _undecided
    __bool__ = __len__ = __iter__ = __hash__ = __str__ = __format__ = __getitem__ = _undecided
    __call__ = __int__ = __float__ = __add__ = __sub__ = __mul__ = __truediv__ = _undecided
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __neg__ = __abs__ = _undecided
    __class__ = property(_undecided)  # isinstance() asks it


UNKNOWN: Any = _Unknown()


def is_known(value: object) -> bool:
    """Whether a value is there, rather than a mistake."""
    return value is not UNKNOWN


def is_whole(table: Any) -> bool:
    """Whether no mistake stands in a table's own keys."""
    fields = attrs.fields(type(table))
    return all(is_known(getattr(table, field.name)) for field in fields)


def decided(words: Iterable[str]) -> Iterator[str]:
    """The mistakes reported before a question that cannot be answered."""
    try:
        yield from words
    except UndecidedError:
        return


def partly(cls: type[T], values: dict[str, Any], mistaken: Iterable[str]) -> T:
    """An instance that nothing has checked; fields by the names of its class."""
    made = cls.__new__(cls)
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        if field.name in mistaken:
            value = values.get(field.name, UNKNOWN)
        else:
            value = values[field.name] if field.name in values else _default(field)
        object.__setattr__(made, field.name, value)
    return made


def settled(value: Any) -> Any:
    """The same with each mistake replaced by its default, where it has one."""
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            found = getattr(value, field.name)
            object.__setattr__(
                value, field.name, settled(found) if is_known(found) else _default(field)
            )
        return value
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if is_known(item)}
    if isinstance(value, list):
        return [settled(item) for item in value if is_known(item)]
    return value


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if default is attrs.NOTHING or getattr(default, "takes_self", False):
        return UNKNOWN
    return default.factory() if hasattr(default, "factory") else default
