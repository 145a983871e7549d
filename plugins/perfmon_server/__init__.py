"""The server: REST, the overview page and an event stream, on aiohttp."""

from __future__ import annotations

from perfmon_server.app import MONITOR, ROUTES, make_app
from perfmon_server.plugin import ServerPlugin, serving
from perfmon_server.settings import ServerConfig

__all__ = ["MONITOR", "ROUTES", "ServerConfig", "ServerPlugin", "make_app", "serving"]
