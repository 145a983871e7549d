"""Decides what to alert about, and when an alert is resolved."""
