"""Tools for authors of sinks: the base of their table, the text of messages, and HTTP.

`HttpSinkTable` (or `SinkTable`) is the base of a sink's table in `monitor.toml`; `headline`,
`alert_facts` and their neighbours say what a message says; `post` sends it, once, to nowhere it
must not go. `perfmon.testing.check_sink` tries a sink out.
"""

from __future__ import annotations

from perfmon.delivery.http import HttpAnswer, encoded, post
from perfmon.delivery.messages import (
    alert_annotations,
    alert_facts,
    alert_labels,
    headline,
    link_of,
    urgency,
)
from perfmon.delivery.sinks import HttpSinkTable, SinkTable

__all__ = [
    "HttpAnswer",
    "HttpSinkTable",
    "SinkTable",
    "alert_annotations",
    "alert_facts",
    "alert_labels",
    "encoded",
    "headline",
    "link_of",
    "post",
    "urgency",
]
