"""The server's life: the stream, starting, stopping, and what plugins add."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from aiohttp import ClientSession, web
from perfmon_server import ServerConfig
from perfmon_server.plugin import serving

from perfmon import Config, PerfmonError, hookimpl

API = "/api/performance"
SERVE = """
import sys
from perfmon import Config, PerformanceMonitor
from perfmon_server import ServerPlugin

with PerformanceMonitor(storage_url=sys.argv[1]) as monitor:
    ServerPlugin(Config()).run(monitor, port=0, ready=lambda url: print(url, flush=True))
    print("over", monitor.get_stats()["recorded"], flush=True)
"""


async def next_event(answer):
    """The next event of a stream as its fields."""
    fields = {}
    async with asyncio.timeout(60):
        while True:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if not line and "data" in fields:
                return fields
            name, _, value = line.partition(": ")
            fields[name] = value


async def test_the_stream_ticks(client, monitor, run_of):
    """Each tick holds health, metrics and firing alerts of that moment."""
    async with client.get(f"{API}/stream") as answer:
        assert answer.content_type == "text/event-stream"
        first = await next_event(answer)
        monitor.record_agent_runs([run_of()])
        second = await next_event(answer)
    assert (first["event"], int(second["id"]) - int(first["id"])) == ("tick", 1)
    assert json.loads(first["data"])["metrics"]["total_tasks"] == 0
    assert json.loads(second["data"])["metrics"]["total_tasks"] == 1


async def test_listeners_are_bounded_and_leave_nothing_behind(serve):
    """One too many is told to come back, and may when another has left."""
    client = await serve(max_streams=1)
    first = await client.get(f"{API}/stream")
    await next_event(first)
    second = await client.get(f"{API}/stream")
    assert second.status == 503
    first.close()
    async with asyncio.timeout(60):
        while (again := await client.get(f"{API}/stream")).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    again.close()


async def test_a_tick_that_fails_says_so_and_the_next_one_works(client, monitor):
    """The stream outlives a storage that is away for a moment."""
    whole = monitor.get_health

    def fail(*_, **__):
        monitor.get_health = whole
        raise RuntimeError("canary")

    monitor.get_health = fail
    async with client.get(f"{API}/stream") as answer:
        first, second = await next_event(answer), await next_event(answer)
    assert (first["event"], second["event"]) == ("problem", "tick")
    assert "canary" not in first["data"]


def test_a_listener_that_does_not_read_loses_ticks_only():
    """Its queue keeps the newest; putting never waits."""
    from perfmon_server.http.stream import _put

    queue = asyncio.Queue(2)
    for event in (b"1", b"2", b"3", None):
        _put(queue, event)
    assert (queue.get_nowait(), queue.get_nowait()) == (b"3", None)


async def test_plugins_add_routes(serve, monitor):
    """By the hook `add_routes`; their routes are guarded like all others."""

    class Extra:
        @hookimpl
        def add_routes(self, app):
            monitor = app["monitor"]

            async def answer(request):
                del request
                return web.json_response({"known": monitor.get_stats()["agents_tracked"]})

            app.router.add_get("/extra", answer)

    monitor.bus.register(Extra(), "extra")
    client = await serve()
    assert await (await client.get("/extra")).json() == {"known": 0}
    assert (await client.get("/extra", headers={"Host": "evil.test"})).status == 403


async def test_a_plugin_that_fails_to_add_its_routes_stops_nothing(serve, monitor):
    """The server starts without them, and the plugin's failure is counted."""

    class Broken:
        @hookimpl
        def add_routes(self, app):
            raise RuntimeError("boom")

    monitor.bus.register(Broken(), "broken")
    client = await serve()
    assert (await client.get("/healthz")).status == 200
    assert monitor.bus.accounts()["broken"]["failures"] == 1


def test_a_port_in_use_is_one_line(monitor):
    """It says which, and where to choose another."""
    from perfmon_server import ServerPlugin

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PerfmonError, match=f"127.0.0.1:{port} is already in use") as caught:
            ServerPlugin(Config()).run(monitor, port=port)
    assert "\n" not in str(caught.value)


@pytest.fixture
def process(tmp_path):
    """A server in a process of its own, and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, f"sqlite:///{tmp_path}/perfmon.db"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
    )
    process.url = process.stdout.readline().strip()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_streams_and_requests_open(process, run_of, number):
    """In a second (a busy machine gets more), all recorded is stored, and stderr stays empty."""
    async with ClientSession(process.url) as session:
        await (await session.post(f"{API}/runs", json=run_of())).json()
        streams = [await session.get(f"{API}/stream") for _ in range(3)]
        for stream in streams:
            await next_event(stream)
        half = socket.create_connection(("127.0.0.1", int(process.url.rsplit(":", 1)[1])))
        half.sendall(b"POST /api/performance/runs HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Length: 100\r\n\r\n[")  # fmt: skip
        begun = time.monotonic()
        process.send_signal(number)
        output, errors = await asyncio.to_thread(process.communicate, timeout=60)
        took = time.monotonic() - begun
        half.close()
    assert (process.returncode, output.strip(), errors) == (0, "over 1", "")
    assert took < 30


async def test_a_cancellation_is_never_lost():
    """Though it comes when the answer is there already; the stream would go on for a second."""
    from perfmon_server.http.workers import Workers

    workers, loop, answered = Workers("test", 1, 10), asyncio.get_running_loop(), threading.Event()
    try:
        asking = asyncio.create_task(workers.run(
            lambda: loop.call_soon_threadsafe(loop.call_soon, asking.cancel), seconds=60
        ))  # fmt: skip
        await asyncio.sleep(0)
        marker = asyncio.create_task(workers.run(answered.set, seconds=60))
        await asyncio.sleep(0)
        # The loop is held until both its cancelling and the answer wait for it.
        assert answered.wait(60)
        with pytest.raises(asyncio.CancelledError):
            await asking
        await marker
    finally:
        workers.close()


def test_a_call_that_hangs_delays_no_shutdown(monitor):
    """Its thread is a daemon of the server's own; the loop ends without it."""
    from perfmon_server import ServerConfig, serving

    hanging, release = threading.Event(), threading.Event()
    monitor.get_error_patterns = lambda **_: hanging.set() or release.wait(60)

    async def hang():
        async with serving(monitor, ServerConfig(port=0)) as url, ClientSession(url) as session:
            asking = asyncio.create_task(session.get(f"{API}/errors"))
            await asyncio.to_thread(hanging.wait, 60)
            asking.cancel()
            stopping.append(time.monotonic())

    stopping = []
    asyncio.run(hang())
    assert time.monotonic() - stopping[0] < 30
    release.set()


@pytest.mark.parametrize(
    "request_head",
    [
        "GET /?key=KEY HTTP/9\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization Bearer KEY\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: KEY\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nKEY\r\n",
        "BAD\0KEY\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_without_its_words(monitor, caplog, request_head):
    """Neither a key in it nor a library's version is in the answer or in the log."""
    key = "key-0123456789"
    async with serving(monitor, ServerConfig(port=0)) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_head.replace("KEY", key).encode())
        answer = (await asyncio.wait_for(reader.read(), 20)).decode()
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    assert " 400 " in head.splitlines()[0]
    assert "Server: perfmon" in head
    assert "aiohttp" not in answer
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert key not in answer + caplog.text
    assert "Traceback" not in caplog.text
