"""What was seen lately, against a plain set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perfmon.window.seen import Seen

hashes = st.one_of(st.integers(-50, 50).filter(lambda h: h != -1), st.integers(0, 2**62))
batches = st.lists(st.lists(hashes, max_size=60), max_size=12)


def as_array(values):
    return np.array(values, np.int64)


@given(batches)
def test_within_its_limit_it_knows_what_a_set_knows(given_batches):
    """Each hash is new once, whatever batch it comes in (0 and 1 are one hash)."""
    seen, known = Seen(10_000), set()
    for batch in given_batches:
        expected = []
        for value in (some or 1 for some in batch):
            expected.append(value in known)
            known.add(value)
        assert seen.mark(as_array(batch)).tolist() == expected


@given(st.lists(hashes, min_size=1, unique=True).filter(lambda v: not {0, 1} <= set(v)), st.data())
def test_what_is_forgotten_is_new_again(values, data):
    """Only that; its neighbours in the table are still found."""
    seen = Seen(10_000)
    seen.mark(as_array(values))
    gone = data.draw(st.sets(st.sampled_from(values)))
    seen.forget(as_array(sorted(gone)))
    assert seen.mark(as_array(values)).tolist() == [value not in gone for value in values]


def test_it_remembers_the_last_ones_and_stays_small():
    """At least `limit` of them, in a bounded number of bytes."""
    seen = Seen(30_000)
    random = np.random.default_rng(3)
    everything = random.integers(1, 2**62, 500_000)
    for start in range(0, len(everything), 1_000):
        seen.mark(everything[start : start + 1_000])
    assert seen.mark(everything[-30_000:]).all()
    assert sum(table.nbytes for table in seen._tables) <= 4 * 16_384 * 8
