"""What is watched is measured until what it returned has ended, and the host never notices."""

from __future__ import annotations

import abc
import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import gc
import inspect
import io
import threading
import types
import warnings
from typing import NamedTuple
from unittest import mock

import attrs
import pytest

from perfmon import AgentRun, PerformanceMonitor, Scope


@pytest.fixture
def monitor():
    monitor = PerformanceMonitor(storage_url="memory:")
    yield monitor
    monitor.stop()


def recorded(monitor):
    """All runs, as they are in storage."""
    monitor.flush()
    chunks = monitor.storage.read_runs(0, 2**60, Scope())
    return [AgentRun.from_row(row) for chunk in chunks for row in chunk]


def told(monitor):
    return [(run.status, run.error_type) for run in recorded(monitor)]


WON, LOST, LEFT = ("success", None), ("failure", "LookupError"), ("partial", None)


def gen(fail=False):
    yield 1
    yield 2
    if fail:
        raise LookupError("late")
    return "end"


async def agen(fail=False):
    yield 1
    await asyncio.sleep(0)
    yield 2
    if fail:
        raise LookupError("late")


async def coro(fail=False):
    await asyncio.sleep(0)
    if fail:
        raise LookupError("late")
    return "end"


@types.coroutine
def old_coro(fail=False):
    yield from asyncio.sleep(0).__await__()
    if fail:
        raise LookupError("late")


class Steps:
    """A stream as clients write them, sync and async."""

    def __init__(self, fail=False):
        self.left, self.fail, self.closed = 2, fail, False

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            if self.fail:
                raise LookupError("late")
            raise StopIteration
        self.left -= 1
        return self.left

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def close(self):
        self.closed = True


class Chunks(Steps):
    """One whose iteration is a generator of its own, as in OpenAI's client."""

    def __iter__(self):
        while self.left:
            yield next(self)
        if self.fail:
            raise LookupError("late")

    async def __aiter__(self):
        for item in Chunks.__iter__(self):
            yield item


class Body:
    """An async iterable whose iterator is another object."""

    def __init__(self, fail=False):
        self.steps = Steps(fail)

    def __aiter__(self):
        return self.steps


class Later:
    """Anything that can be awaited."""

    def __init__(self, fail=False):
        self.work = coro(fail)

    def __await__(self):
        return self.work.__await__()


class Promise:
    """One that has begun nothing yet."""

    def __await__(self):
        return coro().__await__()


class Manager:
    """Only there to be entered; the work is done inside."""

    def __init__(self, fail=False):
        self.fail = fail

    def __enter__(self):
        return gen()

    def __exit__(self, *_):
        if self.fail:
            raise LookupError("late")


@contextlib.contextmanager
def managed(fail=False):
    yield gen()
    if fail:
        raise LookupError("late")


@contextlib.asynccontextmanager
async def managed_async(fail=False):
    yield agen()
    if fail:
        raise LookupError("late")


class Response:
    """A response whose stream is in an attribute, of any name or of the usual one."""

    def __init__(self, fail=False):
        self.body_iterator = Body(fail)


@attrs.frozen
class Answer:
    chunks: object
    request_id: str = "r"


class Slotted:
    __slots__ = ("stream",)

    def __init__(self, stream):
        self.stream = stream


class Pair(NamedTuple):
    head: object
    items: object


async def drained(value):
    """Use what was returned as its kind is used, to the end."""
    if hasattr(value, "__await__"):
        return await value
    if hasattr(value, "__aenter__"):
        async with value as items:
            return [item async for item in items]
    if hasattr(value, "__aiter__"):
        return [item async for item in value]
    if hasattr(value, "__enter__") and not hasattr(value, "__next__"):
        with value as items:
            return list(items)
    return list(value)


def plain(make):
    """A plain function that returns what another makes."""

    def function(*args):
        return make(*args)

    return function


def in_async(make):
    """The same from a coroutine function."""

    async def function(fail):
        return make(fail)

    return function


async def after(function, fail):
    value = function(fail)
    return await value if inspect.iscoroutinefunction(function) else value


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("through", [plain, in_async])
@pytest.mark.parametrize(
    ("make", "inside"),
    [
        (gen, None), (agen, None), (coro, None), (old_coro, None), (Steps, None), (Chunks, None),
        (lambda fail: map(abs, gen(fail)), None), (Body, None), (Later, None),
        (Manager, None), (managed, None), (managed_async, None),
        (Response, lambda response: response.body_iterator),
        (lambda fail: Answer(agen(fail)), lambda answer: answer.chunks),
        (lambda fail: Slotted(gen(fail)), lambda answer: answer.stream),
        (lambda fail: ("id", agen(fail)), lambda answer: answer[1]),
        (lambda fail: Pair("id", gen(fail)), lambda answer: answer.items),
        (lambda fail: {"id": 1, "stream": gen(fail)}, lambda answer: answer["stream"]),
        (lambda fail: [coro(fail)], lambda answer: answer[0]),
    ],
)  # fmt: skip
async def test_a_run_ends_where_what_was_returned_ends(monitor, make, inside, through, fail):
    """And fails where it fails: nothing is recorded before, and the host gets its exception."""
    function = monitor.watch("teller")(through(make))
    stream = await after(function, fail)
    stream = inside(stream) if inside else stream
    assert recorded(monitor) == []
    with pytest.raises(LookupError, match="late") if fail else contextlib.nullcontext():
        await drained(stream)
    assert told(monitor) == [LOST if fail else WON]


async def test_a_chain_of_returns_is_one_run(monitor):
    """A coroutine that returns an awaitable that gives a response that has a stream."""

    async def respond():
        return Answer(agen(fail=True))

    @monitor.watch("teller")
    def call():
        return Awaited(respond())

    class Awaited:
        def __init__(self, work):
            self.work = work

        def __await__(self):
            return self.work.__await__()

    answer = await call()
    assert isinstance(answer, Answer)
    with pytest.raises(LookupError):
        await drained(answer.chunks)
    assert told(monitor) == [LOST]


@pytest.mark.parametrize("make", [gen, Steps, Chunks, agen, Body])
@pytest.mark.parametrize("how", ["dropped", "begun", "closed"])
async def test_what_is_left_before_its_end_is_partial(monitor, make, how):
    """Dropped without a question, after an item, or closed: it did not succeed."""
    stream = monitor.watch("teller")(plain(make))()
    if how != "dropped":
        if hasattr(stream, "__anext__") or hasattr(stream, "__aiter__"):
            items = aiter(stream)
            await anext(items)
            if how == "closed" and hasattr(items, "aclose"):
                await items.aclose()
            del items
        else:
            items = iter(stream)
            next(items)
            del items
    if how == "closed" and hasattr(stream, "close"):
        stream.close()
    del stream
    gc.collect()
    await asyncio.sleep(0)  # the loop closes async generators
    await asyncio.sleep(0)
    assert told(monitor) == [LEFT]


async def test_what_nobody_awaited_is_partial_and_warned_of_once(monitor):
    """As without watching, by its own name; a coroutine function of which nothing ran is no run."""
    watched = monitor.watch("teller")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watched(plain(coro))()
        gc.collect()
    assert ["coroutine 'coro' was never awaited" in str(one.message) for one in caught] == [True]
    del caught  # which holds the coroutine
    watched(plain(coro))().close()  # on purpose: nothing to warn of
    watched(plain(Promise))()
    gc.collect()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        watched(coro)()
    assert told(monitor) == [LEFT] * 3


@pytest.mark.filterwarnings("ignore:coroutine 'coro' was never awaited")
async def test_what_is_cancelled_is_a_failure(monitor):
    """A task, a coroutine in one, a stream in the midst of an item."""
    watched = monitor.watch("teller")
    forever = asyncio.Event()

    @watched
    async def wait():
        await forever.wait()

    @watched
    async def items():
        yield 1
        await forever.wait()

    task = watched(lambda: asyncio.create_task(forever.wait()))()
    tasks = [asyncio.create_task(wait()), asyncio.create_task(drained(items())), task]
    await asyncio.sleep(0.01)
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert told(monitor) == [("failure", "CancelledError")] * 3


async def test_futures_stay_themselves(monitor, caplog):
    """Tasks and futures of threads; whoever forgets a task's exception is still warned by asyncio."""
    watched = monitor.watch("teller")
    made = asyncio.create_task(coro())
    assert watched(lambda: made)() is made
    assert recorded(monitor) == []
    assert await made == "end"
    assert watched(lambda: made)() is made  # it is over already
    assert told(monitor) == [WON, WON]
    task = watched(lambda: asyncio.create_task(coro(fail=True)))()
    await asyncio.wait([task])
    del task
    gc.collect()
    assert "Task exception was never retrieved" in caplog.text
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        futures = [watched(pool.submit)(work) for work in (threading.Event().is_set, lambda: 1 / 0)]
    assert isinstance(futures[0], concurrent.futures.Future)
    assert told(monitor)[2:] == [LOST, WON, ("failure", "ZeroDivisionError")]


async def test_several_parts_are_one_run(monitor):
    """It ends when the last has; the worst counts."""
    watched = monitor.watch("teller")
    works = watched(lambda: [coro(), coro(fail=True), coro()])()
    assert recorded(monitor) == []
    await asyncio.gather(*works, return_exceptions=True)
    assert told(monitor) == [LOST]
    one, other = watched(lambda: (gen(), gen()))()
    list(one)
    assert len(recorded(monitor)) == 1
    next(other)
    del other
    assert told(monitor) == [LOST, LEFT]


def use_the_first(works):
    """Its frame, in the traceback of what fails, holds the others."""
    return list(works[0])


def test_a_part_that_failed_makes_its_run_a_failure_as_soon_as_the_others_are_left(monitor):
    """It does not wait for the collector, which might find the run before its parts."""
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(LookupError):
            use_the_first(monitor.watch("teller")(lambda: [gen(fail=True), gen()])())
        assert told(monitor) == [LOST]
    finally:
        gc.enable()


@pytest.mark.parametrize("inside", [list, tuple, lambda items: dict(enumerate(items))])
def test_streams_of_any_class_are_followed_inside_containers(monitor, inside):
    """Iterators of somebody's own, and Python's lazy ones, are no values that are there."""
    made = inside([Steps(), map(int, ["no number"])])
    steps, lazy = (found := monitor.watch("teller")(lambda: made)())[0], found[1]
    assert isinstance(steps, Steps)
    assert recorded(monitor) == []
    list(steps)
    with pytest.raises(ValueError, match="no number"):
        list(lazy)
    assert told(monitor) == [("failure", "ValueError")]


async def test_a_generator_that_can_be_awaited_still_can(monitor):
    @monitor.watch("teller")
    @types.coroutine
    def old():
        yield from asyncio.sleep(0).__await__()
        raise LookupError("late")

    with pytest.raises(LookupError):
        await old()
    assert told(monitor) == [LOST]


def test_a_stream_passes_for_what_it_is(monitor):
    """By kind, class, attributes, methods and protocol; a generator is one, with all it can do."""
    watched = monitor.watch("teller")

    def echo():
        got = "first"
        while got != "stop":
            try:
                got = yield got
            except KeyError:
                got = "caught"
        return "end"

    items = watched(plain(echo))()
    assert isinstance(items, types.GeneratorType)
    assert items.__name__ == "echo"
    assert (next(items), items.send("two"), items.throw(KeyError())) == ("first", "two", "caught")
    with pytest.raises(StopIteration, match="end"):
        items.send("stop")

    steps = Steps()
    stream = watched(lambda: steps)()
    assert isinstance(stream, Steps)
    assert isinstance(stream, collections.abc.Iterator)
    assert iter(stream) is stream
    assert not hasattr(stream, "__len__")
    stream.left = 7
    assert steps.left == stream.left == 7
    assert (stream == steps, hash(stream) == hash(steps)) == (True, True)
    with stream as entered:
        assert (entered is stream, next(entered)) == (True, 6)
    assert steps.closed
    assert told(monitor) == [WON, LEFT]

    answer = Answer(gen())
    assert watched(lambda: answer)() is answer
    assert list(answer.chunks) == [1, 2]
    assert told(monitor) == [WON, LEFT, WON]


def endless():
    while True:
        yield 0


class Agent:
    """It hands out itself, and has a private generator that never ends."""

    def __init__(self):
        self._ids = endless()
        self.name = "a"

    def set(self):
        return self


@pytest.mark.parametrize(
    "value",
    [
        None, "text", [1, 2], {"a": [1]}, (1, 2), Pair(1, 2), range(3), {1}, io.StringIO("line\n"),
        Agent(), mock.MagicMock(), mock.AsyncMock(), threading.Lock(), Agent, gen, io, Ellipsis,
        Answer("text"), (item for item in ()),
    ],
)  # fmt: skip
def test_what_has_no_end_to_wait_for_is_over_when_it_is_returned(monitor, value):
    """Plain values, containers, files, locks, mocks, classes, functions, what has ended."""
    if inspect.isgenerator(value):
        list(value)
    assert monitor.watch("teller")(lambda: value)() is value
    assert told(monitor) == [WON]


def test_objects_that_raise_when_they_are_looked_at_are_given_back(monitor):
    """Whatever a returned object does, its host gets it, and a run is recorded."""

    class Sour:
        def __getattribute__(self, name):
            raise RuntimeError("sour")

    class Frozen:
        __slots__ = ("items",)

        def __init__(self):
            object.__setattr__(self, "items", gen())

        def __setattr__(self, name, value):
            raise AttributeError(name)

    sour, frozen = Sour(), Frozen()
    assert monitor.watch("teller")(lambda: sour)() is sour
    assert monitor.watch("teller")(lambda: frozen)() is frozen
    assert list(frozen.items) == [1, 2]
    assert told(monitor) == [WON, WON]


class Tool:
    """Methods of every kind."""

    def __init__(self, name="tool"):
        self.name = name

    async def __call__(self, fail):
        return await coro(fail)

    async def run(self, fail):
        return await coro(fail)

    @classmethod
    def of_class(cls, fail):
        assert cls is Tool
        return coro(fail)

    @staticmethod
    def static(fail):
        return coro(fail)

    stored = functools.partialmethod(run, True)


class Called(Tool):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: functools.partial(coro, fail=True), lambda: functools.partial(Tool(), True),
        lambda: functools.partial(functools.partial(Tool().run), True),
        lambda: functools.partial(Tool(), fail=True), lambda: functools.partial(Tool.of_class, True),
        lambda: lambda: Tool().run(True), lambda: Tool().stored,
        lambda: functools.lru_cache(functools.partial(coro, True)),
    ],
)  # fmt: skip
async def test_callables_of_every_kind_are_watched(monitor, make):
    """Partial ones, bound ones, cached ones, lambdas."""
    function = make()
    watched = monitor.watch("tool")(function)
    assert inspect.iscoroutinefunction(watched) == inspect.iscoroutinefunction(function)
    with pytest.raises(LookupError):
        await watched()
    assert told(monitor) == [LOST]


async def test_methods_are_watched_in_either_order_of_decorators(monitor):
    """Class methods, static methods, properties, cached ones, partial ones, descriptors."""
    watch = monitor.watch("tool")

    class Watched:
        plain = watch(Tool.run)
        cached = watch(functools.lru_cache(lambda self: coro(True)))
        partial = watch(functools.partialmethod(Tool.run, True))
        single = watch(functools.singledispatchmethod(lambda self, fail: coro(fail)))

        @watch
        @classmethod
        def outer(cls, fail):
            assert cls is Watched
            return coro(fail)

        @classmethod
        @watch
        def inner(cls, fail):
            return coro(fail)

        @watch
        @staticmethod
        def static(fail):
            return coro(fail)

        @watch
        @property
        def value(self):
            return coro(True)

        @watch
        @functools.cached_property
        def once(self):
            return coro(True)

        @watch
        @abc.abstractmethod
        def abstract(self, fail):
            return coro(fail)

    it = Watched()
    assert isinstance(vars(Watched)["outer"], classmethod)
    assert Watched.abstract.__isabstractmethod__
    assert Watched.cached.cache_info().misses == 0
    for made in (
        it.plain(True), it.cached(), it.partial(), it.single(True), it.outer(True),
        Watched.inner(True), it.static(True), Watched.static(True), it.value, it.once,
        it.abstract(True),
    ):  # fmt: skip
        with pytest.raises(LookupError):
            await made
    assert told(monitor) == [LOST] * 11


async def test_objects_and_classes_stay_what_they_are(monitor):
    """To `isinstance`, their own attributes, signatures and subclasses."""
    watch = monitor.watch("tool")
    tool = watch(Tool("t"))
    assert isinstance(tool, Tool)
    assert callable(tool)
    assert (tool.name, str(inspect.signature(tool))) == ("t", "(fail)")
    assert inspect.iscoroutinefunction(tool.__call__)
    with pytest.raises(LookupError):
        await tool(True)
    assert await tool.run(False) == "end"  # not watched
    assert told(monitor) == [LOST]

    Made = watch(Called)  # noqa: N806 - it is a class
    made = Made(name="made")
    assert (type(made), made.name, inspect.isclass(Made)) == (Called, "made", True)
    assert isinstance(made, Made)
    assert issubclass(Made, Tool)

    class Derived(Made):
        pass

    assert Derived.__mro__[1] is Called
    assert told(monitor) == [LOST, WON]
    stream = watch(Steps)()
    assert isinstance(stream, Steps)
    list(stream)
    assert told(monitor) == [LOST, WON, WON]


def test_a_destructor_may_leave_a_run_while_locks_are_held(monitor):
    """A stream that the collector drops in the midst of recording holds up nothing."""
    parts = monitor._parts
    with parts.queue.lock, parts.intake.unstored.lock, parts.window._lock:
        items = monitor.watch("teller")(gen)()
        next(items)
        items.close()
        monitor.watch("teller")(plain(Steps))()
        gc.collect()
    assert told(monitor) == [LEFT, LEFT]


def test_a_run_that_was_left_has_its_own_time(monitor):
    """It is stamped when it was left, not when it is asked for; `stop()` asks."""
    items = monitor.watch("teller")(gen)()
    next(items)
    items.close()
    left_at = monitor.now_us()
    (run,) = recorded(monitor)
    assert 0 <= left_at / 1e6 - run.timestamp.timestamp() < 1
    monitor.watch("teller")(plain(gen))()
    monitor.stop()
    assert monitor.get_stats()["stored"] == 2


def test_an_unknown_field_is_said_once_with_what_was_meant(monitor, caplog):
    """Set on the run or given as a keyword; it is kept in the metadata, and nothing is raised."""
    for _ in range(3):
        with monitor.track("planner", qualty_score=0.5) as run:
            run.tokns_used = 3
            run.unlike_anything = 4
    assert caplog.text.count("'tokens_used'") == caplog.text.count("'quality_score'") == 1
    assert caplog.text.count("unlike_anything") == 1
    names = ("qualty_score", "tokns_used", "unlike_anything")
    assert all([run.metadata[name] for name in names] for run in recorded(monitor))
    assert len(recorded(monitor)) == 3
