"""A real server around a real monitor, on a free port of this machine; and one to be called."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import socket
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from perfmon import PerformanceMonitor
from perfmon.testing import check_sink

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
            patient = {"answer_seconds": 120.0, **settings}
            app = make_app(of or monitor, ServerConfig(**patient))
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


class Receiver:
    """A server on this machine that answers by a script, the last answer for ever."""

    def __init__(self):
        self.answers, self.requests, self.bodies = [web.Response], [], []
        self.url = ""

    async def answer(self, request):
        self.bodies.append(await request.read())
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer = (
            answer(request) if inspect.signature(answer).parameters.get("request") else answer()
        )
        return await answer if inspect.isawaitable(answer) else answer

    @property
    def sent(self):
        return [json.loads(body) for body in self.bodies]

    def says(self, *answers):
        """Each a status, with a text and headers after it where it has them."""
        self.answers = [functools.partial(self._made, *answer) for answer in answers]

    @staticmethod
    def _made(status, text="", headers=None):
        return web.Response(status=status, text=text, headers=headers)


@pytest.fixture
async def receiver():
    receiver = Receiver()
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/")).rstrip("/")
        yield receiver


@pytest.fixture
def checked():
    """`check_sink` beside the loop, however slow the machine is."""

    async def check(deliver):
        return await asyncio.to_thread(check_sink, deliver, deadline=60.0, patience=60.0)

    return check


@pytest.fixture
def nobody():
    """A port of this machine where nobody listens, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Names:
    """A resolver that knows these names alone, each with a list of answers, the last for ever."""

    def __init__(self, **names):
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked = 0

    async def resolve(self, host, port=0, family=0):
        self.asked += 1
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            {"hostname": host, "host": address, "port": port, "proto": 0, "flags": 0,
             "family": socket.AF_INET6 if ":" in address else socket.AF_INET}
            for address in addresses
        ]  # fmt: skip

    async def close(self):
        pass


@pytest.fixture
def names():
    return Names
