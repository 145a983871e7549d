"""Compiles a configuration into rules and their targets."""
