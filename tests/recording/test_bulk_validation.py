"""The quick way for many runs says what the slow way says, or leaves the run to it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import InvalidRun, PerformanceMonitor
from perfmon.recording.bulk_validation import quick_rows
from perfmon.records.content import recorded_run

NOW = 1_800_000_000_000_000
KNOWN = {
    ("default", "planner", agent_type, None, task_type)
    for agent_type in (None, "react")
    for task_type in (None, "plan")
}
odd = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(-(2**70), 2**70), st.floats(),
    st.text(max_size=3), st.just("\ud800"), st.just("2026-01-01T00:00:00Z"),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["task_type", "k"]), st.one_of(st.text(max_size=3), st.floats())),
)  # fmt: skip
good = {
    "run_id": st.text("abc-1", min_size=1, max_size=8),
    "agent_name": st.just("planner"),
    "agent_type": st.sampled_from([None, "react"]),
    "status": st.sampled_from(["success", "failure", "partial"]),
    "duration_ms": st.one_of(st.none(), st.floats(0, 1e9), st.integers(0, 10)),
    "input_tokens": st.one_of(st.none(), st.integers(0, 10)),
    "output_tokens": st.one_of(st.none(), st.integers(0, 10)),
    "quality_score": st.one_of(st.none(), st.floats(0, 1), st.integers(0, 1)),
    "retries": st.integers(0, 3),
    "timed_out": st.booleans(),
    "timestamp": st.one_of(st.none(), st.floats(1e9, 1.8e9)),
    "metadata": st.one_of(st.none(), st.fixed_dictionaries({"task_type": st.just("plan")})),
}
names = st.sampled_from([*good, "tokens_used", "cost", "task_id", "error_type", "api_calls", "xx"])


@pytest.fixture(scope="module")
def monitor():
    made = PerformanceMonitor(storage_url="memory:", clock=lambda: NOW / 1e6)
    yield made
    made.stop()


def slow(fields: Any) -> Any:
    try:
        return recorded_run(fields, NOW)
    except InvalidRun:
        return None


@given(st.fixed_dictionaries(good), st.dictionaries(names, odd, max_size=2))
def test_the_quick_way_agrees_with_the_slow_one(fields, changes):
    """A row of the quick way is the slow way's, to the last field; a refused run has none."""
    (row,) = quick_rows([fields | changes], KNOWN, set(), NOW)
    if row is not None:
        expected = slow(fields | changes)
        assert row[:-2] + row[-1:] == expected[:-2] + expected[-1:]
        assert (row[-2] is None) == (expected[-2] is None)


@given(st.fixed_dictionaries(good))
def test_plain_runs_take_the_quick_way(fields):
    """What is plainly good is not left to the slow way."""
    assert list(quick_rows([fields], KNOWN, set(), NOW)) != [None]


@given(st.fixed_dictionaries(good), st.dictionaries(names, odd, max_size=2))
def test_recording_one_by_one_agrees_too(monitor, fields, changes):
    """`record_agent_run` refuses exactly what the slow way refuses, twice in a row as well."""
    wanted = {k: v for k, v in (fields | changes).items() if k != "xx"}
    expected = slow(wanted)
    for _ in range(2):
        if expected is None:
            with pytest.raises(InvalidRun):
                monitor.record_agent_run(**wanted)
        else:
            monitor.record_agent_run(**wanted)
            assert _same(monitor._parts.intake.queue.drain().runs[-1], expected, wanted)


def _same(row: Any, expected: Any, wanted: dict[str, Any]) -> bool:
    stamped = wanted.get("timestamp") is not None
    return all(
        a == b or (isinstance(a, float) and math.isnan(a))
        for place, (a, b) in enumerate(zip(row, expected, strict=True))
        if (place != 6 or stamped) and place != 23
    )


@given(st.lists(st.fixed_dictionaries(good), max_size=5), st.dictionaries(names, odd, max_size=2))
def test_json_is_taken_as_its_objects_are(monitor, items, changes):
    """The bytes of an array give the same receipt as the objects, for good runs and bad."""
    changes.pop("timestamp", None)
    items = [*items, *[items[0] | changes for _ in items[:1]]]
    items = [item | {"run_id": f"r{n}"} for n, item in enumerate(items)]
    try:
        body = msgspec.json.encode(items)
    except (UnicodeEncodeError, OverflowError):
        return  # no JSON
    objects = msgspec.json.decode(body)
    first = monitor.record_agent_runs(objects)
    second = monitor.record_agent_runs(body)
    assert second.rejected == first.rejected
    assert second.total == first.total == len(items)
    assert (second.accepted, len(second.conflicts)) == (0, len(first.conflicts))


def test_bytes_that_are_no_array_of_json_are_refused(monitor):
    """In one line, and nothing is recorded."""
    for body in (b"", b"{", b'{"run_id": "x"}', b"[NaN]", b"\xff"):
        with pytest.raises(InvalidRun, match="JSON array of runs"):
            monitor.record_agent_runs(body)
