"""Finds, loads and calls plugins, isolated from each other."""
