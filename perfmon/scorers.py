"""Tools for authors of scorers: equality of values, and normal forms of text.

Nothing here is needed to write one; it is what the scorers that ship use, so that they agree.
"""

from __future__ import annotations

from perfmon.records.equality import ValueNumbers, plain_text, same_value, value_kind
from perfmon.records.text_forms import alike, one_form, words_of

__all__ = [
    "ValueNumbers",
    "alike",
    "one_form",
    "plain_text",
    "same_value",
    "value_kind",
    "words_of",
]
