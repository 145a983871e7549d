"""The built-in scorers: numbers, strings, dates, dictionaries, lists, any JSON value."""

from __future__ import annotations

from perfmon_scorers.scorers import Scorers
from perfmon_scorers.settings import ScorersConfig

__all__ = ["Scorers", "ScorersConfig"]
