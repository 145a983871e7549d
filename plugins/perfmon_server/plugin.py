"""The server as a plugin: its configuration, and its life cycle up to a signal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import attrs
from aiohttp import web

from perfmon import Config, ConfigError, PerfmonError
from perfmon_server.app import make_app
from perfmon_server.http.errors import RequestLog, log
from perfmon_server.http.unreadable import Runner
from perfmon_server.settings import ServerConfig

if TYPE_CHECKING:
    from perfmon import PerformanceMonitor

_GOODBYE_SECONDS = 0.75
_REASONS = {
    errno.EADDRINUSE: "is already in use",
    errno.EACCES: "requires more permissions than this account has",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
}


class ServerPlugin:
    """REST, the first page and the stream, as `[plugins.server]` says.

    Raises:
        ConfigError: the table has mistakes, or opens a door without a key.
    """

    def __init__(self, config: Config) -> None:
        self.settings = config.table("server", ServerConfig)
        self.settings.refuse_open_door()

    def run(
        self,
        monitor: PerformanceMonitor,
        host: str | None = None,
        port: int | None = None,
        ready: Callable[[str], None] | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        """Serve until SIGINT or SIGTERM; `ready` is called with the URL once it answers.

        `reload` is called at SIGHUP, on a thread of its own; one call at a time.

        Raises:
            ConfigError: the host is not loopback and there is no api_key.
            PerfmonError: it cannot listen there.
        """
        settings = self.settings
        if host is not None:
            settings = attrs.evolve(settings, host=host)
        if port is not None:
            settings = attrs.evolve(settings, port=_checked_port(port))
        settings.refuse_open_door()
        asyncio.run(_serve(monitor, settings, ready, reload))


def _checked_port(port: int) -> int:
    if not 0 <= port <= 65_535:
        raise ConfigError([f"[plugins.server] port = {port}: must be a port, 0 to 65535"])
    return port


async def _serve(
    monitor: PerformanceMonitor,
    settings: ServerConfig,
    ready: Callable[[str], None] | None,
    reload: Callable[[], None] | None,
) -> None:
    stop, changed = asyncio.Event(), asyncio.Event()
    with _signals(stop.set, signal.SIGINT, signal.SIGTERM):
        async with serving(monitor, settings) as url:
            hangups = [signal.SIGHUP] if reload is not None and hasattr(signal, "SIGHUP") else []
            with _signals(changed.set, *hangups):
                reloading = asyncio.create_task(_keep_reloading(changed, reload))
                if ready is not None:
                    ready(url)
                await stop.wait()
                reloading.cancel()


async def _keep_reloading(changed: asyncio.Event, reload: Callable[[], None] | None) -> None:
    while reload is not None:
        await changed.wait()
        changed.clear()
        try:
            await asyncio.to_thread(reload)
        except Exception:
            log.exception("unexpected error while reloading; the old configuration stays active")


@contextlib.asynccontextmanager
async def serving(monitor: PerformanceMonitor, settings: ServerConfig) -> AsyncIterator[str]:
    """The server's URL while it runs; requests have most of a second to end."""
    runner = Runner(
        make_app(monitor, settings),
        access_log=None,
        shutdown_timeout=_GOODBYE_SECONDS,
        logger=RequestLog(log),
    )
    await runner.setup()
    try:
        await _listen(runner, settings)
        url = _url(settings.host, runner.addresses[0][1])
        monitor.show_at(url)
        yield url
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)  # connections are closed in the loop's next round


async def _listen(runner: web.AppRunner, settings: ServerConfig) -> None:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as problem:
        reason = _REASONS.get(problem.errno or 0, f"cannot be listened on ({problem.strerror})")
        raise PerfmonError(
            f"server: {settings.host}:{settings.port} {reason};"
            " choose another with --host, --port or in [plugins.server]"
        ) from None


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - shown only
    return (
        f"http://[{shown}]:{port}"
        if ":" in shown and "[" not in shown
        else f"http://{shown}:{port}"
    )


@contextlib.contextmanager
def _signals(heard: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """Call back at these signals, where this thread and system can hear them."""
    loop = asyncio.get_running_loop()
    before = {}
    for number in numbers:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, heard)
            before[number] = handler
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            # The default would let a late SIGHUP end what is just ending in good order.
            if handler is not None:
                signal.signal(number, handler)
