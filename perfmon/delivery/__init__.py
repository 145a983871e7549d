"""Delivers each message to each sink, at least once."""
