"""`watch` for functions, methods, classes and callable objects: each call is a run."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from perfmon.recording.proxies import Proxy, special_method, standing_for
from perfmon.recording.resources import STEPS, THREAD, Meter
from perfmon.recording.returned import Items, awaited, followed, iterated
from perfmon.recording.tracking import RunPart, TrackedRun

Wrapped = TypeVar("Wrapped")
Make = Callable[[], TrackedRun]
_FUNCTIONS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial,
)  # fmt: skip


def watched(make: Make, target: Wrapped) -> Wrapped:
    """The same to call, each call a tracked run until what it returned has ended.

    A function stays of its kind (coroutine, generator, ...), a class or static method and a
    property too; a class, an object that is called and any other descriptor become a proxy that
    passes for them.
    """
    found: Any = target
    if isinstance(found, (classmethod, staticmethod)):
        return type(found)(watched(make, found.__func__))  # type: ignore[return-value]
    if isinstance(found, property):
        return found.getter(watched(make, found.fget)) if found.fget else found  # type: ignore[return-value]
    if isinstance(found, functools.cached_property):
        return type(found)(watched(make, found.func))  # type: ignore[return-value]
    if isinstance(found, _FUNCTIONS) or not _is_proxied(found):
        return _function(make, found)  # type: ignore[no-any-return]
    return _standing(type(found))(found, make)  # type: ignore[no-any-return]


def _is_proxied(target: Any) -> bool:
    return callable(target) or special_method(type(target), "__get__") is not None


def _function(make: Make, function: Any) -> Any:
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def watching_items_async(*args: Any, **kwargs: Any) -> Any:
            part = _begun(make, None)
            async with Items(part, _called(part, function, args, kwargs)) as steps:
                while await steps.advance():
                    try:
                        steps.sent = yield steps.item
                    except GeneratorExit:
                        raise
                    except BaseException as problem:
                        steps.thrown = problem

        return watching_items_async

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def watching_items(*args: Any, **kwargs: Any) -> Any:
            part = _begun(make, None)
            return (yield from iterated(part, _called(part, function, args, kwargs)))

        # A generator that can be awaited (`types.coroutine`) still can.
        old = inspect.unwrap(function).__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
        return types.coroutine(watching_items) if old else watching_items

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def watching_async(*args: Any, **kwargs: Any) -> Any:
            part = _begun(make, STEPS)
            return await awaited(part, _called(part, function, args, kwargs))

        return watching_async

    return functools.wraps(function)(_calling(make, function))


def _calling(make: Make, function: Callable[..., Any]) -> Callable[..., Any]:
    def watching(*args: Any, **kwargs: Any) -> Any:
        run = make()
        token = run._begin(THREAD).enter()  # noqa: SLF001 - a run of this package
        try:
            value = function(*args, **kwargs)
        except BaseException as problem:
            run._finish(problem)  # noqa: SLF001
            raise
        finally:
            Meter.leave(token)
        return followed(run, value)

    return watching


def _begun(make: Make, cpu: str | None) -> RunPart:
    run = make()
    meter = run._begin(cpu)  # noqa: SLF001
    if cpu is None:
        meter.blur()  # between two items whoever asked for them works
    return RunPart(run)


def _called(part: RunPart, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function that only makes a coroutine or generator; bad arguments are a failure."""
    try:
        return function(*args, **kwargs)
    except BaseException as problem:
        part.end(problem)
        raise


class Watched(Proxy):
    """Stands for a class, a callable object or a descriptor, and makes runs of its calls."""

    __slots__ = ("_perfmon_call", "_perfmon_make")
    _perfmon_make: Make
    _perfmon_call: Callable[..., Any]

    def __init__(self, of: Any, make: Make) -> None:
        super().__init__(of)
        object.__setattr__(self, "_perfmon_make", make)
        object.__setattr__(self, "_perfmon_call", _calling(make, of))

    @property
    def __wrapped__(self) -> Any:
        return self._perfmon_of


def _standing(kind: type) -> Any:
    made: Any = _classes.get(kind)
    if made is None:
        is_async = inspect.iscoroutinefunction(special_method(kind, "__call__"))
        special = {**_SPECIAL, "__call__": _call_async if is_async else _call}
        if not issubclass(kind, type):
            del special["__mro_entries__"]
        made = _classes[kind] = standing_for(kind, Watched, special)
        if special_method(kind, "__get__") is not None:
            made.__get__ = _get
    return made


_classes: WeakKeyDictionary[type, Any] = WeakKeyDictionary()


def _call(self: Watched, /, *args: Any, **kwargs: Any) -> Any:
    return self._perfmon_call(*args, **kwargs)


async def _call_async(self: Watched, /, *args: Any, **kwargs: Any) -> Any:
    return await self._perfmon_call(*args, **kwargs)


def _get(self: Watched, instance: Any, owner: type | None = None) -> Any:
    """What the descriptor gives, watched in its turn where it is called."""
    found = special_method(type(self._perfmon_of), "__get__")(self._perfmon_of, instance, owner)
    if found is self._perfmon_of:
        return self
    return watched(self._perfmon_make, found) if callable(found) else found


def _mro_entries(self: Watched, bases: tuple[Any, ...]) -> tuple[type, ...]:
    """A class may be derived from a watched one."""
    del bases
    return (self._perfmon_of,)


_SPECIAL: dict[str, Any] = {"__mro_entries__": _mro_entries}
