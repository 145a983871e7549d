"""Quantiles of latencies: exact for few values, a log-histogram of 1% buckets for many.

A sketch is a multiset of values. While a cell holds at most `EXACT` runs the values are kept as
they are; beyond, each is rounded to the middle of its logarithmic bucket, so that it is off by
at most half a bucket (0.5%). Rounding twice changes nothing, so sketches merge in any order.
The idea is that of Masson, Rim, Lee: DDSketch (VLDB 2019).
"""

from __future__ import annotations

import numpy as np

from perfmon.window.ragged import Counts, Floats, Ints, Ragged, merge_labels

EXACT = 64
STEP = 0.0099  # ln of the ratio of neighbouring buckets
_DENSE = 2048  # from this many entries on, a histogram is quicker than a sort
_ZERO = -10_000.0  # the bucket of 0: far below 1e-43 ms


def buckets(values: Floats) -> Floats:
    """The bucket numbers of values of at least 0."""
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    return np.maximum(np.rint(logs / STEP), _ZERO)


def middles(numbers: Floats) -> Floats:
    """The value in the middle of each bucket, in the logarithmic sense."""
    return np.where(numbers <= _ZERO, 0.0, np.exp(numbers * STEP))


def merged(owner: Ints, values: Floats, counts: Counts, rows: int) -> Ragged:
    """One sketch a row, from entries sorted by row: exact where it holds few, else rounded."""
    # Counts of four bytes are exact to 16 million in a bucket, and their sums are not made here.
    counts = counts.astype(np.float32, copy=False)
    if not len(values):
        return Ragged.empty(rows)
    if (counts < 0).any():
        owner, values, counts = _without_gone(owner, values, counts)
    many = np.bincount(owner, weights=counts, minlength=rows)[owner] > EXACT
    if not many.any():
        return Ragged.of_sorted(owner, values, counts, rows)
    rounded = merge_labels(owner[many], buckets(values[many]), counts[many], rows)
    few = ~many
    all_owners = np.concatenate([owner[few], rounded.owners()])
    order = np.argsort(all_owners, kind="stable")
    return Ragged.of_sorted(
        all_owners[order],
        np.concatenate([values[few], middles(rounded.labels)])[order],
        np.concatenate([counts[few], rounded.counts.astype(np.float32)])[order],
        rows,
    )


def _without_gone(owner: Ints, values: Floats, counts: Counts) -> tuple[Ints, Floats, Counts]:
    """Entries taken away meet those they take away, and both are gone."""
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    fresh = np.ones(len(owner), bool)
    fresh[1:] = (owner[1:] != owner[:-1]) | (values[1:] != values[:-1])
    firsts = np.flatnonzero(fresh)
    totals = np.add.reduceat(counts[order], firsts)
    left = totals != 0
    return owner[firsts][left], values[firsts][left], totals[left]


def quantiles(values: Floats, counts: Counts, wanted: tuple[float, ...]) -> list[float]:
    """Quantiles by linear interpolation between ranks, as numpy's default; NaN of nothing."""
    if not len(values):
        return [np.nan] * len(wanted)
    if len(values) > _DENSE:
        numbers = buckets(values)
        low = numbers[numbers > _ZERO].min(initial=0.0)
        # The bucket of zero is moved next to the lowest one, so that the histogram stays small.
        places = np.maximum(numbers, low - 1).astype(np.int64) - int(low - 1)
        weights = np.bincount(places, weights=counts).astype(np.float64)
        filled = np.flatnonzero(weights)
        counts = weights[filled]
        values = np.where(filled == 0, 0.0, middles(filled.astype(np.float64) + (low - 1)))
    else:
        order = np.argsort(values)
        values, counts = values[order], counts[order]
    ranks = np.cumsum(counts, dtype=np.float64)
    position = np.array(wanted) * (ranks[-1] - 1)
    below = np.floor(position)
    last = len(values) - 1
    left = values[np.minimum(np.searchsorted(ranks, below, "right"), last)]
    right = values[np.minimum(np.searchsorted(ranks, below + 1, "right"), last)]
    result: list[float] = (left + (right - left) * (position - below)).tolist()
    return result
