"""A real server around a real monitor, on a free port of this machine."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer

from perfmon import PerformanceMonitor

RUN = {"run_id": "r1", "agent_name": "billing", "agent_type": "worker", "status": "success"}


@pytest.fixture
def monitor(tmp_path):
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/perfmon.db") as monitor:
        yield monitor


@pytest.fixture
async def serve(monitor):
    """Makes a client of a server with these settings."""
    from perfmon_server import ServerConfig, make_app

    async with AsyncExitStack() as stack:

        async def start(of=None, **settings):
            app = make_app(of or monitor, ServerConfig(**settings))
            return await stack.enter_async_context(TestClient(TestServer(app)))

        yield start


@pytest.fixture
async def client(serve):
    return await serve()


@pytest.fixture
def run_of():
    """Makes the fields of a run."""

    def make(number=1, **fields):
        return RUN | {"run_id": f"r{number}"} | fields

    return make
