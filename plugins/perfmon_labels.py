"""Scores classifications: the right label or not, in any spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import ConfigError, hookimpl
from perfmon.scorers import plain_text, value_kind

if TYPE_CHECKING:
    from perfmon import Config

_LISTS = (list, tuple)


def _check_credit(_instance: Any, _attribute: Any, table: Mapping[str, Mapping[str, Any]]) -> None:
    for predicted, credits_ in table.items():
        for actual, credit in credits_.items():
            if not 0 <= credit <= 1:
                raise ValueError(f"must be numbers in [0, 1], not {predicted}.{actual} = {credit}")


@attrs.frozen(kw_only=True)
class LabelsConfig:
    """The table `[plugins.labels]`.

    Attributes:
        synonyms: a label, and what else it is called.
        partial: what a wrong label is worth, by the predicted label and the actual one.
        ignore_case, ignore_punctuation: what makes no difference between labels.
    """

    synonyms: dict[str, list[str]] = attrs.Factory(dict)
    partial: dict[str, dict[str, float]] = attrs.field(factory=dict, validator=_check_credit)
    ignore_case: bool = True
    ignore_punctuation: bool = False


class LabelScorer:
    """Right (1) or wrong (0, or partial credit) for labels; F1 for lists of labels.

    Text, numbers and booleans are labels: true and "true" are the same one, and so are 1 and
    "1". Case and the width of spaces make no difference. Of lists the sets count, and a single
    label beside a list is a list of one: F1 = 2 * shared / (predicted + actual), van Rijsbergen,
    "Information Retrieval", 1979, chapter 7. Everything else is passed on.

    >>> score = LabelScorer().score_outcome
    >>> score(" Approve", "approve"), score("deny", "approve"), score(["a", "b"], ["b", "c"])
    (1.0, 0.0, 0.5)
    """

    def __init__(self, config: Config | None = None) -> None:
        self._config = LabelsConfig() if config is None else config.table("labels", LabelsConfig)
        self._names: dict[str, str] = {}
        wrong = []
        for name, others in self._config.synonyms.items():
            for written in (name, *others):
                plain = self._plain(written)
                known = self._names.setdefault(plain, self._plain(name))
                if known != self._plain(name):
                    wrong.append(f"{written!r} already belongs to {known!r}")
        if wrong and config is not None:
            place = config.place("plugins", "labels", "synonyms")
            raise ConfigError([f"{place}: {one}" for one in wrong])
        self._partial = {
            (self._named(predicted), self._named(actual)): credit
            for predicted, credits_ in self._config.partial.items()
            for actual, credit in credits_.items()
        }

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float | None:
        """Whether the label is right; None where one of the outcomes is no label."""
        said, true = self._labels(predicted), self._labels(actual)
        if said is None or true is None:
            return None
        if isinstance(predicted, _LISTS) or isinstance(actual, _LISTS):
            return 2 * len(said & true) / (len(said) + len(true)) if said or true else 1.0
        return 1.0 if said == true else self._partial.get((said.pop(), true.pop()), 0.0)

    def _labels(self, outcome: Any) -> set[str] | None:
        """The label, or the labels of a list; None where one of them is none."""
        elements = outcome if isinstance(outcome, _LISTS) else [outcome]
        labels = {self._label(element) for element in elements}
        return None if None in labels else {label for label in labels if label is not None}

    def _label(self, value: Any) -> str | None:
        kind = value_kind(value)
        if kind == "string":
            return self._named(value)
        if kind == "boolean":
            return self._named(str(value).lower())
        return self._named(_digits(value)) if kind == "number" else None

    def _named(self, text: str) -> str:
        plain = self._plain(text)
        return self._names.get(plain, plain)

    def _plain(self, text: str) -> str:
        c = self._config
        text = plain_text(text, ignore_case=c.ignore_case, ignore_punctuation=c.ignore_punctuation)
        return " ".join(text.split())


def _digits(number: float) -> str:
    """A number as it is usually written: 1.0 is "1"."""
    if isinstance(number, float) and not number.is_integer():
        return str(number)
    try:
        return str(int(number))
    except ValueError:  # more digits than Python writes
        return hex(int(number))
