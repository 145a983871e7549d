"""Blocks and functions that are runs: what they record, and that the host never notices."""

from __future__ import annotations

import contextlib
import logging

import pytest

from perfmon import AgentRun, PerformanceMonitor, Scope


@pytest.fixture
def monitor():
    monitor = PerformanceMonitor(storage_url="memory:")
    yield monitor
    monitor.stop()


def recorded(monitor):
    """All runs, as they are in storage."""
    monitor.flush()
    chunks = monitor.storage.read_runs(0, 2**60, Scope())
    return [AgentRun.from_row(row) for chunk in chunks for row in chunk]


def test_metadata_that_is_none_is_kept_in_the_metadata(monitor):
    """Strange names and a metadata that is a list do not cost the run."""
    with monitor.track("planner", "react") as run:
        run.metadata = [1]
        run.tokens_uesd = 2
    with monitor.track("planner", "react") as run:
        run.metadata = {"task_type": "x" * 300, "k": 1}
    first, second = recorded(monitor)
    assert first.metadata == {"metadata": [1], "tokens_uesd": 2}
    assert {**second.metadata, "measured": 0} == {"task_type": "x" * 300, "k": 1, "measured": 0}
    assert second.task_type == "x" * 256


def test_whatever_goes_wrong_stays_in_the_log(monitor, caplog):
    """An object of the host's that raises when it is looked at does not raise in its block."""

    class Sour:
        def __bool__(self):
            raise RuntimeError("sour")

    with caplog.at_level(logging.ERROR, "perfmon"), monitor.track("planner") as run:
        run.status = Sour()
    with pytest.raises(KeyError), monitor.track("planner") as run:
        run.status = Sour()
        raise KeyError
    assert "a tracked run was not recorded" in caplog.text
    assert recorded(monitor) == []


def test_a_generator_is_one_run_when_it_ends(monitor):
    """It runs when somebody asks for its items, and what is sent goes in, what is returned out."""

    @monitor.watch("teller", "stream")
    def tell():
        got = yield 1
        yield got
        return "end"

    items = tell()
    assert recorded(monitor) == []
    assert (next(items), items.send("two")) == (1, "two")
    with pytest.raises(StopIteration, match="end"):
        next(items)
    (run,) = recorded(monitor)
    assert (run.status, run.agent_name, run.cpu_ms) == ("success", "teller", None)


def test_a_generator_that_raises_is_a_failure(monitor):
    """Also when an item had already come; one that was closed early is partial."""

    @monitor.watch("teller")
    def tell():
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(tell())
    items = tell()
    next(items)
    items.close()
    assert [(run.status, run.error_type) for run in recorded(monitor)] == [
        ("failure", "ValueError"),
        ("partial", None),
    ]


async def test_an_async_generator_is_a_run_too(monitor):
    """With all that can be done to one: ask, send, throw, close."""

    @monitor.watch("teller")
    async def tell(got=None):
        while got != "stop":
            try:
                got = yield got
            except KeyError:
                got = "caught"

    items = tell("first")
    assert [await anext(items), await items.asend("second")] == ["first", "second"]
    assert await items.athrow(KeyError()) == "caught"
    with pytest.raises(StopAsyncIteration):
        await items.asend("stop")
    assert [run.status for run in recorded(monitor)] == ["success"]


async def test_an_async_generator_that_fails_or_is_left(monitor):
    """Its own cleanup is done before its run is recorded."""
    cleaned = []

    @monitor.watch("teller")
    async def tell(problem=None):
        try:
            yield 1
            raise problem
        finally:
            cleaned.append(problem)

    with pytest.raises(TimeoutError):
        [item async for item in tell(TimeoutError())]
    async with contextlib.aclosing(tell()) as items:
        assert await anext(items) == 1
    assert cleaned[1:] == [None]
    runs = recorded(monitor)
    assert [(run.status, run.timed_out) for run in runs] == [("failure", True), ("partial", False)]
