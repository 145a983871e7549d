"""Turns TOML values into typed ones, and coerces nothing: "60" is not 60, true is not 1."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin

import attrs

from perfmon.config.secret import Secret
from perfmon.config.validators import Duration, SecretText, did_you_mean, duration_seconds, shown

if TYPE_CHECKING:
    import cattrs


def new_converter(
    read_table: Callable[[type[Any], Any], Any], read_secret: Callable[[Any], Secret]
) -> cattrs.Converter:
    """A converter that raises `ValueError` with what is allowed; tables go to `read_table`."""
    import cattrs
    from cattrs.cols import is_mapping, is_sequence, list_structure_factory
    from cattrs.gen import make_mapping_structure_fn

    converter = cattrs.Converter(detailed_validation=True)
    for kind in _PLAIN:
        converter.register_structure_hook(kind, _plain)
    converter.register_structure_hook(Secret, lambda raw, _: read_secret(raw))
    converter.register_structure_hook_func(
        lambda kind: kind == Duration, lambda raw, _: duration_seconds(raw)
    )
    converter.register_structure_hook_func(
        lambda kind: kind == SecretText, lambda raw, _: read_secret(raw).reveal()
    )
    converter.register_structure_hook_func(_is_choice, _choice)
    converter.register_structure_hook_func(attrs.has, lambda raw, cls: read_table(cls, raw))
    # cattrs would take the text "ab" for the list ["a", "b"].
    converter.register_structure_hook_factory(
        is_sequence,
        lambda kind: _guarded(list, "a list", list_structure_factory(kind, converter)),
    )
    converter.register_structure_hook_factory(
        is_mapping,
        lambda kind: _guarded(Mapping, "a table", make_mapping_structure_fn(kind, converter)),
    )
    return converter


def holds_secret(kind: Any) -> bool:
    """Whether values of a type are, or contain, secrets."""
    return (
        kind is Secret or kind == SecretText or any(holds_secret(part) for part in get_args(kind))
    )


def _refuse(words: str) -> NoReturn:
    raise ValueError(f"must be {words}")


def _whole(raw: Any) -> int:
    return raw if type(raw) is int else _refuse("a whole number")


def _number(raw: Any) -> float:
    if type(raw) in (int, float) and math.isfinite(raw) and abs(raw) <= 1e300:
        return float(raw)
    _refuse("a number")


def _text(raw: Any) -> str:
    return raw if isinstance(raw, str) else _refuse("text")


def _flag(raw: Any) -> bool:
    return raw if isinstance(raw, bool) else _refuse("true or false")


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    int: _whole, float: _number, str: _text, bool: _flag,
}  # fmt: skip


def _plain(raw: Any, kind: Any) -> Any:
    # An enum of texts is a kind of text to cattrs, and comes here too.
    return _PLAIN[kind](raw) if kind in _PLAIN else _choice(raw, kind)


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def _choice(raw: Any, kind: Any) -> Any:
    choices = get_args(kind) or tuple(member.value for member in kind)
    for choice in choices:
        if type(raw) is type(choice) and raw == choice:
            return choice if get_args(kind) else kind(choice)
    listed = ", ".join(shown(choice) for choice in choices)
    _refuse(f"one of {listed}{did_you_mean(raw, choices) if isinstance(raw, str) else ''}")


def _guarded(
    wanted: type[Any], words: str, structure: Callable[..., Any]
) -> Callable[[Any, Any], Any]:
    def checked(raw: Any, kind: Any) -> Any:
        return structure(raw, kind) if isinstance(raw, wanted) else _refuse(words)

    return checked
