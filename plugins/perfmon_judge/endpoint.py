"""A chat endpoint on the network: requests with retries and bounds; never a redirect."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import PerfmonError, redacted, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientResponse, ClientSession

    from perfmon_judge.settings import JudgeConfig

_PASSING = frozenset({408, 425, 429})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_LARGEST_BODY = 1_000_000


class JudgeError(PerfmonError):
    """The judge gave no verdict. `permanent` says that asking again later is of no use."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(redacted(message))


class _Passing(Exception):
    """A request failed and may be retried, after the delay that the endpoint asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        self.after = after
        super().__init__(reason)


@attrs.define
class Inquiry:
    """A question under way: until when (the loop's time), and what was wrong last."""

    until: float
    trouble: str = ""


class Endpoint:
    """Asks the model of a configuration.

    Args:
        sleep: waits this many seconds.
        clock: epoch seconds, for a Retry-After that is a date.
        rng: the jitter.
    """

    def __init__(
        self,
        config: JudgeConfig,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._sleep, self._clock = sleep, clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret

    def session(self) -> ClientSession:
        """For one event loop; to be closed by who asked for it."""
        import aiohttp

        key = self._config.api_key
        headers = {"Accept-Encoding": "identity"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        # Unpacking is off so that the bound of a body is one of memory, too.
        return aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(self._config.timeout or self._config.deadline / 2),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def ask(self, session: ClientSession, prompt: str, question: Inquiry) -> Any:
        """The endpoint's answer as JSON values, None where it is not JSON; or `JudgeError`."""
        for attempt in range(1, self._config.attempts + 1):
            try:
                return await self._post(session, prompt)
            except _Passing as problem:
                question.trouble = str(problem)
                if attempt < self._config.attempts:
                    await self._pause(attempt, problem, question)
        raise self.error(f"it {question.trouble} ({self._config.attempts} attempts)")

    def error(self, reason: str, *, permanent: bool = False) -> JudgeError:
        """The error with who it is about."""
        where = f"{self._config.model} at {self._config.url}"
        return JudgeError(f"judge {where}: {reason}", permanent=permanent)

    async def _post(self, session: ClientSession, prompt: str) -> Any:
        import aiohttp

        proxy = self._config.proxy
        try:
            # A redirect is not followed: the key is for this endpoint and for no other.
            async with session.post(
                self._config.endpoint,
                json=self._body(prompt),
                allow_redirects=False,
                proxy=None if proxy is None else proxy.reveal(),
            ) as response:
                body = await self._read(response)
        except (aiohttp.InvalidURL, aiohttp.ClientSSLError) as problem:
            raise self.error(f"cannot be called: {problem}", permanent=True) from None
        except TimeoutError:
            raise _Passing("did not answer in time") from None
        except (aiohttp.ClientError, OSError) as problem:
            raise _Passing(f"could not be reached: {problem}") from None
        if response.status in _PASSING or response.status >= 500:
            after = retry_after(response.headers.get("Retry-After"), self._clock()) or 0.0
            raise _Passing(f"answered {response.status}", after)
        if response.status != 200:
            raise self.error(_refusal(response.status, body), permanent=True)
        return _json(body)

    async def _read(self, response: ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise self.error(f"its answer is larger than {_LARGEST_BODY // 1_000_000} MB")
        return bytes(body)

    async def _pause(self, attempt: int, problem: _Passing, question: Inquiry) -> None:
        # Full jitter, on top of what the endpoint asks for: never early, and never all at once.
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
        pause = problem.after + self._rng.uniform(0, longest)
        if asyncio.get_running_loop().time() + pause >= question.until:
            left = f"the deadline of {self._config.deadline:g} s leaves no time for another attempt"
            raise self.error(f"it {problem}, and {left}")
        await self._sleep(pause)

    def _body(self, prompt: str) -> dict[str, Any]:
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": config.temperature,
        }
        if config.max_tokens is not None:
            body["max_tokens"] = config.max_tokens
        if config.response_format == "json":
            body["response_format"] = {"type": "json_object"}
        return body


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, body: bytes) -> str:
    if status in (401, 403):  # what such an answer says may hold the key
        return f"it answered {status}: check api_key"
    if 300 <= status < 400:
        return f"it answered {status}, but redirects are not followed: check url"
    answer = _json(body)
    told = answer.get("error", answer) if isinstance(answer, dict) else None
    told = told.get("message") if isinstance(told, dict) else told
    return f"it answered {status}{f': {told}' if isinstance(told, str) else ''}"
