"""A language model as scorer: asks an OpenAI-compatible endpoint how right an outcome is."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import Score, figure, hookimpl
from perfmon_judge.endpoint import Endpoint, Inquiry, JudgeError
from perfmon_judge.settings import JudgeConfig
from perfmon_judge.words import AGAIN, NoVerdict, filled, text_of, verdict_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

    from perfmon import Config

__all__ = ["Judge", "JudgeConfig", "JudgeError"]

_GRACE = 1.0
_SLOT_POLL = 0.02


class Judge:
    """Asks a language model how right a prediction was; the answers are remembered.

    A question without a verdict raises `JudgeError`; a score is never guessed.

    Args:
        config: has the table `[plugins.judge]`.
        network: `sleep`, `clock` and `rng` of the `Endpoint`.

    Attributes:
        deadline: the seconds a worker should wait for an answer: what a question may take, and
            a moment more, in which it says why there is none.
        spent: the dollars spent by this process so far.
    """

    def __init__(self, config: Config, **network: Any) -> None:
        self._config = config.table("judge", JudgeConfig)
        self._endpoint = Endpoint(self._config, **network)
        self._cache: OrderedDict[bytes, Score] = OrderedDict()
        self._lock = threading.Lock()
        # Questions come from event loops on several threads, so no asyncio.Semaphore.
        self._slots = threading.BoundedSemaphore(self._config.at_once)
        self._unaccounted = False
        self.spent = 0.0
        self.deadline = self._config.deadline + _GRACE

    @hookimpl
    async def score_outcome(self, predicted: Any, actual: Any) -> Score:
        """The model's score with its reason as the note, and what it cost in dollars."""
        try:
            prompt = filled(self._config.prompt, predicted, actual)
        except (TypeError, ValueError, RecursionError) as problem:
            reason = f"an outcome is not JSON: {problem}"
            raise self._endpoint.error(reason, permanent=True) from None
        key = hashlib.sha256(json.dumps([self._config.model, prompt]).encode()).digest()
        return self._recalled(key) or self._remembered(key, await self._in_time(prompt))

    async def _in_time(self, prompt: str) -> Score:
        limit = self._config.deadline
        question = Inquiry(asyncio.get_running_loop().time() + limit)
        try:
            async with (
                asyncio.timeout_at(question.until),
                self._slot(),
                self._endpoint.session() as session,
            ):
                return await self._verdict(session, prompt, question)
        except TimeoutError:
            last = f"; before that it {question.trouble}" if question.trouble else ""
            raise self._endpoint.error(f"no verdict within {limit:g} s{last}") from None

    async def _verdict(self, session: ClientSession, prompt: str, question: Inquiry) -> Score:
        costs: list[float] = []
        for asked in (prompt, prompt + AGAIN):
            self._check_budget()
            answer = await self._endpoint.ask(session, asked, question)
            costs += self._account(answer)
            try:
                value, reason = verdict_in(text_of(answer))
                return Score(value, note=reason, cost=sum(costs) if costs else None)
            except NoVerdict as problem:
                question.trouble = f"gave no verdict: {problem}"
        raise self._endpoint.error(f"it {question.trouble}, twice")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        while not self._slots.acquire(blocking=False):  # noqa: ASYNC110 - no event of one loop
            await asyncio.sleep(_SLOT_POLL)
        try:
            yield
        finally:
            self._slots.release()

    def _account(self, answer: Any) -> list[float]:
        """What an answer cost, if it is known; one without a verdict costs as much."""
        cost = self._cost(answer)
        with self._lock:
            self._unaccounted |= cost is None
            self.spent += cost or 0.0
        return [] if cost is None else [cost]

    def _cost(self, answer: Any) -> float | None:
        usage = answer.get("usage") if isinstance(answer, dict) else None
        if not self._config.has_prices or not isinstance(usage, dict):
            return None
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if type(read) is not int or type(written) is not int or min(read, written) < 0:
            return None
        return (
            read * (self._config.input_cost_per_million or 0.0)
            + written * (self._config.output_cost_per_million or 0.0)
        ) / 1_000_000

    def _check_budget(self) -> None:
        budget = self._config.budget
        if budget is None:
            return
        if self._unaccounted:
            raise self._endpoint.error("it reports no usage, so the budget cannot be enforced")
        if self.spent >= budget:
            raise self._endpoint.error(
                f"the budget of {figure(budget, '$')} is used up ({figure(self.spent, '$')})"
            )

    def _recalled(self, key: bytes) -> Score | None:
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
            return known

    def _remembered(self, key: bytes, score: Score) -> Score:
        with self._lock:
            self._cache[key] = attrs.evolve(score, cost=0.0)
            while len(self._cache) > self._config.cache_size:
                self._cache.popitem(last=False)
        return score
