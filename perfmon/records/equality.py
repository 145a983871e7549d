"""Equality of outcomes: by kind and value, at any depth, hashable or not.

Kinds are null, boolean, number, string, list, tuple and dictionary; True is not 1, and a list is
not a tuple. 1 and 1.0 are the same number, and so is NaN with itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from perfmon.records.text_forms import one_form

_KINDS: dict[type, str] = {
    type(None): "null", bool: "boolean", int: "number", float: "number",
    str: "string", list: "list", tuple: "tuple", dict: "dictionary",
}  # fmt: skip


def value_kind(value: Any) -> str:
    """`null`, `boolean`, `number`, `string`, `list`, `tuple`, `dictionary`, or `other`."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    bases = (_KINDS[base] for base in type(value).__mro__ if base in _KINDS)
    return next(bases, "other")


def same_value(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal in value and kind, however deeply they are nested.

    >>> same_value({"a": [1]}, {"a": [1.0]}), same_value([1], [True])
    (True, False)
    """
    number = ValueNumbers()
    return number(left) == number(right)


class ValueNumbers:
    """Gives values numbers; those that are the same have one number, hashable or not.

    The numbers of one instance are comparable with one another only. A value that is not JSON
    is the same as itself alone, and must outlive the instance.

    Args:
        text: gives texts beyond ASCII, and such keys of dictionaries, the form in which they are
            compared; by default as they are.

    >>> number = ValueNumbers()
    >>> [number(value) for value in ({"a": [1]}, [2], {"a": [1.0]})]
    [2, 4, 2]
    """

    def __init__(self, text: Callable[[str], str] | None = None) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._text = text

    def __call__(self, value: Any) -> int:
        """The number of a value."""
        # From the inside out without recursion, so that no nesting is too deep.
        kind = value_kind(value)
        if kind not in _INSIDE:
            return self._leaf(kind, value)
        done: list[int] = []
        open_: list[tuple[str, Any, bool]] = [(kind, value, False)]
        while open_:
            kind, part, ready = open_.pop()
            if kind not in _INSIDE:
                done.append(self._leaf(kind, part))
            elif ready:
                inside = [done.pop() for _ in part]
                done.append(self._number(_branch(kind, self._keys(kind, part), inside)))
            else:
                open_.append((kind, part, True))
                open_.extend((value_kind(child), child, False) for child in _INSIDE[kind](part))
        return done.pop()

    def _leaf(self, kind: str, value: Any) -> int:
        if kind == "string":
            if self._text is not None and not value.isascii():
                value = self._text(value)
            return self._numbers.setdefault((kind, value), len(self._numbers))
        return self._number(_leaf(kind, value))

    def _keys(self, kind: str, part: Any) -> Any:
        text = self._text
        if text is None or kind != "dictionary":
            return part
        return [text(key) if isinstance(key, str) else key for key in part]

    def _number(self, identity: tuple[Any, ...]) -> int:
        return self._numbers.setdefault(identity, len(self._numbers))


def plain_text(text: str, *, ignore_case: bool = False, ignore_punctuation: bool = False) -> str:
    """A text, in one form of Unicode, without what a comparison is to ignore.

    Punctuation (Unicode's categories P, so no `+` or `$`) separates words, but within a number
    and as its sign it stays; so does a text of nothing else.

    >>> plain_text("Yes -- ship 3.5, or so!", ignore_case=True, ignore_punctuation=True)
    'yes ship 3.5 or so'
    """
    text = one_form(text)
    if ignore_case:
        text = one_form(text.casefold())
    if ignore_punctuation:
        letters = [" " if _separates(text, place) else c for place, c in enumerate(text)]
        text = " ".join("".join(letters).split()) or text
    return text


def _separates(text: str, place: int) -> bool:
    if unicodedata.category(text[place])[0] != "P":
        return False
    before, after = text[max(place - 1, 0) : place], text[place + 1 : place + 2]
    is_sign = text[place] == "-" and not before.isalnum()
    return not (after.isdecimal() and (before.isdecimal() or is_sign))


_INSIDE: dict[str, Callable[[Any], Any]] = {"list": iter, "tuple": iter, "dictionary": dict.values}


def _branch(kind: str, keys: Any, inside: list[int]) -> tuple[Any, ...]:
    # Children were finished last first, so they come off the stack in their own order.
    if kind == "dictionary":
        return kind, frozenset(zip(keys, inside, strict=True))
    return kind, *inside


def _leaf(kind: str, value: Any) -> tuple[Any, ...]:
    if kind == "other":
        return kind, id(value)
    # math.isnan fails for whole numbers beyond a float.
    is_nan = kind == "number" and value != value  # noqa: PLR0124
    return (kind, "nan") if is_nan else (kind, value)
