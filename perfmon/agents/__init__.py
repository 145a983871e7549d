"""Runs your agents and records each execution."""
