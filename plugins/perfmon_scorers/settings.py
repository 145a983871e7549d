"""The table `[plugins.scorers]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from perfmon import Duration
from perfmon.scorers import one_form


def _check_weights(_instance: Any, _attribute: Any, weights: Mapping[str, float]) -> None:
    wrong = [f"{key} = {weight:g}" for key, weight in weights.items() if not 0 <= weight <= 1e6]
    if wrong:
        raise ValueError(f"must be numbers from 0 to 1000000, not {', '.join(wrong)}")


@attrs.frozen(kw_only=True)
class ScorersConfig:
    """What counts as right, and how much.

    Attributes:
        tolerance: a number is right up to this share of the actual one.
        absolute_tolerance: and up to this difference.
        date_tolerance: a date or time is right up to this far from the actual one.
        ignore_case, ignore_punctuation: for text, wherever it stands but in keys.
        ignore_key_case: for keys; those of one dictionary that differ in case alone keep theirs.
        lists: `multiset` counts an element as often as it occurs, `set` once, and `sequence`
            scores place by place.
        weights: how much a key counts, at any depth, if not 1; one of 0 is left out.
    """

    tolerance: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    absolute_tolerance: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    date_tolerance: Duration = 0.0
    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_key_case: bool = False
    lists: Literal["multiset", "set", "sequence"] = "multiset"
    weights: dict[str, float] = attrs.field(factory=dict, validator=_check_weights)

    @property
    def is_tolerant(self) -> bool:
        """Whether a number may be right without being equal."""
        return self.tolerance > 0 or self.absolute_tolerance > 0

    def key(self, key: Any) -> Any:
        """A key as it is compared."""
        if not isinstance(key, str):
            return key
        key = one_form(key)
        return one_form(key.casefold()) if self.ignore_key_case else key
