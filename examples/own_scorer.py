"""A scorer of one's own, for dates: a file for a folder that `[plugins] paths` names."""

from datetime import date

from perfmon import hookimpl


@hookimpl
def score_outcome(predicted, actual):
    """Half right within a week. None leaves all else to others, at last to the built-in ones."""
    try:
        days = abs((date.fromisoformat(predicted) - date.fromisoformat(actual)).days)
    except (TypeError, ValueError):
        return None
    return 1.0 if days == 0 else 0.5 if days <= 7 else 0.0
