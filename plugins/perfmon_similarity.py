"""Scores text by its similarity to the actual text, by characters or words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from perfmon import hookimpl
from perfmon.scorers import plain_text, words_of

if TYPE_CHECKING:
    from perfmon import Config


@attrs.frozen(kw_only=True)
class SimilarityConfig:
    """The table `[plugins.similarity]`.

    Attributes:
        method: `edit` compares letter by letter; `token_sort` does with the words sorted;
            `token_set` with each word once, and a text that has all words of the other, and
            more, is right; `partial` compares the shorter text with the part of the longer one
            that is most like it.
        ignore_case, ignore_punctuation: what makes no difference.
        max_characters: longer texts are left to the next scorer, for the time grows with the
            product of both lengths; by default 20,000, and 2,000 for `partial`, which takes a
            fifth of a second for those.
    """

    method: Literal["edit", "token_sort", "token_set", "partial"] = "edit"
    ignore_case: bool = False
    ignore_punctuation: bool = False
    max_characters: int = attrs.field(validator=attrs.validators.ge(1))

    @max_characters.default
    def _bearable(self) -> int:
        return 2_000 if self.method == "partial" else 20_000


class SimilarityScorer:
    """How alike two texts are, in [0, 1], by rapidfuzz; passes on what is no text.

    `edit` is the normalised Indel similarity: 1 - (insertions + deletions needed) / (length of
    both), twice the longest common subsequence over both lengths. The others are the same of
    texts that were made from these two; see `SimilarityConfig`.

    >>> round(SimilarityScorer().score_outcome("refund order 17", "refund order 71"), 3)
    0.933
    """

    def __init__(self, config: Config | None = None) -> None:
        from rapidfuzz import fuzz

        self._config = (
            SimilarityConfig() if config is None else config.table("similarity", SimilarityConfig)
        )
        self._ratio = {
            "edit": fuzz.ratio,
            "token_sort": fuzz.token_sort_ratio,
            "token_set": fuzz.token_set_ratio,
            "partial": fuzz.partial_ratio,
        }[self._config.method]

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float | None:
        """The likeness of two texts; 1 for texts that are the same."""
        if not isinstance(predicted, str) or not isinstance(actual, str):
            return None
        if max(len(predicted), len(actual)) > self._config.max_characters:
            return None
        left, right = self._plain(predicted), self._plain(actual)
        # No words have nothing in common, says rapidfuzz; but equal texts are equal.
        if left == right:
            return 1.0
        # An empty text would be a part of every other.
        if not left or not right:
            return 0.0
        return self._ratio(left, right) / 100

    def _plain(self, text: str) -> str:
        c = self._config
        text = plain_text(text, ignore_case=c.ignore_case, ignore_punctuation=c.ignore_punctuation)
        # Where words are compared, letters of scripts without spaces are some.
        return " ".join(words_of(text)) if c.method.startswith("token") else text
