"""The life of alerts: a pure machine, to which verdicts and time are passed in."""
