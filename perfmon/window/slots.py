"""Sums over measurements, by slot: of all that count, and of each feedback source.

A cell holds few of them, so they are kept as labels with values, which add up like counts:
slots 0 to 7 and six for each of ten confidence bins for everything that counts, and three for
each source. From them follow errors, calibration and accuracy by source, for any window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from perfmon.window.ragged import Counts, Floats, Ints, Ragged

BINS = 10
NUMERIC_N, ERROR, ABS_ERROR, ERROR_SQ, SCORING_COST, RIGHT_AT_HALF, REPLACED = range(7)
# The last but one: confidence and what happened on the same side of one half.
FIRST_BIN = 8
# In each bin: count, sum of c, of o, of their squares and of their product, where c is the
# confidence and o how right it was.
IN_BIN = 6
FIRST_SOURCE = FIRST_BIN + BINS * IN_BIN
IN_SOURCE = 3  # count, sum and sum of squares of the scores
_WORTH_SUMMING = 1e150  # the square of a larger error is beyond a double


def entries(
    *,
    counted: npt.NDArray[np.bool_],
    scores: Floats,
    sources: Ints,
    confidence: Floats,
    correct: Floats,
    errors: Floats,
    costs: Floats,
    replaced: npt.NDArray[np.bool_],
) -> tuple[Ints, Floats, Floats]:
    """Rows, slots and values of measurements, to be added up; NaN is unknown.

    `counted` is True where a measurement counts for everything, not only for its source;
    `replaced` for predictions that another one replaced.
    """
    rows: list[Ints] = []
    places: list[Floats] = []
    values: list[Floats] = []

    def add(where: Ints, slot: Any, value: Any) -> None:
        rows.append(where)
        places.append(np.broadcast_to(np.asarray(slot, np.float64), len(where)))
        values.append(np.broadcast_to(np.asarray(value, np.float64), len(where)))

    scored = np.flatnonzero(~np.isnan(scores))
    first = FIRST_SOURCE + sources[scored] * float(IN_SOURCE)
    for place, value in enumerate((1.0, scores[scored], np.square(scores[scored]))):
        add(scored, first + place, value)
    measured = np.flatnonzero(counted & (np.abs(errors) < _WORTH_SUMMING))
    wrong = errors[measured]
    for slot, value in (
        (NUMERIC_N, 1.0),
        (ERROR, wrong),
        (ABS_ERROR, np.abs(wrong)),
        (ERROR_SQ, np.square(wrong)),
    ):
        add(measured, slot, value)
    paid = np.flatnonzero(costs > 0)
    add(paid, SCORING_COST, costs[paid])
    add(np.flatnonzero(replaced), REPLACED, 1.0)
    sure = np.flatnonzero(counted & ~np.isnan(confidence) & ~np.isnan(correct))
    c, o = confidence[sure], correct[sure]
    add(sure, RIGHT_AT_HALF, (c >= 0.5) == (o >= 0.5))
    first = FIRST_BIN + np.minimum(np.floor(c * BINS), BINS - 1) * IN_BIN
    for place, value in enumerate((1.0, c, o, np.square(c), np.square(o), c * o)):
        add(sure, first + place, value)
    return np.concatenate(rows), np.concatenate(places), np.concatenate(values)


def packed(labels: Floats, values: Counts, sources: Sequence[str]) -> bytes | None:
    """One cell's slots, in order, as bytes; None of nothing.

    A JSON list of the sources that it names (length before it, four bytes), then the slots (two
    bytes each, sources numbered by that list), then the values (little-endian doubles).
    """
    if not len(labels):
        return None
    places = labels.astype(np.int64)
    first = int(places.searchsorted(FIRST_SOURCE))
    numbers, place = np.divmod(places[first:] - FIRST_SOURCE, IN_SOURCE)
    numbers, local = np.unique(numbers, return_inverse=True)
    places[first:] = FIRST_SOURCE + local * IN_SOURCE + place
    header = msgspec.json.encode([sources[number] for number in numbers.tolist()])
    body = places.astype("<u2").tobytes() + values.astype("<f8").tobytes()
    return len(header).to_bytes(_LENGTH, "little") + header + body


def unpacked(blobs: Sequence[bytes | None], source_number: Callable[[str], int]) -> Ragged:
    """The slots and values of many cells, a row each, that `packed` kept."""
    rows: dict[bytes, list[int]] = {}
    bodies: list[bytes] = []
    for row, blob in enumerate(blobs):
        size = _LENGTH + int.from_bytes(blob[:_LENGTH], "little") if blob else 0
        bodies.append(blob[size:] if blob else b"")
        if blob:
            rows.setdefault(blob[_LENGTH:size], []).append(row)
    counts = np.fromiter(map(len, bodies), np.int64, len(bodies)) // _ENTRY
    starts = np.zeros(len(bodies) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    both = (zip(bodies, counts.tolist(), strict=True) for _ in range(2))
    labels = np.frombuffer(b"".join(body[: 2 * n] for body, n in next(both)), "<u2").astype(float)
    values = np.frombuffer(b"".join(body[2 * n :] for body, n in next(both)), "<f8").astype(float)
    # Most cells name the same sources, so that their numbers are put in together.
    for header, places in rows.items():
        numbers = np.array([source_number(name) for name in msgspec.json.decode(header)], np.int64)
        _renumber(labels, starts, np.array(places), numbers)
    return Ragged(starts, labels, values)


_LENGTH = 4
_ENTRY = 2 + 8


def _renumber(labels: Floats, starts: Ints, rows: Ints, numbers: Ints) -> None:
    """Give the sources of these rows the numbers that they have here."""
    lengths = starts[rows + 1] - starts[rows]
    ends = np.cumsum(lengths)
    where = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + lengths, lengths)
    where = where[labels[where] >= FIRST_SOURCE]
    local, place = np.divmod(labels[where].astype(np.int64) - FIRST_SOURCE, IN_SOURCE)
    labels[where] = FIRST_SOURCE + numbers[local] * IN_SOURCE + place
