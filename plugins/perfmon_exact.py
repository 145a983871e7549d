"""Scores outcomes right or wrong, without partial credit."""

from __future__ import annotations

from typing import Any

from perfmon import hookimpl
from perfmon.scorers import same_value


class ExactScorer:
    """Right or wrong: 1 for an outcome equal in value and kind, else 0."""

    def __init__(self, config: Any = None) -> None:
        del config

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> float:
        """Whether two JSON values are the same; 1 and 1.0 are, 1 and True are not."""
        return float(same_value(predicted, actual))
