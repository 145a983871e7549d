"""Outcomes reduced to what a comparison considers, at every depth."""

from __future__ import annotations

from collections import Counter
from typing import Any

from perfmon.scorers import plain_text, value_kind
from perfmon_scorers.dates import moment
from perfmon_scorers.settings import ScorersConfig


def has_to_ignore(config: ScorersConfig) -> bool:
    """Whether `without_ignored` changes anything."""
    return (
        config.ignore_case
        or config.ignore_punctuation
        or config.ignore_key_case
        or 0 in config.weights.values()
    )


def without_ignored(value: Any, config: ScorersConfig) -> Any:
    """A value as it is to be compared; works without recursion, so no nesting is too deep."""
    done: list[Any] = []
    open_ = [(value, False)]
    while open_:
        part, ready = open_.pop()
        kind = value_kind(part)
        if kind == "string":
            done.append(_text(part, config))
        elif kind not in ("list", "tuple", "dictionary"):
            done.append(part)
        elif ready:
            # The last was finished first, so they come off the stack in their own order.
            done.append(_rebuilt(kind, part, [done.pop() for _ in part], config))
        else:
            open_.append((part, True))
            children = part.values() if kind == "dictionary" else part
            open_.extend((child, False) for child in children)
    return done.pop()


def _text(text: str, config: ScorersConfig) -> str:
    if moment(text):  # its punctuation says what it is
        return text
    return plain_text(
        text, ignore_case=config.ignore_case, ignore_punctuation=config.ignore_punctuation
    )


def _rebuilt(kind: str, part: Any, inside: list[Any], config: ScorersConfig) -> Any:
    if kind == "list":
        return inside
    if kind == "tuple":
        return tuple(inside)
    weightless = {config.key(key) for key, weight in config.weights.items() if not weight}
    kept = [
        (key, value)
        for key, value in zip(part, inside, strict=True)
        if config.key(key) not in weightless
    ]
    alike = Counter(config.key(key) for key, _ in kept)
    return {key if alike[config.key(key)] > 1 else config.key(key): value for key, value in kept}
