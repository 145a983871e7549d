"""The HTTP client of all sinks: one request, to allowed addresses only, and its errors.

Tried once: what came of it is an `HttpAnswer`, or a `DeliveryError` that says whether to try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from perfmon.config.secret import Secret, redacted, spellings
from perfmon.config.validators import Allowed
from perfmon.delivery.addresses import refusal
from perfmon.errors import DeliveryError
from perfmon.records import jsonable

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver, ResolveResult

_PASSING = frozenset({408, 425, 429})
_ENOUGH = 4_096  # of an answer's body
_PIECE = 8


@attrs.frozen
class HttpAnswer:
    """What a receiver said: `status` in [200, 300), and the beginning of its `text`."""

    status: int
    text: str


def encoded(value: Any) -> bytes:
    """Records as JSON in well-formed UTF-8, NaN as null, the same bytes for the same value."""
    text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False, default=str)
    return text.encode("utf-8", "replace")


async def post(
    url: str | Secret,
    body: Any,
    *,
    headers: Mapping[str, str | Secret] | None = None,
    deadline: float = 10.0,
    allow_private: bool = False,
    proxy: str | Secret | None = None,
    resolver: AbstractResolver | None = None,
    clock: Callable[[], float] = time.time,
) -> HttpAnswer:
    """Post a body (bytes as they are, anything else as JSON), once, and follow no redirect.

    Every address that the host's name has is checked, and the one that is called once more when
    its socket opens: link-local addresses and metadata services are never called, private ones
    only with `allow_private`.

    Args:
        url: http or https; no error shows more of it than its host.
        body: at most some megabytes; it is sent whole.
        headers: sent along; `Secret`s are revealed here alone.
        deadline: seconds for all of it.
        allow_private: whether private and loopback addresses may be called.
        proxy: an http proxy to go through. What is called by its address, or by a name that can be
            looked up here, is checked as well; the proxy itself may be private.
        resolver: finds the addresses of names; default: the system's.
        clock: epoch seconds, for a Retry-After that is a date.

    Raises:
        DeliveryError: `permanent` for a bad address, a redirect, and a 4xx other than 408, 425
            and 429; otherwise with the seconds that a Retry-After header asks for.
    """
    call = _Call(url, headers or {}, _Guard(allow_private, resolver), proxy)
    data = body if isinstance(body, bytes) else encoded(body)
    return await _answered(call, "POST", data, deadline, clock)


async def get(
    url: str | Secret,
    *,
    deadline: float = 10.0,
    allow_private: bool = False,
    resolver: AbstractResolver | None = None,
) -> HttpAnswer:
    """Ask for a URL, once; checked and refused as `post` is."""
    call = _Call(url, {}, _Guard(allow_private, resolver))
    return await _answered(call, "GET", None, deadline, time.time)


async def _answered(
    call: _Call, method: str, data: bytes | None, deadline: float, clock: Callable[[], float]
) -> HttpAnswer:
    try:
        async with asyncio.timeout(deadline):
            await call.send(method, data)
    except TimeoutError:
        if call.status is None:
            raise call.error(f"did not answer within {deadline:g} s") from None
    status = call.status or 0
    if 200 <= status < 300:
        return HttpAnswer(status, call.text)
    passing = status in _PASSING or status >= 500
    raise call.error(
        f"answered {call.told}",
        permanent=not passing,
        retry_after=retry_after(call.after, clock()) if passing else None,
    )


class _Call:
    """One request under way, and what was heard so far."""

    def __init__(
        self,
        url: str | Secret,
        headers: Mapping[str, str | Secret],
        guard: _Guard,
        proxy: str | Secret | None = None,
    ) -> None:
        self._url = _revealed(url)
        parts = _parts(self._url)
        self._host = parts.hostname
        self._headers = {name: _revealed(value) for name, value in headers.items()}
        self._proxy = None if proxy is None else _revealed(proxy)
        through = [] if self._proxy is None else _pieces(_parts(self._proxy))
        words = [word for value in self._headers.values() for word in (value, *value.split())]
        pieces = (*_pieces(parts), *through, *words)
        hidden = {form for piece in pieces for form in spellings(piece)}
        self._hidden = sorted(hidden, key=len, reverse=True)
        self._guard = guard
        self.status: int | None = None
        self.after: str | None = None
        self.text = ""

    @property
    def told(self) -> str:
        """The answer in a few words."""
        if self.status is not None and 300 <= self.status < 400:
            return f"{self.status}, but redirects are not followed: check the URL"
        return f"{self.status}: {self.text}" if self.text.strip() else f"{self.status}"

    def error(self, reason: str, **how: Any) -> DeliveryError:
        """The error with whom it is about, and nothing of a URL or header in it."""
        for piece in self._hidden:
            if len(piece) >= _PIECE:
                reason = reason.replace(piece, "***")
        return DeliveryError(redacted(f"{self._host} {reason}"), **how)

    async def send(self, method: str, data: bytes | None) -> None:
        """Send it, and note what comes back; the status is worth as much without its body."""
        import aiohttp

        try:
            if self._proxy is not None:
                await self._guard.admit(self._host or "")
            async with (
                self._session() as session,
                session.request(
                    method, self._url, data=data, allow_redirects=False, proxy=self._proxy
                ) as response,
            ):
                self.status, self.after = response.status, response.headers.get("Retry-After")
                self.text = await _beginning(response)
        except aiohttp.InvalidURL:
            raise self._not_valid() from None
        except (aiohttp.ClientError, OSError) as problem:
            if self.status is not None:
                return
            if self._guard.refused:
                raise self.error(self._guard.refused, permanent=True) from None
            reason = str(problem) or type(problem).__name__
            raise self.error(f"could not be reached: {reason}") from None
        except ValueError:  # after the others: a certificate that is not trusted is one as well
            raise self._not_valid() from None

    def _not_valid(self) -> DeliveryError:
        # aiohttp's own words have the whole URL, or the header.
        return self.error("cannot be called: the URL or a header is not valid", permanent=True)

    def _session(self) -> ClientSession:
        import aiohttp

        headers = {
            "Content-Type": "application/json",
            "User-Agent": "perfmon",
            "Accept-Encoding": "identity",
        }
        return aiohttp.ClientSession(
            headers=headers | self._headers,
            connector=aiohttp.TCPConnector(
                resolver=cast("AbstractResolver", self._guard),
                socket_factory=self._guard.open,
                use_dns_cache=False,
                force_close=True,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )


async def _beginning(response: ClientResponse) -> str:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= _ENOUGH:
            break
    return body[:_ENOUGH].decode("utf-8", "replace")


class _Guard:
    """Resolves names and opens sockets, both for allowed addresses only."""

    def __init__(self, allow_private: bool, resolver: AbstractResolver | None) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self.refused: str | None = None

    async def admit(self, host: str) -> None:
        """What the proxy will be asked to call is checked as far as it is known here."""
        with contextlib.suppress(OSError):
            await self.resolve(host)
        if self.refused:
            raise PermissionError(self.refused)
        self._allow_private = True  # from now on only the proxy is called, which was named

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        import aiohttp

        resolver = self._resolver or aiohttp.ThreadedResolver()
        found = await resolver.resolve(host, port, family)
        for each in found:
            self._check(each["host"], host)
        return found

    def open(self, info: Any) -> socket.socket:
        """The socket for an address, the last thing before it is called."""
        family, kind, protocol, _, address = info
        self._check(str(address[0]))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _check(self, address: str, host: str = "") -> None:
        why = refusal(address, allow_private=self._allow_private)
        if why:
            is_name = host and host != address
            self.refused = f"is blocked: {f'it resolves to {address}, ' if is_name else ''}{why}"
            raise PermissionError(self.refused)


def is_web_address(value: str | Secret) -> bool:
    """Whether text is an http or https URL that can be called."""
    try:
        return bool(_parts(_revealed(value)))
    except DeliveryError:
        return False


http_url = Allowed('a URL such as "https://example.org/hook"', is_web_address)
"""A validator of URLs, plain or secret, for the tables of plugins."""
proxy_url = Allowed('the URL of a proxy such as "http://proxy.example.org:3128"', is_web_address)
"""The same of a proxy."""


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        fits = None
    if not fits or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise DeliveryError("the URL is not an http or https URL", permanent=True)
    return parts


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _pieces(parts: SplitResult) -> Iterable[str]:
    """What of a URL may be secret, and must not come back in an answer's words."""
    whole = (parts.path, parts.path.strip("/"), parts.query, parts.username, parts.password)
    inner = re.split(r"[/&=]", f"{parts.path}&{parts.query}")
    found = [piece for piece in (*whole, *inner) if piece and len(piece) >= _PIECE]
    # Of a user and a password, the client makes one header.
    both = [f"{parts.username}:{parts.password or ''}"] if parts.username else []
    return [*found, *both, *map(unquote, (*found, *both))]


def retry_after(header: str | None, now: float) -> float | None:
    """The seconds a Retry-After header asks for, be it seconds or a date (RFC 9110, 10.2.3).

    None where there is no such header, or none that can be read; `now` is epoch seconds.
    """
    if not header:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return None
