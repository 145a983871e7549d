"""The hooks that orchestrators call to record; the monitor is their only implementation."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from perfmon.errors import PerfmonError
from perfmon.hookspecs import hookimpl
from perfmon.recording.in_flight import InFlight
from perfmon.records import AccuracyMeasurement, AgentRun


class TakesRecords(Protocol):
    """A monitor, as far as it records."""

    in_flight: InFlight

    def now_us(self) -> int: ...
    def record_fields(self, fields: Mapping[str, Any]) -> None: ...
    def record_measurement(self, measurement: AccuracyMeasurement) -> None: ...


class RecordingHooks:
    """Registered on the bus under the monitor's name; what it refuses reaches the caller."""

    def __init__(self, monitor: TakesRecords) -> None:
        self._monitor = weakref.ref(monitor)

    def _get(self) -> TakesRecords:
        monitor = self._monitor()
        if monitor is None:
            raise PerfmonError("the monitor of this hook no longer exists")
        return monitor

    @hookimpl
    def run_started(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str | None,
        metadata: Mapping[str, Any] | None,
        tenant: str | None,
    ) -> None:
        monitor = self._get()
        whose = "default" if tenant is None else tenant
        monitor.in_flight.begin(run_id, agent_name, agent_type, metadata, whose, monitor.now_us())

    @hookimpl
    def run_finished(self, run: AgentRun) -> None:
        self._get().record_fields(attrs.asdict(run, recurse=False))

    @hookimpl
    def outcome_known(self, measurement: AccuracyMeasurement) -> None:
        self._get().record_measurement(measurement)
