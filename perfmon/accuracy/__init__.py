"""Predictions meet outcomes: mapped, scored, calibrated."""
