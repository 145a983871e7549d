"""Matches predictions with outcomes: mapping, scoring, calibration."""
