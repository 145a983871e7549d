"""The orchestrator: agents in order, each execution a run, and nothing an agent does raises."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from perfmon import (
    InvalidRun,
    MonitoredOrchestrator,
    PerfmonError,
    PerformanceMonitor,
    hookimpl,
)


@pytest.fixture
def monitor():
    with PerformanceMonitor(storage_url="memory:") as monitor:
        yield monitor


def metrics(monitor, name):
    return monitor.get_agent_metrics(name).metrics


async def waits_forever(task):
    await asyncio.Event().wait()


def hangs(task):
    threading.Event().wait(30)


def test_agents_run_in_order_each_seeing_what_came_before(monitor):
    """The last output is the orchestration's."""
    crew = MonitoredOrchestrator(
        agent_types=["draft", "review"],
        agents={
            "review": lambda task, previous_output: f"reviewed {previous_output}",
            "draft": lambda task, project_id: f"{project_id}: {task}",
        },
        monitor=monitor,
    )
    results = crew.run(task="write", project_id="p1")
    assert results["output"] == "reviewed p1: write"
    assert results["agent_outputs"] == {"draft": "p1: write", "review": "reviewed p1: write"}
    assert (results["status"], results["error"]) == ("success", None)


def test_each_execution_is_a_run_of_its_own_with_the_orchestration_as_its_task(monitor):
    """So that an outcome finds it by the orchestration's id."""
    runs = []
    crew = MonitoredOrchestrator(agents={"a": len, "b": len}, monitor=monitor)
    monitor.bus.register(_Recorded(runs), "recorded")
    results = crew.run("task")
    monitor.flush()
    wait_for(lambda: len(runs) == 2)
    assert {run.task_id for run in runs} == {results["run_id"]}
    assert len({results["run_id"], *(run.run_id for run in runs)}) == 3
    assert [(run.agent_name, run.agent_type) for run in runs] == [
        ("a_agent", "a"),
        ("b_agent", "b"),
    ]


def test_a_reply_says_what_is_known_of_the_run(monitor):
    """Tokens, cost, model, quality and confidence are the agent's to tell."""
    reply = {
        "output": 42, "tokens_used": 100, "cost": 0.5, "model": "m", "quality_score": 0.9,
        "confidence": 0.8, "input_tokens": 60, "metadata": {"task_type": "sum"},
    }  # fmt: skip
    crew = MonitoredOrchestrator(agents={"calc": ("adder", lambda task: reply)}, monitor=monitor)
    assert crew.run("1+41")["output"] == 42
    found = metrics(monitor, "adder")
    assert (found.total_tokens, found.total_cost, found.avg_quality_score) == (100, 0.5, 0.9)
    assert (found.avg_confidence, found.total_input_tokens) == (0.8, 60)
    assert monitor.get_system_metrics(model="m").total_tasks == 1


@pytest.mark.parametrize(
    ("value", "status", "output"),
    [
        ({"output": 1, "status": "partial"}, "partial", 1),
        ({"output": 1, "status": "completed"}, "success", 1),
        ({"output": 1, "status": "error"}, "failure", None),
        ({"status": "failure"}, "failure", None),
        ({"status": "success", "rows": 3}, "success", {"status": "success", "rows": 3}),
        ({"status": "shipped", "order": 7}, "success", {"status": "shipped", "order": 7}),
        (None, "success", None),
        (False, "success", False),
        ("text", "success", "text"),
    ],
)
def test_what_an_agent_returns_says_how_it_went(monitor, value, status, output):
    """A plain value is a success; a dictionary may say otherwise."""
    crew = MonitoredOrchestrator(agents={"a": lambda task: value}, monitor=monitor)
    results = crew.run("task")
    assert (results["status"], results["output"]) == (status, output)


def test_a_failure_ends_the_orchestration(monitor):
    """What was done before is kept, what comes after is not begun."""
    agents = {"a": lambda task: "done", "b": lambda task: 1 / 0, "c": lambda task: "never"}
    results = MonitoredOrchestrator(agents=agents, monitor=monitor).run("task")
    assert results["status"] == "failure"
    assert results["agent_outputs"] == {"a": "done"}
    assert results["error"] == "b_agent: ZeroDivisionError: division by zero"
    assert metrics(monitor, "b_agent").errors == {"ZeroDivisionError": 1}
    assert metrics(monitor, "c_agent").total_tasks == 0


def test_a_reported_failure_has_an_error_class(monitor):
    """As `error_type`, or else as `error`."""
    reply = {"status": "failure", "error_type": "RateLimitError"}
    results = MonitoredOrchestrator(agents={"a": lambda task: reply}, monitor=monitor).run("task")
    assert results["error"] == "a_agent: RateLimitError"
    assert metrics(monitor, "a_agent").errors == {"RateLimitError": 1}


@pytest.mark.parametrize("agent", [hangs, waits_forever], ids=["sync", "async"])
def test_an_agent_that_hangs_is_left_behind(monitor, agent):
    """Its run is a failure that timed out, and nobody waits for it."""
    crew = MonitoredOrchestrator(agents={"slow": agent}, monitor=monitor, timeout=0.05)
    began = time.monotonic()
    results = crew.run("task")
    assert time.monotonic() - began < 20
    assert results["error"] == "slow_agent: TimeoutError: no answer within 0.05 s"
    assert metrics(monitor, "slow_agent").timeout_rate == 1.0


@pytest.mark.parametrize("agent", [hangs, waits_forever], ids=["sync", "async"])
async def test_an_agent_that_hangs_holds_up_no_loop(monitor, agent):
    """The same for `arun`."""
    crew = MonitoredOrchestrator(agents={"slow": agent}, monitor=monitor, timeout=0.05)
    results = await crew.arun("task")
    assert results["status"] == "failure"
    assert metrics(monitor, "slow_agent").timeout_rate == 1.0


def test_a_timeout_the_agent_raises_or_reports_is_a_timeout(monitor):
    """Its own client's limit counts like ours."""

    def raises(task):
        raise TimeoutError

    agents = {"raises": raises, "reports": lambda task: {"status": "timeout"}}
    for kind in agents:
        MonitoredOrchestrator([kind], agents=agents, monitor=monitor).run("task")
        assert metrics(monitor, f"{kind}_agent").timeout_rate == 1.0


def test_each_retry_is_a_run_of_its_own(monitor):
    """Two failures and then a success are three runs, two of them retries."""
    answers = iter([ValueError, KeyError, None])

    def flaky(task):
        problem = next(answers)
        if problem:
            raise problem
        return "at last"

    crew = MonitoredOrchestrator(agents={"flaky": flaky}, monitor=monitor, retries=3)
    assert crew.run("task")["output"] == "at last"
    found = metrics(monitor, "flaky_agent")
    assert (found.total_tasks, found.failed_tasks, found.retry_rate) == (3, 2, pytest.approx(2 / 3))
    assert found.errors == {"ValueError": 1, "KeyError": 1}


def test_sync_and_async_agents_mix(monitor):
    """In `run`, async agents share one loop, and sync ones run where no loop is running."""
    loops = []

    async def thinks(task):
        loops.append(asyncio.get_running_loop())
        return "thought"

    def asks(task):
        return asyncio.run(thinks(task)) + " of"

    agents = {"a": thinks, "b": asks, "c": thinks}
    results = MonitoredOrchestrator(agents=agents, monitor=monitor).run("task")
    assert results["agent_outputs"] == {"a": "thought", "b": "thought of", "c": "thought"}
    assert loops[0] is loops[2]


async def test_arun_keeps_the_loop_free(monitor):
    """A sync agent waits in a thread for what the loop does meanwhile."""
    loop, free = asyncio.get_running_loop(), threading.Event()

    def waits(task):
        loop.call_soon_threadsafe(free.set)
        return free.wait(20)

    crew = MonitoredOrchestrator(agents={"waits": waits}, monitor=monitor)
    assert (await crew.arun("task"))["output"] is True


async def test_run_inside_a_loop_says_what_to_do(monitor):
    """Blocking the loop for an async agent would deadlock."""
    crew = MonitoredOrchestrator(agents={"a": waits_forever}, monitor=monitor)
    with pytest.raises(PerfmonError, match="await arun"):
        crew.run("task")


async def test_a_cancelled_orchestration_is_recorded_and_stays_cancelled(monitor):
    """The host's cancellation is the host's."""
    crew = MonitoredOrchestrator(agents={"a": waits_forever}, monitor=monitor)
    orchestration = asyncio.create_task(crew.arun("task"))
    await asyncio.sleep(0)
    orchestration.cancel()
    with pytest.raises(asyncio.CancelledError):
        await orchestration
    assert metrics(monitor, "a_agent").errors == {"CancelledError": 1}
    assert monitor.get_in_flight() == []


def test_an_interrupted_orchestration_is_recorded_and_stays_interrupted(monitor):
    """Ctrl-C ends the host, not only the agent."""

    def interrupted(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MonitoredOrchestrator(agents={"a": interrupted}, monitor=monitor, retries=5).run("task")
    assert metrics(monitor, "a_agent").total_tasks == 1


def test_a_reply_that_cannot_be_true_is_left_out(monitor):
    """The run counts; a quality of 7 does not."""
    reply = {"output": 1, "quality_score": 7, "tokens_used": 10}
    MonitoredOrchestrator(agents={"a": lambda task: reply}, monitor=monitor).run("task")
    found = metrics(monitor, "a_agent")
    assert (found.total_tasks, found.tokens_count) == (1, 0)


class Planner:
    def run(self, task, context):
        return sorted(context)


def positional(first, second, /):
    return first, second["project_id"]


@pytest.mark.parametrize(
    ("agent", "output"),
    [
        (Planner(), ["outputs", "previous_output", "project_id", "run_id", "tone"]),
        (lambda task, tone: (task, tone), ("t", "dry")),
        (lambda prompt: prompt, "t"),
        (lambda prompt, ctx: (prompt, ctx["tone"]), ("t", "dry")),
        (positional, ("t", "p")),
        (lambda *args: len(args), 2),
        (lambda **everything: everything["tone"], "dry"),
        (lambda task, size=3: size, 3),
        (lambda: "nothing", "nothing"),
    ],
)
def test_agents_take_what_they_have_parameters_for(monitor, agent, output):
    """By name where the names are known, else the task and the context by position."""
    crew = MonitoredOrchestrator(agents={"a": agent}, monitor=monitor)
    assert crew.run("t", "p", tone="dry")["output"] == output


def test_an_agent_may_have_a_name(monitor):
    """Given without one it is called after its type."""
    crew = MonitoredOrchestrator(agents={"a": ("ada", len), "b": Planner()}, monitor=monitor)
    assert [agent.name for agent in crew.agents] == ["ada", "b_agent"]


def test_a_type_without_an_agent_is_refused_at_once():
    """In one line that lists what is known."""
    with pytest.raises(PerfmonError, match=r"no agent of type 'writer'.*'reader', 'editor'"):
        MonitoredOrchestrator(["reader", "writer"], agents={"reader": len, "editor": len})
    with pytest.raises(PerfmonError, match=r"'reader'.*must be a callable"):
        MonitoredOrchestrator(agents={"reader": 3})
    with pytest.raises(PerfmonError, match="agent_types = 'reader': must be a list"):
        MonitoredOrchestrator("reader", agents={"reader": len})


@pytest.mark.parametrize("wrong", [{"retries": -1}, {"timeout": -1}, {"timeout": "soon"}])
def test_limits_that_make_no_sense_are_refused(wrong):
    """With the field, the value and what is allowed."""
    with pytest.raises(InvalidRun, match=next(iter(wrong))):
        MonitoredOrchestrator(agents={"a": len}, **wrong)


def test_what_cannot_be_recorded_is_refused_before_anything_runs(monitor):
    """A bad tenant is the caller's mistake, not the agent's."""
    called = []
    crew = MonitoredOrchestrator(agents={"a": called.append}, monitor=monitor)
    with pytest.raises(InvalidRun, match="tenant"):
        crew.run("task", tenant="\0")
    assert called == []


def test_without_monitoring_nothing_is_recorded(monitor):
    """Agents run all the same."""
    crew = MonitoredOrchestrator(enable_monitoring=False, agents={"a": len}, monitor=monitor)
    assert crew.run("task")["output"] == 4
    assert crew.get_performance_summary()["health_score"] is None
    assert monitor.get_system_metrics().total_tasks == 0


def test_the_summary_has_health_and_the_figures_of_these_agents(monitor):
    """And of no others."""
    monitor.record_agent_run("r", "stranger", "other", "success")
    crew = MonitoredOrchestrator(agents={"a": len, "b": lambda task: 1 / 0}, monitor=monitor)
    crew.run("task")
    summary = crew.get_performance_summary()
    assert 0 < summary["health_score"] < 100
    assert sorted(summary["agents"]) == ["a_agent", "b_agent"]
    assert summary["agents"]["b_agent"]["metrics"]["error_rate"] == 1.0
    assert summary["system_metrics"]["total_tasks"] == 3


def test_metadata_and_tenant_go_with_every_run(monitor):
    """So does the project."""
    MonitoredOrchestrator(agents={"a": len}, monitor=monitor).run(
        "task", "p1", tenant="acme", metadata={"task_type": "counting"}
    )
    assert monitor.get_system_metrics(tenant="acme").total_tasks == 1
    assert monitor.get_system_metrics(tenant="default").total_tasks == 0


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class _Recorded:
    def __init__(self, runs):
        self._runs = runs

    @hookimpl
    def runs_recorded(self, runs):
        self._runs += runs
