"""Numbers given as a time: seconds since 1970, and other kinds of numbers."""

from __future__ import annotations

_RANGES = (
    (1_900, 2_200, "a year"),
    (20_000, 80_000, "a day number, as in spreadsheets"),
    (190_001, 220_012, "a year and a month"),
    (693_596, 803_500, "a day number"),  # since the year 1, or 0
    (2_415_020, 2_524_700, "a day number"),  # the astronomers', since 4713 BC
)
DATE_WITHOUT_DASHES = "a date without dashes"
_DATES = (19_000_101, 22_001_231)
SURELY_SECONDS = _DATES[1]
"""What is greater is no such number, whatever else it is."""


class AssumedTime(float):
    """Epoch seconds that nobody gave and an import assumed: another import may assume others."""


def not_seconds(number: float) -> str | None:
    """What a number of a time is that is no seconds since 1970; None where it may be those.

    Such a number would be a time of the first days or months of 1970, when no agent ran.
    """
    for low, high, words in _RANGES:
        if low <= number <= high:
            return words
    if _DATES[0] <= number <= _DATES[1]:
        month, day = int(number) // 100 % 100, int(number) % 100
        if number == int(number) and 1 <= month <= 12 and 1 <= day <= 31:
            return DATE_WITHOUT_DASHES
    return None
