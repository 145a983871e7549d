"""Thin proxies: objects that pass for the original, and report when it ends.

What a proxy has of the special methods is what the object's class has, so that `iter`, `await` and
`with` find neither more nor less; everything else goes through.
"""

from __future__ import annotations

import functools
import inspect
import io
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from perfmon.recording.tracking import RunPart

_OWN = frozenset(
    (
        "__new__", "__init__", "__del__", "__class__", "__dict__", "__doc__", "__module__",
        "__weakref__", "__slots__", "__getattribute__", "__getattr__", "__setattr__",
        "__delattr__", "__init_subclass__", "__subclasshook__", "__class_getitem__",
        "__prepare__", "__get__", "__set__", "__delete__",
    )
)  # fmt: skip
_CLOSING = ("close", "aclose")


class Follow(NamedTuple):
    """How what an object gives is followed in its turn."""

    passed_on: Callable[[RunPart, Any], Any]
    awaited: Callable[[RunPart, Any], Any]
    iterated: Callable[[RunPart, Any], Generator[Any, Any, Any]]
    iterated_async: Callable[[RunPart, Any], AsyncGenerator[Any, Any]]


class Proxy:
    """Stands for an object: attributes are the object's, and so is what `isinstance` says."""

    __slots__ = ("__weakref__", "_perfmon_of")
    _perfmon_of: Any

    def __init__(self, of: Any) -> None:
        object.__setattr__(self, "_perfmon_of", of)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._perfmon_of, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._perfmon_of, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._perfmon_of, name)

    __class__ = property(lambda self: type(self._perfmon_of))


def standing_for(kind: type, base: type, special: dict[str, Any]) -> type:
    """A class of proxies for objects of a class, with these special methods of its own."""
    methods: dict[str, Any] = {}
    for name in dict.fromkeys(name for owner in kind.__mro__ for name in vars(owner)):
        if not (name.startswith("__") and name.endswith("__")) or name in _OWN:
            continue
        found = special_method(kind, name)
        if callable(found) or found is None:
            methods[name] = None if found is None else special.get(name) or _forwarding(name)
    for name in special.keys() - methods.keys() & set(_ALWAYS):
        methods[name] = special[name]
    names = {"__slots__": (), "__doc__": kind.__doc__, "__module__": kind.__module__}
    return type(kind.__name__, (base,), {**methods, **names})


_ALWAYS = ("__mro_entries__",)


def special_method(kind: type, name: str) -> Any:
    """What the class has under this name, without what its own class has."""
    return next((vars(owner)[name] for owner in kind.__mro__ if name in vars(owner)), None)


def _forwarding(name: str) -> Callable[..., Any]:
    def forward(self: Proxy, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._perfmon_of, name)(*args, **kwargs)

    forward.__name__ = name
    return forward


class Stream(Proxy):
    """Stands for what a call returned, and ends its part of the run when that ends."""

    __slots__ = ("_perfmon_follow", "_perfmon_part")
    _perfmon_part: RunPart
    _perfmon_follow: Follow

    def __init__(self, of: Any, part: RunPart, follow: Follow) -> None:
        super().__init__(of)
        object.__setattr__(self, "_perfmon_part", part)
        object.__setattr__(self, "_perfmon_follow", follow)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._perfmon_of, name)
        if name in _CLOSING:
            return _closing(self._perfmon_part, found)
        return functools.partial(_STEPS[name], self) if name in _STEPS else found


def proxied(part: RunPart, value: Any, follow: Follow) -> Any:
    """A proxy for a single-pass stream, an awaitable or what is only there to be entered; or None.

    Files, and what can be gone through more than once, are none of these.
    """
    if not is_followed(type(value)):
        return None
    part.meter.blur()  # others work in between
    return _standing(type(value))(value, RunPart(part.run, beside=part), follow)


def _standing(kind: type) -> Any:
    made = _classes.get(kind)
    if made is None:
        made = _classes[kind] = standing_for(kind, Stream, _SPECIAL)
    return made


_classes: WeakKeyDictionary[type, type] = WeakKeyDictionary()
_followed: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def is_followed(kind: type) -> bool:
    """Whether objects of a class have an end that is still to come."""
    known = _followed.get(kind)
    if known is None:
        known = _followed[kind] = _has_an_end(kind)
    return known


def _has_an_end(kind: type) -> bool:
    # A file is not gone through to its end as a rule; a mock says yes to everything.
    if issubclass(kind, io.IOBase) or kind.__module__ == "unittest.mock":
        return False

    if is_stream(kind):
        return True

    def has(*names: str) -> bool:
        return all(special_method(kind, name) is not None for name in names)

    is_entered = has("__enter__", "__exit__") or has("__aenter__", "__aexit__")
    return is_entered and all(name.startswith("_") for name in dir(kind))


def is_stream(kind: type) -> bool:
    """Whether objects of a class are gone through once, or awaited."""
    names = ("__next__", "__anext__", "__aiter__", "__await__")
    return any(special_method(kind, name) is not None for name in names)


def _is_iterator(of: Any) -> bool:
    kind = type(of)
    return any(special_method(kind, name) for name in ("__next__", "__anext__", "__aiter__"))


# What a stream does that may be its end


def _iter(self: Stream) -> Any:
    items = iter(self._perfmon_of)
    if items is self._perfmon_of:
        return self
    return self._perfmon_follow.iterated(self._perfmon_part, items)


def _stepping(name: str) -> Callable[..., Any]:
    """`__next__`, `send` or `throw`: of an iterator, or of what is awaited like a coroutine."""

    def step(self: Stream, *args: Any) -> Any:
        part = self._perfmon_part
        try:
            return getattr(self._perfmon_of, name)(*args)
        except StopIteration as done:
            if special_method(type(self._perfmon_of), "__await__") is None:
                part.end()
                raise
            value = self._perfmon_follow.passed_on(part, done.value)
            if value is done.value:
                raise
            raise StopIteration(value) from None
        except BaseException as problem:
            part.end(problem)
            raise

    step.__name__ = name
    return step


def _aiter(self: Stream) -> Any:
    items = self._perfmon_of.__aiter__()
    if items is self._perfmon_of:
        return self
    if isinstance(items, types.AsyncGeneratorType):
        return self._perfmon_follow.iterated_async(self._perfmon_part, items)
    return _standing(type(items))(items, self._perfmon_part, self._perfmon_follow)


async def _anext(self: Stream) -> Any:
    try:
        return await self._perfmon_of.__anext__()
    except StopAsyncIteration:
        self._perfmon_part.end()
        raise
    except BaseException as problem:
        self._perfmon_part.end(problem)
        raise


def _await(self: Stream) -> Any:
    return self._perfmon_follow.awaited(self._perfmon_part, _work(self._perfmon_of)).__await__()


async def _work(value: Any) -> Any:
    return await value


def _enter(self: Stream) -> Any:
    entered = self._perfmon_of.__enter__()
    return self if entered is self._perfmon_of else entered


async def _aenter(self: Stream) -> Any:
    entered = await self._perfmon_of.__aenter__()
    return self if entered is self._perfmon_of else entered


def _exit(self: Stream, kind: Any, problem: BaseException | None, trace: Any) -> Any:
    try:
        handled = self._perfmon_of.__exit__(kind, problem, trace)
    except BaseException as raised:
        self._perfmon_part.end(raised)
        raise
    self._perfmon_part.end(_of_exit(self._perfmon_of, problem, handled=bool(handled)))
    return handled


async def _aexit(self: Stream, kind: Any, problem: BaseException | None, trace: Any) -> Any:
    try:
        handled = await self._perfmon_of.__aexit__(kind, problem, trace)
    except BaseException as raised:
        self._perfmon_part.end(raised)
        raise
    self._perfmon_part.end(_of_exit(self._perfmon_of, problem, handled=bool(handled)))
    return handled


def _of_exit(of: Any, problem: BaseException | None, *, handled: bool) -> BaseException | None:
    """How a run ended whose block was left: by its exception, or before the end of its items."""
    if problem is not None and not handled:
        return problem
    return GeneratorExit() if _is_iterator(of) else None


def _closing(part: RunPart, close: Callable[..., Any]) -> Callable[..., Any]:
    """Closing before the end is an end, too."""

    @functools.wraps(close)
    def closing(*args: Any, **kwargs: Any) -> Any:
        result = close(*args, **kwargs)
        if inspect.isawaitable(result):
            return _closed(part, result)
        part.end(GeneratorExit())
        return result

    return closing


async def _closed(part: RunPart, result: Any) -> Any:
    value = await result
    part.end(GeneratorExit())
    return value


_STEPS = {name: _stepping(name) for name in ("send", "throw")}
_SPECIAL: dict[str, Any] = {
    "__iter__": _iter, "__next__": _stepping("__next__"), "__aiter__": _aiter, "__anext__": _anext,
    "__await__": _await, "__enter__": _enter, "__exit__": _exit, "__aenter__": _aenter,
    "__aexit__": _aexit,
}  # fmt: skip
