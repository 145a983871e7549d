"""The text of alerts: message and recommendation."""
