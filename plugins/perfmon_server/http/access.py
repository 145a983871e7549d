"""Access control: the Host and Origin of a request, and its API key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from perfmon_server.http.errors import Answering, Refusal
from perfmon_server.settings import ServerConfig

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
_READING = ("GET", "HEAD", "OPTIONS")


def host_guard(config: ServerConfig) -> Middleware:
    """Refuses names that are not the server's own (DNS rebinding), and other sites' posts."""
    patterns = [name.lower() for name in (*_LOOPBACK, config.host, *config.allowed_hosts)]
    any_address = config.host in _EVERYWHERE

    @web.middleware
    async def check(request: web.Request, handler: Answering) -> web.StreamResponse:
        host = request.headers.get("Host")
        # Only old checkers send none (HTTP/1.0); a browser, which can be tricked, always does.
        if host is not None:
            name = _name(host)
            known = any(fnmatchcase(name, pattern) for pattern in patterns)
            if not known and not (any_address and _is_address(name)):
                message = "unknown Host header: add it to allowed_hosts in [plugins.server]"
                raise Refusal(403, "forbidden_host", message)
        origin = request.headers.get("Origin")
        if request.method not in _READING and origin is not None:
            _check_origin(origin, host)
        return await handler(request)

    return check


def _name(host: str) -> str:
    matched = _HOST.fullmatch(host)
    return matched[1].strip("[]").rstrip(".").lower() if matched else ""


def _is_address(name: str) -> bool:
    # A rebinding attack needs a name; an address in the Host is the one that was called.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_origin(origin: str, host: str | None) -> None:
    try:
        theirs = urlsplit(origin).netloc.lower()
    except ValueError:
        theirs = ""
    if not theirs or theirs != (host or "").lower():
        raise Refusal(403, "forbidden_origin", "the request comes from a page of another site")


def key_guard(config: ServerConfig, open_paths: frozenset[str]) -> Middleware:
    """Lets in who brings the key, and everybody to the open paths."""
    key = config.api_key
    wanted = None if key is None else _digest(key.reveal())

    @web.middleware
    async def check(request: web.Request, handler: Answering) -> web.StreamResponse:
        if wanted is None or request.path in open_paths:
            return await handler(request)
        if any(hmac.compare_digest(_digest(given), wanted) for given in _presented(request)):
            return await handler(request)
        raise Refusal(
            401,
            "unauthorized",
            "an API key is required: Authorization: Bearer KEY, or X-API-Key: KEY",
            headers={"WWW-Authenticate": 'Bearer realm="perfmon", Basic realm="perfmon"'},
        )

    return check


def _presented(request: web.Request) -> Iterator[str]:
    yield from request.headers.getall("X-API-Key", ())
    for header in request.headers.getall("Authorization", ()):
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "bearer":
            yield rest.strip()
        elif scheme.lower() == "basic":
            yield _password(rest)


def _password(encoded: str) -> str:
    """The password a browser's prompt sends; the name before it may be any."""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _digest(key: str) -> bytes:
    # Of bytes and of one length: comparing text with odd characters raises.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
