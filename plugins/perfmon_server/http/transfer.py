"""Transfer of responses: compressed where worthwhile, and omitted if the client has it."""

from __future__ import annotations

import hashlib

from aiohttp import web

from perfmon_server.http.errors import Answering

_WORTH_COMPRESSING = 1_000


@web.middleware
async def transfer(request: web.Request, handler: Answering) -> web.StreamResponse:
    """Gives complete answers of GET an ETag, answers 304 where it matches, and compresses."""
    response = await handler(request)
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or response.prepared:
        return response
    response.headers.setdefault("Vary", "Accept-Encoding")
    if request.method in ("GET", "HEAD") and response.status == 200:
        # Weak: the same answer may travel in several encodings.
        tag = hashlib.blake2b(body, digest_size=12).hexdigest()
        response.headers["ETag"] = f'W/"{tag}"'
        if any(known.value in ("*", tag) for known in request.if_none_match or ()):
            return web.Response(status=304, headers=_kept(response))
    if len(body) >= _WORTH_COMPRESSING:
        response.enable_compression()
    return response


def _kept(response: web.StreamResponse) -> dict[str, str]:
    names = ("ETag", "Vary", "Cache-Control", "Content-Security-Policy")
    return {name: response.headers[name] for name in names if name in response.headers}
