"""The life cycle of alerts: a pure state machine driven by verdicts and time."""
