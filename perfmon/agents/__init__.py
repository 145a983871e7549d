"""Runs your agents, each execution a run."""
