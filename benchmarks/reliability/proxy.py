"""A proxy to PostgreSQL that can be away, and that can lose the answers to COMMITs."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: close at once, as a broken line does


class _Pair:
    """A client's connection and its own to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.loses_answer = False
        self.answered = threading.Event()

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class PostgresProxy:
    """Listens on a port of its own, until it is closed.

    Attributes:
        url: the database's, by way of this proxy.
        lost: how many answers to COMMITs were lost; the server had committed.
    """

    def __init__(self, url: str) -> None:
        target = sa.make_url(url)
        self._target = (target.host or "127.0.0.1", target.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        through = target.set(host="127.0.0.1", port=self._listening.getsockname()[1])
        self.url = through.render_as_string(hide_password=False)
        self.lost = 0
        self._to_lose = self._spared = 0
        self._delay = 0.0
        self._away = False
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, commits: int, *, after: int = 0, delay: float = 0.0) -> None:
        """Let COMMITs reach the server, and cut the line before their answer.

        The next `after` of them get through. With a delay the line is cut first, and the server
        hears of it so much later.
        """
        with self._lock:
            self._to_lose, self._spared, self._delay = commits, after, delay

    def go_away(self) -> None:
        """Cut every connection and refuse new ones."""
        self._away = True
        for pair in list(self._pairs):
            pair.cut()

    def come_back(self) -> None:
        self._away = False

    def close(self) -> None:
        self.go_away()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._away:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
                continue
            pair = _Pair(client, socket.create_connection(self._target))
            self._pairs.add(pair)
            for end in (self._up, self._down):
                threading.Thread(target=self._pumped, args=(end, pair), daemon=True).start()

    def _pumped(self, end: Callable[[_Pair], None], pair: _Pair) -> None:
        with suppress(OSError):
            end(pair)
        pair.cut()
        self._pairs.discard(pair)

    def _up(self, pair: _Pair) -> None:
        while data := pair.client.recv(65_536):
            if b"COMMIT" in data:
                pair.loses_answer = self._is_to_lose()
                if pair.loses_answer and self._delay:
                    pair.client.close()
                    time.sleep(self._delay)
            pair.server.sendall(data)
            if pair.loses_answer:
                pair.answered.wait(30)  # the other direction cuts the line

    def _is_to_lose(self) -> bool:
        with self._lock:
            if self._spared:
                self._spared -= 1
                return False
            loses = self._to_lose > 0
            self._to_lose -= loses
            return loses

    def _down(self, pair: _Pair) -> None:
        while data := pair.server.recv(65_536):
            if pair.loses_answer:
                self.lost += 1
                pair.answered.set()
                return
            pair.client.sendall(data)
