"""Runs agents one after another, and records each execution as a run."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from perfmon.agents.calling import (
    Agent,
    Caller,
    Ending,
    joined,
    measured,
    measured_async,
    measured_in_thread,
    wait_for_thread,
)
from perfmon.errors import InvalidRun, PerfmonError
from perfmon.monitor.current import get_performance_monitor
from perfmon.monitor.monitor import PerformanceMonitor
from perfmon.recording.tracking import with_sources
from perfmon.records import AgentRun
from perfmon.records.ids import new_id
from perfmon.records.validation import amount, count

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

_log = logging.getLogger("perfmon")
T = TypeVar("T")


class MonitoredOrchestrator:
    """Agents by type, run in order, each receiving the outputs of the previous ones.

    An agent is a callable (sync or async), an object with `.run`, or `(name, one of these)`;
    given without a name it is `<type>_agent`. It is called with those of `task`, `context`,
    `project_id`, `run_id`, `outputs` (type to output so far), `previous_output` and further
    keywords of `run()` that it has parameters of that name for; with any other names, with the
    task and the context (a dictionary of all these) by position.

    It returns its output, or a dictionary with `output` and what is known of the run:
    `tokens_used`, `cost`, `model`, `quality_score`, `confidence`, ... as in
    `record_agent_run`, and `status` (`failure`, `partial`) where it did not succeed.

    Args:
        agent_types: the order; by default that of `agents`.
        enable_monitoring: False records nothing.
        agents: agents by type.
        monitor: where runs are recorded; by default the process's monitor.
        retries: how often a failed agent is tried again; each try is a run.
        timeout: seconds for each try. A sync agent then runs in a thread of its own, which is
            left behind when its time is up.

    Raises:
        PerfmonError: there is no agent of a type.
    """

    def __init__(
        self,
        agent_types: Iterable[str] | None = None,
        enable_monitoring: bool = True,
        *,
        agents: Mapping[str, Any] | None = None,
        monitor: PerformanceMonitor | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> None:
        if isinstance(agent_types, str):
            raise PerfmonError(f"agent_types = {agent_types!r}: must be a list of types")
        known = dict(agents or {})
        self.agent_types = list(known if agent_types is None else agent_types)
        self.agents = [Agent.of(kind, _known(kind, known)) for kind in self.agent_types]
        self.enable_monitoring = enable_monitoring
        self._monitor = monitor
        self._retries = count("retries", retries)
        self._timeout = amount("timeout", timeout)

    @property
    def monitor(self) -> PerformanceMonitor | None:
        """Where runs are recorded, or None."""
        if not self.enable_monitoring:
            return None
        return self._monitor or get_performance_monitor()

    def run(
        self,
        task: Any,
        project_id: str | None = None,
        *,
        tenant: str = "default",
        metadata: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, Any]:
        """Run all agents on a task and wait.

        Returns `run_id` (the orchestration's, the `task_id` of its runs), `output` (the last
        agent's, None after a failure), `agent_outputs` by type, `status` (`success`, `partial`,
        `failure`) and `error`. An agent that fails ends the orchestration; nothing is raised.
        """
        if any(agent.is_async for agent in self.agents):
            _refuse_inside_loop()
        with closing(asyncio.Runner()) as runner:
            steps = self._steps(self._calling_here(runner), task, project_id, inputs)
            return _driven(steps.all(tenant, metadata))

    async def arun(
        self,
        task: Any,
        project_id: str | None = None,
        *,
        tenant: str = "default",
        metadata: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> dict[str, Any]:
        """The same without blocking the event loop; sync agents run in threads."""
        return await self._steps(self._call_on_loop, task, project_id, inputs).all(tenant, metadata)

    def get_performance_summary(self, time_window_minutes: float | None = None) -> dict[str, Any]:
        """How these agents performed: `health_score`, `health_status`, and each agent's metrics.

        `health` says what lowers the score, and what is firing. Health and `system_metrics` cover
        everything the monitor recorded. JSON values.
        """
        monitor = self.monitor
        names = {agent.name for agent in self.agents}
        if monitor is None:
            return {"monitoring_enabled": False, "health_score": None, "agents": {}}
        report = monitor.generate_report(time_window_minutes=time_window_minutes)
        return {
            "monitoring_enabled": True,
            "health_score": report["health_score"],
            "health_status": report["health_status"],
            "health": report["health"],
            "system_metrics": report["system_metrics"],
            "agents": {n: agent for n, agent in report["agent_metrics"].items() if n in names},
            "recommendations": report["recommendations"],
        }

    def _steps(
        self, call: Caller, task: Any, project_id: str | None, inputs: Mapping[str, Any]
    ) -> _Orchestration:
        context = {**inputs, "run_id": new_id(), "project_id": project_id}
        return _Orchestration(self.agents, call, self.monitor, self._retries, task, context)

    def _calling_here(self, runner: asyncio.Runner) -> Caller:
        """Agents run in the caller's thread, async ones on one loop for the whole orchestration."""

        async def call(agent: Agent, function: Callable[[], Any]) -> Ending:
            if self._timeout is None or agent.is_async:
                ending = measured(function)
            else:
                ending = wait_for_thread(function, self._timeout)
            if not inspect.isawaitable(ending.value):
                return ending
            _refuse_inside_loop()
            return joined(ending, runner.run(measured_async(ending.value, self._timeout)))

        return call

    async def _call_on_loop(self, agent: Agent, function: Callable[[], Any]) -> Ending:
        ending = measured(function) if agent.is_async else await self._call_in_thread(function)
        if not inspect.isawaitable(ending.value):
            return ending
        return joined(ending, await measured_async(ending.value, self._timeout))

    async def _call_in_thread(self, function: Callable[[], Any]) -> Ending:
        waited = await measured_async(
            asyncio.wrap_future(measured_in_thread(function)), self._timeout
        )
        ending: Ending = waited if waited.problem is not None else waited.value
        return ending


@attrs.define
class _Orchestration:
    """One pass over the agents."""

    agents: list[Agent]
    call: Caller
    monitor: PerformanceMonitor | None
    retries: int
    task: Any
    context: dict[str, Any]
    outputs: dict[str, Any] = attrs.Factory(dict)

    async def all(self, tenant: str, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
        notes = dict(metadata or {})
        if self.context["project_id"] is not None:
            notes["project_id"] = self.context["project_id"]
        if self.monitor is not None:
            for agent in self.agents:  # what cannot be recorded is refused before anything runs
                _run(self._fields(agent, tenant, notes), Ending())
        status, output, error = "success", None, None
        for agent in self.agents:
            ending = await self._tried(agent, tenant, notes, output)
            output = ending.output
            if ending.status == "failure":
                status, output, error = "failure", None, f"{agent.name}: {ending.error}"
                break
            self.outputs[agent.agent_type] = output
            status = "partial" if ending.status == "partial" else status
        return {
            "run_id": self.context["run_id"],
            "output": output,
            "agent_outputs": self.outputs,
            "status": status,
            "error": error,
        }

    async def _tried(
        self, agent: Agent, tenant: str, notes: dict[str, Any], previous: Any
    ) -> Ending:
        """The first try that does not fail, or the last one."""
        context = {**self.context, "outputs": dict(self.outputs), "previous_output": previous}
        for attempt in range(self.retries + 1):
            ending = await self._recorded(agent, context, attempt, tenant, notes)
            if ending.problem is not None and not isinstance(ending.problem, Exception):
                raise ending.problem  # cancelled or interrupted: not the agent's doing
            if ending.status != "failure":
                break
        return ending

    async def _recorded(
        self, agent: Agent, context: dict[str, Any], attempt: int, tenant: str, notes: Any
    ) -> Ending:
        fields = self._fields(agent, tenant, notes)
        if self.monitor is not None:
            began = ("run_id", "agent_name", "agent_type", "metadata", "tenant")
            self.monitor.hook.run_started(**{key: fields[key] for key in began})
        ending = await self.call(agent, agent.bound(self.task, context))
        if self.monitor is not None:
            run = _run({**fields, "retries": attempt}, ending)
            self.monitor.hook.run_finished(run=run)
        return ending

    def _fields(self, agent: Agent, tenant: str, notes: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_id": new_id(),
            "agent_name": agent.name,
            "agent_type": agent.agent_type,
            "task_id": self.context["run_id"],
            "tenant": tenant,
            "metadata": notes,
        }


def _run(fields: dict[str, Any], ending: Ending) -> AgentRun:
    """The run with what the agent said about it, or without what cannot be true."""
    seen = {
        **fields,
        "status": ending.status,
        "duration_ms": ending.duration_ms,
        "timed_out": ending.timed_out,
    }
    said = ending.details
    taken = {"cpu_ms": ending.cpu_ms, "memory_mb": ending.memory_mb}
    found = {name: one for name, one in taken.items() if one is not None and name not in said}
    seen |= {name: one.amount for name, one in found.items()}
    fields["metadata"] = with_sources(
        fields["metadata"], {name: one.source for name, one in found.items()}
    )
    seen["metadata"] = fields["metadata"]
    with suppress(TypeError):
        said["metadata"] = {**fields["metadata"], **said.get("metadata", {})}
    try:
        return AgentRun(**{**seen, **said})
    except InvalidRun as refused:
        _log.warning("%s reported about its run: %s", fields["agent_name"], refused)
        return AgentRun(**{**seen, "metadata": {**fields["metadata"], "refused": str(refused)}})


def _known(kind: str, agents: Mapping[str, Any]) -> Any:
    if kind in agents:
        return agents[kind]
    known = ", ".join(map(repr, agents)) or "none"
    raise PerfmonError(f"no agent of type {kind!r}; known types: {known} (see agents=)")


def _driven(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits: its agents were called, or run on a loop, inside it."""
    try:
        steps.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("an orchestration without an event loop must not wait")


def _refuse_inside_loop() -> None:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise PerfmonError("run() was called inside a running event loop: await arun() instead")
