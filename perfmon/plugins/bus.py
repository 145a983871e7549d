"""Notifies plugins of events and asks them; errors in one plugin never affect another."""

from __future__ import annotations

import inspect
import threading
import time
from typing import TYPE_CHECKING, Any

import pluggy

from perfmon import hookspecs
from perfmon.errors import PerfmonError, PluginError
from perfmon.plugins.accounts import Check, PluginStats
from perfmon.plugins.async_worker import PATIENCE, Remote, RemoteAnswer
from perfmon.plugins.hookimpls import checked, positional, specs
from perfmon.plugins.hooks import EVENTS, INPUTS, Hooks
from perfmon.plugins.threads import in_thread
from perfmon.plugins.worker import Implementation, Questions, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    Errors = type[Exception] | tuple[type[Exception], ...]

MONITOR = "monitor"
"""The monitor's own name on the bus; its refusals reach who calls an input hook."""

# Opening a large old storage may take minutes, and so may the monitor's own work.
_UNHURRIED = INPUTS | {"open_storage", "add_routes", "add_commands"}
_RAISED = (Exception, SystemExit)


class Bus:
    """Calls each plugin's implementations apart: in its own `try`, and events on its own thread.

    The last registered is called first; `tryfirst` and `trylast` of pluggy are honoured.
    Events (`publish`) are queued for each plugin and never wait; questions (`ask`) are answered
    in the caller's thread, or with a deadline on the plugins' threads (`ask_guarded`, and what
    is an `async def`). The deadline of an `async def` is its plugin's attribute `deadline`, in
    seconds, where it has one.

    Args:
        capacity: how many runs or other things may wait for one plugin.
        deadline: a call that takes longer, in seconds, disables its plugin.
        clock: monotonic seconds, for those calls.
        patience: the deadline in seconds of an `async def` whose plugin has none.
    """

    def __init__(
        self,
        capacity: int = 20_000,
        deadline: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._manager = pluggy.PluginManager("perfmon")
        self._manager.add_hookspecs(hookspecs)
        self._capacity = capacity
        self._deadline = deadline
        self._accounts: dict[str, PluginStats] = {}
        # A plugin's events and its questions do not wait for one another.
        self._workers: dict[str, tuple[Worker, Worker]] = {}
        self._remotes: dict[str, Remote] = {}
        self._by_name: dict[str, frozenset[str]] = {}
        self._places: dict[str, int] = {}
        self._table: dict[str, tuple[Implementation, ...]] = {}
        # Also those that are asked by name only, or out of service.
        self._whole: dict[str, dict[str, Implementation]] = {}
        self._listed: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
        self._changing = threading.Lock()
        self.arguments = {hook: spec.argnames for hook, spec in specs(self._manager)}
        self.first_answer = frozenset(
            hook for hook, spec in specs(self._manager) if spec.opts.get("firstresult")
        )
        self.hook = Hooks(self)
        self._rebuild()

    def register(self, plugin: object, name: str, *, by_name: Collection[str] = ()) -> list[str]:
        """Add a plugin; returns the hooks it implements. Raises `PluginError` in one line.

        Of the hooks `by_name` it receives nothing and is asked nothing, unless somebody finds it by
        its name (`find`).
        """
        hooks = checked(self._manager, self.arguments, plugin, name)
        with self._changing:
            if self._manager.has_plugin(name) or self._manager.is_registered(plugin):
                raise PluginError(f"plugin {name!r} is already registered")
            self._add(plugin, name, by_name)
        self._rebuild()
        return hooks

    def replace(self, plugin: object, name: str, *, by_name: Collection[str] = ()) -> list[str]:
        """As `register`, in the place of one of that name; nothing is missed in between.

        What already waits for that one is still delivered; the accounts begin anew.
        """
        hooks = checked(self._manager, self.arguments, plugin, name)
        with self._changing:
            self._manager.unregister(name=name)
            self._let_go(name)
            self._add(plugin, name, by_name)
        self._rebuild()
        return hooks

    def unregister(self, name: str) -> None:
        """Remove a plugin; what already waits for it is still delivered. Its accounts stay."""
        with self._changing:
            self._manager.unregister(name=name)
            self._let_go(name)
        self._rebuild()

    def arrange(self, names: Sequence[str]) -> None:
        """Call these plugins as if they had been registered in this order, before all others."""
        with self._changing:
            rest = [name for name in self._places if name not in names]
            self._places = {name: place for place, name in enumerate((*names, *rest))}
        self._rebuild()

    def _add(self, plugin: object, name: str, by_name: Collection[str]) -> None:
        self._manager.register(plugin, name)
        account = self._accounts[name] = PluginStats(name)
        self._workers[name] = (self._worker(account), self._worker(account))
        self._remotes[name] = self._remote(account, plugin)
        self._by_name[name] = frozenset(by_name)
        self._places.setdefault(name, 1 + max(self._places.values(), default=0))

    def _let_go(self, name: str) -> None:
        """A plugin's threads end once they have done what waits for them."""
        for worker in self._workers[name]:
            worker.finish()
        until = time.monotonic() + self._patience
        in_thread(self._remotes[name].close, until, name=f"perfmon-{name}-end")

    def implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Who implements a hook, in the order of calling; each takes the hook's keywords."""
        return self._listed[hook]

    def chain(self, hook: str) -> tuple[Implementation, ...]:
        """Whom a hook is put to, in the order of calling."""
        return self._table[hook]

    def find(self, hook: str, plugin: str) -> Implementation | None:
        """A plugin's implementation of a hook, even if used by name only or disabled."""
        return self._whole[hook].get(plugin)

    def attribute(self, plugin: str, name: str) -> Any:
        """What a plugin has under a name, or None."""
        return getattr(self._manager.get_plugin(plugin), name, None)

    def seconds_of(self, plugin: str, attribute: str) -> float | None:
        """A number above 0 that a plugin has as an attribute, such as its `deadline`."""
        return _seconds(getattr(self._manager.get_plugin(plugin), attribute, None))

    def ask(
        self,
        hook: str,
        /,
        *,
        check: Check | None = None,
        propagate: Errors = (),
        **arguments: Any,
    ) -> Any:
        """The first answer that is not None; see `ask_named`."""
        answer = self.ask_named(hook, check=check, propagate=propagate, **arguments)
        return None if answer is None else answer[1]

    def ask_named(
        self,
        hook: str,
        /,
        *,
        check: Check | None = None,
        propagate: Errors = (),
        **arguments: Any,
    ) -> tuple[str, Any] | None:
        """The first plugin with an answer, and the answer, or None.

        A plugin that raises is counted and passed over, and so is one whose answer `check`
        raises for; `check` returns the answer as it shall be. Errors of the classes `propagate`
        reach the caller.
        """
        for implementation in self._table[hook]:
            answer = self._inline(implementation, arguments, check, propagate)
            if answer is not None:
                return implementation.plugin, answer
        return None

    def ask_all(self, hook: str, /, *, check: Check | None = None, **arguments: Any) -> list[Any]:
        """Every answer that is not None."""
        answers = [self._inline(i, arguments, check, ()) for i in self._table[hook]]
        return [answer for answer in answers if answer is not None]

    def ask_guarded(
        self, hook: str, deadline: float, items: Sequence[Any], *, check: Check | None = None
    ) -> list[Any]:
        """The first answer for each item, asked on the plugins' threads.

        No plugin holds this up for longer than `deadline` seconds. One that hangs is taken out
        of service, and so is one that is too slow three times in a row; what it did not answer
        goes to the next, or is None.
        """
        answers: list[Any] = [None] * len(items)
        argument = self.arguments[hook][0]
        for implementation in self._table[hook]:
            open_places = [place for place, answer in enumerate(answers) if answer is None]
            if not open_places:
                break
            asked = [{argument: items[place]} for place in open_places]
            batch = Questions(implementation, asked, check)
            found = implementation.worker.ask(batch, deadline)
            for place, answer in zip(open_places, found, strict=True):
                answers[place] = answer
        return answers

    def publish(self, hook: str, /, **arguments: Any) -> None:
        """Tell every plugin that implements the hook, each on its own thread; never waits."""
        for implementation in self._table[hook]:
            # A list of its own, so that a plugin that changes it changes no other's.
            own = {k: list(v) if type(v) is list else v for k, v in arguments.items()}
            implementation.worker.tell(implementation, own)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Calls, failures, dropped, slow, in_service, last_error and seconds of each plugin."""
        for workers in list(self._workers.values()):
            for worker in workers:
                worker.retire_if_hung()
            self._retire_if_stuck(workers[0].account)
        return {name: account.summary() for name, account in list(self._accounts.items())}

    def close(self, timeout: float = 5.0) -> None:
        """Let the plugins finish what was published, up to `timeout` seconds in all.

        What then still waits is dropped and counted. Publishing again starts their threads
        again.
        """
        until = time.monotonic() + timeout
        for workers in list(self._workers.values()):
            for worker in workers:
                worker.close(until)
        for remote in list(self._remotes.values()):
            remote.close(until)

    def enter(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """An input: the monitor's at once, with its refusals; then all others are notified."""
        others = []
        for implementation in self._table[hook]:
            if implementation.plugin == MONITOR:
                self._inline(implementation, arguments, None, PerfmonError)
            else:
                others.append(implementation)
        for implementation in others:
            implementation.worker.tell(implementation, arguments)

    def call(
        self,
        implementation: Implementation,
        values: tuple[Any, ...],
        check: Check | None = None,
        propagate: Errors = (),
    ) -> Any:
        """One plugin's answer, asked in this thread: None where it passes, fails or hung before.

        `values` are all the hook's arguments, in their order.
        """
        account = implementation.account
        if account.under_way and not self._retire_if_stuck(account):
            return None
        call = object()
        started = self._clock()
        if not implementation.unhurried:
            account.under_way[call] = started
        try:
            answer = implementation.positional(*values)
            return answer if answer is None or check is None else check(answer)
        except propagate:
            raise
        except _RAISED as problem:
            account.failed(implementation.hook, problem)
            return None
        finally:
            account.under_way.pop(call, None)
            account.called(self._clock() - started)

    def call_remote(
        self,
        implementation: Implementation,
        values: tuple[Any, ...],
        check: Check | None = None,
    ) -> RemoteAnswer:
        """As `call` for one that is an `async def`: waits for it, up to its deadline."""
        assert implementation.remote is not None
        return implementation.remote.ask(
            implementation.hook, implementation.positional, values, check
        )

    def _inline(
        self,
        implementation: Implementation,
        arguments: Mapping[str, Any],
        check: Check | None,
        propagate: Errors,
    ) -> Any:
        values = tuple([arguments.get(name) for name in self.arguments[implementation.hook]])
        if implementation.remote is not None:
            return self.call_remote(implementation, values, check).answer
        return self.call(implementation, values, check, propagate)

    def _retire_if_stuck(self, account: PluginStats) -> bool:
        """Whether a plugin is enabled, after checking its calls in callers' threads."""
        if account.longest_call(self._clock()) >= self._deadline:
            self._retire(account, f"a call took longer than {self._deadline:g} s")
        return account.in_service

    def _retire(self, account: PluginStats, reason: str) -> None:
        if account.retire(reason):
            self._rebuild()
            for worker in self._workers[account.plugin]:
                worker.drop_all()

    def _worker(self, account: PluginStats) -> Worker:
        def retire(reason: str) -> None:
            self._retire(account, reason)

        return Worker(account, self._capacity, self._deadline, retire, self._clock)

    def _remote(self, account: PluginStats, plugin: object) -> Remote:
        def retire(reason: str) -> None:
            self._retire(account, reason)

        deadline = _seconds(getattr(plugin, "deadline", None)) or self._patience
        return Remote(account, deadline, retire, self._clock)

    def _rebuild(self) -> None:
        with self._changing:
            whole = {hook: tuple(self._implementations_of(hook)) for hook in self.arguments}
            table = {
                hook: tuple(
                    one
                    for one in found
                    if one.account.in_service and hook not in self._by_name[one.plugin]
                )
                for hook, found in whole.items()
            }
            self._whole = {
                hook: {one.plugin: one for one in found} for hook, found in whole.items()
            }
            self._listed = {
                hook: [(implementation.plugin, implementation) for implementation in found]
                for hook, found in table.items()
            }
            self._table = table

    def _implementations_of(self, hook: str) -> Iterator[Implementation]:
        for found in sorted(getattr(self._manager.hook, hook).get_hookimpls(), key=self._rank):
            name = found.plugin_name
            events, questions = self._workers[name]
            is_async = inspect.iscoroutinefunction(found.function)
            yield Implementation(
                plugin=name,
                hook=hook,
                function=found.function,
                argnames=found.argnames,
                positional=positional(found.function, found.argnames, self.arguments[hook]),
                account=events.account,
                worker=events if hook in EVENTS | INPUTS else questions,
                remote=self._remotes[name] if is_async else None,
                unhurried=hook in _UNHURRIED,
            )

    def _rank(self, found: pluggy.HookImpl) -> tuple[int, int]:
        """As pluggy orders them, but by the places of the plugins."""
        place = self._places[found.plugin_name]
        return int(found.trylast) - int(found.tryfirst), place if found.trylast else -place


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 < value < threading.TIMEOUT_MAX else None
