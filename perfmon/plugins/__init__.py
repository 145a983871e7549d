"""Finds, loads and calls plugins, each on its own."""
