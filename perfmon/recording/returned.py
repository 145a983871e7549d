"""Follows the result of a call until it has ended: the run lasts, and fails, with it.

What is returned stays what it was as far as possible: a coroutine is a coroutine, a generator a
generator, a future itself; a response keeps its identity, and only its body is another generator;
any other stream or awaitable becomes a thin proxy (`perfmon.recording.proxies`).
"""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent import futures
from contextlib import suppress
from typing import Any, Self

from perfmon.recording.proxies import Follow, is_stream, proxied
from perfmon.recording.tracking import RunPart, TrackedRun

_log = logging.getLogger("perfmon")
_PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, set, frozenset, range}
)
_BODIES = ("body_iterator", "_iterator")  # of Starlette's, Django's streaming responses
_NATIVE = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)
_MOST_PLACES = 1_000  # of a container that are checked


def followed(run: TrackedRun, value: Any) -> Any:
    """What to give the host instead of what the call returned; the run ends with it, or now."""
    if type(value) in _PLAIN:
        run._finish(None)  # noqa: SLF001 - its own
        return value
    try:
        return passed_on(RunPart(run), value)
    except Exception:  # the host's own objects may raise anything
        _log.exception("the result of a watched call could not be tracked to its end")
        run._finish(None)  # noqa: SLF001
        return value


def passed_on(part: RunPart, value: Any) -> Any:
    """A part has ended with a value: which may be a part itself."""
    try:
        value = _follow(part, value)
    finally:
        part.end()
    return value


def _follow(part: RunPart, value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    lone = _lone(part, value)
    if lone is not None or kind in _NATIVE:
        return value if lone is None else lone
    if kind in (list, dict):
        places = range(len(value)) if kind is list else list(value)
        for place in places[:_MOST_PLACES]:
            one = _inside(part, value[place])
            if one is not None:
                value[place] = one
        return value
    if kind is tuple or (isinstance(value, tuple) and hasattr(kind, "_make")):
        return _tuple(part, value)
    return _object(part, value)


def _lone(part: RunPart, value: Any) -> Any:
    """What is followed where it is one of Python's own kinds and has not ended; else None."""
    kind = type(value)
    if kind in _PLAIN:
        return None
    if kind in _NATIVE:
        return _WAYS[kind](RunPart(part.run, value, beside=part)) if _is_open(value) else None
    if isinstance(value, futures.Future) or _is_asyncio_future(value):
        _watch_future(RunPart(part.run, beside=part), value)
        return value
    return None


def _inside(part: RunPart, value: Any) -> Any:
    """What is followed of what a container holds: streams and awaitables of any class, too."""
    lone = _lone(part, value)
    if lone is not None or type(value) in _NATIVE or not is_stream(type(value)):
        return lone
    return proxied(part, value, _FOLLOW)


def _tuple(part: RunPart, value: tuple[Any, ...]) -> Any:
    found = {place: _inside(part, one) for place, one in enumerate(value[:_MOST_PLACES])}
    new = [one if found.get(place) is None else found[place] for place, one in enumerate(value)]
    if all(one is other for one, other in zip(new, value, strict=True)):
        return value
    make: Callable[[Iterable[Any]], Any] = getattr(value, "_make", tuple)  # a named tuple's
    return make(new)


def _object(part: RunPart, value: Any) -> Any:
    if isinstance(value, (type, types.ModuleType, types.FunctionType, types.MethodType)):
        return value
    new = proxied(part, value, _FOLLOW)
    if new is not None:
        return new
    for name, one in _attributes(value):
        body = _lone(part, one) if _is_fresh(one) else None
        if body is None and name in _BODIES:
            body = proxied(part, one, _FOLLOW)
        if body is not None:
            _put(value, name, body)
    return value


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object that may be the stream it carries."""
    found = list(getattr(value, "__dict__", {}).items())[:_MOST_PLACES]
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with suppress(Exception):
                found.append((name, getattr(value, name)))
    for name, one in found:
        # What is private may be its own affair, and go on for ever.
        if isinstance(name, str) and (name in _BODIES or not name.startswith("_")):
            yield name, one


def _is_fresh(value: Any) -> bool:
    """Whether it is a stream of which nothing has been asked for yet."""
    if type(value) is types.GeneratorType:
        return inspect.getgeneratorstate(value) == inspect.GEN_CREATED
    return type(value) is types.AsyncGeneratorType


def _put(value: Any, name: str, body: Any) -> None:
    """Not by the object's own ways, which may refuse, check or announce it."""
    inside = getattr(value, "__dict__", {})
    if name in inside:
        inside[name] = body
    else:
        object.__setattr__(value, name, body)


def _is_asyncio_future(value: Any) -> bool:
    # As `asyncio.isfuture` has it.
    return getattr(type(value), "_asyncio_future_blocking", None) is not None and hasattr(
        value, "add_done_callback"
    )


def _watch_future(part: RunPart, future: Any) -> None:
    def done(ended: Any) -> None:
        try:
            if ended.cancelled():
                part.end(_cancelled(ended))
                return
            # To ask a task for its exception would silence its warning that nobody did.
            problem = getattr(ended, "_exception", None)
            if problem is None:
                problem = ended.exception()
            # A stream that comes by a future is given away as it is: its end is not seen.
            left = None if problem is not None or not _is_open(ended.result()) else GeneratorExit()
            part.end(problem or left)
        except Exception:
            part.end(GeneratorExit())

    if future.done():  # perhaps no loop runs any more that would say so
        done(future)
    else:
        future.add_done_callback(done)
    part.meter.blur()  # it works where others do


def _cancelled(future: Any) -> BaseException:
    if isinstance(future, futures.Future):
        return futures.CancelledError()
    import asyncio

    return asyncio.CancelledError()


def _is_open(value: Any) -> bool:
    kind = type(value)
    return kind in _NATIVE and getattr(value, _FRAMES[kind]) is not None


# Python's own kinds


async def awaited(part: RunPart, work: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine as the run's work."""
    meter = part.meter
    token = meter.enter()
    try:
        value = await meter.steps(work)
    except BaseException as problem:
        part.end(problem)
        raise
    finally:
        meter.leave(token)
    return passed_on(part, value)


def _coroutine(part: RunPart) -> Any:
    part.meter.go_on_by_steps()
    return _named(_awaiting(part), part.value)


async def _awaiting(part: RunPart) -> Any:
    return await awaited(part, part.value)


def iterated(part: RunPart, items: Any) -> Generator[Any, Any, Any]:
    """Give what another generator or iterator gives, until its end."""
    try:
        value = yield from items
    except BaseException as problem:
        part.end(problem)
        raise
    part.end()
    return value


def _generator(part: RunPart) -> Any:
    part.meter.blur()  # between two items the thread works for who asked
    way = _iterated if part.value.gi_code.co_flags & _OLD_COROUTINE else iterated
    return _named(way(part, part.value), part.value)


_OLD_COROUTINE = 0x100  # CO_ITERABLE_COROUTINE: a generator that can be awaited


@types.coroutine
def _iterated(part: RunPart, items: Iterable[Any]) -> Generator[Any, Any, Any]:
    return (yield from iterated(part, items))


class Items:
    """Steps through an async generator, as `yield from` does, which they have not."""

    def __init__(self, part: RunPart, items: AsyncGenerator[Any, Any]) -> None:
        self.item: Any = None
        self.sent: Any = None
        self.thrown: BaseException | None = None
        self._part = part
        self._items = items

    async def advance(self) -> bool:
        """Whether there is another item, after what was sent or thrown."""
        problem, self.thrown = self.thrown, None
        try:
            if problem is not None:
                self.item = await self._items.athrow(problem)
            else:
                self.item = await self._items.asend(self.sent)
        except StopAsyncIteration:
            return False
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        try:
            await self._items.aclose()
        except BaseException as worse:
            self._part.end(worse)
            raise
        self._part.end(problem)


async def iterated_async(
    part: RunPart, items: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    """Give what another async generator gives, until its end."""
    async with Items(part, items) as steps:
        while await steps.advance():
            try:
                steps.sent = yield steps.item
            except GeneratorExit:
                raise
            except BaseException as problem:
                steps.thrown = problem


def _async_generator(part: RunPart) -> Any:
    part.meter.blur()
    return _named(iterated_async(part, part.value), part.value)


def _named(new: Any, old: Any) -> Any:
    """For messages, such as that a coroutine was never awaited."""
    with suppress(AttributeError, TypeError):
        new.__name__, new.__qualname__ = old.__name__, old.__qualname__
    return new


_FRAMES: dict[type, str] = {
    types.GeneratorType: "gi_frame",
    types.AsyncGeneratorType: "ag_frame",
    types.CoroutineType: "cr_frame",
}
_WAYS: dict[type, Callable[[RunPart], Any]] = {
    types.GeneratorType: _generator,
    types.AsyncGeneratorType: _async_generator,
    types.CoroutineType: _coroutine,
}
_FOLLOW = Follow(passed_on, awaited, iterated, iterated_async)
