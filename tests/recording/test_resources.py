"""What a run is said to have taken of the machine is its own, or unknown."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from perfmon import AgentRun, MonitoredOrchestrator, PerformanceMonitor, Scope
from perfmon.recording import resources as metering

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
BURNT = 60.0  # milliseconds of CPU time


@pytest.fixture
def monitor(monkeypatch):
    monkeypatch.setattr(metering, "_open", set())  # what other tests left hanging is not ours
    monitor = PerformanceMonitor(storage_url="memory:")
    yield monitor
    monitor.stop()


def recorded(monitor):
    monitor.flush()
    chunks = monitor.storage.read_runs(0, 2**60, Scope())
    return {run.agent_name: run for run in (AgentRun.from_row(r) for c in chunks for r in c)}


def sources(run):
    return (run.metadata or {}).get("measured", {})


def burn(milliseconds=BURNT):
    until = time.thread_time() + milliseconds / 1000
    while time.thread_time() < until:
        pass


def allocate(mib):
    return bytes(os.urandom(1)) * (mib * 2**20)


async def burn_in_steps():
    for _ in range(3):
        burn(BURNT / 3)
        await asyncio.sleep(0)


@linux
def test_the_memory_of_the_process_is_not_the_run_s(monitor):
    """A host of 200 MiB whose function returns 1: the function grew by nothing, and no alert."""
    ballast = allocate(200)
    watched = monitor.watch("one")(lambda: 1)
    for _ in range(40):
        watched()
    with monitor.track("grows"):
        more = allocate(64)
    assert len(ballast) > len(more)
    runs = recorded(monitor)
    assert runs["one"].memory_mb < 20
    assert 50 < runs["grows"].memory_mb < 120
    assert sources(runs["grows"])["memory_mb"] == "growth"
    assert [a.rule for a in monitor.get_alerts() if a.metric_type == "memory"] == []


@linux
def test_memory_is_unknown_where_another_run_was_open(monitor):
    """Nested, beside, or begun and over meanwhile; told by `run_started` counts, too."""
    with monitor.track("outer"):
        more = [allocate(64)]
        with monitor.track("inner"):
            more.append(allocate(64))
    monitor.run_started("elsewhere", "other")
    with monitor.track("beside"):
        more.append(allocate(64))
    runs = recorded(monitor)
    assert [run.memory_mb for run in runs.values()] == [None] * 3
    assert not any("memory_mb" in sources(run) for run in runs.values())


def test_what_the_caller_says_is_taken_without_a_source(monitor):
    """It is the caller's."""
    with monitor.track("said", memory_mb=7.0) as run:
        run.cpu_ms = 3.0
    with monitor.track("unsaid") as run:
        run.cpu_ms = None
        run.memory_mb = None
        run.metadata = {"measured": "mine"}
    runs = recorded(monitor)
    assert (runs["said"].memory_mb, runs["said"].cpu_ms, runs["said"].metadata) == (7.0, 3.0, None)
    assert (runs["unsaid"].memory_mb, runs["unsaid"].cpu_ms) == (None, None)
    assert runs["unsaid"].metadata == {"measured": "mine"}


def test_cpu_time_of_the_own_thread(monitor):
    """Of a block and of a function, waiting left out."""
    with monitor.track("block"):
        burn()
    monitor.watch("function")(burn)()
    for run in recorded(monitor).values():
        assert run.cpu_ms == pytest.approx(BURNT, rel=0.3)
        assert sources(run)["cpu_ms"] == "thread"


def test_cpu_time_of_threads_counts_where_they_are_handed_over(monitor):
    """Several of one function, too; in the run's own thread nothing is counted twice."""
    with ThreadPoolExecutor(2) as pool, monitor.track("pool"):
        list(pool.map(monitor.counted(burn), [BURNT, BURNT]))
        monitor.counted(burn)()
    with monitor.track("thread"):
        thread = threading.Thread(target=monitor.counted(burn))
        thread.start()
        thread.join()
    runs = recorded(monitor)
    assert runs["pool"].cpu_ms == pytest.approx(3 * BURNT, rel=0.3)
    assert runs["thread"].cpu_ms == pytest.approx(BURNT, rel=0.3)
    assert {sources(run)["cpu_ms"] for run in runs.values()} == {"counted"}
    assert monitor.counted(burn) is burn  # no run is open


def test_cpu_time_is_unknown_where_threads_were_not_handed_over_or_go_on(monitor):
    """Where their time is seen in the process's, or their end was not waited for."""
    with ThreadPoolExecutor(2) as pool:
        with monitor.track("unsaid"):
            pool.submit(burn, 5 * BURNT).result()
        forever = threading.Event()
        with monitor.track("goes on"):
            pool.submit(monitor.counted(forever.wait))
        forever.set()
    assert {name: run.cpu_ms for name, run in recorded(monitor).items()} == {
        "unsaid": None,
        "goes on": None,
    }


async def test_cpu_time_of_a_coroutine_is_that_of_its_steps(monitor):
    """Not of the other tasks on the loop; of its own tasks and threads where handed over."""
    watch = monitor.watch

    def plainly():
        return burn_in_steps()

    @watch("crew")
    async def crew():
        await asyncio.gather(
            asyncio.create_task(monitor.counted(burn_in_steps())),
            asyncio.to_thread(monitor.counted(burn)),
        )
        burn()
        await monitor.counted(burn_in_steps())

    await asyncio.gather(watch("alone")(burn_in_steps)(), watch("returned")(plainly)(), crew())
    runs = recorded(monitor)
    assert runs["alone"].cpu_ms == pytest.approx(BURNT, rel=0.3)
    assert runs["returned"].cpu_ms == pytest.approx(BURNT, rel=0.3)
    assert runs["crew"].cpu_ms == pytest.approx(4 * BURNT, rel=0.3)
    assert [sources(runs[name])["cpu_ms"] for name in ("alone", "returned", "crew")] == [
        "steps",
        "steps",
        "counted",
    ]


async def test_cpu_time_is_unknown_where_others_work_in_between(monitor):
    """In an async block, between the items of a generator, while a future is worked for."""

    def items():
        yield 1

    async with monitor.track("block"):
        burn()
    for _ in monitor.watch("generator")(items)():
        burn()
    await monitor.watch("task")(lambda: asyncio.create_task(burn_in_steps()))()
    runs = recorded(monitor)
    assert {name: run.cpu_ms for name, run in runs.items()} == {
        "block": None,
        "generator": None,
        "task": None,
    }


@linux
def test_an_orchestrated_agent_is_not_the_process_either(monitor):
    """Its memory is growth, its CPU time its thread's or its coroutine's; what it says wins."""
    ballast = allocate(200)

    async def think(task):
        await burn_in_steps()

    def say(task):
        return {"output": task, "memory_mb": 5.0, "cpu_ms": 6.0}

    agents = {"burn": lambda task: burn(), "think": think, "say": say}
    MonitoredOrchestrator(agents=agents, monitor=monitor).run("t")
    assert len(ballast) == 200 * 2**20
    runs = recorded(monitor)
    assert (runs["say_agent"].memory_mb, runs["say_agent"].cpu_ms) == (5.0, 6.0)
    assert sources(runs["say_agent"]) == {}
    for name, source in (("burn_agent", "thread"), ("think_agent", "steps")):
        assert runs[name].cpu_ms == pytest.approx(BURNT, rel=0.3)
        assert runs[name].memory_mb < 50
        assert sources(runs[name]) == {"cpu_ms": source, "memory_mb": "growth"}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_measures_its_own_memory(monitor):
    """The file of the parent's figures is not read in the child's stead."""
    if not metering._resident():
        pytest.skip("reads /proc")
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        before, more = metering._resident(), allocate(64)
        os.write(writing, str(metering._resident() - before).encode())
        os._exit(0 if more else 1)
    os.waitpid(process, 0)
    grown = float(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    assert grown > 50
