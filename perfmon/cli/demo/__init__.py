"""A simulated team of agents, for `perfmon demo`, examples and tests."""

from __future__ import annotations

from perfmon.cli.demo.simulation import Simulation, simulate

__all__ = ["Simulation", "simulate"]
