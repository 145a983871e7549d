"""`POST /runs` in batches of 1,000 against `perfmon serve` in its own process, and reads meanwhile.

Bodies are made before the clock starts; only their run ids are new each time. The yardstick is a
bare aiohttp server that decodes the same bodies and keeps nothing.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import attrs
import msgspec
import numpy as np
from aiohttp import web

from benchmarks.meters import cpu_seconds
from benchmarks.runs import batches
from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure

_API = "/api/performance"
_BATCH = 1_000
_MARK = "{round}"  # in the run ids of a body, replaced by the number of the round
_CONNECTIONS = 8
_BODIES = 50
_SERVE = "from perfmon.cli import main; main()"
_BARE = "from benchmarks.server import serve_bare; serve_bare()"
_JSON = {"Content-Type": "application/json"}


class Load(NamedTuple):
    """What a server bore: runs a second, and the milliseconds of reads and posts meanwhile."""

    rate: float
    reads: list[float]
    posts: list[float]
    posted: int
    cpu_share: float


@attrs.define
class Client:
    """Posts over some connections and reads over one, until the time is up."""

    session: aiohttp.ClientSession
    bodies: list[bytes]
    until: float
    posts: list[float] = attrs.Factory(list)
    reads: list[float] = attrs.Factory(list)
    _next: int = 0

    async def post(self) -> None:
        while time.perf_counter() < self.until:
            number, self._next = self._next, self._next + 1
            body = self.bodies[number % _BODIES].replace(_MARK.encode(), b"%07d" % number)
            began = time.perf_counter()
            async with self.session.post(f"{_API}/runs", data=body, headers=_JSON) as response:
                answer = await response.json()
            self.posts.append((time.perf_counter() - began) * 1e3)
            if response.status != 200 or answer["accepted"] != _BATCH:
                raise RuntimeError(f"{response.status}: {answer}")

    async def read(self) -> None:
        while time.perf_counter() < self.until:
            began = time.perf_counter()
            async with self.session.get(f"{_API}/metrics/system") as response:
                await response.read()
            response.raise_for_status()
            self.reads.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.02)


def measure(bench: Bench) -> Iterator[Figure]:
    bodies = [
        msgspec.json.encode([_without_stamp(run) for run in piece])
        for piece in batches(_BODIES * _BATCH, 0, 1, f"run-{_MARK}", size=_BATCH)
    ]
    length = bench.size(4, 30)
    with _bare_server() as (process, url):
        bare = asyncio.run(_load(url, bodies, bench.size(2, 10), process))
    with _perfmon_server(bench.folder) as (process, url):
        with bench.bar("server", None):
            found = asyncio.run(_load(url, bodies, length, process))
        stats = asyncio.run(_stats(url))
    yield Figure("POST /runs by 1,000: stored", found.rate, "runs/s", 60_000, at_least=True,
                 yardstick="aiohttp, decodes and forgets", beside=bare.rate)  # fmt: skip
    for name, share, target in (("median", 50, None), ("p99", 99, 50)):
        yield Figure(f"GET /metrics/system meanwhile: {name}", _percentile(found.reads, share),
                     "ms", target, yardstick=f"aiohttp, empty answer, {name}",
                     beside=_percentile(bare.reads, share))  # fmt: skip
    for name, share in (("median", 50), ("p99", 99)):
        yield Figure(f"POST /runs: {name}", _percentile(found.posts, share), "ms",
                     yardstick=f"aiohttp, decodes and forgets, {name}",
                     beside=_percentile(bare.posts, share))  # fmt: skip
    yield Figure("acknowledged and not stored", found.posted - stats["stored"], "runs", 0)
    yield Figure("CPU of the server's process", found.cpu_share, "cores",
                 yardstick="aiohttp, decodes and forgets", beside=bare.cpu_share)  # fmt: skip


def _without_stamp(run: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name != "timestamp"}


def _percentile(found: list[float], share: float) -> float:
    return float(np.percentile(found, share))


@contextmanager
def _perfmon_server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    config = folder / "monitor.toml"
    config.write_text(f'[monitor]\nstorage = "sqlite:///{folder.as_posix()}/server.db"\n')
    arguments = [sys.executable, "-c", _SERVE, "serve", "--config", str(config), "--port", "0"]
    with _running(arguments) as running:
        yield running


@contextmanager
def _bare_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with _running([sys.executable, "-c", _BARE]) as running:
        yield running


@contextmanager
def _running(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server's process and the URL it prints; asked to end afterwards."""
    home = Path(__file__).resolve().parents[1]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=home) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            url = next((word for word in line.split() if word.startswith("http")), None)
            if url is None:
                raise RuntimeError(f"the server said {line!r} and no URL")
            yield process, url.rstrip("/")
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


async def _load(
    url: str, bodies: list[bytes], length: float, process: subprocess.Popen[str]
) -> Load:
    async with aiohttp.ClientSession(url) as session:
        cpu, began = cpu_seconds(process.pid), time.perf_counter()
        client = Client(session, bodies, began + length)
        await asyncio.gather(client.read(), *(client.post() for _ in range(_CONNECTIONS)))
        took = time.perf_counter() - began
    posted = len(client.posts) * _BATCH
    share = (cpu_seconds(process.pid) - cpu) / took
    return Load(posted / took, client.reads, client.posts, posted, share)


async def _stats(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession(url) as session, session.get(f"{_API}/stats") as response:
        found = await response.json()
    stats: dict[str, Any] = found.get("stats", found)
    return stats


def serve_bare() -> None:
    """An aiohttp server that decodes what is posted, keeps nothing and answers little."""
    decode = msgspec.json.Decoder().decode

    async def post(request: web.Request) -> web.Response:
        return web.json_response({"accepted": len(decode(await request.read()))})

    async def read(_: web.Request) -> web.Response:
        return web.json_response({"metrics": {}})

    async def serve() -> None:
        app = web.Application(client_max_size=2**24)
        app.add_routes([web.post(f"{_API}/runs", post), web.get(f"{_API}/metrics/system", read)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        # Ends by itself, should the one that started it have died.
        await asyncio.sleep(600)

    asyncio.run(serve())


if __name__ == "__main__":
    run_alone("server", measure)
