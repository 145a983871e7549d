"""A scorer of one's own: dates are right by the day, and half right within a week.

A plugin in one file. Put it into a folder that `[plugins] paths = [...]` of monitor.toml names.
"""

from __future__ import annotations

from datetime import date

from perfmon import hookimpl


@hookimpl
def score_outcome(predicted, actual):
    """None passes the question on to the next scorer, at last to the built-in ones."""
    try:
        days = abs((date.fromisoformat(predicted) - date.fromisoformat(actual)).days)
    except (TypeError, ValueError):
        return None
    return 1.0 if days == 0 else 0.5 if days <= 7 else 0.0
