"""A made-up team of agents at work, for `perfmon demo`, examples and tests."""

from __future__ import annotations

from perfmon.cli.demo.simulation import Simulation, simulate

__all__ = ["Simulation", "simulate"]
